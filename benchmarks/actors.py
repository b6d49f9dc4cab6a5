"""What the benchmarks of collection share: tasks that name themselves, and a policy that plays them without a model.

What these benchmarks measure is time, so the policy only has to make episodes of realistic lengths. Half of them (by
default) follow the task's own oracle to success; the others touch what they find until the step budget is used up.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from distrl.actions import CODECS
from distrl.device.sim.tasks.hand import SCROLLS, Hand, Script
from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import ActionError, TaskError
from distrl.tasks import TaskStream
from distrl.types import Action, ActionKind, Decision, PolicyInput, Task


class NamedTasks:
    """The usual stream of training tasks, each with its id as the instruction: it tells the actor which one it plays.

    A limited stream ends after `limit` tasks.
    """

    def __init__(self, suite: SimSuite, *, seed: int, limit: int | None = None) -> None:
        self._stream = TaskStream(suite, suite.splits()["train"], seed=seed)
        self._left = limit
        self.by_id: dict[str, Task] = {}

    def next(self) -> Task | None:
        if self._left is not None:
            if self._left == 0:
                return None
            self._left -= 1
        task = self._stream.next()
        task = replace(task, instruction=task.id)
        self.by_id[task.id] = task
        return task


@dataclass
class _Play:
    """One episode as the actor knows it; without a script it wanders."""

    hand: Hand
    script: Script | None
    rng: random.Random
    started: bool = False


class OracleActor:
    """Follows the oracle in `expert_share` of the tasks and wanders in the others; the same task, the same way.

    `compute_ms` of arithmetic per decision stands for a model; it runs outside the interpreter's lock, as a model does.
    """

    def __init__(
        self, suite: SimSuite, tasks: NamedTasks, *, expert_share: float, num_devices: int, compute_ms: float = 0.0
    ) -> None:
        self.version = 0
        self._suite = suite
        self._tasks = tasks
        self._expert_share = expert_share
        self._max_plays = max(64, 2 * num_devices)
        self._compute_s = compute_ms / 1e3
        self._matrix = np.ones((192, 192), np.float32)
        self._plays: OrderedDict[str, _Play] = OrderedDict()
        self._codec = CODECS["element"]
        self._tokens = np.zeros(3, np.int32)
        self._log_probs = np.full(3, -0.1, np.float32)

    def act(self, inputs: Sequence[PolicyInput], *, temperature: float) -> list[Decision]:
        """Decides for every input."""
        return [
            Decision(self._text(given), self._tokens, self._log_probs, self.version, temperature) for given in inputs
        ]

    def _text(self, given: PolicyInput) -> str:
        self._compute()
        play = self._play(given)
        try:
            action = self._wander(given, play.rng) if play.script is None else self._follow(play, given)
            return self._codec.encode(action, given.observation)
        except (ActionError, TaskError, StopIteration):  # A fault led the oracle off its way: it gives up.
            return "done"

    def _play(self, given: PolicyInput) -> _Play:
        task = self._tasks.by_id[given.instruction]
        play = self._plays.get(task.id)
        if play is None or not given.history:
            rng = random.Random(f"actor/{task.id}")
            hand = Hand(given.observation)
            is_expert = rng.random() < self._expert_share
            script = self._suite.template(task.template).oracle(hand, task.params) if is_expert else None
            play = self._plays[task.id] = _Play(hand, script, rng)
            if len(self._plays) > self._max_plays:
                self._tasks.by_id.pop(self._plays.popitem(last=False)[0], None)
        self._plays.move_to_end(task.id)
        return play

    def _follow(self, play: _Play, given: PolicyInput) -> Action:
        assert play.script is not None
        if play.started:
            return play.script.send(given.observation)
        play.started = True
        return next(play.script)

    def _wander(self, given: PolicyInput, rng: random.Random) -> Action:
        targets = [element for element in given.observation.elements or () if element.clickable]
        if not targets or rng.random() < 0.2:
            touch, lift = rng.choice(list(SCROLLS.values()))
            return Action(ActionKind.SWIPE, touch=touch, lift=lift)
        (x, y), (width, height) = rng.choice(targets).center, given.observation.frame.size
        return Action(ActionKind.TAP, touch=(x / width, y / height))

    def _compute(self) -> None:
        if not self._compute_s:
            return
        until = time.thread_time() + self._compute_s
        while time.thread_time() < until:
            np.dot(self._matrix, self._matrix)
