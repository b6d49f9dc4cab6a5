"""The objectives: policy, values, replay priority, and the statistics that say whether they can be trusted.

Every loss is a pure function; sums are divided by one constant `normaliser` (batch size times maximum horizon), never
by each trajectory's length: failures are longer than successes, and dividing by length weakens what they teach. A
batch cut into micro-batches gives the same gradient when each part is given the normaliser of the whole.

Legend (`_BT` = [batch of trajectories, time], `_B` = per trajectory):
    log_prob_BT            log pi(a_t|s_t) of the policy being trained, summed over tokens; carries gradient
    behaviour_log_prob_BT  log mu(a_t|s_t), recorded when the action was sampled
    proximal_log_prob_BT   log pi_prox(a_t|s_t) of a recent policy, the anchor of `decoupled_ppo`
    advantage_BT           Ahat_t: an estimate of `distrl.returns`, divided by a `RunningScale`
    entropy_BT             mean exact entropy of pi over the action's tokens, nats; carries gradient
    rho_t                  exp(clamp(log pi - log mu, -20, 20))
    mask_BT                True at real steps; padding may hold anything, NaN included, and has gradient 0
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from distrl.returns import LOG_RATIO_LIMIT, importance_ratio

PolicyLossKind = Literal["retrace_pg", "ppo_clip", "decoupled_ppo", "awr"]

PRIORITY_FLOOR = 1e-6
"""Keeps every trajectory drawable: a priority of exactly 0 would never be looked at again."""


@dataclass(frozen=True)
class PolicyObjective:
    """The settings of `policy_loss`; the learner builds it from the config."""

    kind: PolicyLossKind = "retrace_pg"
    rho_max: float = 2.0
    """Upper truncation of the importance ratio (`retrace_pg`, `decoupled_ppo`)."""
    clip_epsilon: float = 0.2
    """Half-width of the trust region around 1 (`ppo_clip`, `decoupled_ppo`)."""
    awr_temperature: float = 1.0
    awr_weight_max: float = 20.0
    entropy_coefficient: float = 0.0
    """beta: weight of the entropy bonus."""
    invalid_coefficient: float = 0.0
    """eta: weight of the term that makes invalid actions less likely."""


@dataclass(frozen=True, eq=False)
class PolicySteps:
    """What the policy objective needs of each step of a batch; tensors as in the module's legend.

    Example:
        PolicySteps(log_prob_BT=torch.tensor([[-1.2, -0.7]]), behaviour_log_prob_BT=torch.tensor([[-1.0, -0.9]]),
                    advantage_BT=torch.tensor([[0.5, -0.2]]), mask_BT=torch.tensor([[True, True]]),
                    invalid_BT=torch.tensor([[False, True]]), entropy_BT=torch.tensor([[0.3, 0.4]]))
    """

    log_prob_BT: Tensor
    behaviour_log_prob_BT: Tensor
    advantage_BT: Tensor
    mask_BT: Tensor
    invalid_BT: Tensor
    """True where the action's text was not a valid action."""
    entropy_BT: Tensor
    proximal_log_prob_BT: Tensor | None = None
    """Needed by `decoupled_ppo` only."""
    weight_B: Tensor | None = None
    """Importance weight of each trajectory from prioritised sampling; None means 1."""


class PolicyLoss(NamedTuple):
    """The scalar to minimise, and its three terms as they enter it."""

    total: Tensor
    policy: Tensor
    entropy: Tensor
    """- beta mean H."""
    invalid: Tensor
    """eta mean 1_invalid log pi."""


def constant_mean(term_BT: Tensor, mask_BT: Tensor, normaliser: float, weight_B: Tensor | None = None) -> Tensor:
    """Sums real steps, weighted per trajectory, and divides by a constant; a scalar.

    Raises:
        ValueError: `normaliser` is not positive.
    """
    if not normaliser > 0:
        raise ValueError(f"normaliser must be > 0, got {normaliser}; give batch size times maximum horizon")
    masked_BT = torch.where(mask_BT, term_BT, 0.0)
    if weight_B is not None:
        masked_BT = masked_BT * weight_B.unsqueeze(1)
    return masked_BT.sum() / normaliser


