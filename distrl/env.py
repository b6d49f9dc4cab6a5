"""Device + Task + Judge + action format = one episode at a time, with the endings of docs/algorithm.md.

`Episode` is the async core that workers drive. `distrl.gymnasium_env.PhoneEnv` offers it as a Gymnasium environment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from distrl.actions import ActionCodec
from distrl.config import DeadlinesConfig, PenaltiesConfig
from distrl.device.base import Device
from distrl.errors import ActionError, InvalidKind
from distrl.judge import Judge
from distrl.types import Action, Observation, Task, Verdict


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one step led to."""

    observation: Observation
    action: Action | None
    """None when the text was no action; the device was then left alone."""
    reward: float
    """1.0 when the judge says success, else 0.0."""
    penalties: tuple[tuple[str, float], ...]
    invalid: InvalidKind | None
    terminated: bool
    """The judge said success, the task can no longer succeed, or the agent declared the end."""
    verdict: Verdict
    act_s: float
    observe_s: float
    judge_s: float


class Episode:
    """One task on one device, from `start` to its end.

    Example:
        episode = Episode(device, judge, codec, deadlines, penalties)
        observation = await episode.start(task)
        outcome = await episode.step('type "milk"')

    Device and judge errors pass through: the caller ends the episode as aborted.
    """

    def __init__(
        self,
        device: Device,
        judge: Judge,
        codec: ActionCodec,
        deadlines: DeadlinesConfig | None = None,
        penalties: PenaltiesConfig | None = None,
    ) -> None:
        self.device = device
        self._judge = judge
        self._codec = codec
        self._deadlines = deadlines or DeadlinesConfig()
        self._penalties = penalties
        self._task: Task | None = None
        self._observation: Observation | None = None
        self._last: tuple[Action, str] | None = None
        self._repetitions = 0

    @property
    def task(self) -> Task:
        """The task as the device set it up (a web page may have written its instruction)."""
        assert self._task is not None, "start() comes first"
        return self._task

    async def start(self, task: Task) -> Observation:
        """Sets the device up for `task` and returns the first screen."""
        self._last, self._repetitions = None, 0
        self._task = await self.device.reset(task, deadline_s=self._deadlines.reset_s)
        self._observation = await self.device.observe(deadline_s=self._deadlines.observe_s)
        return self._observation

    async def step(self, text: str) -> Outcome:
        """Carries out what `text` says, once, and asks the judge about the screen it led to."""
        assert self._observation is not None, "start() comes first"
        before = self._observation
        action, invalid = self._decode(text, before)
        clock = asyncio.get_running_loop().time  # So that a virtual clock counts too.
        started = clock()
        if action is not None and not action.ends_episode:
            await self.device.act(action, deadline_s=self._deadlines.act_s)
        acted = clock()
        if action is not None and not action.ends_episode:
            self._observation = await self.device.observe(deadline_s=self._deadlines.observe_s)
        observed = clock()
        verdict = await self._judge.judge(self.device, self.task, self._observation, deadline_s=self._deadlines.check_s)
        judged = clock()
        return Outcome(
            observation=self._observation,
            action=action,
            reward=float(verdict.success),
            penalties=self._charge(action, invalid, before),
            invalid=invalid,
            terminated=verdict.success or verdict.failed or (action is not None and action.ends_episode),
            verdict=verdict,
            act_s=acted - started,
            observe_s=observed - acted,
            judge_s=judged - observed,
        )

    def _decode(self, text: str, observation: Observation) -> tuple[Action | None, InvalidKind | None]:
        try:
            return self._codec.decode(text, observation), None
        except ActionError as error:
            return None, error.kind

    def _charge(
        self, action: Action | None, invalid: InvalidKind | None, before: Observation
    ) -> tuple[tuple[str, float], ...]:
        """The penalties of this step; a repetition costs more each time it is repeated."""
        if action is None:
            charges = (("invalid", self._penalties.invalid),) if self._penalties else ()
            return tuple(charge for charge in charges if charge[1] < 0)
        assert self._observation is not None
        unchanged = self._observation.frame.content_hash == before.frame.content_hash
        repeated = unchanged and self._last == (action, before.frame.content_hash)
        self._repetitions = self._repetitions + 1 if repeated else 0
        self._last = (action, before.frame.content_hash)
        if not repeated or not self._penalties or self._penalties.repetition == 0:
            return ()
        return (("repetition", self._penalties.repetition * self._repetitions),)
