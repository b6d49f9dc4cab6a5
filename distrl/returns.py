"""Advantages and value targets from recorded trajectories: Retrace, V-trace, one-step TD, Monte-Carlo, GAE.

Every estimator is a pure function of `[B, T]` tensors, computed by one backward recursion and free of gradients.

Legend (`_BT` = [batch of trajectories, time]):
    log_ratio_BT   log pi(a_t|s_t) - log mu(a_t|s_t), summed over the action's tokens; mu acted, pi is being trained
    rho_t          exp(log_ratio) with the exponent clamped to +-LOG_RATIO_LIMIT
    reward_BT      r_t: task reward plus penalties
    discount_BT    gamma_t: gamma at a step that goes on or is truncated, 0 at a terminated step
    value_BT       V(s_t)
    bootstrap_B    V of the observation after each row's last real step; ignored where that step has discount 0
    mask_BT        True at real steps; rows are left-aligned: real steps first, then padding
    delta_t        r_t + gamma_t V(s_{t+1}) - V(s_t)

Padding may hold anything, NaN included: it never reaches a real step, and comes out as 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

ReturnsMethod = Literal["retrace", "vtrace", "td", "monte_carlo"]

LOG_RATIO_LIMIT = 20.0
"""exp(20) is about 5e8: beyond it a ratio says only "never" or "always", and float32 would lose the rest."""


class Returns(NamedTuple):
    """What an estimator says of each step; both [B, T], 0 at padding, without gradient."""

    advantage_BT: Tensor
    """Advantage of the action taken, not yet weighted by its own rho_t."""
    target_BT: Tensor
    """What V(s_t) should move towards."""


class _Steps(NamedTuple):
    """The inputs with padding set to 0, at least in float32."""

    reward_BT: Tensor
    discount_BT: Tensor
    value_BT: Tensor
    next_value_BT: Tensor
    """V(s_{t+1}); the bootstrap at the last real step; 0 where the discount is 0."""
    mask_BT: Tensor

    @property
    def delta_BT(self) -> Tensor:
        return self.reward_BT + self.discount_BT * self.next_value_BT - self.value_BT


def _wide(tensor: Tensor) -> Tensor:
    """Half-precision inputs become float32: recursions over a horizon need its mantissa."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)


def _prepare(reward_BT: Tensor, discount_BT: Tensor, value_BT: Tensor, bootstrap_B: Tensor, mask_BT: Tensor) -> _Steps:
    if mask_BT.dtype != torch.bool or mask_BT.ndim != 2:
        raise ValueError(
            f"mask_BT must be a [B, T] bool tensor, got {list(mask_BT.shape)} {mask_BT.dtype}; "
            "give True at each real step"
        )
    for name, tensor in (("reward_BT", reward_BT), ("discount_BT", discount_BT), ("value_BT", value_BT)):
        if tensor.shape != mask_BT.shape:
            raise ValueError(
                f"{name} must have the shape of mask_BT, {list(mask_BT.shape)}, got {list(tensor.shape)}; "
                "pad all of them to one [B, T]"
            )
    if bootstrap_B.shape != mask_BT.shape[:1]:
        raise ValueError(
            f"bootstrap_B must have shape [{mask_BT.shape[0]}], got {list(bootstrap_B.shape)}; give one value per row"
        )
    if bool((mask_BT[:, 1:] & ~mask_BT[:, :-1]).any()):
        raise ValueError("mask_BT must be left-aligned, got a real step after padding; move padding to the row's end")
    reward_BT, discount_BT, value_BT = (
        torch.where(mask_BT, _wide(tensor), 0.0) for tensor in (reward_BT, discount_BT, value_BT)
    )
    next_value_BT = torch.roll(value_BT, shifts=-1, dims=1)
    is_last_BT = mask_BT & ~torch.cat([mask_BT[:, 1:], torch.zeros_like(mask_BT[:, :1])], dim=1)
    next_value_BT = torch.where(is_last_BT, _wide(bootstrap_B).unsqueeze(1), next_value_BT)
    next_value_BT = torch.where(discount_BT == 0, 0.0, next_value_BT)  # An undefined bootstrap times 0 is NaN, not 0.
    return _Steps(reward_BT, discount_BT, value_BT, next_value_BT, mask_BT)


def _accumulate(term_BT: Tensor, decay_BT: Tensor) -> Tensor:
    """Solves x_t = term_t + decay_t x_{t+1} backwards, with x = 0 after the last column."""
    out_BT = torch.zeros_like(term_BT)
    following_B = torch.zeros_like(term_BT[:, 0]) if term_BT.shape[1] else term_BT.new_zeros(term_BT.shape[0])
    for t in range(term_BT.shape[1] - 1, -1, -1):
        following_B = term_BT[:, t] + decay_BT[:, t] * following_B
        out_BT[:, t] = following_B
    return out_BT