def _ratio(log_prob_BT: Tensor, reference_log_prob_BT: Tensor) -> Tensor:
    """exp(clamp(log p - log q)), with gradient to p."""
    return torch.exp((log_prob_BT - reference_log_prob_BT).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT))


def retrace_pg(log_prob_BT: Tensor, behaviour_log_prob_BT: Tensor, advantage_BT: Tensor, rho_max: float) -> Tensor:
    """Gives each step's off-policy policy-gradient loss: - min(rho_max, rho_t) Ahat_t log pi(a_t|s_t), [B, T].

    The ratio is detached: it weights the step, and only log pi is differentiated.

    Source: DistRL, arXiv 2410.14803, section 5; truncation as in V-trace, arXiv 1802.01561.
    """
    rho_BT = importance_ratio(log_prob_BT - behaviour_log_prob_BT).clamp(max=rho_max)
    return -rho_BT * advantage_BT * log_prob_BT


def ppo_clip(log_prob_BT: Tensor, behaviour_log_prob_BT: Tensor, advantage_BT: Tensor, clip_epsilon: float) -> Tensor:
    """Gives each step's clipped surrogate: - min(rho_t Ahat_t, clip(rho_t, 1 - eps, 1 + eps) Ahat_t), [B, T].

    Source: Schulman et al. 2017, arXiv 1707.06347, equation 7.
    """
    rho_BT = _ratio(log_prob_BT, behaviour_log_prob_BT)
    clipped_BT = rho_BT.clamp(1 - clip_epsilon, 1 + clip_epsilon)
    return -torch.minimum(rho_BT * advantage_BT, clipped_BT * advantage_BT)


def decoupled_ppo(
    log_prob_BT: Tensor,
    behaviour_log_prob_BT: Tensor,
    proximal_log_prob_BT: Tensor,
    advantage_BT: Tensor,
    *,
    clip_epsilon: float,
    rho_max: float,
) -> Tensor:
    """Gives each step's surrogate clipped against a recent policy, so that old data does not freeze learning, [B, T].

        w_t = min(rho_max, pi_prox / mu)   (detached)
        x_t = pi / pi_prox
        - w_t min(x_t Ahat_t, clip(x_t, 1 - eps, 1 + eps) Ahat_t)

    With pi_prox = mu and rho_max >= 1 it is `ppo_clip`.

    Source: Hilton, Cobbe, Schulman 2022, arXiv 2110.00641.
    """
    weight_BT = importance_ratio(proximal_log_prob_BT - behaviour_log_prob_BT).clamp(max=rho_max)
    return weight_BT * ppo_clip(log_prob_BT, proximal_log_prob_BT.detach(), advantage_BT, clip_epsilon)


def awr(log_prob_BT: Tensor, advantage_BT: Tensor, temperature: float, weight_max: float) -> Tensor:
    """Gives each step's advantage-weighted regression loss: - min(w_max, exp(Ahat_t / temperature)) log pi, [B, T].

    It needs no ratio, and only ever raises the probability of recorded actions: the better ones more.

    Source: Peng et al. 2019, arXiv 1910.00177.
    """
    exponent_BT = (advantage_BT.detach() / temperature).clamp(max=math.log(weight_max))
    return -torch.exp(exponent_BT) * log_prob_BT


def invalid_term(log_prob_BT: Tensor, behaviour_log_prob_BT: Tensor, invalid_BT: Tensor) -> Tensor:
    """Gives 1_invalid(a_t) log pi(a_t|s_t), [B, T]: minimising it makes invalid actions less likely.

    A constant penalty would have no gradient. The push ends where the action has become exp(-20) times as likely as
    when it was sampled; without that end, replaying one bad action would lower it for ever and move everything else.
    """
    floor_BT = behaviour_log_prob_BT.detach() - LOG_RATIO_LIMIT
    return torch.where(invalid_BT, torch.maximum(log_prob_BT, floor_BT), 0.0)


