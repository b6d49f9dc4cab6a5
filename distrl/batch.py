"""From trajectories to what an update reads: encoded once when they arrive, padded when they are sampled.

Legend: B trajectories, T steps of the longest, A tokens of an action.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distrl.policy.base import EncodedStep
from distrl.types import Decision, Ending, PolicyInput, Trajectory


class Encoder(Protocol):
    """What turns a step into what the model reads."""

    def encode(self, policy_input: PolicyInput, decision: Decision | None) -> EncodedStep:
        """One step, compactly; with the decision's tokens where there is one."""


@dataclass(frozen=True, eq=False)
class TrainingTrajectory:
    """A trajectory without its screenshots: all that training on it takes, some ten kilobytes a step."""

    id: str
    template: str
    ending: Ending
    success: bool
    steps: tuple[EncodedStep, ...]
    final: EncodedStep | None
    """The screen after the last step; only where it is bootstrapped from."""
    log_probs: tuple[NDArray[np.float32], ...]
    """[A] per step: behaviour log-probabilities as recorded."""
    reward_T: NDArray[np.float32]
    """Task reward plus penalties."""
    invalid_T: NDArray[np.bool_]
    version_T: NDArray[np.int64]
    """The policy version that acted."""

    @property
    def num_bytes(self) -> int:
        """Memory held, roughly."""
        final = self.final.nbytes if self.final else 0
        return sum(step.nbytes for step in self.steps) + final + 1024

    @property
    def observed_return(self) -> float:
        """Undiscounted sum of rewards and penalties."""
        return float(self.reward_T.sum())


def prepare(trajectory: Trajectory, encoder: Encoder, history_length: int) -> TrainingTrajectory:
    """Encodes every step of a trajectory, and the final screen of a truncated one."""
    instruction = trajectory.task.instruction
    final = None
    if trajectory.ending is Ending.TRUNCATED and trajectory.final_observation is not None:
        texts = tuple(step.decision.text for step in trajectory.steps)
        history = texts[-history_length:] if history_length else ()
        final = encoder.encode(PolicyInput(instruction, trajectory.final_observation, history), None)
    return TrainingTrajectory(
        id=trajectory.id,
        template=trajectory.task.template,
        ending=trajectory.ending,
        success=trajectory.success,
        steps=tuple(
            encoder.encode(PolicyInput(instruction, step.observation, step.history), step.decision)
            for step in trajectory.steps
        ),
        final=final,
        log_probs=tuple(step.decision.log_probs for step in trajectory.steps),
        reward_T=np.array([step.total_reward for step in trajectory.steps], np.float32),
        invalid_T=np.array([step.invalid is not None for step in trajectory.steps], bool),
        version_T=np.array([step.decision.policy_version for step in trajectory.steps], np.int64),
    )


class TrainingCache:
    """Prepared trajectories by id, bounded in bytes; a missing one is loaded and prepared again.

    `load` returns None for a trajectory whose content is gone, e.g. whose screenshots were dropped for space.
    """

    def __init__(self, max_bytes: int, load: Callable[[str], TrainingTrajectory | None]) -> None:
        self._max_bytes = max_bytes
        self._load = load
        self._num_bytes = 0
        self._entries: OrderedDict[str, TrainingTrajectory] = OrderedDict()
        self.num_misses = 0

    def put(self, trajectory: TrainingTrajectory) -> None:
        """Keeps a trajectory, and lets the least recently used ones go where it would not fit."""
        if trajectory.id in self._entries:
            return
        self._entries[trajectory.id] = trajectory
        self._num_bytes += trajectory.num_bytes
        while self._num_bytes > self._max_bytes and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._num_bytes -= dropped.num_bytes

    def get(self, trajectory_id: str) -> TrainingTrajectory | None:
        """The trajectory, from memory or loaded; None when its content is gone."""
        if trajectory_id in self._entries:
            self._entries.move_to_end(trajectory_id)
            return self._entries[trajectory_id]
        self.num_misses += 1
        found = self._load(trajectory_id)
        if found is not None:
            self.put(found)
        return found


