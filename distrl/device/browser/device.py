"""A page in a real Chromium behind the `Device` protocol.

    reset -> the page, seeded -> task with its instruction
    observe -> screenshot + UI tree;  act -> mouse and keyboard events;  check -> the page's own reward

The browser is blocking, so each device has one thread; the thread's calls end by their deadline as well.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from distrl.config import BrowserDeviceConfig
from distrl.device.base import before_deadline
from distrl.device.browser import page
from distrl.device.browser.chromium import Chromium, find_programs
from distrl.device.browser.suite import find_pages
from distrl.errors import DeviceLostError, DeviceRejectedError, ObservationError
from distrl.types import Action, ActionKind, Frame, Observation, Task, Verdict

T = TypeVar("T")

LONG_PRESS_S: Final = 0.6
"""Android's long-press time-out is 0.5 s; a press this long is one everywhere."""

_TIMED_OUT = "timed out"
"""The reason a page gives when its own clock, and not the agent, ended the episode."""


class BrowserDevice:
    """One MiniWoB++ page in its own Chromium, touched like a phone.

    Chromium starts at the first `reset`. The screen is 160x210 page pixels, times `settings.scale`.
    BACK and HOME are accepted and do nothing: the page is the whole device. Typing goes to the focused text field and
    nowhere else. A swipe scrolls what is under its start by the way the finger went.

    Raises:
        ConfigError: Chromium, its driver or the package `miniwob` is not installed; says how to.
    """

    def __init__(self, name: str, settings: BrowserDeviceConfig | None = None) -> None:
        self.name = name
        self._settings = settings or BrowserDeviceConfig()
        self._programs = find_programs(self._settings.chromium, self._settings.chromedriver)
        self._pages = find_pages()
        self._thread = self._new_thread()
        self._chromium: Chromium | None = None
        self._task: Task | None = None
        self._closed = False

    @property
    def chromium(self) -> Chromium | None:
        """The browser, once started: its process and folder, for diagnosis."""
        return self._chromium

    async def reset(self, task: Task, *, deadline_s: float) -> Task:
        """Loads the task's page with its seed; returns the task with the instruction that the page wrote."""
        if task.template not in self._pages:
            raise DeviceRejectedError(self.name, f"{task.template!r} is no MiniWoB++ page; see BrowserSuite.templates")
        if self._chromium is None:
            self._chromium = self._new_chromium()
        self._task = None
        self._task = await self._in_thread("reset", functools.partial(self._reset, self._chromium, task), deadline_s)
        return self._task

    async def observe(self, *, deadline_s: float) -> Observation:
        """Takes a screenshot and reads the UI tree."""
        chromium = self._ready()
        return await self._in_thread("observe", functools.partial(self._observe, chromium), deadline_s)

    async def act(self, action: Action, *, deadline_s: float) -> None:
        """Sends the action's mouse or keyboard events to the page, once."""
        assert not action.ends_episode, "the agent's own end of an episode is not sent to a device"
        chromium = self._ready()
        await self._in_thread("act", functools.partial(_act, chromium, action), deadline_s)

    async def check(self, task: Task, *, deadline_s: float) -> Verdict:
        """Asks the page: success when it is done with a raw reward above `settings.success_above`."""
        chromium = self._ready()
        return await self._in_thread("check", functools.partial(self._check, chromium), deadline_s)

    async def recover(self, *, deadline_s: float) -> None:
        """Ends this device's own browser, whatever state it is in, and starts a new one."""
        old, self._chromium, self._task = self._chromium, self._new_chromium(), None
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = self._new_thread()
        await self._in_thread("recover", functools.partial(_restart, old, self._chromium), deadline_s)

    async def close(self) -> None:
        """Ends the browser's processes and removes its files."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        chromium, self._chromium = self._chromium, None
        if chromium is not None:
            await asyncio.to_thread(chromium.kill)

    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=self.name)

    def _new_chromium(self) -> Chromium:
        return Chromium(self.name, self._programs, scale=self._settings.scale)

    def _ready(self) -> Chromium:
        """The browser, when a task is set up on it."""
        if self._chromium is None or self._task is None:
            raise DeviceRejectedError(self.name, "no task is set up; call reset first")
        return self._chromium

    async def _in_thread(self, name: str, call: Callable[[float], T], deadline_s: float) -> T:
        """Runs a blocking call, which gets its deadline as a moment of `time.monotonic()`."""
        if self._closed:
            raise DeviceLostError(self.name, f"{name} after close; make a new device")
        future = asyncio.get_running_loop().run_in_executor(self._thread, call, time.monotonic() + deadline_s)
        return await before_deadline(future, deadline_s=deadline_s, device=self.name, name=name)

    def _reset(self, chromium: Chromium, task: Task, until: float) -> Task:
        if not chromium.started:
            _start(chromium, until)
        chromium.open(self._pages[task.template].as_uri(), until)
        limit_ms = int(self._settings.episode_time_limit_s * 1000)
        seed = int(task.params.get("page_seed", task.seed))
        instruction = chromium.wait_for(page.START, until, seed, limit_ms, page.HIDE_COVER)
        return replace(task, instruction=str(instruction))

    def _observe(self, chromium: Chromium, until: float) -> Observation:
        answer = chromium.command(
            "Page.captureScreenshot",
            {"format": "png", "optimizeForSpeed": True, "captureBeyondViewport": False},
            until,
        )
        frame = self._frame_of(answer)
        nodes: list[dict[str, Any]] = chromium.run(page.READ_ELEMENTS, until, *page.SCREEN)
        return Observation(frame, page.elements_of(nodes, scale=self._settings.scale), app=page.PACKAGE)

    def _frame_of(self, answer: dict[str, Any]) -> Frame:
        """The task's part of a screenshot of the whole window."""
        try:
            with Image.open(io.BytesIO(base64.b64decode(answer["data"]))) as image:
                window = np.asarray(image.convert("RGB"))
        except (KeyError, binascii.Error, UnidentifiedImageError, OSError) as error:
            raise ObservationError(self.name, f"the browser's screenshot cannot be read: {error}") from error
        width, height = (edge * self._settings.scale for edge in page.SCREEN)
        pixels = np.ascontiguousarray(window[:height, :width])
        if pixels.shape != (height, width, 3) or pixels.min() == pixels.max():
            raise ObservationError(self.name, f"the browser's screenshot is blank or too small: {window.shape}")
        pixels.setflags(write=False)
        return Frame(pixels)

    def _check(self, chromium: Chromium, until: float) -> Verdict:
        status = chromium.run(page.STATUS, until)
        done, reward = bool(status["done"]), float(status["reward"])
        if done and status["reason"] == _TIMED_OUT:
            raise DeviceRejectedError(
                self.name,
                f"the page's clock ended the episode after {self._settings.episode_time_limit_s:g} s; "
                "raise device.episode_time_limit_s",
            )
        success = done and reward > self._settings.success_above
        reason = f"raw reward {reward:g}" if done else "the page goes on"
        return Verdict(success=success, failed=done and not success, reason=reason)


