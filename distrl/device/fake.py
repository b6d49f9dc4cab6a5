"""The smallest thing that is a device: one button and a count. For tests of what drives devices, and for docs.

    device = FakeDevice("fake-0", failures=(Failure("act", 2, DeviceLostError),))
    task = await device.reset(fake_task(taps=2), deadline_s=1.0)
    await device.act(TAP, deadline_s=1.0)            # the count is 1
    await device.act(TAP, deadline_s=1.0)            # the count is 2: check says success
    await device.act(TAP, deadline_s=1.0)            # raises DeviceLostError: the third act ever (they count from 0)

It draws nothing at random and keeps no state between resets but its log, so that a test can say exactly what happens.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from distrl.errors import DeviceError, DeviceHungError, DeviceLostError, DeviceRejectedError
from distrl.types import Action, ActionKind, Element, Frame, Observation, Split, Task, Verdict

FakeCall = Literal["reset", "observe", "act", "check", "recover"]

TAP: Final = Action(ActionKind.TAP, touch=(0.5, 0.5))
"""A tap on the button."""


@dataclass(frozen=True)
class Failure:
    """The `nth` (from 0, over the device's life) call of one kind raises `error` instead of doing anything.

    `DeviceHungError` is raised when the call's deadline is over, every other class at once.
    """

    call: FakeCall
    nth: int
    error: type[DeviceError]


def fake_task(*, taps: int = 1, max_steps: int = 5, seed: int = 0, split: Split = "train") -> Task:
    """A task that `FakeDevice` can set up: done while the count is exactly `taps`."""
    return Task(
        id=f"fake.tap/{split}/{taps}/{seed}",
        template="fake.tap",
        instruction=f"Tap {taps} times.",
        split=split,
        seed=seed,
        level=1,
        apps=("fake",),
        max_steps=max_steps,
        params={"taps": taps},
        suite="fake",
    )


class FakeDevice:
    """Implements `distrl.device.base.Device`: a TAP inside the button adds one, BACK goes back to 0."""

    def __init__(
        self,
        name: str = "fake",
        *,
        size: tuple[int, int] = (36, 80),
        failures: tuple[Failure, ...] = (),
        call_s: float = 0.0,
    ) -> None:
        self.name = name
        self.count = 0
        """Taps on the button since the last reset or BACK."""
        self.actions: list[Action] = []
        """Every action carried out, oldest first."""
        self.calls: list[FakeCall] = []
        """Every call made, the failed ones too, oldest first."""
        self.closed = False
        self._size = size
        self._failures = {(failure.call, failure.nth): failure.error for failure in failures}
        self._call_s = call_s
        self._num_calls: dict[FakeCall, int] = {}
        self._ready = False
        self._failed = False

    async def reset(self, task: Task, *, deadline_s: float) -> Task:
        """Sets the count to 0 and returns the task unchanged."""
        await self._begin("reset", deadline_s)
        self._taps(task)
        self.count = 0
        self._ready = True
        return task

    async def observe(self, *, deadline_s: float) -> Observation:
        """A bar that grows with the count, above the button; the tree names both."""
        await self._begin("observe", deadline_s)
        width, height = self._size
        pixels = np.full((height, width, 3), 240, np.uint8)
        pixels[height // 2 :] = (63, 106, 216)
        pixels[: height // 4, : (self.count % width) + 1] = (200, 60, 60)
        pixels.flags.writeable = False
        elements = (
            Element(0, "TextView", (0, 0, width, height // 4), text=str(self.count), package="fake"),
            Element(1, "Button", (0, height // 2, width, height), text="Tap me", package="fake", clickable=True),
        )
        return Observation(Frame(pixels), elements, "fake")

    async def act(self, action: Action, *, deadline_s: float) -> None:
        """Does `action` once; whatever is neither a TAP on the button nor BACK changes nothing."""
        await self._begin("act", deadline_s)
        if action.ends_episode:
            self._failed = True
            raise DeviceRejectedError(self.name, f"{action.kind} ends the episode and is never sent to a device")
        self.actions.append(action)
        if action.kind is ActionKind.TAP and action.touch is not None and action.touch[1] >= 0.5:
            self.count += 1
        elif action.kind is ActionKind.BACK:
            self.count = 0

    async def check(self, task: Task, *, deadline_s: float) -> Verdict:
        """Success while the count is what the task asks for; one tap too many is a side effect."""
        await self._begin("check", deadline_s)
        taps = self._taps(task)
        effects = ("count",) if self.count > taps else ()
        return Verdict(self.count == taps, effects, f"{self.count} of {taps} taps")

    async def recover(self, *, deadline_s: float) -> None:
        """Makes the device usable again; it then needs a reset."""
        self._ready = False
        await self._begin("recover", deadline_s)
        self._failed = False

    async def close(self) -> None:
        """Marks the device closed; calling it again changes nothing."""
        self.closed = True

    async def _begin(self, call: FakeCall, deadline_s: float) -> None:
        nth = self._num_calls.get(call, 0)
        self._num_calls[call] = nth + 1
        self.calls.append(call)
        if self.closed:
            raise DeviceLostError(self.name, f"{call} was called after close; make a new device")
        if self._failed and call != "recover":
            raise DeviceLostError(self.name, f"{call} was called after a failure; call recover first")
        error = self._failures.get((call, nth))
        hangs = error is DeviceHungError or (error is None and self._call_s > deadline_s)
        await asyncio.sleep(deadline_s if hangs else min(self._call_s, deadline_s))
        if hangs:
            error = DeviceHungError
        if error is None and not self._ready and call not in ("reset", "recover"):
            error = DeviceRejectedError
        if error is not None:
            self._failed = True
            raise error(self.name, f"{call} number {nth} fails")

    def _taps(self, task: Task) -> int:
        if task.suite != "fake":
            self._failed = True
            raise DeviceRejectedError(
                self.name, f"{task.id} is of suite {task.suite!r}; `fake_task` makes tasks for it"
            )
        return int(task.params["taps"])
