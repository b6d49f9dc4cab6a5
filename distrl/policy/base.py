"""What every policy is: it acts, it can say how likely an action was, and its weights can be swapped.

    collecting: PolicyInput* -> act -> Decision*
    learning:   PolicyInput, Decision -> encode -> EncodedStep* -> collate -> PolicyBatch -> evaluate -> PolicyOutput

Shape legend: B steps, A action tokens (padded, the end token included), D size of the state representation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distrl.types import Decision, PolicyInput


class Sized(Protocol):
    """Arrays of one step, in the form a model family wants; only their size is known here."""

    @property
    def nbytes(self) -> int:
        """Memory held, bytes."""


@dataclass(frozen=True, eq=False)
class EncodedStep:
    """One step, ready to be collated; small enough to keep by the ten thousand.

    token_ids [A] int32: the recorded action, empty when only the state matters (the screen after the last step).
    """

    arrays: Any
    """A `Sized` record of the model family's own."""
    token_ids: NDArray[np.int32]
    temperature: float

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays, bytes."""
        return int(self.arrays.nbytes) + self.token_ids.nbytes


@dataclass(frozen=True, eq=False)
class PolicyBatch:
    """Steps padded to the largest of them: what the model is called with.

    inputs: tensors by name, batch first; token_ids_BA int64; mask_BA bool: real tokens; temperature_B float32.
    """

    inputs: Mapping[str, Tensor]
    token_ids_BA: Tensor
    mask_BA: Tensor
    temperature_B: Tensor


@dataclass(frozen=True, eq=False)
class PolicyOutput:
    """What the current weights say about recorded actions. All float32, with gradient; 0 where masked out.

    log_prob_BA: at the temperature each step was sampled at; entropy_BA: exact, of the whole distribution each token
    was drawn from, nats; mask_BA bool; hidden_BD: the state, which no action token can influence.
    """

    log_prob_BA: Tensor
    entropy_BA: Tensor
    mask_BA: Tensor
    hidden_BD: Tensor

    @property
    def log_prob_B(self) -> Tensor:
        """log pi(a_t | s_t), summed over the action's tokens."""
        return self.log_prob_BA.sum(-1)

    @property
    def entropy_B(self) -> Tensor:
        """Mean token entropy of each step, nats; 0 for steps without an action."""
        return self.entropy_BA.sum(-1) / self.mask_BA.sum(-1).clamp_min(1)


class Policy(Protocol):
    """A model that writes actions. Not thread-safe: a worker and a learner hold one each."""

    version: int
    """Of the weights in use; recorded with each decision."""

    @property
    def hidden_size(self) -> int:
        """D of `PolicyOutput.hidden_BD`."""

    def act(
        self, inputs: Sequence[PolicyInput], *, temperature: float, generator: torch.Generator | None = None
    ) -> list[Decision]:
        """Writes one action per input; temperature 0 is greedy."""

    def decision_for(self, text: str, *, temperature: float = 1.0) -> Decision:
        """The tokens of a demonstrated action; its behaviour log-probabilities are unknown and given as 0."""

    def encode(self, policy_input: PolicyInput, decision: Decision | None) -> EncodedStep:
        """Encodes a recorded step; None encodes the screen without an action, for its state alone."""

    def collate(self, steps: Sequence[EncodedStep]) -> PolicyBatch:
        """Pads encoded steps to a batch."""

    def evaluate(self, batch: PolicyBatch) -> PolicyOutput:
        """Scores recorded actions under the present weights, with gradient."""

    def state_hidden(self, batch: PolicyBatch) -> Tensor:
        """The states alone, [B, D]: `hidden_BD` without the work of scoring actions."""

    def supervised_loss(self, batch: PolicyBatch) -> Tensor:
        """Mean cross-entropy of the actions' tokens at temperature 1: what cloning minimises."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What the optimizer moves."""

    def copy(self, *, seed: int) -> Policy:
        """A second policy with equal weights, for another thread; `seed` starts its sampling."""

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights by name, on the CPU."""

    def load_state(self, state: Mapping[str, Tensor], *, version: int) -> None:
        """Takes over weights made by `state`; raises `PolicyError` and changes nothing when they do not fit."""

    def save(self, folder: Path) -> None:
        """Writes all that is needed to load the policy again."""
