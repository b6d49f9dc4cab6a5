"""The values: two step-value heads and one trajectory-value head on the policy's hidden state."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ValueHeads(nn.Module):
    """Turns the policy's hidden states into probabilities of success.

    Step value V(s_t) = P(G_t > 0 | s_t): two heads, of which the smaller counts, since a single one is optimistic where
    it has seen little. Trajectory value V_traj(s_0): probability of success from the instruction and first screen.

    Hidden states of any leading shape and floating type are taken; heads compute in their own type. Whether gradients
    reach the policy is the caller's choice: detach the hidden states, or do not.

    Args:
        hidden_size: width D of the hidden states.
        width: width of each head's one hidden layer; None means D, at most 512.
        initial_probability: what every head answers before training, in (0, 1).

    Example:
        heads = ValueHeads(hidden_size=128)
        value_BT = heads.step_value(hidden_BTD)      # [B, T] in (0, 1)
    """

    def __init__(self, hidden_size: int, width: int | None = None, initial_probability: float = 0.5) -> None:
        super().__init__()
        if hidden_size < 1:
            raise ValueError(f"hidden_size must be >= 1, got {hidden_size}; give the width of the policy's states")
        if not 0 < initial_probability < 1:
            raise ValueError(
                f"initial_probability must be in (0, 1), got {initial_probability}; give the expected success rate"
            )
        width = min(hidden_size, 512) if width is None else width
        bias = math.log(initial_probability / (1 - initial_probability))
        self.norm = nn.LayerNorm(hidden_size)
        self.step_heads = nn.ModuleList([_head(hidden_size, width, bias) for _ in range(2)])
        self.trajectory_head = _head(hidden_size, width, bias)

    def _normalised(self, hidden: Tensor) -> Tensor:
        normalised: Tensor = self.norm(hidden.to(self.norm.weight.dtype))
        return normalised

    def step_logits(self, hidden: Tensor) -> Tensor:
        """Gives both heads' logits of P(G_t > 0), [..., D] -> [..., 2]: what the value loss is taken of."""
        normalised = self._normalised(hidden)
        return torch.cat([head(normalised) for head in self.step_heads], dim=-1)

    def step_value(self, hidden: Tensor) -> Tensor:
        """Gives V(s_t), the smaller probability of the two heads, [..., D] -> [...]."""
        return smaller_probability(self.step_logits(hidden))

    def trajectory_logit(self, hidden: Tensor) -> Tensor:
        """Gives the logit of V_traj from the hidden state of the first step, [..., D] -> [...]."""
        logit: Tensor = self.trajectory_head(self._normalised(hidden))
        return logit.squeeze(-1)

    def trajectory_value(self, hidden: Tensor) -> Tensor:
        """Gives V_traj(s_0), [..., D] -> [...]."""
        return torch.sigmoid(self.trajectory_logit(hidden))


def smaller_probability(logits: Tensor) -> Tensor:
    """Gives the pessimistic value of twin heads, [..., 2] -> [...].

    Source: Fujimoto et al. 2018, clipped double Q-learning, arXiv 1802.09477.
    """
    return torch.sigmoid(logits.amin(dim=-1))


def _head(hidden_size: int, width: int, bias: float) -> nn.Sequential:
    """One hidden layer; the output starts at `bias` everywhere, so that first advantages are not noise."""
    output = nn.Linear(width, 1)
    nn.init.zeros_(output.weight)
    nn.init.constant_(output.bias, bias)
    return nn.Sequential(nn.Linear(hidden_size, width), nn.GELU(), output)
