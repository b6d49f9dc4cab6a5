"""Golden numbers, gradients and laws of the objectives, the priority and the statistics."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from distrl.baselines import digirl_step_selection, digirl_trajectory_selection, filtered_bc_selection, top_fraction
from distrl.losses import (
    PRIORITY_FLOOR,
    PolicyObjective,
    PolicySteps,
    PriorityWeights,
    RunningScale,
    awr,
    cloning_loss,
    constant_mean,
    decoupled_ppo,
    effective_sample_size,
    invalid_term,
    mean_token_entropy,
    policy_loss,
    ppo_clip,
    priority_terms,
    ratio_statistics,
    retrace_pg,
    step_value_loss,
    token_entropy,
    trajectory_priority,
    trajectory_value_loss,
)

KINDS = ("retrace_pg", "ppo_clip", "decoupled_ppo", "awr")


def tensor(*rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def golden_steps(**changes: Any) -> PolicySteps:
    """One trajectory of two real steps and one of padding; rho = (1/2, 4), pi/prox = (1/2, 2)."""
    fields: dict[str, Any] = {
        "log_prob_BT": tensor([-1.0, -0.5, math.nan]).requires_grad_(),
        "behaviour_log_prob_BT": tensor([-1.0 - math.log(0.5), -0.5 - math.log(4.0), math.nan]),
        "advantage_BT": tensor([2.0, -1.0, math.nan]),
        "mask_BT": torch.tensor([[True, True, False]]),
        "invalid_BT": torch.tensor([[False, True, True]]),
        "entropy_BT": tensor([0.3, 0.5, math.nan]).requires_grad_(),
        "proximal_log_prob_BT": tensor([-1.0 - math.log(0.5), -0.5 - math.log(2.0), math.nan]),
    }
    return PolicySteps(**fields | changes)


# Policy.


def test_retrace_pg_gives_the_numbers_and_the_gradient_worked_out_by_hand() -> None:
    steps = golden_steps()
    loss = policy_loss(steps, PolicyObjective("retrace_pg", rho_max=3.0), normaliser=10.0)
    # - (0.5 * 2 * -1  +  min(3, 4) * -1 * -0.5) / 10
    assert loss.total.item() == pytest.approx(-(-1.0 + 1.5) / 10)
    loss.total.backward()
    # - rho A / 10: the ratio is a weight, so its own derivative is not there.
    assert steps.log_prob_BT.grad is not None
    assert steps.log_prob_BT.grad.tolist() == [pytest.approx([-0.1, 0.3, 0.0])]


def test_ppo_clip_gives_the_numbers_and_stops_the_gradient_where_clipped() -> None:
    log_prob = tensor([0.0, 0.0, 0.0, 0.0]).requires_grad_()
    behaviour = tensor([-math.log(1.5), -math.log(1.5), -math.log(0.5), -math.log(0.5)])
    loss = ppo_clip(log_prob, behaviour, tensor([1.0, -1.0, 1.0, -1.0]), clip_epsilon=0.2)
    assert loss.tolist() == [pytest.approx([-1.2, 1.5, -0.5, 0.8])]
    loss.sum().backward()
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == [pytest.approx([0.0, 1.5, -0.5, 0.0])]


def test_decoupled_ppo_clips_against_the_proximal_policy_and_weights_by_the_truncated_ratio() -> None:
    log_prob, behaviour = tensor([0.0, 0.0]).requires_grad_(), tensor([-math.log(6.0), -math.log(0.6)])
    proximal = tensor([-math.log(1.5), -math.log(1.1)])
    loss = decoupled_ppo(log_prob, behaviour, proximal, tensor([1.0, 1.0]), clip_epsilon=0.2, rho_max=2.0)
    # prox/mu = (4, 6/11), truncated to (2, 6/11); pi/prox = (1.5, 1.1), clipped to (1.2, 1.1).
    assert loss.tolist() == [pytest.approx([-2.4, -0.6])]
    loss.sum().backward()
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == [pytest.approx([0.0, -0.6])]


def test_decoupled_ppo_with_the_behaviour_policy_as_proximal_is_ppo_clip() -> None:
    log_prob, behaviour, advantage = tensor([-0.3, -2.0]), tensor([-0.6, -1.0]), tensor([1.0, -2.0])
    got = decoupled_ppo(log_prob, behaviour, behaviour, advantage, clip_epsilon=0.2, rho_max=1.0)
    torch.testing.assert_close(got, ppo_clip(log_prob, behaviour, advantage, 0.2))


def test_decoupled_ppo_still_learns_from_old_data_that_ppo_clip_gives_up() -> None:
    log_prob, old, recent = tensor([-0.5]).requires_grad_(), tensor([-2.0]), tensor([-0.5])
    (frozen,) = torch.autograd.grad(ppo_clip(log_prob, old, tensor([1.0]), 0.2).sum(), log_prob)
    decoupled = decoupled_ppo(log_prob, old, recent, tensor([1.0]), clip_epsilon=0.2, rho_max=2.0)
    (alive,) = torch.autograd.grad(decoupled.sum(), log_prob)
    assert frozen.item() == 0.0
    assert alive.item() == pytest.approx(-2.0)


def test_awr_weights_by_the_exponential_of_the_advantage_up_to_its_maximum() -> None:
    loss = awr(tensor([-1.0, -1.0, -1.0]), tensor([0.0, math.log(4.0), 1000.0]), temperature=2.0, weight_max=5.0)
    assert loss.tolist() == [pytest.approx([1.0, 2.0, 5.0])]


def test_decoupled_ppo_without_a_proximal_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="proximal_log_prob_BT"):
        policy_loss(golden_steps(proximal_log_prob_BT=None), PolicyObjective("decoupled_ppo"), normaliser=1.0)


def test_an_unknown_policy_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="awr, got 'sac'"):
        policy_loss(golden_steps(), PolicyObjective("sac"), normaliser=1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_effect_and_gradient_exactly_zero_even_when_it_is_nan(kind: Any) -> None:
    objective = PolicyObjective(kind, entropy_coefficient=0.1, invalid_coefficient=0.1)
    steps = golden_steps()
    loss = policy_loss(steps, objective, normaliser=4.0)
    loss.total.backward()
    names = ("log_prob_BT", "behaviour_log_prob_BT", "advantage_BT", "mask_BT", "invalid_BT", "proximal_log_prob_BT")
    cut = {name: getattr(golden_steps(), name)[:, :2] for name in (*names, "entropy_BT")}
    assert loss.total.item() == policy_loss(PolicySteps(**cut), objective, normaliser=4.0).total.item()
    for leaf in (steps.log_prob_BT, steps.entropy_BT):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        assert leaf.grad[0, 2].item() == 0.0
        assert leaf.grad[0, 0].item() != 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_better_action_becomes_more_likely(kind: Any) -> None:
    steps = golden_steps(
        log_prob_BT=tensor([-1.0, -1.0, -1.0]).requires_grad_(),
        behaviour_log_prob_BT=tensor([-1.0, -1.0, -1.0]),
        proximal_log_prob_BT=tensor([-1.0, -1.0, -1.0]),
        advantage_BT=tensor([1.0, 2.0, 0.0]),
    )
    policy_loss(steps, PolicyObjective(kind), normaliser=1.0).total.backward()
    gradient = steps.log_prob_BT.grad
    assert gradient is not None
    assert gradient[0, 1] < gradient[0, 0] < 0


def test_the_normaliser_is_constant_so_that_a_step_weighs_the_same_in_long_and_short_trajectories() -> None:
    log_prob = torch.full((2, 4), -1.0, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, True, True], [True, False, False, False]])
    steps = PolicySteps(
        log_prob_BT=log_prob,
        behaviour_log_prob_BT=log_prob.detach(),
        advantage_BT=torch.ones(2, 4),
        mask_BT=mask,
        invalid_BT=torch.zeros(2, 4, dtype=torch.bool),
        entropy_BT=torch.zeros(2, 4),
    )
    policy_loss(steps, PolicyObjective(), normaliser=2 * 4).total.backward()
    assert log_prob.grad is not None
    assert log_prob.grad[mask].tolist() == pytest.approx([-1 / 8] * 5)


def test_micro_batches_with_the_whole_batchs_normaliser_add_up_to_the_batch() -> None:
    term, mask = tensor([1.0, 2.0], [3.0, 5.0]), torch.tensor([[True, True], [True, False]])
    weight = torch.tensor([0.5, 1.0], dtype=torch.float64)
    whole = constant_mean(term, mask, 4.0, weight)
    parts = sum(constant_mean(term[i : i + 1], mask[i : i + 1], 4.0, weight[i : i + 1]) for i in range(2))
    assert whole.item() == pytest.approx((0.5 * 3.0 + 3.0) / 4)
    torch.testing.assert_close(parts, whole)


def test_a_normaliser_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match="normaliser must be > 0"):
        constant_mean(tensor([1.0]), torch.tensor([[True]]), 0.0)


def test_importance_weights_scale_each_trajectorys_terms() -> None:
    objective = PolicyObjective(entropy_coefficient=0.1, invalid_coefficient=0.2)
    plain = policy_loss(golden_steps(), objective, normaliser=1.0)
    halved = policy_loss(golden_steps(weight_B=torch.tensor([0.5])), objective, normaliser=1.0)
    for got, expected in zip(halved, plain, strict=True):
        assert got.item() == pytest.approx(expected.item() / 2)


def test_the_entropy_bonus_rewards_entropy() -> None:
    steps = golden_steps()
    loss = policy_loss(steps, PolicyObjective(entropy_coefficient=0.1), normaliser=2.0)
    assert loss.entropy.item() == pytest.approx(-0.1 * 0.8 / 2)
    loss.total.backward()
    assert steps.entropy_BT.grad is not None
    assert steps.entropy_BT.grad.tolist() == [pytest.approx([-0.05, -0.05, 0.0])]


def test_the_invalid_term_makes_only_invalid_actions_less_likely() -> None:
    steps = golden_steps(advantage_BT=tensor([0.0, 0.0, 0.0]))
    loss = policy_loss(steps, PolicyObjective(invalid_coefficient=0.2), normaliser=2.0)
    assert loss.invalid.item() == pytest.approx(0.2 * -0.5 / 2)
    loss.total.backward()
    assert steps.log_prob_BT.grad is not None
    assert steps.log_prob_BT.grad.tolist() == [pytest.approx([0.0, 0.1, 0.0])]


def test_the_invalid_term_stops_pushing_an_action_that_has_become_impossible() -> None:
    log_prob = tensor([-3.0, -30.0]).requires_grad_()
    invalid_term(log_prob, tensor([-1.0, -1.0]), torch.tensor([[True, True]])).sum().backward()
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == [[1.0, 0.0]]


def test_cloning_raises_the_selected_steps_only() -> None:
    log_prob = tensor([-1.0, -2.0, math.nan]).requires_grad_()
    loss = cloning_loss(log_prob, torch.tensor([[False, True, False]]), normaliser=4.0)
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == [[0.0, -0.25, 0.0]]


# Entropy.


def test_token_entropy_is_exact() -> None:
    got = token_entropy(tensor([math.log(0.5), math.log(0.25), math.log(0.25)], [3.0, 3.0, 3.0]))
    assert got.tolist() == pytest.approx([1.5 * math.log(2), math.log(3)])


def test_a_forbidden_token_adds_no_entropy_and_no_nan_gradient() -> None:
    logits = tensor(0.0, 0.0, -math.inf).requires_grad_()
    entropy = token_entropy(logits)
    entropy.backward()
    assert entropy.item() == pytest.approx(math.log(2))
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_entropy_is_averaged_over_each_actions_own_tokens() -> None:
    entropy = tensor([[1.0, 3.0, math.nan], [5.0, math.nan, math.nan], [math.nan] * 3])
    mask = torch.tensor([[[True, True, False], [True, False, False], [False, False, False]]])
    assert mean_token_entropy(entropy, mask).tolist() == [[2.0, 5.0, 0.0]]


# Values.


def test_step_value_loss_is_the_cross_entropy_of_both_heads_with_a_soft_label() -> None:
    logit = torch.tensor([[[0.0, math.log(3.0)]]], dtype=torch.float64)
    loss = step_value_loss(logit, tensor([0.25]), torch.tensor([[True]]), normaliser=2.0)
    second = -(0.25 * math.log(0.75) + 0.75 * math.log(0.25))
    assert loss.item() == pytest.approx((math.log(2) + second) / 2)


def test_value_labels_are_clipped_to_probabilities() -> None:
    logit, mask = torch.tensor([[[0.7, -0.3], [0.2, 0.1]]], dtype=torch.float64), torch.tensor([[True, True]])
    outside = step_value_loss(logit, tensor([1.7, -0.4]), mask, 1.0)
    torch.testing.assert_close(outside, step_value_loss(logit, tensor([1.0, 0.0]), mask, 1.0))


def test_value_loss_moves_both_heads_towards_the_label_and_never_reads_padding() -> None:
    logit = torch.tensor([[[0.0, 0.0], [math.nan, math.nan]]], dtype=torch.float64, requires_grad=True)
    target = tensor([0.75, math.nan]).requires_grad_()
    step_value_loss(logit, target, torch.tensor([[True, False]]), normaliser=1.0).backward()
    assert logit.grad is not None
    assert logit.grad.tolist() == [[[-0.25, -0.25], [0.0, 0.0]]]
    assert target.grad is None


def test_trajectory_value_loss_is_the_cross_entropy_of_the_outcome() -> None:
    logit = torch.tensor([0.0, math.log(3.0)], dtype=torch.float64)
    loss = trajectory_value_loss(logit, torch.tensor([1.0, 0.0]), normaliser=2)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


# Priority and statistics.


def golden_terms() -> Tensor:
    return priority_terms(
        td_error_BT=tensor([-0.5, 0.1, math.nan], [0.2, math.nan, math.nan]),
        rho_BT=tensor([0.5, 9.0, math.nan], [1.0, math.nan, math.nan]),
        entropy_BT=tensor([0.2, 0.6, math.nan], [0.3, math.nan, math.nan]),
        mask_BT=torch.tensor([[True, True, False], [True, False, False]]),
        rho_max=2.0,
    )


def test_priority_terms_are_means_over_each_trajectorys_own_steps() -> None:
    torch.testing.assert_close(golden_terms(), tensor([0.3, 1.25, 0.4], [0.2, 1.0, 0.3]))


def test_priority_weighs_the_three_terms_and_is_never_zero() -> None:
    got = trajectory_priority(golden_terms(), PriorityWeights(td_error=2.0, ratio=0.4, entropy=0.5))
    assert got.tolist() == pytest.approx([0.6 + 0.5 + 0.2, 0.4 + 0.4 + 0.15])
    nothing = trajectory_priority(torch.zeros(1, 3), PriorityWeights())
    assert nothing.tolist() == pytest.approx([PRIORITY_FLOOR])


def test_effective_sample_size_is_one_for_equal_ratios_and_one_over_n_when_one_dominates() -> None:
    mask = torch.tensor([[True, True, True, True, False]])
    assert effective_sample_size(tensor([0.3, 0.3, 0.3, 0.3, math.nan]), mask).item() == pytest.approx(1.0)
    assert effective_sample_size(tensor([1.0, 0.0, 0.0, 0.0, math.nan]), mask).item() == pytest.approx(0.25)
    assert effective_sample_size(tensor([3.0, 1.0, 1.0, 1.0, math.nan]), mask).item() == pytest.approx(36 / 48)


def test_ratio_statistics_give_the_numbers_worked_out_by_hand() -> None:
    log_ratio = tensor([math.log(0.5), math.log(4.0), 1e9])
    got = ratio_statistics(log_ratio, torch.tensor([[True, True, False]]), rho_max=2.0)
    assert got.mean == pytest.approx(2.25)
    assert got.maximum == pytest.approx(4.0)
    assert got.clip_fraction == pytest.approx(0.5)
    assert got.kl == pytest.approx(1.25 - math.log(2) / 2)
    assert got.effective_sample_size == pytest.approx(4.5**2 / (2 * 16.25))


def test_ratio_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one real step"):
        ratio_statistics(tensor([1.0]), torch.tensor([[False]]), rho_max=2.0)


def test_retrace_pg_stays_finite_for_absurd_ratios() -> None:
    got = retrace_pg(tensor([0.0, -900.0]), tensor([-900.0, 0.0]), tensor([1.0, 1.0]), rho_max=2.0)
    assert got.isfinite().all()


# Running scale.


def test_the_first_update_sets_the_scale_to_the_root_mean_square_without_bias() -> None:
    scale = RunningScale(decay=0.9)
    assert scale.scale == 1.0
    scale.update(tensor([3.0, -4.0, 1e9]), torch.tensor([[True, True, False]]))
    assert scale.scale == pytest.approx(math.sqrt(12.5))
    assert scale.normalise(tensor([5.0])).item() == pytest.approx(5 / math.sqrt(12.5))


def test_the_scale_forgets_at_its_decay() -> None:
    scale, one = RunningScale(decay=0.5), torch.tensor([[True]])
    scale.update(tensor([1.0]), one)
    scale.update(tensor([3.0]), one)
    # Mean square (0.25 * 1 + 0.5 * 9) / 0.75.
    assert scale.scale == pytest.approx(math.sqrt(4.75 / 0.75))


def test_the_scale_has_a_floor_and_survives_non_finite_advantages() -> None:
    scale, mask = RunningScale(floor=0.05), torch.tensor([[True, True]])
    scale.update(tensor([math.nan, math.inf]), mask)
    assert scale.scale == 1.0
    scale.update(tensor([1e-6, math.nan]), mask)
    assert scale.scale == 0.05


def test_the_scale_resumes_exactly_through_json() -> None:
    first, mask = RunningScale(), torch.tensor([[True, True]])
    first.update(tensor([0.1, 0.7]), mask)
    second = RunningScale()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for scale in (first, second):
        scale.update(tensor([0.3, -0.2]), mask)
    assert first.scale == second.scale


@pytest.mark.parametrize("bad", [{"decay": 1.0}, {"decay": -0.1}, {"floor": 0.0}])
def test_an_impossible_scale_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        RunningScale(**bad)


# Baselines.


def test_filtered_cloning_takes_the_best_tenth_and_at_least_one() -> None:
    returns = torch.arange(30.0)
    assert filtered_bc_selection(returns).nonzero().flatten().tolist() == [27, 28, 29]
    assert filtered_bc_selection(torch.tensor([0.0, 1.0, 0.5])).tolist() == [False, True, False]
    assert top_fraction(torch.tensor([]), 0.1).tolist() == []


def test_a_share_that_is_a_whole_number_is_not_rounded_up_by_floating_point() -> None:
    assert 0.07 * 100 > 7
    assert top_fraction(torch.arange(100.0), 0.07).sum() == 7


def test_ties_at_the_cut_go_to_the_earlier() -> None:
    assert top_fraction(torch.tensor([1.0, 0.0, 1.0, 1.0]), 0.5).tolist() == [True, False, True, False]


@pytest.mark.parametrize("fraction", [0.0, 1.1])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        top_fraction(torch.tensor([1.0]), fraction)


def test_digirl_prefers_a_surprising_success_to_an_expected_one() -> None:
    outcome, expected = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.9, 0.2, 0.1])
    assert digirl_trajectory_selection(outcome, expected, 0.3).tolist() == [False, True, False]


def test_digirl_selects_steps_by_the_rule_worked_out_by_hand() -> None:
    selected = digirl_step_selection(
        reward_BT=tensor([0.0, 0.0, 1.0], [0.0, 0.0, math.nan], [0.0, math.nan, math.nan]),
        discount_BT=tensor([0.5, 0.5, 0.0], [0.5, 0.5, math.nan], [0.0, math.nan, math.nan]),
        value_BT=tensor([0.9, 0.5, 0.9], [0.3, 0.34, math.nan], [0.3, math.nan, math.nan]),
        bootstrap_B=torch.tensor([0.7, 0.41, 0.9], dtype=torch.float64),
        mask_BT=torch.tensor([[True, True, True], [True, True, False], [True, False, False]]),
    )
    # Row 1: 0.5-0.9-0.05+0.25 = -0.2;  0.9-0.5-0.05+0.5 > 0;  0-0.9-0.05+1+1 > 0.
    # Row 2: 0.34-0.3-0.05 = -0.01;  0.41-0.34-0.05 = 0.02 (truncated: the bootstrap counts).
    # Row 3: 0-0.3-0.05 < 0 (terminated: it does not).
    assert selected.tolist() == [[False, True, True], [False, True, False], [False, False, False]]
