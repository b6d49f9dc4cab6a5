"""The records of the replay: its settings, what it knows of a trajectory, and what it hands out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distrl.errors import ConfigError
from distrl.types import Ending, Trajectory


@dataclass(frozen=True)
class ReplaySettings:
    """How the replay behaves; built from the config.

    Raises:
        ConfigError: a value is out of its range.
    """

    capacity: int = 10_000
    """Trajectories; when full, the oldest is overwritten."""
    alpha: float = 0.5
    """Exponent of priorities, >= 0; 0 samples uniformly."""
    beta_is: float = 0.0
    """Exponent of importance weights, in [0, 1]; 0 gives weights of 1."""
    replay_ratio: float = 4.0
    """How many times each admitted step is trained on, on average, > 0."""
    min_trajectories: int = 1
    """Fewest trajectories present before sampling."""
    max_uses: int | None = None
    """Batches that one trajectory may take part in; None for no cap."""
    max_age_versions: int | None = None
    """Oldest age admitted and kept, in policy versions; None for no cap."""
    success_share: float = 0.0
    """Least share of each batch that comes from successes when there are any, in [0, 1]."""
    balance_templates: bool = False
    """A template's successes are drawn as often as their mean mass says, and not the oftener the more there are."""
    refresh_share: float = 0.0
    """Stalest trajectories to refresh per trajectory sampled, in [0, 1]."""
    seed: int = 0
    prioritised: bool = True
    """False draws uniformly, whatever the priorities: the ablation."""

    def __post_init__(self) -> None:
        rules = (
            ("capacity", self.capacity >= 1, ">= 1"),
            ("alpha", 0 <= self.alpha <= 2, "in [0, 2]"),
            ("beta_is", 0 <= self.beta_is <= 1, "in [0, 1]"),
            ("replay_ratio", 0 < self.replay_ratio < math.inf, "> 0 and finite"),
            ("min_trajectories", 1 <= self.min_trajectories <= self.capacity, f"in [1, capacity = {self.capacity}]"),
            ("max_uses", self.max_uses is None or self.max_uses >= 1, ">= 1, or none for no cap"),
            ("max_age_versions", self.max_age_versions is None or self.max_age_versions >= 0, ">= 0, or none"),
            ("success_share", 0 <= self.success_share <= 1, "in [0, 1]"),
            ("refresh_share", 0 <= self.refresh_share <= 1, "in [0, 1]"),
        )
        for name, holds, rule in rules:
            if not holds:
                raise ConfigError(f"replay.{name} must be {rule}, got {getattr(self, name)}; change it in the config")


@dataclass(frozen=True)
class ReplayRecord:
    """What the replay must know of a trajectory.

    Example:
        ReplayRecord(id="run7/w0/000031", num_steps=9, success=True, policy_version=12, ending=Ending.TERMINATED)
    """

    id: str
    num_steps: int
    success: bool
    policy_version: int
    """The oldest version that acted in it."""
    ending: Ending
    template: str = ""
    """Its task's template; used where successes are balanced."""

    @classmethod
    def of(cls, trajectory: Trajectory) -> ReplayRecord:
        """Reads the record off a trajectory."""
        return cls(
            id=trajectory.id,
            num_steps=len(trajectory.steps),
            success=trajectory.success,
            policy_version=trajectory.policy_version,
            ending=trajectory.ending,
            template=trajectory.task.template,
        )


@dataclass(frozen=True, eq=False)
class ReplayBatch:
    """Trajectories to train on, in random order; one may stand in it more than once when its priority is large.

    slots [N] int64: opaque handles for `set_priorities`. ids: N trajectory ids. importance_weights [N] float64 in
    (0, 1]. ages [N] int64: policy versions.

    Example:
        ReplayBatch(slots=np.array([65]), ids=("w0/3",), importance_weights=np.array([1.0]), ages=np.array([2]))
    """

    slots: NDArray[np.int64]
    ids: tuple[str, ...]
    importance_weights: NDArray[np.float64]
    ages: NDArray[np.int64]

    def take(self, positions: Sequence[int]) -> ReplayBatch:
        """Some of the batch, in the order of `positions`; importance weights stay as they were drawn."""
        chosen = np.array(positions, dtype=np.int64)
        return ReplayBatch(
            slots=self.slots[chosen],
            ids=tuple(self.ids[i] for i in positions),
            importance_weights=self.importance_weights[chosen],
            ages=self.ages[chosen],
        )
