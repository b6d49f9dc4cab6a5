"""Success on fixed tasks: greedy, penalties off, with a confidence interval. A device's failure is not the agent's."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distrl.actions import ActionCodec
from distrl.config import WorkersConfig
from distrl.device.base import Device
from distrl.errors import PartStoppedError
from distrl.judge import Judge
from distrl.metrics import Metrics
from distrl.pacing import OpenGate
from distrl.types import Ending, Task, Trajectory
from distrl.worker import ActingPolicy, BatchedPolicy, Worker

MAX_ATTEMPTS = 3
"""How often a task is played when its episodes are aborted."""


@dataclass(frozen=True)
class Evaluation:
    """Success over some episodes.

    Example:
        Evaluation(split="held_out_params", policy_version=300, num_episodes=256, num_successes=237, num_aborted=0,
                   mean_steps=4.1, by_template={"clock.add_alarm": (9, 10)})
    """

    split: str
    policy_version: int
    num_episodes: int
    """Judged episodes; aborted ones are not among them."""
    num_successes: int
    num_aborted: int
    """Tasks that no attempt could judge."""
    mean_steps: float
    by_template: dict[str, tuple[int, int]]
    """Template -> (successes, judged episodes)."""
    num_side_effects: int = 0
    """Episodes that changed something they should not have."""

    @property
    def success(self) -> float:
        """Share of judged episodes that succeeded; NaN when none was judged."""
        return self.num_successes / self.num_episodes if self.num_episodes else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `success` over tasks."""
        return wilson_interval(self.num_successes, self.num_episodes)

    def to_json(self) -> dict[str, Any]:
        """A JSON record, intervals included; what is undefined without judged episodes is None."""
        record = {**asdict(self), "success": self.success, "interval": list(self.interval)}
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value for name, value in record.items()
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Evaluation:
        """The inverse of `to_json`."""
        values = {name: record[name] for name in cls.__dataclass_fields__}
        values["by_template"] = {name: (successes, n) for name, (successes, n) in record["by_template"].items()}
        if values["mean_steps"] is None:
            values["mean_steps"] = math.nan
        return cls(**values)


