"""The learner: one gradient step, and everything that must not happen to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training import config, equal, make_learner, ones, play, prepared, tiny_policy, weights_of

from distrl.batch import Recorded, TrainingCache, acted_by, chunked, pad_steps, unflatten
from distrl.checkpoint import flatten_optimizer_state, unflatten_optimizer_state
from distrl.errors import LogProbMismatchError, NonFiniteUpdateError
from distrl.losses import trajectory_priority
from distrl.types import Ending


@pytest.fixture(scope="module")
def episodes():
    """Ten episodes of one tiny policy: successes and failures, of several lengths, terminated and truncated."""
    policy = tiny_policy()
    found = prepared(policy, play(policy, 10, max_steps=3))
    lengths = {len(episode.steps) for episode in found}
    assert len(lengths) > 1
    assert {episode.ending for episode in found} == {Ending.TERMINATED, Ending.TRUNCATED}
    return found


def losses_of(kind):
    return config(algorithm={"policy_loss": kind, "proximal_every": 2})


@pytest.mark.parametrize("kind", ["retrace_pg", "ppo_clip", "decoupled_ppo", "awr"])
def test_micro_batches_change_nothing_but_memory(episodes, kind):
    weights = np.linspace(0.5, 1.0, len(episodes))
    whole = make_learner(losses_of(kind))
    parts = make_learner(
        losses_of(kind).model_copy(update={"learner": config(learner={"micro_batch_steps": 4}).learner})
    )
    for learner in (whole, parts):
        for group in learner.optimizer.param_groups:
            group["eps"] = 1e-3  # Adam would blow up the rounding of gradients that are 0 by symmetry.
    for _ in range(3):
        updates = [learner.update(episodes, weights) for learner in (whole, parts)]
        np.testing.assert_allclose(updates[0].priorities, updates[1].priorities, atol=1e-5)
        assert updates[0].stats["loss/total"] == pytest.approx(updates[1].stats["loss/total"], abs=1e-5)
    left, right = weights_of(whole), weights_of(parts)
    assert not equal(left, weights_of(make_learner()))
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], atol=1e-6, rtol=0.0, msg=name)


@pytest.mark.parametrize("kind", ["retrace_pg", "ppo_clip", "decoupled_ppo", "awr"])
def test_micro_batches_add_up_to_the_gradient_of_the_whole(episodes, kind):
    gradients = []
    for micro in (1000, 4):
        learner = make_learner(
            config(
                algorithm={"policy_loss": kind},
                learner={
                    "micro_batch_steps": micro,
                    "max_grad_norm": 1e9,
                    "learning_rate": 1.0,
                    "value_learning_rate": 1.0,
                },
            )
        )
        learner.optimizer = torch.optim.SGD(
            [{**g, "params": g["params"]} for g in learner.optimizer.param_groups], lr=1.0
        )
        before = weights_of(learner)
        learner.update(episodes, ones(len(episodes)))
        gradients.append({name: before[name] - tensor for name, tensor in weights_of(learner).items()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-4, msg=name)
    assert any(gradient.abs().max() > 1e-3 for name, gradient in gradients[0].items() if name.startswith("policy"))


def test_trajectories_are_chunked_whole_and_in_order(episodes):
    chunks = chunked(episodes, 4)
    assert [episode.id for chunk in chunks for episode in chunk] == [episode.id for episode in episodes]
    assert all(len(chunk) == 1 or sum(len(episode.steps) for episode in chunk) <= 4 for chunk in chunks)
    assert [len(chunk) for chunk in chunked(episodes, 1)] == [1] * len(episodes)


def test_steps_become_rows_with_gradient_and_zeros_at_padding():
    value_N = torch.arange(1.0, 6.0, requires_grad=True)
    rows = unflatten(value_N, [2, 3])
    assert rows.tolist() == [[1.0, 2.0, 0.0], [3.0, 4.0, 5.0]]
    rows.sum().backward()
    assert value_N.grad.tolist() == [1.0] * 5
    assert pad_steps(torch.ones(1, 1, 2), 3).tolist() == [[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]]


def test_only_the_last_step_of_a_terminated_episode_has_discount_zero(episodes):
    recorded = Recorded.of(episodes, 0.9)
    for row, episode in enumerate(episodes):
        last = len(episode.steps) - 1
        assert recorded.discount_BT[row, last] == pytest.approx(0.0 if episode.ending is Ending.TERMINATED else 0.9)
        assert torch.all(recorded.discount_BT[row, :last] == 0.9)
        assert recorded.mask_BT[row].sum() == len(episode.steps)
        assert recorded.behaviour_log_prob_BT[row, last] == pytest.approx(float(episode.log_probs[last].sum()))


def test_the_value_after_the_end_counts_for_truncated_episodes_alone(episodes):
    learner = make_learner()
    forward = learner._forward(episodes)
    for row, episode in enumerate(episodes):
        truncated = episode.ending is Ending.TRUNCATED
        assert (episode.final is not None) == truncated
        assert (float(forward.bootstrap_B[row]) == pytest.approx(0.5)) == truncated  # Heads begin at 0.5.
        assert (float(forward.bootstrap_B[row]) == 0.0) != truncated


def test_where_running_out_of_time_is_failure_nothing_follows_it(episodes):
    settings = config(algorithm={"time_limit": "failure"})
    learner, recorded = make_learner(settings), Recorded.of(episodes, 0.9, time_limit="failure")
    assert not learner._forward(episodes).bootstrap_B.any()
    for row, episode in enumerate(episodes):
        assert recorded.discount_BT[row, len(episode.steps) - 1] == 0.0
        assert learner._recorded(episodes).discount_BT[row, len(episode.steps) - 1] == 0.0
    rows = [row for row, episode in enumerate(episodes) if episode.ending is Ending.TRUNCATED]
    forward = learner._forward(episodes)
    targets = {
        limit: make_learner(config(algorithm={"time_limit": limit, "returns": "td"}))._returns(
            forward, Recorded.of(episodes, 0.9, time_limit=limit)
        )
        for limit in ("bootstrap", "failure")
    }
    for row in rows:  # The heads begin at 0.5, so nothing after the end means an advantage of - 0.5 there.
        last = len(episodes[row].steps) - 1
        expected = float(recorded.reward_BT[row, last]) - 0.5
        assert float(targets["failure"].advantage_BT[row, last]) == pytest.approx(expected, abs=1e-5)


def test_while_the_critic_warms_up_the_policy_keeps_every_bit_and_the_heads_learn(episodes):
    learner = make_learner(config(learner={"critic_warmup_updates": 2, "weight_decay": 0.1}))
    before = weights_of(learner)
    for _ in range(2):
        learner.update(episodes, ones(len(episodes)))
    after = weights_of(learner)
    assert equal(before, after, prefix="policy.")
    assert not equal(before, after, prefix="heads.")
    learner.update(episodes, ones(len(episodes)))
    assert not equal(before, weights_of(learner), prefix="policy.")


@pytest.mark.parametrize("detach", [True, False])
def test_value_losses_shape_the_policys_encoder_unless_detached(episodes, detach):
    learner = make_learner(config(critic={"detach": detach}, algorithm={"entropy_beta": 0.0, "invalid_eta": 0.0}))
    for head in (*learner.heads.step_heads, learner.heads.trajectory_head):
        torch.nn.init.ones_(head[-1].weight)
    learner._objective = replace(learner._objective, entropy_coefficient=0.0, invalid_coefficient=0.0)
    quiet = [replace(e, reward_T=np.zeros_like(e.reward_T), invalid_T=np.zeros_like(e.invalid_T)) for e in episodes]
    forward = learner._forward(quiet)
    forward.step_logit_BT2.sum().backward()
    reached = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in learner.policy.parameters())
    assert reached is not detach


def broken(episodes, what):
    victim = episodes[2]
    if what == "loss":
        log_probs = (np.full_like(victim.log_probs[0], np.nan), *victim.log_probs[1:])
        victim = replace(victim, log_probs=log_probs)
    return [*episodes[:2], replace(victim, id="victim"), *episodes[3:]]


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("micro", [1000, 4])
def test_a_loss_or_gradient_that_is_not_finite_moves_nothing_and_names_the_trajectory(episodes, what, micro):
    learner, twin = (make_learner(config(learner={"micro_batch_steps": micro})) for _ in range(2))
    for one in (learner, twin):
        one.update(episodes, ones(len(episodes)))
    before, scale, version = weights_of(learner), learner.scale.state_dict(), learner.version
    handle = None
    if what == "gradient":
        parameter = next(learner.policy.parameters())
        handle = parameter.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFiniteUpdateError, match="victim") as caught:
        learner.update(broken(episodes, what), ones(len(episodes)))
    everyone = tuple(episode.id for episode in broken(episodes, what))
    assert caught.value.trajectory_ids == (("victim",) if what == "loss" else everyone)
    assert equal(before, weights_of(learner))
    assert (learner.scale.state_dict(), learner.version) == (scale, version)
    if handle is not None:
        handle.remove()
    for one in (learner, twin):  # Nor does anything of it show later.
        one.update(episodes, ones(len(episodes)))
    assert equal(weights_of(learner), weights_of(twin))


def test_log_probabilities_recomputed_at_equal_weights_agree_within_the_tolerance(episodes):
    assert make_learner().refuse_mismatch(episodes) <= 1e-4


def test_another_temperature_is_found_and_named():
    policy = tiny_policy()
    recorded = prepared(policy, play(policy, 3, temperature=0.5))
    learner = make_learner()
    assert learner.refuse_mismatch(recorded) <= 1e-4
    wrong = [replace(e, steps=tuple(replace(step, temperature=1.0) for step in e.steps)) for e in recorded]
    with pytest.raises(LogProbMismatchError, match=r"above learner\.mismatch_tolerance = 1e-04.*temperature"):
        learner.refuse_mismatch(wrong)


def test_altered_weights_and_log_probabilities_that_are_not_numbers_are_found(episodes):
    learner = make_learner()
    learner.policy.load_state({n: t + 0.01 * torch.ones_like(t) for n, t in learner.policy.state().items()}, version=0)
    with pytest.raises(LogProbMismatchError):
        learner.refuse_mismatch(episodes)
    with pytest.raises(LogProbMismatchError, match="nan"):
        make_learner().refuse_mismatch(broken(episodes, "loss")[2:3])


@pytest.mark.parametrize("kind", ["retrace_pg", "decoupled_ppo"])
def test_a_learner_that_goes_on_from_its_state_makes_bit_identical_updates(episodes, kind):
    run = losses_of(kind).model_copy(update={"learner": config(learner={"warmup_updates": 4}).learner})
    run = run.model_copy(update={"algorithm": run.algorithm.model_copy(update={"proximal_every": 3})})
    whole = make_learner(run)
    for _ in range(4):  # The proximal policy is of version 3 then, and the next refresh is due at 6.
        whole.update(episodes, ones(len(episodes)))
    state = whole.state()
    tensors, structure = flatten_optimizer_state(state["optimizer"])
    state["optimizer"] = unflatten_optimizer_state({name: t.clone() for name, t in tensors.items()}, structure)
    resumed = make_learner(run, seed=1)
    resumed.load_state(state)
    assert resumed.version == whole.version == 4
    for _ in range(4):
        left, right = (learner.update(episodes, ones(len(episodes))) for learner in (whole, resumed))
        assert left.stats == right.stats
        assert np.array_equal(left.priorities, right.priorities)
        assert left.surprises == right.surprises
        assert equal(weights_of(whole), weights_of(resumed))


def test_the_proximal_policy_follows_every_so_many_updates(episodes):
    learner = make_learner(config(algorithm={"policy_loss": "decoupled_ppo", "proximal_every": 3}))
    versions = []
    for _ in range(8):
        learner.update(episodes, ones(len(episodes)))
        versions.append(learner._proximal.version)
    assert versions == [0, 0, 0, 3, 3, 3, 6, 6]
    assert make_learner()._proximal is None


@pytest.mark.parametrize(
    ("version", "time_fraction", "factor"),
    [
        (0, 0.0, 0.25),
        (2, 0.0, 0.75 * (1 - 0.9 * 0.02)),
        (4, 0.0, 1 - 0.9 * 0.04),
        (50, 0.0, 0.55),
        (50, 0.8, 0.28),
        (100, 0.0, 0.1),
        (250, 2.0, 0.1),
    ],
)
def test_the_learning_rate_rises_and_falls_with_whichever_limit_is_nearer(version, time_fraction, factor):
    learner = make_learner(config(learner={"warmup_updates": 4, "num_updates": 100, "final_learning_rate": 0.1}))
    learner.version, learner.time_fraction = version, time_fraction
    assert learner.learning_rate_factor() == pytest.approx(factor)


def test_each_update_is_one_version_and_uses_its_learning_rates(episodes):
    learner = make_learner(config(learner={"learning_rate": 4e-4, "value_learning_rate": 2e-3, "num_updates": 10}))
    for expected in (1, 2):
        update = learner.update(episodes, ones(len(episodes)))
        assert learner.version == learner.policy.version == expected
    factor = 1 - 0.9 * 0.1
    assert update.stats["learner/learning_rate"] == pytest.approx(4e-4 * factor)
    assert learner.optimizer.param_groups[1]["lr"] == pytest.approx(2e-3 * factor)


def test_priorities_are_those_of_the_forward_pass_that_was_made_anyway(episodes):
    learner = make_learner()
    alone = learner.priorities(episodes)
    update = learner.update(episodes, ones(len(episodes)))
    np.testing.assert_allclose(update.priorities, alone, rtol=1e-5)
    terms = learner._priority_terms(make_learner()._forward(episodes), Recorded.of(episodes, 0.95))
    expected = trajectory_priority(terms, learner._weights).numpy()
    np.testing.assert_allclose(alone, expected, rtol=1e-4)
    assert (alone > 0).all()


def test_age_counts_versions_since_acting(episodes):
    learner = make_learner()
    ages = [learner.update(episodes, ones(len(episodes))).stats["age/max"] for _ in range(3)]
    assert ages == [0.0, 1.0, 2.0]


def test_surprise_is_outcome_minus_what_the_trajectory_value_said(episodes):
    update = make_learner().update(episodes, ones(len(episodes)))
    assert [name for name, _ in update.surprises] == [episode.template for episode in episodes]
    expected = [float(episode.success) - 0.5 for episode in episodes]  # Heads begin at 0.5.
    assert [value for _, value in update.surprises] == pytest.approx(expected)


def test_success_becomes_likelier_and_failure_less_so(episodes):
    best = next(e for e in episodes if e.success)
    worst = next(e for e in episodes if not e.success and e.invalid_T.any())
    learner = make_learner(config(algorithm={"entropy_beta": 0.0, "invalid_eta": 0.0}))
    with torch.no_grad():
        before = [learner._forward([e]).log_prob_BT.sum() for e in (best, worst)]
    for _ in range(5):
        learner.update([best, worst], ones(2))
    with torch.no_grad():
        after = [learner._forward([e]).log_prob_BT.sum() for e in (best, worst)]
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_filtered_bc_chooses_the_best_by_return_and_clones_all_their_steps(episodes):
    learner = make_learner(config(algorithm={"name": "filtered_bc", "filter_share": 0.2}))
    chosen = learner.choose(episodes)
    returns = [episode.observed_return for episode in episodes]
    assert len(chosen) == 2
    assert min(returns[i] for i in chosen) >= max(r for i, r in enumerate(returns) if i not in chosen)
    recorded = Recorded.of(episodes, 0.95)
    assert torch.equal(learner._selected(learner._forward(episodes), recorded), recorded.mask_BT)


def test_digirl_chooses_by_surprise_and_selects_steps_by_their_advantage(episodes):
    learner = make_learner(config(algorithm={"name": "digirl", "filter_share": 0.3}))
    chosen = learner.choose(episodes)
    assert len(chosen) == 3
    num_successes = sum(episode.success for episode in episodes)
    assert sum(episodes[i].success for i in chosen) == min(3, num_successes)
    selected = learner._selected(learner._forward(episodes), Recorded.of(episodes, 0.95))
    rows = [row for row, episode in enumerate(episodes) if episode.success]
    assert all(selected[row, len(episodes[row].steps) - 1] for row in rows)  # 0 - 0.5 - 0.05 + 1 + 1 > 0.
    invalid = Recorded.of(episodes, 0.95).invalid_BT
    assert not (selected & invalid & (Recorded.of(episodes, 0.95).reward_BT < 0)).any()


def test_a_ride_trains_on_everything_it_is_given(episodes):
    assert make_learner().choose(episodes) == list(range(len(episodes)))


def test_the_steps_of_one_version_are_taken_out_of_a_mixed_episode(episodes):
    episode = next(e for e in episodes if len(e.steps) == 3)
    mixed = replace(episode, version_T=np.array([4, 5, 4]))
    part = acted_by(mixed, 4)
    assert part.steps == (mixed.steps[0], mixed.steps[2])
    assert part.log_probs == (mixed.log_probs[0], mixed.log_probs[2])
    assert part.version_T.tolist() == [4, 4]


def test_the_cache_is_bounded_in_bytes_and_forgets_what_was_used_longest_ago(episodes):
    three = episodes[:3]
    loaded = []

    def load(name):
        loaded.append(name)
        return next((e for e in three if e.id == name), None)

    cache = TrainingCache(three[0].num_bytes + three[1].num_bytes + three[2].num_bytes - 1, load)
    cache.put(three[0])
    cache.put(three[1])
    assert cache.get(three[0].id) is three[0]
    cache.put(three[2])  # The second was used longest ago.
    assert cache.get(three[0].id) is three[0]
    assert loaded == []
    assert cache.get(three[1].id) is three[1]
    assert loaded == [three[1].id]
    assert cache.num_misses == 1
    assert cache.get("gone") is None
