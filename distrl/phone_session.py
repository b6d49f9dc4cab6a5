"""One simulated phone in a person's hands: gestures in, screens and the task's check out, demonstrations on disk.

    session = PhoneSession(first_task("clock.add_alarm", "train", 0), size=(540, 1200), record=Path("demos.sqlite"))
    session.record("start")
    session.act(Action(ActionKind.TAP, touch=(0.5, 0.3)))
    session.view()["check"]["success"]

A recorded gesture becomes a step of a trajectory like any other; `distrl sft --demos` clones the successful ones.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from distrl.actions import CODECS
from distrl.device.sim.keyboard import BACKSPACE, keys
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import SystemState, dump, load
from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import ActionError, TaskError
from distrl.store import Store
from distrl.types import SPLITS, Action, ActionKind, Decision, Ending, Observation, Step, Task, Trajectory

HISTORY_LENGTH = 4
"""Earlier action texts kept with each step; cloning computes them anew for its own policy."""
MAX_SEED = 2**31 - 1
_DONE = Action(ActionKind.COMPLETE)
Recording = Literal["off", "on"]


@dataclass(frozen=True, eq=False)
class _Gesture:
    """One step as it was done."""

    observation: Observation
    action: Action
    text: str


def first_task(suite: SimSuite, template: str, split: str, seed: int) -> Task:
    """The task a person starts with; an empty `template` is the first of the split.

    Raises:
        TaskError: there is no such split, template or seed, or the template is not of that split.
    """
    if split not in SPLITS:
        raise TaskError(f"{split!r} is no split; there are: {', '.join(SPLITS)}")
    if not 0 <= seed <= MAX_SEED:
        raise TaskError(f"a seed lies between 0 and {MAX_SEED}, got {seed}; choose one in between")
    return suite.make_task(template or suite.splits()[split][0], split=split, seed=seed)


class PhoneSession:
    """The phone, its task, and the demonstration being recorded. Not thread-safe.

    `record` names the file that demonstrations are added to, or None for a phone to play with.

    Raises:
        StoreError: the file cannot be written, or is no episode store.
    """

    def __init__(
        self,
        suite: SimSuite,
        task: Task,
        *,
        size: tuple[int, int],
        record: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._suite = suite
        self._size = size
        self._clock = clock
        self._store = Store(record, max_frame_bytes=2**40) if record is not None else None
        self._record_path = record
        self._num_screens = 0
        self._notice = ""
        self.start(task)

    def close(self) -> None:
        """Closes the file of demonstrations; an unfinished one is not kept."""
        if self._store is not None:
            self._store.close()

    def start(self, task: Task) -> None:
        """Sets the phone up for `task`; a demonstration under way is dropped."""
        self._task = task
        self._before = self._suite.begin(task)
        # Kept beside the phone: reading `phone.state` would make it build its screen again.
        self._state: SystemState = load(dump(self._before))
        self._phone = Phone(self._state, size=self._size)
        self._gestures: list[_Gesture] = []
        self._recording: Recording = "off"
        self._started_at = self._clock()
        self._look()

    def choose(self, template: str, split: str, seed: int) -> None:
        """Starts another task; raises `TaskError` when there is none such, and changes nothing."""
        task = first_task(self._suite, template, split, seed)
        self._notice = self._farewell()
        self.start(task)

    def restart(self) -> None:
        """Starts the same task again, from the same screen."""
        self._notice = self._farewell()
        self.start(self._task)

    def act(self, action: Action) -> None:
        """Does one gesture. Texts typed one after another are one step, as they are one action of an agent.

        Raises:
            ActionError: the gesture is none, e.g. points off the screen; nothing was done.
        """
        self._notice = ""
        before, text = self._observation, spoken(action, self._observation)
        last = self._gestures[-1] if self._gestures else None
        goes_on = last is not None and last.action.kind is action.kind is ActionKind.TYPE
        if self._recording == "on" and len(self._gestures) >= self._task.max_steps and not goes_on:
            self._keep(Ending.TRUNCATED)  # Its last step was typing, which could have gone on until now.
        self._phone.apply(action)
        if last is not None and goes_on:
            action = replace(action, text=last.action.text + action.text)
            self._gestures[-1] = _Gesture(last.observation, action, spoken(action, last.observation))
        else:
            self._gestures.append(_Gesture(before, action, text))
        self._look()
        if self._recording == "on":
            self._keep_if_over()

    def erase(self) -> None:
        """Taps the keyboard's backspace key; raises `ActionError` while no keyboard is shown."""
        board = self._phone.scene.keyboard
        if board is None:
            raise ActionError("unknown_key", "there is no keyboard to press backspace on; tap a text field first")
        scale = self._phone.scene.layout.scale
        left, top, right, bottom = next(key.rect for key in keys(board, scale) if key.name == BACKSPACE)
        width, height = self._size
        self.act(Action(ActionKind.TAP, touch=((left + right) / 2 / width, (top + bottom) / 2 / height)))

    def record(self, wish: str) -> None:
        """`start` sets the task up anew and records; `finish` says done and keeps it; `discard` stops.

        Raises:
            TaskError: there is no file to record to, nothing to finish, or no such wish.
        """
        if self._store is None:
            raise TaskError("no file to record to; start again with: distrl phone --record demos.sqlite")
        if wish == "start":
            self.restart()
            self._recording = "on"
        elif wish == "discard":
            self._recording, self._notice = "off", "Discarded."
        elif wish == "finish":
            if self._recording != "on" or not self._gestures:
                raise TaskError("there is no recorded gesture to keep; press Record and use the phone first")
            if len(self._gestures) < self._task.max_steps:
                self._gestures.append(_Gesture(self._observation, _DONE, spoken(_DONE, self._observation)))
            self._keep(Ending.TERMINATED if self._gestures[-1].action is _DONE else Ending.TRUNCATED)
        else:
            raise TaskError(f"a recording is started, finished or discarded; got {wish!r}")

    @property
    def observation(self) -> Observation:
        """What the phone shows now."""
        return self._observation

    def view(self) -> dict[str, Any]:
        """All that the page shows beside the screen, as JSON values."""
        task = self._task
        return {
            "screen": self._num_screens,
            "size": list(self._size),
            "app": self._observation.app,
            "task": {
                "template": task.template,
                "split": task.split,
                "seed": task.seed,
                "level": task.level,
                "instruction": task.instruction,
            },
            "steps": len(self._gestures),
            "budget": task.max_steps,
            "actions": [gesture.text for gesture in self._gestures],
            "check": asdict(self._verdict),
            "recording": "unavailable" if self._store is None else self._recording,
            "record_path": "" if self._record_path is None else str(self._record_path),
            "recorded": 0 if self._store is None else len(self._store.ids()),
            "notice": self._notice,
            "elements": [
                {
                    "index": element.index,
                    "class": element.class_name,
                    "bounds": list(element.bounds),
                    "label": element.text or element.content_description,
                    "clickable": element.clickable or element.editable,
                }
                for element in self._observation.elements or ()
            ],
        }

    def _farewell(self) -> str:
        return "The recording was dropped." if self._recording == "on" and self._gestures else ""

    def _look(self) -> None:
        self._observation = self._phone.observe()
        self._verdict = self._suite.check(self._task, self._before, self._state)
        self._num_screens += 1

    def _keep_if_over(self) -> None:
        """An episode ends as an agent's would: at success, when it can no longer succeed, or with its budget."""
        if self._verdict.success or self._verdict.failed:
            self._keep(Ending.TERMINATED)
        elif len(self._gestures) >= self._task.max_steps and self._gestures[-1].action.kind is not ActionKind.TYPE:
            self._keep(Ending.TRUNCATED)

    def _keep(self, ending: Ending) -> None:
        assert self._store is not None
        self._recording = "off"
        trajectory = self._trajectory(ending)
        self._store.add(trajectory)
        outcome = "success" if trajectory.success else "no success: cloning leaves it out"
        self._notice = f"Saved {len(trajectory.steps)} steps to {self._record_path} ({outcome})."

    def _trajectory(self, ending: Ending) -> Trajectory:
        success, last = self._verdict.success, len(self._gestures) - 1
        texts = [gesture.text for gesture in self._gestures]
        steps = tuple(
            Step(
                observation=gesture.observation,
                history=tuple(texts[max(0, number - HISTORY_LENGTH) : number]),
                decision=_decision(gesture.text),
                action=gesture.action,
                reward=float(success and number == last),
            )
            for number, gesture in enumerate(self._gestures)
        )
        return Trajectory(
            id=f"person/{self._task.id}/{uuid.uuid4().hex}",
            task=self._task,
            steps=steps,
            final_observation=self._observation,
            ending=ending,
            success=success,
            worker="person",
            device="phone-page",
            started_at=self._started_at,
            duration_s=max(0.0, self._clock() - self._started_at),
            side_effects=self._verdict.side_effects,
        )


def spoken(action: Action, observation: Observation) -> str:
    """The action as an agent would write it: by element where one lies there, else by pixel.

    Raises `ActionError` when neither format can say it.
    """
    try:
        return CODECS["element"].encode(action, observation)
    except ActionError:
        return CODECS["pixel"].encode(action, observation)


def _decision(text: str) -> Decision:
    """A person's text as a decision: its UTF-8 bytes stand for tokens, and their likelihood is unknown, given as 0."""
    token_ids = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8).astype(np.int32)
    return Decision(text, token_ids, np.zeros(len(token_ids), np.float32), policy_version=0, temperature=1.0)