def wilson_interval(num_successes: int, num_trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a proportion that stays inside [0, 1] and is honest near its ends (Wilson 1927); 95 % by default."""
    if num_trials == 0:
        return 0.0, 1.0
    share, spread = num_successes / num_trials, z * z / num_trials
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / num_trials + spread / (4 * num_trials))
    return max(centre - half, 0.0), min(centre + half, 1.0)


@dataclass(frozen=True)
class EpisodeResult:
    """What is counted of a judged episode; its screenshots may be megabytes."""

    template: str
    success: bool
    num_steps: int
    has_side_effects: bool

    @classmethod
    def of(cls, trajectory: Trajectory) -> EpisodeResult:
        """Reads the result off an episode."""
        return cls(trajectory.task.template, trajectory.success, len(trajectory.steps), bool(trajectory.side_effects))


class TaskList:
    """Some tasks, in order, each played until an episode of it could be judged or `MAX_ATTEMPTS` were aborted."""

    def __init__(self, tasks: Sequence[Task], *, keep_per_template: int | None = None) -> None:
        self._waiting = list(reversed(tasks))
        self._attempts: dict[str, int] = {}
        self._keep_per_template = keep_per_template
        self.finished: list[EpisodeResult] = []
        self.kept: list[Trajectory] = []
        """Whole episodes, screenshots included: all of them, or the first few of each template."""
        self.num_aborted = 0

    @property
    def num_waiting(self) -> int:
        """Tasks that are still to be played, again or for the first time."""
        return len(self._waiting)

    def next(self) -> Task | None:
        """The next task, or None."""
        return self._waiting.pop() if self._waiting else None

    def give_up(self) -> None:
        """Counts what still waits as aborted: no device is left that could play it."""
        self.num_aborted += len(self._waiting)
        self._waiting.clear()

    async def deliver(self, trajectory: Trajectory) -> None:
        """Takes an episode; an aborted task goes back into the list."""
        if trajectory.ending is not Ending.ABORTED:
            self.finished.append(EpisodeResult.of(trajectory))
            template, limit = trajectory.task.template, self._keep_per_template
            if limit is None or sum(kept.task.template == template for kept in self.kept) < limit:
                self.kept.append(trajectory)
            return
        attempts = self._attempts[trajectory.task.id] = self._attempts.get(trajectory.task.id, 0) + 1
        if attempts < MAX_ATTEMPTS:
            self._waiting.insert(0, trajectory.task)
        else:
            self.num_aborted += 1


@dataclass(frozen=True)
class EvaluationSetup:
    """What an evaluation is played with."""

    devices: Callable[[], Sequence[Device]]
    """Makes the evaluator's own devices."""
    judge: Judge
    codec: ActionCodec
    workers: WorkersConfig
    history_length: int
    temperature: float = 0.0


async def play_tasks(
    policy: ActingPolicy,
    tasks: Sequence[Task],
    setup: EvaluationSetup,
    *,
    metrics: Metrics | None = None,
    keep_per_template: int | None = None,
) -> TaskList:
    """Plays every task once, on the setup's devices, with one policy version."""
    metrics = metrics or Metrics()
    todo = TaskList(tasks, keep_per_template=keep_per_template)
    while True:
        worker = Worker(
            "evaluator",
            setup.devices(),
            judge=setup.judge,
            codec=setup.codec,
            policy=BatchedPolicy(
                policy, temperature=setup.temperature, max_batch=setup.workers.max_batch, metrics=metrics
            ),
            tasks=todo,
            gate=OpenGate(),
            deliver=todo.deliver,
            metrics=metrics,
            config=setup.workers,
            penalties=None,
            history_length=setup.history_length,
        )
        num_finished = len(todo.finished)
        await worker.run()
        # An aborted task may come back after the last device has gone home; a round without progress is the last.
        if not todo.num_waiting or len(todo.finished) == num_finished:
            todo.give_up()
            return todo


def evaluate(
    policy: ActingPolicy,
    policy_version: int,
    split: str,
    tasks: Sequence[Task],
    setup: EvaluationSetup,
    *,
    keep_per_template: int | None = None,
) -> tuple[Evaluation, list[Trajectory]]:
    """Plays fixed tasks in this thread; returns the numbers, and the episodes or the first few of each template."""
    played = asyncio.run(play_tasks(policy, tasks, setup, keep_per_template=keep_per_template))
    return summarise(played.finished, played.num_aborted, split=split, policy_version=policy_version), played.kept


def summarise(results: Sequence[EpisodeResult], num_aborted: int, *, split: str, policy_version: int) -> Evaluation:
    """Counts successes, overall and by template."""
    by_template: dict[str, tuple[int, int]] = {}
    for result in results:
        successes, episodes = by_template.get(result.template, (0, 0))
        by_template[result.template] = (successes + result.success, episodes + 1)
    return Evaluation(
        split=split,
        policy_version=policy_version,
        num_episodes=len(results),
        num_successes=sum(result.success for result in results),
        num_aborted=num_aborted,
        mean_steps=sum(result.num_steps for result in results) / len(results) if results else math.nan,
        by_template=dict(sorted(by_template.items())),
        num_side_effects=sum(result.has_side_effects for result in results),
    )


class BackgroundEvaluator:
    """Evaluates versions beside training: takes the newest one asked for when it is free, and never holds anyone up.

    Its thread waits for `request`, which the training loop calls; `take_results` hands over what is done.
    """

    def __init__(self, run: Callable[[int], Evaluation]) -> None:
        self._run = run
        self._wanted: int | None = None
        self._busy = False
        self._closed = False
        self._results: list[Evaluation] = []
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="evaluator", daemon=True)
        self._thread.start()

    def request(self, version: int) -> None:
        """Asks for an evaluation of `version`; an older wish that has not begun is dropped."""
        with self._changed:
            self._wanted = version
            self._changed.notify_all()

    def take_results(self) -> list[Evaluation]:
        """What has finished since the last call; raises `PartStoppedError`, once, when an evaluation died."""
        with self._changed:
            error, self._error = self._error, None
            if error is not None:
                raise PartStoppedError("evaluator", f"{type(error).__name__}: {error}") from error
            results, self._results = self._results, []
            return results

    def close(self, *, finish: bool) -> list[Evaluation]:
        """Ends the thread after the evaluation that runs (and the one asked for, with `finish`); returns the rest."""
        with self._changed:
            if not finish:
                self._wanted = None
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        return self.take_results()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None or self._closed)
                if self._wanted is None:
                    return
                version, self._wanted = self._wanted, None
            try:
                result = self._run(version)
            except Exception as error:  # noqa: BLE001 - the supervisor of this thread; handed over by take_results.
                with self._changed:
                    self._error = error
                return
            with self._changed:
                self._results.append(result)