def _next_column(tensor_BT: Tensor) -> Tensor:
    """x_{t+1} at t, and 0 at the last column."""
    return torch.cat([tensor_BT[:, 1:], torch.zeros_like(tensor_BT[:, :1])], dim=1)


@torch.no_grad()
def importance_ratio(log_ratio_BT: Tensor) -> Tensor:
    """Gives rho = pi / mu from log-probabilities, without gradient.

        rho_t = exp(clamp(log pi(a_t|s_t) - log mu(a_t|s_t), -20, 20))

    The same shape as given. The clamp keeps the ratio finite for long actions.
    """
    return torch.exp(_wide(log_ratio_BT).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT))


@torch.no_grad()
def td_error(
    *, reward_BT: Tensor, discount_BT: Tensor, value_BT: Tensor, bootstrap_B: Tensor, mask_BT: Tensor
) -> Tensor:
    """Gives the one-step surprise of each step: delta_t = r_t + gamma_t V(s_{t+1}) - V(s_t), [B, T].

    Its mean magnitude is one term of a trajectory's replay priority.
    """
    return _prepare(reward_BT, discount_BT, value_BT, bootstrap_B, mask_BT).delta_BT


@torch.no_grad()
def retrace(
    *,
    log_ratio_BT: Tensor,
    reward_BT: Tensor,
    discount_BT: Tensor,
    value_BT: Tensor,
    bootstrap_B: Tensor,
    mask_BT: Tensor,
    trace_lambda: float,
) -> Returns:
    """Estimates advantages and value targets from data of another policy, with low variance and safe traces.

        c_i = lambda min(1, rho_i)
        A_t = sum_{k>=t} ( prod_{i=t+1..k} gamma_{i-1} c_i ) delta_k
            = delta_t + gamma_t c_{t+1} A_{t+1}
        v_t = V(s_t) + min(1, rho_t) A_t

    A_t holds no rho_t: it is the advantage of the action that was taken. v_t does, for V averages over actions.
    With rho = 1 it is GAE(lambda); with lambda = 1, v_t is the V-trace target with both clips at 1.

    Shapes and the meaning of each input are in the module's legend; `trace_lambda` is in [0, 1].

    Source: Munos et al. 2016, Retrace(lambda), arXiv 1606.02647, written for state values as in DistRL,
    arXiv 2410.14803, section 5.
    """
    steps = _prepare(reward_BT, discount_BT, value_BT, bootstrap_B, mask_BT)
    clipped_rho_BT = _masked_ratio(log_ratio_BT, mask_BT).clamp(max=1.0)
    trace_BT = trace_lambda * clipped_rho_BT
    advantage_BT = _accumulate(steps.delta_BT, steps.discount_BT * _next_column(trace_BT))
    return Returns(advantage_BT, steps.value_BT + clipped_rho_BT * advantage_BT)


@torch.no_grad()
def vtrace(
    *,
    log_ratio_BT: Tensor,
    reward_BT: Tensor,
    discount_BT: Tensor,
    value_BT: Tensor,
    bootstrap_B: Tensor,
    mask_BT: Tensor,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
) -> Returns:
    """Estimates V-trace targets, whose two clips trade bias (`rho_clip`) against contraction speed (`c_clip`).

        v_t - V(s_t) = min(rho_clip, rho_t) delta_t + gamma_t min(c_clip, rho_t) (v_{t+1} - V(s_{t+1}))
        A_t          = r_t + gamma_t v_{t+1} - V(s_t)

    As with `retrace`, A_t holds no rho_t: the policy loss weights it. `rho_clip >= c_clip` is what the source assumes.

    Source: Espeholt et al. 2018, IMPALA, arXiv 1802.01561, section 4.1.
    """
    steps = _prepare(reward_BT, discount_BT, value_BT, bootstrap_B, mask_BT)
    rho_BT = _masked_ratio(log_ratio_BT, mask_BT)
    correction_BT = _accumulate(
        rho_BT.clamp(max=rho_clip) * steps.delta_BT, steps.discount_BT * rho_BT.clamp(max=c_clip)
    )
    advantage_BT = steps.delta_BT + steps.discount_BT * _next_column(correction_BT)
    return Returns(advantage_BT, steps.value_BT + correction_BT)


@torch.no_grad()
def one_step_td(
    *, reward_BT: Tensor, discount_BT: Tensor, value_BT: Tensor, bootstrap_B: Tensor, mask_BT: Tensor
) -> Returns:
    """Looks one step ahead only: little variance, all the bias of V, no correction for the policy that acted.

        A_t = delta_t,   v_t = r_t + gamma_t V(s_{t+1})

    Source: Sutton 1988, TD(0).
    """
    steps = _prepare(reward_BT, discount_BT, value_BT, bootstrap_B, mask_BT)
    return Returns(steps.delta_BT, steps.value_BT + steps.delta_BT)