def policy_loss(steps: PolicySteps, objective: PolicyObjective, normaliser: float) -> PolicyLoss:
    """Gives the scalar the policy minimises, with its terms.

        L = mean_t[policy term] - beta mean_t[H(pi(.|s_t))] + eta mean_t[1_invalid(a_t) log pi(a_t|s_t)]

    `mean` sums over the real steps and divides by `normaliser`, batch size times maximum horizon.

    Raises:
        ValueError: the kind is unknown, or `decoupled_ppo` is asked for without proximal log-probabilities.

    Source: DistRL, arXiv 2410.14803, section 5.
    """
    mask_BT = steps.mask_BT
    # Padding is replaced before any arithmetic: NaN times a zero gradient is NaN.
    log_prob_BT, behaviour_BT, advantage_BT, entropy_BT = (
        torch.where(mask_BT, tensor, 0.0)
        for tensor in (steps.log_prob_BT, steps.behaviour_log_prob_BT, steps.advantage_BT, steps.entropy_BT)
    )
    advantage_BT = advantage_BT.detach()
    match objective.kind:
        case "retrace_pg":
            term_BT = retrace_pg(log_prob_BT, behaviour_BT, advantage_BT, objective.rho_max)
        case "ppo_clip":
            term_BT = ppo_clip(log_prob_BT, behaviour_BT, advantage_BT, objective.clip_epsilon)
        case "decoupled_ppo":
            if steps.proximal_log_prob_BT is None:
                raise ValueError(
                    "decoupled_ppo needs proximal_log_prob_BT, got None; recompute it once per batch "
                    "with a recent policy, or set policy_loss to ppo_clip"
                )
            proximal_BT = torch.where(mask_BT, steps.proximal_log_prob_BT, 0.0)
            term_BT = decoupled_ppo(
                log_prob_BT,
                behaviour_BT,
                proximal_BT,
                advantage_BT,
                clip_epsilon=objective.clip_epsilon,
                rho_max=objective.rho_max,
            )
        case "awr":
            term_BT = awr(log_prob_BT, advantage_BT, objective.awr_temperature, objective.awr_weight_max)
        case _:
            raise ValueError(
                f"policy_loss must be retrace_pg, ppo_clip, decoupled_ppo or awr, got {objective.kind!r}; set one"
            )
    invalid_BT = invalid_term(log_prob_BT, behaviour_BT, steps.invalid_BT)
    policy = constant_mean(term_BT, mask_BT, normaliser, steps.weight_B)
    entropy = -objective.entropy_coefficient * constant_mean(entropy_BT, mask_BT, normaliser, steps.weight_B)
    invalid = objective.invalid_coefficient * constant_mean(invalid_BT, mask_BT, normaliser, steps.weight_B)
    return PolicyLoss(policy + entropy + invalid, policy, entropy, invalid)


def cloning_loss(log_prob_BT: Tensor, selected_BT: Tensor, normaliser: float) -> Tensor:
    """Gives the behaviour-cloning loss of the selected steps, a scalar: - mean_t[ 1_selected log pi(a_t|s_t) ].

    Both baselines end here; they differ in what they select.
    """
    return constant_mean(-torch.where(selected_BT, log_prob_BT, 0.0), selected_BT, normaliser)


def token_entropy(logits: Tensor) -> Tensor:
    """Gives the exact entropy of each token's distribution in nats, [..., V] -> [...], with gradient.

    Exact, over the whole vocabulary: - log pi of a replayed token is no estimate of the current policy's entropy.
    A token forbidden by a logit of minus infinity counts 0, in the gradient too.
    """
    log_prob = torch.log_softmax(logits, dim=-1)
    prob = log_prob.exp()
    return -(prob * torch.where(prob > 0, log_prob, 0.0)).sum(dim=-1)


