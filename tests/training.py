"""What tests of learning share: a tiny policy that reads fake phones, and episodes that it played."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from playing import make_worker

from distrl.batch import TrainingTrajectory, prepare
from distrl.config import RunConfig
from distrl.config_file import parse_config
from distrl.device.fake import TAP, FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.learner import Learner
from distrl.metrics import Metrics
from distrl.policy.hf import HuggingFacePolicy
from distrl.policy.tiny.create import create_tiny_policy
from distrl.types import Observation, PolicyInput, Task, Trajectory
from distrl.worker import BatchedPolicy

HISTORY = 2
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_elements": 8,
    "max_instruction": 8,
    "max_words": 4,
}


TEXTS = ("tap 1", "tap 1", "tap 0", "back", "done", "tap tap")
"""What the policy says after its warm start, each about as often: also something invalid, and the end."""


@functools.cache
def _made(seed: int) -> HuggingFacePolicy:
    policy = create_tiny_policy(["Tap", "times.", "me"], seed=seed, max_action_tokens=4, **SIZES)
    screens = run_virtual(_screens())
    steps = [
        policy.encode(PolicyInput("Tap 1 times.", screen), policy.decision_for(text))
        for screen in screens
        for text in TEXTS
    ]
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        policy.supervised_loss(policy.collate(steps)).backward()
        optimizer.step()
    return policy


async def _screens() -> list[Observation]:
    device, screens = FakeDevice(), []
    await device.reset(fake_task(), deadline_s=1.0)
    for _ in range(3):
        screens.append(await device.observe(deadline_s=1.0))
        await device.act(TAP, deadline_s=1.0)
    return screens


def tiny_policy(seed: int = 0) -> HuggingFacePolicy:
    return _made(seed).copy(seed=seed)


def config(**parts: Any) -> RunConfig:
    """Small and quick, without warm-ups unless they are asked for."""
    learner = {
        "warmup_updates": 0,
        "critic_warmup_updates": 0,
        "micro_batch_steps": 1000,
        "batch_size": 4,
        "num_updates": 100,
    }
    raw = {
        "policy": {"history_length": HISTORY},
        "replay": {"capacity": 64, "min_trajectories": 2, "max_uses": 100, **parts.pop("replay", {})},
        "learner": {**learner, **parts.pop("learner", {})},
        **parts,
    }
    return parse_config(raw)


class TaskRow:
    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = iter(tasks)

    def next(self) -> Task | None:
        return next(self._tasks, None)


def play(
    policy: HuggingFacePolicy,
    num_episodes: int,
    *,
    taps: int = 1,
    max_steps: int = 4,
    temperature: float = 1.0,
    session: str = "0",
) -> list[Trajectory]:
    """Episodes on one fake phone, in a fixed order."""
    delivered: list[Trajectory] = []

    async def deliver(trajectory: Trajectory) -> None:
        delivered.append(trajectory)

    tasks = TaskRow([fake_task(taps=taps, max_steps=max_steps, seed=seed) for seed in range(num_episodes)])
    batched = BatchedPolicy(policy, temperature=temperature, max_batch=8, metrics=Metrics())
    worker = make_worker(
        [FakeDevice()], tasks, policy=batched, deliver=deliver, history_length=HISTORY, session=session
    )
    run_virtual(worker.run())
    return delivered


def prepared(policy: HuggingFacePolicy, trajectories: Sequence[Trajectory]) -> list[TrainingTrajectory]:
    return [prepare(trajectory, policy, HISTORY) for trajectory in trajectories]


def make_learner(run: RunConfig | None = None, *, seed: int = 0, max_horizon: int = 4) -> Learner:
    torch.manual_seed(seed)  # The value heads are drawn from the global generator.
    return Learner(tiny_policy(seed), run or config(), max_horizon=max_horizon)


def ones(number: int) -> np.ndarray:
    return np.ones(number)


def weights_of(learner: Learner) -> dict[str, torch.Tensor]:
    """Policy and value heads, copied."""
    return {
        **{f"policy.{name}": tensor.clone() for name, tensor in learner.policy.state().items()},
        **{f"heads.{name}": tensor.clone() for name, tensor in learner.heads.state_dict().items()},
    }


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor], *, prefix: str = "") -> bool:
    """Bit by bit."""
    return all(torch.equal(left[name], right[name]) for name in left if name.startswith(prefix))
