"""The learner: from a batch of replayed trajectories to one gradient step and new priorities.

One forward pass gives everything an update needs: log-probabilities and entropies (policy loss, ratios), values
(returns, value loss) and what the next priorities are made of. The graphs of all micro-batches are kept until the
returns are known, which need whole trajectories; without `learner.keep_graphs` a first pass goes without gradient.

Legend: B trajectories, T steps of the longest, N steps of a micro-batch, A tokens of an action.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distrl.baselines import digirl_step_selection, digirl_trajectory_selection, filtered_bc_selection
from distrl.batch import Recorded, TrainingTrajectory, chunked, pad_steps, unflatten
from distrl.config import RunConfig
from distrl.critic import ValueHeads, smaller_probability
from distrl.errors import LogProbMismatchError, NonFiniteUpdateError
from distrl.losses import (
    PolicyObjective,
    PolicySteps,
    PriorityWeights,
    RunningScale,
    cloning_loss,
    policy_loss,
    priority_terms,
    ratio_statistics,
    step_value_loss,
    trajectory_priority,
    trajectory_value_loss,
)
from distrl.policy.base import Policy
from distrl.returns import Returns, estimate_returns, importance_ratio, positive_return_label, td_error
from distrl.types import Ending


@dataclass(frozen=True, eq=False)
class Update:
    """What one update did."""

    stats: dict[str, float]
    priorities: NDArray[np.float64]
    """[B] new replay priorities of the batch, in its order."""
    surprises: tuple[tuple[str, float], ...]
    """(template, outcome - V_traj) per trajectory, for the curriculum."""


@dataclass(frozen=True, eq=False)
class _Forward:
    """What one pass over some trajectories gave."""

    log_prob_BT: Tensor
    entropy_BT: Tensor
    step_logit_BT2: Tensor
    trajectory_logit_B: Tensor
    bootstrap_B: Tensor

    @property
    def value_BT(self) -> Tensor:
        """V(s_t), without gradient."""
        return smaller_probability(self.step_logit_BT2.detach())


class Learner:
    """Owns the policy being trained, the value heads and the optimizer; knows no device, queue or file.

    `max_horizon` is the H of the constant normaliser: the largest step budget among the tasks.
    """

    def __init__(self, policy: Policy, config: RunConfig, *, max_horizon: int) -> None:
        self.policy = policy
        self.version = policy.version
        self.heads = ValueHeads(policy.hidden_size)
        self.scale = RunningScale()
        self.time_fraction = 0.0
        """Share of the run's time limit that is used up; the learning rate falls with whichever limit is nearer."""
        self._config = config
        self._max_horizon = max_horizon
        self._objective = PolicyObjective(
            kind=config.algorithm.policy_loss,
            rho_max=config.algorithm.rho_max,
            clip_epsilon=config.algorithm.clip_epsilon,
            awr_temperature=config.algorithm.awr_temperature,
            entropy_coefficient=config.algorithm.entropy_beta,
            invalid_coefficient=config.algorithm.invalid_eta,
        )
        self._weights = PriorityWeights(config.replay.w_td, config.replay.w_ratio, config.replay.w_entropy)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(policy.parameters()), "lr": config.learner.learning_rate},
                {"params": list(self.heads.parameters()), "lr": config.learner.value_learning_rate},
            ],
            weight_decay=config.learner.weight_decay,
        )
        self._proximal: Policy | None = None
        if config.algorithm.policy_loss == "decoupled_ppo" and config.algorithm.name == "a_ride":
            self._proximal = copy.deepcopy(policy)

    def update(self, trajectories: Sequence[TrainingTrajectory], importance_weights: NDArray[np.float64]) -> Update:
        """Makes one gradient step on a batch and counts one version.

        Raises:
            NonFiniteUpdateError: a loss or gradient is not finite; weights and optimizer were not changed.
        """
        recorded = self._recorded(trajectories)
        chunks = chunked(trajectories, self._config.learner.micro_batch_steps)
        forwards = [self._forward(chunk) for chunk in chunks] if self._config.learner.keep_graphs else []
        whole = _joined([_without_gradient(forward) for forward in forwards] or self._look_first(chunks))
        returns = self._returns(whole, recorded)
        scale_before = self.scale.state_dict()
        self.scale.update(returns.advantage_BT, recorded.mask_BT)
        returns = Returns(self.scale.normalise(returns.advantage_BT), returns.target_BT)
        try:
            totals = self._accumulate(chunks, forwards, recorded, returns, importance_weights)
            grad_norm = self._step(trajectories)
        except NonFiniteUpdateError:
            self.scale.load_state_dict(scale_before)
            raise
        return self._report(whole, recorded, trajectories, totals, grad_norm)

    def _accumulate(
        self,
        chunks: Sequence[Sequence[TrainingTrajectory]],
        forwards: list[_Forward],
        recorded: Recorded,
        returns: Returns,
        importance_weights: NDArray[np.float64],
    ) -> dict[str, float]:
        """Adds up the gradients of all micro-batches; returns the sums of the loss terms."""
        num_trajectories = len(recorded.outcome_B)
        weight_B = torch.from_numpy(np.asarray(importance_weights, dtype=np.float32))
        self.optimizer.zero_grad(set_to_none=True)
        totals: dict[str, float] = {}
        first = 0
        for chunk in chunks:
            rows = slice(first, first + len(chunk))
            first += len(chunk)
            forward = forwards.pop(0) if forwards else self._forward(chunk)
            num_steps = forward.log_prob_BT.shape[1]
            own = recorded.rows(rows, num_steps)
            losses = self._losses(
                forward,
                own,
                Returns(returns.advantage_BT[rows, :num_steps], returns.target_BT[rows, :num_steps]),
                weight_B[rows],
                self._proximal_log_prob(chunk),
                num_trajectories=num_trajectories,
            )
            self._refuse_non_finite(losses, forward, own, chunk)
            losses["total"].backward()  # type: ignore[no-untyped-call]
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + float(value.detach())
        return totals

    def choose(self, candidates: Sequence[TrainingTrajectory]) -> list[int]:
        """The positions of the candidates that a baseline trains on: the top `filter_share`; all of them for A-RIDE."""
        fraction = self._config.algorithm.filter_share
        match self._config.algorithm.name:
            case "filtered_bc":
                score_N = torch.tensor([candidate.observed_return for candidate in candidates])
                chosen_N = filtered_bc_selection(score_N, fraction)
            case "digirl":
                outcome_N = torch.tensor([float(candidate.success) for candidate in candidates])
                with torch.no_grad():
                    hidden_ND = self.policy.state_hidden(self.policy.collate([c.steps[0] for c in candidates]))
                    value_N = self.heads.trajectory_value(hidden_ND)
                chosen_N = digirl_trajectory_selection(outcome_N, value_N, fraction)
            case _:
                return list(range(len(candidates)))
        return [int(i) for i in torch.nonzero(chosen_N).squeeze(1)]

    @property
    def _warming_up(self) -> bool:
        """Whether only the value heads learn: an untrained critic's advantages would first unteach the policy."""
        return self.version < self._config.learner.critic_warmup_updates

    def priorities(self, trajectories: Sequence[TrainingTrajectory]) -> NDArray[np.float64]:
        """Replay priorities under the present policy, [B], without training on anything."""
        recorded = self._recorded(trajectories)
        forward = _joined(self._look_first(chunked(trajectories, self._config.learner.micro_batch_steps)))
        return trajectory_priority(self._priority_terms(forward, recorded), self._weights).double().numpy()

    def mismatch(self, trajectories: Sequence[TrainingTrajectory], policy: Policy | None = None) -> float:
        """Largest difference per token between recorded log-probabilities and those of `policy`."""
        policy = policy or self.policy
        worst = torch.zeros(())
        for trajectory in trajectories:
            with torch.no_grad():
                output = policy.evaluate(policy.collate(trajectory.steps))
            for recorded_A, log_prob_A in zip(trajectory.log_probs, output.log_prob_BA, strict=True):
                difference_A = log_prob_A[: len(recorded_A)] - torch.from_numpy(recorded_A)
                worst = torch.maximum(worst, difference_A.abs().max())  # NaN stays, which Python's max would drop.
        return float(worst)

    def refuse_mismatch(self, trajectories: Sequence[TrainingTrajectory], policy: Policy | None = None) -> float:
        """Returns `mismatch`, or raises `LogProbMismatchError` naming it when it is above the tolerance.

        The caller sees to it that `policy` has the weights that acted in every step.
        """
        worst = self.mismatch(trajectories, policy)
        tolerance = self._config.learner.mismatch_tolerance
        if not worst <= tolerance:
            raise LogProbMismatchError(
                f"recorded and recomputed log-probabilities differ by {worst:.2e} per token at equal weights, above "
                f"learner.mismatch_tolerance = {tolerance:.0e}: acting and learning do not see the same tokens, "
                "temperature, image or weights, and importance ratios would be wrong"
            )
        return worst

    def policy_state(self) -> Mapping[str, Tensor]:
        """The tensors a worker needs to act as the present version."""
        return self.policy.state()

    def state(self) -> dict[str, Any]:
        """Everything that the next update depends on, as tensors and JSON values, for a checkpoint."""
        return {
            "policy": dict(self.policy.state()),
            "heads": dict(self.heads.state_dict()),
            "proximal": dict(self._proximal.state()) if self._proximal is not None else {},
            "proximal_version": self._proximal.version if self._proximal is not None else 0,
            "optimizer": self.optimizer.state_dict(),
            "scale": self.scale.state_dict(),
            "version": self.version,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state` was taken."""
        self.version = int(state["version"])
        self.policy.load_state(state["policy"], version=self.version)
        self.heads.load_state_dict(state["heads"])
        if self._proximal is not None:
            self._proximal.load_state(state["proximal"], version=int(state["proximal_version"]))
        self.optimizer.load_state_dict(state["optimizer"])
        self.scale.load_state_dict(state["scale"])

    def _forward(self, trajectories: Sequence[TrainingTrajectory]) -> _Forward:
        """One pass of the policy and the value heads over all steps of some trajectories."""
        lengths = [len(trajectory.steps) for trajectory in trajectories]
        batch = self.policy.collate([step for trajectory in trajectories for step in trajectory.steps])
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._warming_up):
            output = self.policy.evaluate(batch)
        mask_NA = output.mask_BA
        log_prob_N = torch.where(mask_NA, output.log_prob_BA, 0.0).sum(dim=1)
        entropy_N = torch.where(mask_NA, output.entropy_BA, 0.0).sum(dim=1) / mask_NA.sum(dim=1).clamp(min=1)
        hidden_ND = output.hidden_BD.detach() if self._config.critic.detach else output.hidden_BD
        starts_B = torch.tensor([0, *np.cumsum(lengths[:-1]).tolist()])
        return _Forward(
            log_prob_BT=unflatten(log_prob_N, lengths),
            entropy_BT=unflatten(entropy_N, lengths),
            step_logit_BT2=unflatten(self.heads.step_logits(hidden_ND), lengths),
            trajectory_logit_B=self.heads.trajectory_logit(hidden_ND[starts_B]),
            bootstrap_B=self._bootstrap(trajectories),
        )

    @torch.no_grad()
    def _look_first(self, chunks: Sequence[Sequence[TrainingTrajectory]]) -> list[_Forward]:
        """All micro-batches once without gradient, for what needs whole trajectories."""
        return [self._forward(chunk) for chunk in chunks]

    @torch.no_grad()
    def _bootstrap(self, trajectories: Sequence[TrainingTrajectory]) -> Tensor:
        """V of the screen after each trajectory that is bootstrapped from; 0 for the others, whose discount is 0."""
        value_B = torch.zeros(len(trajectories))
        if self._config.algorithm.time_limit == "failure":
            return value_B
        rows = [row for row, trajectory in enumerate(trajectories) if trajectory.ending is Ending.TRUNCATED]
        finals = [trajectories[row].final for row in rows]
        if finals:
            batch = self.policy.collate([final for final in finals if final is not None])
            value_B[rows] = self.heads.step_value(self.policy.state_hidden(batch))
        return value_B

    def _recorded(self, trajectories: Sequence[TrainingTrajectory]) -> Recorded:
        algorithm = self._config.algorithm
        return Recorded.of(trajectories, algorithm.gamma, time_limit=algorithm.time_limit)

    def _returns(self, forward: _Forward, recorded: Recorded) -> Returns:
        return estimate_returns(
            self._config.algorithm.returns,
            log_ratio_BT=forward.log_prob_BT.detach() - recorded.behaviour_log_prob_BT,
            reward_BT=recorded.reward_BT,
            discount_BT=recorded.discount_BT,
            value_BT=forward.value_BT,
            bootstrap_B=forward.bootstrap_B,
            mask_BT=recorded.mask_BT,
            trace_lambda=self._config.algorithm.trace_lambda,
        )

    @torch.no_grad()
    def _proximal_log_prob(self, trajectories: Sequence[TrainingTrajectory]) -> Tensor | None:
        """log pi_prox, [B, T]; None unless the objective needs it."""
        if self._proximal is None:
            return None
        if self._proximal.version + self._config.algorithm.proximal_every <= self.version:
            self._proximal.load_state(self.policy.state(), version=self.version)
        batch = self._proximal.collate([step for trajectory in trajectories for step in trajectory.steps])
        output = self._proximal.evaluate(batch)
        log_prob_N = torch.where(output.mask_BA, output.log_prob_BA, 0.0).sum(dim=1)
        return unflatten(log_prob_N, [len(trajectory.steps) for trajectory in trajectories])

    def _losses(
        self,
        forward: _Forward,
        recorded: Recorded,
        returns: Returns,
        weight_B: Tensor,
        proximal_BT: Tensor | None,
        *,
        num_trajectories: int,
    ) -> dict[str, Tensor]:
        """The terms of the objective for one micro-batch, each with the normaliser of the whole batch."""
        mask_BT = recorded.mask_BT
        normaliser = float(num_trajectories * self._max_horizon)
        label_BT = returns.target_BT
        if self._config.critic.target == "monte_carlo":
            label_BT = positive_return_label(
                reward_BT=recorded.reward_BT, discount_BT=recorded.discount_BT, mask_BT=mask_BT
            )
        value = step_value_loss(forward.step_logit_BT2, label_BT, mask_BT, normaliser)
        trajectory_value = trajectory_value_loss(forward.trajectory_logit_B, recorded.outcome_B, num_trajectories)
        terms = {"value": value, "trajectory_value": trajectory_value}
        if self._config.algorithm.name == "a_ride":
            steps = PolicySteps(
                log_prob_BT=forward.log_prob_BT,
                behaviour_log_prob_BT=recorded.behaviour_log_prob_BT,
                advantage_BT=returns.advantage_BT,
                mask_BT=mask_BT,
                invalid_BT=recorded.invalid_BT,
                entropy_BT=forward.entropy_BT,
                proximal_log_prob_BT=proximal_BT,
                weight_B=weight_B,
            )
            objective, *parts = policy_loss(steps, self._objective, normaliser)
            terms |= dict(zip(("policy", "entropy", "invalid"), parts, strict=True))
        else:
            objective = cloning_loss(forward.log_prob_BT, self._selected(forward, recorded), normaliser)
            terms["policy"] = objective
        total = self._config.critic.coefficient * (value + trajectory_value)
        return {"total": total if self._warming_up else total + objective, **terms}

    def _priority_terms(self, forward: _Forward, recorded: Recorded) -> Tensor:
        """Mean |delta|, clipped ratio and entropy of each trajectory, [B, 3]."""
        mask_BT = recorded.mask_BT
        log_ratio_BT = torch.where(mask_BT, forward.log_prob_BT.detach() - recorded.behaviour_log_prob_BT, 0.0)
        delta_BT = td_error(
            reward_BT=recorded.reward_BT,
            discount_BT=recorded.discount_BT,
            value_BT=forward.value_BT,
            bootstrap_B=forward.bootstrap_B,
            mask_BT=mask_BT,
        )
        return priority_terms(
            td_error_BT=delta_BT,
            rho_BT=importance_ratio(log_ratio_BT),
            entropy_BT=forward.entropy_BT.detach(),
            mask_BT=mask_BT,
            rho_max=self._config.algorithm.rho_max,
        )

    def _selected(self, forward: _Forward, recorded: Recorded) -> Tensor:
        """The steps that a baseline clones, of trajectories that `choose` has filtered; [B, T] bool."""
        if self._config.algorithm.name == "filtered_bc":
            return recorded.mask_BT
        return digirl_step_selection(
            reward_BT=recorded.reward_BT,
            discount_BT=recorded.discount_BT,
            value_BT=forward.value_BT,
            bootstrap_B=forward.bootstrap_B,
            mask_BT=recorded.mask_BT,
        )

    def _refuse_non_finite(
        self, losses: dict[str, Tensor], forward: _Forward, recorded: Recorded, chunk: Sequence[TrainingTrajectory]
    ) -> None:
        """Raises `NonFiniteUpdateError` naming the trajectories whose numbers are not finite."""
        total = losses["total"].detach()
        if bool(torch.isfinite(total)):
            return
        numbers_BT = [forward.log_prob_BT, forward.entropy_BT, forward.value_BT, recorded.behaviour_log_prob_BT]
        numbers_BT.append(recorded.reward_BT)
        is_finite_B = torch.stack([number_BT.detach().isfinite().all(dim=1) for number_BT in numbers_BT]).all(dim=0)
        culprits = tuple(t.id for t, is_finite in zip(chunk, is_finite_B.tolist(), strict=True) if not is_finite)
        culprits = culprits or tuple(trajectory.id for trajectory in chunk)
        raise NonFiniteUpdateError(f"the loss is {float(total)} on trajectories {', '.join(culprits)}", culprits)

    def _step(self, trajectories: Sequence[TrainingTrajectory]) -> float:
        """Clips, checks, moves the weights, and counts a version; returns the gradient norm before clipping."""
        groups = self.optimizer.param_groups
        norms = [nn.utils.clip_grad_norm_(group["params"], self._config.learner.max_grad_norm) for group in groups]
        grad_norm = float(norms[0])
        if not all(bool(torch.isfinite(norm)) for norm in norms):
            ids = tuple(trajectory.id for trajectory in trajectories)
            message = f"the gradient norm is {[float(n) for n in norms]} on trajectories {', '.join(ids)}"
            raise NonFiniteUpdateError(message, ids)
        factor = self.learning_rate_factor()
        bases = (self._config.learner.learning_rate, self._config.learner.value_learning_rate)
        for group, base in zip(groups, bases, strict=True):
            group["lr"] = base * factor
        self.optimizer.step()
        self.version += 1
        self.policy.version = self.version
        return grad_norm

    def learning_rate_factor(self) -> float:
        """Rises over the warm-up, then falls linearly to `final_learning_rate` at the end of the updates or time."""
        learner = self._config.learner
        rise = min(1.0, (self.version + 1) / max(learner.warmup_updates, 1))
        progress = min(max(self.version / learner.num_updates, self.time_fraction), 1.0)
        return rise * (1.0 - (1.0 - learner.final_learning_rate) * progress)

    def _report(
        self,
        forward: _Forward,
        recorded: Recorded,
        trajectories: Sequence[TrainingTrajectory],
        totals: dict[str, float],
        grad_norm: float,
    ) -> Update:
        """New priorities and statistics, all from the forward pass that was made anyway."""
        mask_BT, rho_max = recorded.mask_BT, self._config.algorithm.rho_max
        entropy_BT, value_BT = forward.entropy_BT.detach(), forward.value_BT
        log_ratio_BT = torch.where(mask_BT, forward.log_prob_BT.detach() - recorded.behaviour_log_prob_BT, 0.0)
        terms_B3 = self._priority_terms(forward, recorded)
        spread_3 = terms_B3.std(dim=0, correction=0).tolist()
        surprise_B = recorded.outcome_B - forward.trajectory_logit_B.detach().sigmoid()
        ratios = ratio_statistics(log_ratio_BT, mask_BT, rho_max)
        age = (self.version - 1 - recorded.version_BT)[mask_BT].float()
        stats = {
            **{f"loss/{name}": value for name, value in totals.items()},
            "learner/grad_norm": grad_norm,
            "learner/learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "learner/entropy": float(entropy_BT[mask_BT].mean()),
            "learner/value": float(value_BT[mask_BT].mean()),
            "learner/advantage_scale": self.scale.scale,
            "learner/batch_success": float(recorded.outcome_B.mean()),
            "learner/trajectory_value_error": float(surprise_B.abs().mean()),
            "learner/batch_steps": float(mask_BT.sum()),
            **{f"ratio/{name}": float(value) for name, value in ratios._asdict().items()},
            "age/mean": float(age.mean()),
            "age/max": float(age.max()),
            **{
                f"priority/{name}_spread": value
                for name, value in zip(("td", "ratio", "entropy"), spread_3, strict=True)
            },
        }
        surprises = tuple((t.template, float(s)) for t, s in zip(trajectories, surprise_B, strict=True))
        return Update(stats, trajectory_priority(terms_B3, self._weights).double().numpy(), surprises)


def _without_gradient(forward: _Forward) -> _Forward:
    return _Forward(**{name: getattr(forward, name).detach() for name in _Forward.__dataclass_fields__})


def _joined(parts: Sequence[_Forward]) -> _Forward:
    """Micro-batches as one batch, padded to the longest trajectory."""
    num_steps = max(part.log_prob_BT.shape[1] for part in parts)
    return _Forward(
        log_prob_BT=torch.cat([pad_steps(part.log_prob_BT, num_steps) for part in parts]),
        entropy_BT=torch.cat([pad_steps(part.entropy_BT, num_steps) for part in parts]),
        step_logit_BT2=torch.cat([pad_steps(part.step_logit_BT2, num_steps) for part in parts]),
        trajectory_logit_B=torch.cat([part.trajectory_logit_B for part in parts]),
        bootstrap_B=torch.cat([part.bootstrap_B for part in parts]),
    )