def mean_token_entropy(entropy_BTA: Tensor, token_mask_BTA: Tensor) -> Tensor:
    """Averages token entropies over each action's real tokens, [B, T, A] -> [B, T]; 0 for an action without tokens."""
    total_BT = torch.where(token_mask_BTA, entropy_BTA, 0.0).sum(dim=-1)
    return total_BT / token_mask_BTA.sum(dim=-1).clamp(min=1)


def step_value_loss(
    logit_BT2: Tensor, target_BT: Tensor, mask_BT: Tensor, normaliser: float, weight_B: Tensor | None = None
) -> Tensor:
    """Gives the cross-entropy of both step-value heads against one soft label, a scalar: the sum of the two.

    `target_BT` is a value target of `distrl.returns`; it is clipped to [0, 1], for V is a probability, and detached.
    `normaliser` may be the batch's number of real steps here, or the policy's constant.

    Source: twin heads as in double Q-learning, Fujimoto et al. 2018, arXiv 1802.09477; cross-entropy values as in
    DigiRL, arXiv 2406.11896.
    """
    label_BT = torch.where(mask_BT, target_BT.detach(), 0.0).clamp(0.0, 1.0)
    logit_BT2 = torch.where(mask_BT.unsqueeze(-1), logit_BT2, 0.0)
    label_BT2 = label_BT.to(logit_BT2.dtype).unsqueeze(-1).expand_as(logit_BT2)
    term_BT = F.binary_cross_entropy_with_logits(logit_BT2, label_BT2, reduction="none").sum(dim=-1)
    return constant_mean(term_BT, mask_BT, normaliser, weight_B)


def trajectory_value_loss(logit_B: Tensor, outcome_B: Tensor, normaliser: float) -> Tensor:
    """Gives the cross-entropy of V_traj against the episodes' outcomes (1 success, 0 not), a scalar.

    `normaliser` is the number of trajectories in the whole batch.
    """
    mask_B = torch.ones_like(outcome_B, dtype=torch.bool)
    term_B = F.binary_cross_entropy_with_logits(logit_B, outcome_B.to(logit_B.dtype), reduction="none")
    return constant_mean(term_B, mask_B, normaliser)


class PriorityWeights(NamedTuple):
    """w1, w2, w3: how much surprise, on-policyness and uncertainty weigh in a trajectory's priority."""

    td_error: float = 1.0
    ratio: float = 1.0
    entropy: float = 1.0


def priority_terms(
    *, td_error_BT: Tensor, rho_BT: Tensor, entropy_BT: Tensor, mask_BT: Tensor, rho_max: float
) -> Tensor:
    """Gives the three means a priority is made of, [B, 3]: |delta_t|, min(rho_max, rho_t), H_t; the report's spread.

    Means are over each trajectory's own real steps: a long one is not more important for being long.
    """
    terms_BT3 = torch.stack([td_error_BT.abs(), rho_BT.clamp(max=rho_max), entropy_BT], dim=-1).detach()
    total_B3 = torch.where(mask_BT.unsqueeze(-1), terms_BT3, 0.0).sum(dim=1)
    return total_B3 / mask_BT.sum(dim=1, keepdim=True).clamp(min=1)


def trajectory_priority(terms_B3: Tensor, weights: PriorityWeights) -> Tensor:
    """Gives each trajectory's replay priority, [B], positive.

        p(tau) = w1 mean_t|delta_t| + w2 mean_t min(rho_max, rho_t) + w3 mean_t H_t,   at least PRIORITY_FLOOR

    Source: DistRL, arXiv 2410.14803, section 5; the floor as in prioritised replay, arXiv 1511.05952.
    """
    weight_3 = torch.tensor(weights, dtype=terms_B3.dtype, device=terms_B3.device)
    return (terms_B3 @ weight_3).clamp(min=PRIORITY_FLOOR)