def _restart(old: Chromium | None, new: Chromium, until: float) -> None:
    if old is not None:
        old.kill()
    _start(new, until)


def _start(chromium: Chromium, until: float) -> None:
    chromium.start(until)
    chromium.command("Page.addScriptToEvaluateOnNewDocument", {"source": page.WATCH_LISTENERS}, until)


def _act(chromium: Chromium, action: Action, until: float) -> None:
    """Sends one action's events; points are clipped to the screen, so that nothing beyond it is touched."""
    if action.kind in (ActionKind.TAP, ActionKind.LONG_PRESS):
        _press(chromium, _point(action.touch), until, hold_s=LONG_PRESS_S if action.kind != ActionKind.TAP else 0.0)
    elif action.kind == ActionKind.SWIPE:
        (x, y), (lift_x, lift_y) = _point(action.touch), _point(action.lift)
        wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": x - lift_x, "deltaY": y - lift_y}
        chromium.command("Input.dispatchMouseEvent", wheel, until)
        chromium.wait_for(page.NEXT_FRAME, until)  # The wheel is answered before the content has moved.
    elif action.kind == ActionKind.TYPE:
        # As an on-screen keyboard does: committed whole, in any script, to the focused field and nowhere else.
        chromium.command("Input.insertText", {"text": action.text}, until)
    elif action.kind == ActionKind.ENTER:
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        chromium.command("Input.dispatchKeyEvent", {"type": "keyDown", "text": "\r", **key}, until)
        chromium.command("Input.dispatchKeyEvent", {"type": "keyUp", **key}, until)


def _press(chromium: Chromium, point: tuple[float, float], until: float, *, hold_s: float) -> None:
    event = {"x": point[0], "y": point[1], "button": "left", "clickCount": 1}
    chromium.command("Input.dispatchMouseEvent", {**event, "type": "mouseMoved", "button": "none"}, until)
    chromium.command("Input.dispatchMouseEvent", {**event, "type": "mousePressed"}, until)
    if hold_s:
        time.sleep(hold_s)  # The gesture itself, not a wait for anything.
    chromium.command("Input.dispatchMouseEvent", {**event, "type": "mouseReleased"}, until)


def _point(point: tuple[float, float] | None) -> tuple[float, float]:
    """Page pixels of a point in [0, 1], kept inside the screen."""
    assert point is not None, "a gesture has a point"
    width, height = page.SCREEN
    return min(max(point[0] * width, 0.0), width - 1.0), min(max(point[1] * height, 0.0), height - 1.0)
