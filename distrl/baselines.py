"""What the baselines select to clone: pure functions on the same trajectories that A-RIDE trains on.

Legend as in `distrl.returns`; `_N` = trajectories to choose from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distrl.returns import monte_carlo, td_error


def top_fraction(score_N: Tensor, fraction: float) -> Tensor:
    """Marks the best `ceil(fraction N)` entries, at least one when there are any; [N] bool, ties to the earlier.

    Raises:
        ValueError: `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}; 0.1 keeps the top 10 %")
    num_kept = math.ceil(fraction * score_N.numel() - 1e-9)  # 0.07 * 100 is a hair above 7.
    order = torch.sort(score_N, descending=True, stable=True).indices
    selected_N = torch.zeros_like(score_N, dtype=torch.bool)
    selected_N[order[:num_kept]] = True
    return selected_N


def filtered_bc_selection(return_N: Tensor, fraction: float = 0.1) -> Tensor:
    """Marks the trajectories that filtered behaviour cloning imitates: the top share by return, [N] bool."""
    return top_fraction(return_N, fraction)


def digirl_trajectory_selection(outcome_N: Tensor, trajectory_value_N: Tensor, fraction: float = 0.1) -> Tensor:
    """Marks the trajectories that went best beyond expectation: the top share by outcome - V_traj, [N] bool.

    Source: DigiRL, arXiv 2406.11896, section 4 (instruction-level value).
    """
    return top_fraction(outcome_N - trajectory_value_N, fraction)


@torch.no_grad()
def digirl_step_selection(
    *,
    reward_BT: Tensor,
    discount_BT: Tensor,
    value_BT: Tensor,
    bootstrap_B: Tensor,
    mask_BT: Tensor,
    step_cost: float = 0.05,
) -> Tensor:
    """Marks the steps worth cloning, [B, T] bool.

        V(s_{t+1}) - V(s_t) - step_cost + r_t + G_t > 0

    V(s_{t+1}) is 0 after a terminated step and the bootstrap after a truncated one; G_t is the observed discounted
    return from t on, without bootstrap.

    Source: DigiRL, arXiv 2406.11896, section 4 (step-level advantage).
    """
    goes_on_BT = (discount_BT != 0).to(value_BT.dtype)
    change_BT = td_error(
        reward_BT=reward_BT, discount_BT=goes_on_BT, value_BT=value_BT, bootstrap_B=bootstrap_B, mask_BT=mask_BT
    )
    observed = monte_carlo(
        reward_BT=reward_BT,
        discount_BT=discount_BT,
        value_BT=torch.zeros_like(value_BT),
        bootstrap_B=torch.zeros_like(bootstrap_B),
        mask_BT=mask_BT,
    )
    return mask_BT & (change_BT - step_cost + observed.target_BT > 0)
