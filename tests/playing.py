"""What tests of the episode loop share: a policy that says what it is told, and a worker around fake phones."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrl.actions import CODECS
from distrl.config import DeadlinesConfig, PenaltiesConfig, WorkersConfig
from distrl.device.fake import fake_task
from distrl.judge import StateJudge
from distrl.metrics import Metrics
from distrl.pacing import OpenGate
from distrl.types import Decision, PolicyInput, Task, Trajectory
from distrl.worker import BatchedPolicy, Worker

TAP_TEXT = "tap 1"
DEADLINES = DeadlinesConfig(reset_s=20.0, observe_s=10.0, act_s=10.0, check_s=10.0, recover_s=40.0)


def decision(text: str, version: int = 0) -> Decision:
    return Decision(text, np.array([1, 2], np.int32), np.array([-0.5, -0.25], np.float32), version, 1.0)


class ScriptedPolicy:
    """Says `choose(input)`; remembers the instructions of each batch it was asked for."""

    def __init__(self, choose: Callable[[PolicyInput], str] = lambda given: TAP_TEXT) -> None:
        self.choose = choose
        self.version = 0
        self.batches: list[list[str]] = []

    def act(self, inputs: Sequence[PolicyInput], *, temperature: float) -> list[Decision]:
        self.batches.append([given.instruction for given in inputs])
        return [decision(self.choose(given), self.version) for given in inputs]


class Tasks:
    """The tasks given, then none."""

    def __init__(self, *tasks: Task) -> None:
        self._tasks = iter(tasks)
        self.num_given = 0

    def next(self) -> Task | None:
        found = next(self._tasks, None)
        self.num_given += found is not None
        return found


class EndlessTasks(Tasks):
    def __init__(self, **fields: Any) -> None:
        super().__init__(*())
        self._tasks = (fake_task(seed=seed, **fields) for seed in itertools.count())


class Delivered:
    """Takes trajectories, with the loop's time of each."""

    def __init__(self) -> None:
        self.trajectories: list[Trajectory] = []
        self.times_s: list[float] = []

    async def __call__(self, trajectory: Trajectory) -> None:
        self.times_s.append(asyncio.get_running_loop().time())
        self.trajectories.append(trajectory)


def make_worker(devices: Sequence[Any], tasks: Any, **changes: Any) -> Worker:
    """A worker over fake phones; `policy` may be a plain acting policy."""
    metrics = changes.pop("metrics", None) or Metrics()
    policy = changes.pop("policy", None) or ScriptedPolicy()
    if not isinstance(policy, BatchedPolicy):
        policy = BatchedPolicy(policy, temperature=1.0, max_batch=64, metrics=metrics)
    fields: dict[str, Any] = {
        "judge": StateJudge(),
        "codec": CODECS["element"],
        "gate": OpenGate(),
        "deliver": Delivered(),
        "config": WorkersConfig(num_devices=len(devices), deadlines=DEADLINES, recovery_backoff_s=4.0),
        "penalties": PenaltiesConfig(),
        "history_length": 4,
        **changes,
    }
    return Worker("w0", devices, policy=policy, tasks=tasks, metrics=metrics, **fields)