def acted_by(trajectory: TrainingTrajectory, version: int) -> TrainingTrajectory:
    """The steps of a trajectory that one policy version acted in, to compare log-probabilities at equal weights."""
    kept = [i for i, acted in enumerate(trajectory.version_T) if acted == version]
    return replace(
        trajectory,
        steps=tuple(trajectory.steps[i] for i in kept),
        final=None,
        log_probs=tuple(trajectory.log_probs[i] for i in kept),
        reward_T=trajectory.reward_T[kept],
        invalid_T=trajectory.invalid_T[kept],
        version_T=trajectory.version_T[kept],
    )


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded about some trajectories; [B, T], left-aligned, 0 at padding."""

    behaviour_log_prob_BT: Tensor
    reward_BT: Tensor
    discount_BT: Tensor
    """gamma, and 0 at a terminated step."""
    mask_BT: Tensor
    invalid_BT: Tensor
    version_BT: Tensor
    outcome_B: Tensor

    @classmethod
    def of(cls, trajectories: Sequence[TrainingTrajectory], gamma: float, *, time_limit: str = "bootstrap") -> Recorded:
        """Pads the records of a batch; with `time_limit` "failure" nothing follows a truncated trajectory."""
        shape = (len(trajectories), max(len(trajectory.steps) for trajectory in trajectories))
        behaviour, reward = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        discount = np.full(shape, gamma, np.float32)
        mask, invalid, version = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, np.int64)
        for row, trajectory in enumerate(trajectories):
            n = len(trajectory.steps)
            behaviour[row, :n] = [float(log_probs.sum(dtype=np.float64)) for log_probs in trajectory.log_probs]
            reward[row, :n], invalid[row, :n] = trajectory.reward_T, trajectory.invalid_T
            version[row, :n], mask[row, :n] = trajectory.version_T, True
            if trajectory.ending is Ending.TERMINATED or time_limit == "failure":
                discount[row, n - 1] = 0.0
        outcome = np.array([trajectory.success for trajectory in trajectories], np.float32)
        arrays = (behaviour, reward, discount, mask, invalid, version, outcome)
        return cls(*(torch.from_numpy(array) for array in arrays))

    def rows(self, rows: slice, num_steps: int) -> Recorded:
        """Some trajectories, cut to the length of their longest."""
        names = self.__dataclass_fields__
        cut = {name: getattr(self, name)[rows] for name in names}
        return Recorded(**{name: t if t.ndim == 1 else t[:, :num_steps] for name, t in cut.items()})


def chunked(trajectories: Sequence[TrainingTrajectory], max_steps: int) -> list[list[TrainingTrajectory]]:
    """Neighbouring trajectories in groups of at most `max_steps` steps (a longer one stands alone)."""
    chunks: list[list[TrainingTrajectory]] = []
    room = 0
    for trajectory in trajectories:
        if not chunks or len(trajectory.steps) > room:
            chunks.append([])
            room = max_steps
        chunks[-1].append(trajectory)
        room -= len(trajectory.steps)
    return chunks


def unflatten(value_N: Tensor, lengths: Sequence[int]) -> Tensor:
    """Steps in order -> one row per trajectory, [N, ...] -> [B, T, ...], 0 at padding, with gradient."""
    return torch.nn.utils.rnn.pad_sequence(list(torch.split(value_N, list(lengths))), batch_first=True)


def pad_steps(tensor: Tensor, num_steps: int) -> Tensor:
    """[B, T, ...] -> [B, num_steps, ...] with zeros."""
    missing = num_steps - tensor.shape[1]
    padding = (0, 0) * (tensor.ndim - 2) + (0, missing)
    return torch.nn.functional.pad(tensor, padding)