class RatioStatistics(NamedTuple):
    """How far the policy has moved from the data of a batch; plain floats, for the metrics."""

    mean: float
    """Mean rho over real steps: near 1 when mu's log-probabilities were recorded right."""
    maximum: float
    clip_fraction: float
    """Share of steps whose rho is above rho_max."""
    kl: float
    """Estimate of KL(mu || pi) in nats: mean(rho - 1 - log rho), never negative."""
    effective_sample_size: float
    """As a share of the steps, in (0, 1]."""


def effective_sample_size(rho_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Gives the share of steps that count after weighting: (sum rho)^2 / (n sum rho^2), a scalar in (0, 1].

    Source: Kong 1992; 1 when all ratios are equal, 1/n when one dominates.
    """
    rho_BT = torch.where(mask_BT, rho_BT, 0.0).double()
    squares = mask_BT.sum() * rho_BT.square().sum()
    return torch.where(squares > 0, rho_BT.sum().square() / squares, 0.0)


@torch.no_grad()
def ratio_statistics(log_ratio_BT: Tensor, mask_BT: Tensor, rho_max: float) -> RatioStatistics:
    """Summarises the importance ratios of a batch's real steps.

    Raises:
        ValueError: there is no real step.
    """
    log_ratio = log_ratio_BT[mask_BT].double().clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    if log_ratio.numel() == 0:
        raise ValueError("ratio_statistics needs at least one real step, got a mask without any; skip the batch")
    rho = log_ratio.exp()
    return RatioStatistics(
        mean=float(rho.mean()),
        maximum=float(rho.max()),
        clip_fraction=float((rho > rho_max).double().mean()),
        kl=float((rho - 1 - log_ratio).mean()),
        effective_sample_size=float(effective_sample_size(rho, torch.ones_like(rho, dtype=torch.bool))),
    )


class RunningScale:
    """Divides advantages by their running root mean square, so that step sizes do not follow the reward's scale.

    Not per batch: a batch's own statistics make one lucky trajectory shrink all others, and blow up batches in which
    nothing happened. The mean is not subtracted, so signs stay.

    Args:
        decay: weight of the past at each update, in [0, 1).
        floor: smallest scale divided by, > 0; keeps noise small while all advantages are near 0.
    """

    def __init__(self, decay: float = 0.99, floor: float = 0.01) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}; 0.99 averages over about 100 updates")
        if not floor > 0:
            raise ValueError(f"floor must be > 0, got {floor}; give the smallest scale worth dividing by")
        self._decay = decay
        self._floor = floor
        self._mean_square = 0.0
        self._weight = 0.0

    @property
    def scale(self) -> float:
        """What advantages are divided by now; 1.0 before the first update."""
        if self._weight == 0:
            return 1.0
        return max(self._floor, math.sqrt(self._mean_square / self._weight))

    def update(self, advantage_BT: Tensor, mask_BT: Tensor) -> None:
        """Takes in the advantages of a batch's real steps; leaves out non-finite ones, which the loss reports."""
        values = advantage_BT.detach()[mask_BT].double()
        values = values[values.isfinite()]
        if values.numel() == 0:
            return
        self._mean_square = self._decay * self._mean_square + (1 - self._decay) * float(values.square().mean())
        self._weight = self._decay * self._weight + (1 - self._decay)  # Corrects the bias of starting at 0.

    def normalise(self, advantage_BT: Tensor) -> Tensor:
        """Gives advantages in units of the running scale."""
        return advantage_BT / self.scale

    def state_dict(self) -> dict[str, float]:
        """Gives what a checkpoint must keep."""
        return {"mean_square": self._mean_square, "weight": self._weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Goes on exactly where `state_dict` was taken."""
        self._mean_square, self._weight = float(state["mean_square"]), float(state["weight"])