@torch.no_grad()
def monte_carlo(
    *, reward_BT: Tensor, discount_BT: Tensor, value_BT: Tensor, bootstrap_B: Tensor, mask_BT: Tensor
) -> Returns:
    """Uses what really happened to the end: no bias of V, much variance, no correction for the policy that acted.

        G_t = r_t + gamma_t G_{t+1},   A_t = G_t - V(s_t),   v_t = G_t

    After the last real step of a truncated episode, G is the bootstrap.
    """
    steps = _prepare(reward_BT, discount_BT, value_BT, bootstrap_B, mask_BT)
    is_inside_BT = _next_column(mask_BT)
    tail_BT = torch.where(is_inside_BT, 0.0, steps.discount_BT * steps.next_value_BT)
    return_BT = _accumulate(steps.reward_BT + tail_BT, steps.discount_BT)
    return Returns(return_BT - steps.value_BT, return_BT)


@torch.no_grad()
def gae(
    *,
    reward_BT: Tensor,
    discount_BT: Tensor,
    value_BT: Tensor,
    bootstrap_B: Tensor,
    mask_BT: Tensor,
    trace_lambda: float,
) -> Returns:
    """Estimates advantages for data of the policy itself; the reference that `retrace` must meet at rho = 1.

        A_t = delta_t + gamma_t lambda A_{t+1},   v_t = V(s_t) + A_t

    Source: Schulman et al. 2016, arXiv 1506.02438.
    """
    steps = _prepare(reward_BT, discount_BT, value_BT, bootstrap_B, mask_BT)
    advantage_BT = _accumulate(steps.delta_BT, steps.discount_BT * trace_lambda)
    return Returns(advantage_BT, steps.value_BT + advantage_BT)


@torch.no_grad()
def positive_return_label(*, reward_BT: Tensor, discount_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Labels each step with 1[G_t > 0], what the step value predicts; [B, T] of 0.0 and 1.0.

    G_t holds observed rewards and penalties only. A bootstrapped tail would be positive nearly always, and would
    label every truncated episode a success.
    """
    zero_BT = torch.zeros_like(reward_BT)
    returns = monte_carlo(
        reward_BT=reward_BT,
        discount_BT=discount_BT,
        value_BT=zero_BT,
        bootstrap_B=zero_BT.sum(dim=1),
        mask_BT=mask_BT,
    )
    return (returns.target_BT > 0).to(returns.target_BT.dtype)


def estimate_returns(
    method: ReturnsMethod,
    *,
    log_ratio_BT: Tensor,
    reward_BT: Tensor,
    discount_BT: Tensor,
    value_BT: Tensor,
    bootstrap_B: Tensor,
    mask_BT: Tensor,
    trace_lambda: float,
) -> Returns:
    """Runs the estimator that the setting `returns` names, so that an ablation is one word.

    `td` and `monte_carlo` ignore the ratios; `vtrace` runs with both clips at 1; only `retrace` uses `trace_lambda`.

    Raises:
        ValueError: `method` is none of the four.
    """
    match method:
        case "retrace":
            return retrace(
                log_ratio_BT=log_ratio_BT,
                reward_BT=reward_BT,
                discount_BT=discount_BT,
                value_BT=value_BT,
                bootstrap_B=bootstrap_B,
                mask_BT=mask_BT,
                trace_lambda=trace_lambda,
            )
        case "vtrace":
            return vtrace(
                log_ratio_BT=log_ratio_BT,
                reward_BT=reward_BT,
                discount_BT=discount_BT,
                value_BT=value_BT,
                bootstrap_B=bootstrap_B,
                mask_BT=mask_BT,
            )
        case "td" | "monte_carlo":
            uncorrected = one_step_td if method == "td" else monte_carlo
            return uncorrected(
                reward_BT=reward_BT,
                discount_BT=discount_BT,
                value_BT=value_BT,
                bootstrap_B=bootstrap_B,
                mask_BT=mask_BT,
            )
    raise ValueError(f"returns must be retrace, vtrace, td or monte_carlo, got {method!r}; set one of these")


def _masked_ratio(log_ratio_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """rho at real steps, 0 at padding."""
    if log_ratio_BT.shape != mask_BT.shape:
        raise ValueError(
            f"log_ratio_BT must have the shape of mask_BT, {list(mask_BT.shape)}, got {list(log_ratio_BT.shape)}; "
            "sum the token log-probabilities of each action first"
        )
    return torch.where(mask_BT, importance_ratio(log_ratio_BT), 0.0)
