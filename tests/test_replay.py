"""Replay: draws follow the priorities, caps and pacing hold, handles are safe, and a resume is exact."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.errors import CheckpointError, ConfigError
from distrl.replay import Replay, ReplayBatch, ReplayRecord, ReplaySettings
from distrl.sum_tree import SumTree
from distrl.types import Ending

CHI_SQUARE_19_999 = 43.82
"""0.999 quantile of the chi-square distribution with 19 degrees of freedom."""


def record(name: object, **changes: Any) -> ReplayRecord:
    fields: dict[str, Any] = {
        "id": str(name),
        "num_steps": 3,
        "success": False,
        "policy_version": 0,
        "ending": Ending.TERMINATED,
    }
    return ReplayRecord(**fields | changes)


def filled(num: int, num_successes: int = 0, **changes: Any) -> Replay:
    """A replay of `num` trajectories named 0, 1, ..., the first `num_successes` of them successes."""
    replay = Replay(ReplaySettings(**{"capacity": max(num, 1), "replay_ratio": 1e9} | changes))
    for index in range(num):
        assert replay.admit(record(index, success=index < num_successes), 0) == "admitted"
    return replay


def slots_by_id(replay: Replay) -> dict[str, int]:
    """Handles of everything present, in a way that any caller could get them."""
    nothing = ReplayBatch(np.zeros(0, np.int64), ("",) * 10_000, np.zeros(0), np.zeros(0, np.int64))
    original, replay.settings = replay.settings, ReplaySettings(capacity=replay.settings.capacity, refresh_share=1.0)
    everything = replay.stalest(nothing)
    replay.settings = original
    return dict(zip(everything.ids, everything.slots.tolist(), strict=True))


def set_by_id(replay: Replay, priorities: dict[str, float]) -> None:
    slots = slots_by_id(replay)
    replay.set_priorities(np.array([slots[name] for name in priorities]), np.array(list(priorities.values())))


def draws(replay: Replay, num_batches: int, batch_size: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _ in range(num_batches):
        counts.update(replay.sample(batch_size, 0).ids)
    return counts


def chi_square(counts: Counter[str], probabilities: dict[str, float]) -> float:
    total = counts.total()
    return sum((counts[name] - total * p) ** 2 / (total * p) for name, p in probabilities.items())


# Draws.


@pytest.mark.parametrize(("alpha", "prioritised"), [(0.5, True), (1.0, True), (0.0, True), (0.5, False)])
def test_draws_follow_the_priorities_to_the_power_alpha(alpha: float, prioritised: bool) -> None:
    replay = filled(20, num_successes=7, alpha=alpha, prioritised=prioritised, seed=3)
    priorities = {str(i): 0.1 + 0.3 * i for i in range(20)}
    set_by_id(replay, priorities)
    mass = {name: p ** (alpha if prioritised else 0.0) for name, p in priorities.items()}
    total = sum(mass.values())
    # Batches of one are independent, as the test's distribution asks for.
    counts = draws(replay, num_batches=6000, batch_size=1)
    assert chi_square(counts, {name: m / total for name, m in mass.items()}) < CHI_SQUARE_19_999


def test_the_chi_square_bound_rejects_uniform_draws_where_priorities_differ() -> None:
    priorities = {str(i): 0.1 + 0.3 * i for i in range(20)}
    total = sum(p**0.5 for p in priorities.values())
    counts = draws(filled(20, seed=3), num_batches=6000, batch_size=1)
    assert chi_square(counts, {name: p**0.5 / total for name, p in priorities.items()}) > 10 * CHI_SQUARE_19_999


def test_within_a_batch_a_trajectory_stands_as_often_as_expected_rounded_down_or_up() -> None:
    replay = filled(20, alpha=1.0)
    priorities = {str(i): 1.0 + i for i in range(20)}
    set_by_id(replay, priorities)
    averages: Counter[str] = Counter()
    for _ in range(400):
        counts = Counter(replay.sample(16, 0).ids)
        averages.update(counts)
        for name, priority in priorities.items():
            expected = 16 * priority / 210
            assert math.floor(expected) <= counts[name] <= math.ceil(expected)
    assert [averages[name] / 400 for name in priorities] == pytest.approx(
        [16 * p / 210 for p in priorities.values()], abs=0.1
    )


def test_a_batch_as_large_as_an_even_buffer_holds_every_trajectory_once_in_random_order() -> None:
    replay = filled(32, num_successes=8)
    first, second = replay.sample(32, 0).ids, replay.sample(32, 0).ids
    assert sorted(first) == sorted(second) == sorted(str(i) for i in range(32))
    assert first != second


@pytest.mark.parametrize("num_successes", [1, 5, 16, 20])
def test_successes_fill_their_share_of_every_batch_and_draws_stay_proportional_inside(num_successes: int) -> None:
    replay = filled(20, num_successes=num_successes, success_share=0.3, alpha=1.0, seed=1)
    priorities = {str(i): 1.0 + i % 5 for i in range(20)}
    set_by_id(replay, priorities)
    counts: Counter[str] = Counter()
    for _ in range(300):
        batch = replay.sample(10, 0)
        assert sum(int(name) < num_successes for name in batch.ids) >= 3
        counts.update(batch.ids)
    mass = sum(priorities.values())
    success_mass = sum(p for name, p in priorities.items() if int(name) < num_successes)
    share = max(0.3, success_mass / mass)
    for name, priority in priorities.items():
        in_pool, of_pool = (share, success_mass) if int(name) < num_successes else (1 - share, mass - success_mass)
        assert counts[name] / 3000 == pytest.approx(in_pool * priority / of_pool, abs=0.02)


def balanced(**changes: Any) -> Replay:
    """Eight easy successes, two hard ones, six failures; priorities 1, except the second hard one's, which is 4."""
    replay = Replay(ReplaySettings(**{"capacity": 16, "replay_ratio": 1e9, "balance_templates": True} | changes))
    for index in range(16):
        template = "easy" if index < 8 else "hard" if index < 10 else "other"
        assert replay.admit(record(index, success=index < 10, template=template), 0) == "admitted"
    set_by_id(replay, {str(index): 4.0 if index == 9 else 1.0 for index in range(16)})
    return replay


def test_balanced_successes_follow_the_mean_priority_of_their_template_and_not_their_number() -> None:
    counts = draws(balanced(success_share=1.0), 500, 6)
    of_easy = sum(counts[str(index)] for index in range(8))
    assert of_easy / counts.total() == pytest.approx(1 / 2.5, abs=0.02)  # Mean masses: 1, and (1 + 4^0.5) / 2.
    assert counts["9"] / counts["8"] == pytest.approx(2.0, rel=0.1)
    assert all(counts[str(index)] / of_easy == pytest.approx(1 / 8, rel=0.15) for index in range(8))


def test_balancing_leaves_the_share_of_successes_as_it_was() -> None:
    masses = {i: (2.0 if i == 9 else 1.0) for i in range(16)}
    natural = sum(masses[i] for i in range(10)) / sum(masses.values())
    counts = draws(balanced(success_share=0.0), 600, 5)
    assert sum(counts[str(i)] for i in range(10)) / counts.total() == pytest.approx(natural, abs=0.02)


def test_a_template_whose_successes_have_left_takes_no_share() -> None:
    replay = balanced(success_share=1.0)
    assert replay.discard("8")
    assert replay.discard("9")
    assert set(draws(replay, 50, 4)) == {str(index) for index in range(8)}
    replay.admit(record("new", success=False, template="hard"), 0)  # Takes the slot of a success.
    assert set(draws(replay, 50, 4)) == {str(index) for index in range(8)}


def test_importance_weights_know_that_successes_are_balanced() -> None:
    batch = balanced(success_share=1.0, beta_is=1.0).sample(8, 0)
    weights = dict(zip(batch.ids, batch.importance_weights.tolist(), strict=True))
    easy = next(weight for name, weight in weights.items() if int(name) < 8)
    assert weights["9"] / easy == pytest.approx((1 / 8) / (2 / 2))  # Masses 1 / 8 successes and 2 / 2 successes.


def test_without_successes_the_whole_batch_comes_from_the_rest() -> None:
    assert len(filled(5, success_share=0.5).sample(8, 0).ids) == 8


def test_importance_weights_undo_the_probability_that_was_really_used() -> None:
    replay = filled(4, num_successes=1, success_share=0.125, beta_is=1.0, alpha=1.0)
    set_by_id(replay, {"0": 0.1, "1": 1.0, "2": 2.0, "3": 4.0})
    # P = 1/8 for the success (its quota), then 7/8 * (1, 2, 4) / 7; weights go as 1 / P, largest 1.
    expected = {"0": 1.0, "1": 1.0, "2": 1 / 2, "3": 1 / 4}
    for _ in range(20):
        batch = replay.sample(16, 0)
        assert batch.importance_weights.tolist() == pytest.approx([expected[name] for name in batch.ids])


def test_importance_weights_are_one_when_beta_is_zero() -> None:
    replay = filled(4)
    set_by_id(replay, {"0": 5.0})
    assert replay.sample(8, 0).importance_weights.tolist() == [1.0] * 8


@settings(max_examples=60, deadline=None)
@given(data=st.data(), capacity=st.integers(1, 40))
def test_the_tree_finds_what_a_cumulative_sum_finds(data: st.DataObject, capacity: int) -> None:
    masses = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=capacity, max_size=capacity)))
    pool = data.draw(st.integers(0, 1))
    tree, slots = SumTree(capacity), np.arange(capacity)
    tree.set(np.full(capacity, pool), slots, np.ones(capacity))
    tree.set(np.full(capacity, pool), slots, masses)
    assert tree.pool_mass(pool) == masses.sum()
    assert tree.pool_mass(1 - pool) == 0.0
    if masses.sum() > 0:
        points = np.linspace(0, masses.sum(), 30, endpoint=False)
        expected = np.searchsorted(np.cumsum(masses), points, side="right")
        assert tree.find(np.full(30, pool), points).tolist() == expected.tolist()


def test_a_point_at_the_very_end_never_falls_on_an_empty_slot() -> None:
    tree = SumTree(8)
    tree.set(np.zeros(3, np.int64), np.array([0, 1, 2]), np.array([0.1, 0.2, 0.3]))
    end = tree.pool_mass(0)
    assert tree.find(np.zeros(2, np.int64), np.array([end, np.nextafter(end, 9)])).tolist() == [2, 2]


# Priorities.


def test_a_new_trajectory_enters_with_the_largest_priority_present() -> None:
    replay = filled(3, capacity=10, alpha=1.0)
    set_by_id(replay, {"0": 0.5, "1": 7.0, "2": 2.0})
    replay.admit(record("new"), 0)
    assert draws(replay, 33, 33)["new"] == pytest.approx(33 * 33 * 7 / 16.5, rel=0.01)
    # The largest falls: what enters next follows it down.
    set_by_id(replay, {"1": 0.5, "new": 0.5})
    replay.admit(record("newer"), 0)
    assert draws(replay, 11, 11)["newer"] == pytest.approx(11 * 11 * 2 / 5.5, rel=0.02)


def test_the_largest_priority_is_the_last_one_when_a_slot_is_named_twice() -> None:
    replay = filled(1, capacity=2, alpha=1.0)
    slot = replay.sample(1, 0).slots[0]
    replay.set_priorities(np.array([slot, slot]), np.array([9.0, 1.0]))
    replay.admit(record("new"), 0)
    assert Counter(replay.sample(10, 0).ids) == {"0": 5, "new": 5}


def test_a_handle_of_an_overwritten_trajectory_changes_nothing() -> None:
    replay = filled(2, alpha=1.0)
    batch = replay.sample(2, 0)
    replay.admit(record("successor"), 0)
    ignored = replay.set_priorities(batch.slots, np.full(2, 100.0))
    assert ignored == 1
    assert "0" not in replay
    assert draws(replay, 1, 101) == {"1": 100, "successor": 1}


def test_a_handle_of_an_evicted_trajectory_changes_nothing_while_its_slot_is_free() -> None:
    replay = filled(2)
    batch = replay.sample(2, 0)
    assert replay.discard("0")
    assert not replay.discard("0")
    assert replay.set_priorities(batch.slots, np.full(2, 100.0)) == 1
    assert replay.sample(4, 0).ids == ("1",) * 4


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 1e200])
def test_a_priority_that_is_not_finite_and_positive_is_refused_and_nothing_changes(bad: float) -> None:
    replay = filled(2, alpha=1.0)
    batch = replay.sample(2, 0)
    with pytest.raises(ValueError, match="priorities must be"):
        replay.set_priorities(batch.slots, np.array([50.0, bad]))
    assert set(draws(replay, 1, 10).values()) == {5}


def test_slots_and_priorities_of_different_lengths_are_refused() -> None:
    replay = filled(2)
    with pytest.raises(ValueError, match="one per slot"):
        replay.set_priorities(replay.sample(2, 0).slots, np.ones(3))


def test_the_stalest_outside_the_batch_are_named_until_they_are_refreshed() -> None:
    replay = filled(6, refresh_share=0.25)
    batch = replay.sample(2, 0)
    others = [str(i) for i in range(6) if str(i) not in batch.ids]
    replay.set_priorities(batch.slots, np.ones(2))
    assert replay.stalest(batch).ids == ()  # Half a trajectory is due.
    second = replay.stalest(batch)
    assert second.ids == (others[0],)
    replay.set_priorities(second.slots, np.ones(1))
    replay.stalest(batch)
    assert replay.stalest(batch).ids == (others[1],)
    assert replay.stats()["replay/steps_trained"] == 6


def test_what_the_batch_holds_is_not_named_stale() -> None:
    replay = filled(2, refresh_share=1.0)
    assert replay.stalest(replay.sample(2, 0)).ids == ()


# Admission, caps, pacing.


def test_every_refusal_has_its_name_and_is_counted() -> None:
    replay = Replay(ReplaySettings(capacity=4, max_age_versions=3))
    verdicts = [
        replay.admit(record("a", policy_version=7), 10),
        replay.admit(record("b", policy_version=6), 10),
        replay.admit(record("a", policy_version=7), 10),
        replay.admit(record("c", num_steps=0, policy_version=10), 10),
        replay.admit(record("d", ending=Ending.ABORTED, policy_version=10), 10),
    ]
    assert verdicts == ["admitted", "too_old", "duplicate", "empty", "aborted"]
    assert {name: replay.stats()[f"replay/verdict/{name}"] for name in verdicts} == dict.fromkeys(verdicts, 1.0)
    assert len(replay) == 1


def test_a_resend_of_an_evicted_trajectory_is_still_a_duplicate() -> None:
    replay = filled(3, capacity=2)
    assert "0" not in replay
    assert replay.admit(record("0"), 0) == "duplicate"


def test_a_full_buffer_overwrites_the_oldest() -> None:
    replay = filled(5, capacity=3)
    assert [str(i) in replay for i in range(5)] == [False, False, True, True, True]
    assert replay.stats()["replay/evicted/overwritten"] == 2
    assert set(draws(replay, 1, 9)) == {"2", "3", "4"}


def test_a_slot_that_changes_pool_leaves_nothing_behind() -> None:
    replay = filled(1, num_successes=1, success_share=1.0)
    replay.sample(1, 0)
    replay.admit(record("failure"), 0)
    assert replay.sample(3, 0).ids == ("failure",) * 3
    replay.admit(record("success", success=True), 0)
    assert replay.sample(3, 0).ids == ("success",) * 3


def test_no_trajectory_takes_part_in_more_batches_than_the_reuse_cap() -> None:
    replay = filled(6, max_uses=2)
    set_by_id(replay, {"0": 100.0})
    uses: Counter[str] = Counter()
    while replay.may_sample(0):
        uses.update(set(replay.sample(4, 0).ids))
    assert uses == {str(i): 2 for i in range(6)}
    assert replay.stats()["replay/evicted/used_up"] == 6


def test_a_used_up_trajectory_outlives_the_batch_it_is_in() -> None:
    replay = filled(1, max_uses=1)
    batch = replay.sample(1, 0)
    assert "0" in replay
    assert replay.set_priorities(batch.slots, np.ones(1)) == 0
    assert not replay.may_sample(0)


def test_trajectories_beyond_the_age_cap_are_never_drawn() -> None:
    replay = Replay(ReplaySettings(capacity=8, max_age_versions=2))
    for version in (2, 0, 1):
        replay.admit(record(version, policy_version=version), 2)
    batch = replay.sample(6, 3)
    assert set(batch.ids) == {"1", "2"}
    assert batch.ages.tolist() == [3 - int(name) for name in batch.ids]
    assert replay.may_sample(4)
    assert not replay.may_sample(5)
    assert replay.stats()["replay/evicted/expired"] == 3


def test_sampling_waits_for_the_minimum_fill() -> None:
    replay = Replay(ReplaySettings(capacity=4, min_trajectories=2))
    assert not replay.may_sample(0)
    replay.admit(record("a"), 0)
    assert not replay.may_sample(0)
    replay.admit(record("b"), 0)
    assert replay.may_sample(0)


def test_trained_steps_stay_within_the_replay_ratio_up_to_one_batch() -> None:
    replay = Replay(ReplaySettings(capacity=100, replay_ratio=2.5))
    trained = admitted = 0
    for index in range(40):
        num_steps = 1 + index % 7
        replay.admit(record(index, num_steps=num_steps), 0)
        admitted += num_steps
        while replay.may_sample(0):
            assert trained <= 2.5 * admitted
            trained += sum(1 + int(name) % 7 for name in replay.sample(4, 0).ids)
        assert trained > 2.5 * admitted
    assert replay.stats()["replay/steps_trained"] == trained
    assert replay.stats()["replay/steps_admitted"] == admitted
    assert replay.stats()["replay/replay_ratio"] == pytest.approx(trained / admitted)


def test_training_owed_counts_average_trajectories_and_comes_to_zero_by_training() -> None:
    replay = Replay(ReplaySettings(capacity=100, replay_ratio=2.0, min_trajectories=4))
    for index in range(3):
        replay.admit(record(index, num_steps=4), 0)
    assert replay.num_owed == 0.0  # The learner waits for the minimum fill.
    replay.admit(record(3, num_steps=8), 0)
    assert replay.num_owed == pytest.approx(2 * 20 / 5)
    while replay.may_sample(0):
        replay.sample(2, 0)
    assert replay.num_owed == 0.0


def test_a_proposal_counts_only_what_its_caller_trains_on() -> None:
    proposing, sampling = filled(8, max_uses=1), filled(8, max_uses=1)
    proposal = proposing.propose(4, 0)
    assert proposal.ids == sampling.sample(4, 0).ids  # The same draw.
    assert proposing.stats()["replay/steps_trained"] == 0
    kept = proposal.take([2, 0])
    assert kept.ids == (proposal.ids[2], proposal.ids[0])
    proposing.count_trained(kept.slots)
    assert proposing.stats()["replay/steps_trained"] == 6
    assert proposing.may_sample(0)
    assert [name in proposing for name in proposal.ids] == [False, True, False, True]


def test_training_on_what_was_evicted_meanwhile_is_not_counted() -> None:
    replay = filled(2)
    proposal = replay.propose(2, 0)
    replay.discard("1")
    replay.count_trained(proposal.slots)
    assert replay.stats()["replay/steps_trained"] == 3


def test_sampling_from_nothing_and_batches_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="may_sample"):
        Replay(ReplaySettings()).sample(1, 0)
    with pytest.raises(ValueError, match="batch_size"):
        filled(1).sample(0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        {"capacity": 0},
        {"alpha": -0.1},
        {"alpha": math.nan},
        {"beta_is": 1.5},
        {"replay_ratio": 0.0},
        {"min_trajectories": 11, "capacity": 10},
        {"max_uses": 0},
        {"max_age_versions": -1},
        {"success_share": 1.1},
        {"refresh_share": -0.5},
    ],
)
def test_impossible_settings_are_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"replay.{next(iter(bad))}"):
        ReplaySettings(**bad)


def test_stats_describe_what_is_present() -> None:
    replay = filled(4, num_successes=1, capacity=8)
    set_by_id(replay, {"0": 1.0, "1": 2.0, "2": 3.0, "3": 6.0})
    replay.sample(2, 5)
    stats = replay.stats()
    assert stats["replay/size"] == 4
    assert stats["replay/fill"] == 0.5
    assert stats["replay/successes"] == 1
    assert stats["replay/age_max"] == 5
    assert stats["replay/priority_mean"] == 3.0
    assert stats["replay/uses_mean"] == 0.5
    assert Replay(ReplaySettings()).stats()["replay/size"] == 0


# Resume.

RESUME = ReplaySettings(
    capacity=24, success_share=0.25, refresh_share=0.1, beta_is=0.4, max_uses=6, max_age_versions=30, seed=11
)


def test_a_resumed_replay_balances_as_before() -> None:
    replay = balanced(success_share=0.9)
    replay.sample(4, 0)
    second = Replay(replay.settings)
    second.load_state_dict(json.loads(json.dumps(replay.state_dict())))
    for _ in range(20):
        assert second.sample(5, 0).ids == replay.sample(5, 0).ids


def play(replay: Replay, first: int, last: int) -> list[tuple[Any, ...]]:
    """A small training run whose every decision is returned; its priorities follow from the ids alone."""
    log: list[tuple[Any, ...]] = []
    for version in range(first, last):
        for index in range(3):
            new = record(f"{version}.{index}", success=(version + index) % 5 == 0, policy_version=version - index)
            log.append((replay.admit(new, version),))
        if version % 9 == 4:
            replay.discard(f"{version - 1}.1")
        if not replay.may_sample(version):
            continue
        batch = replay.sample(6, version)
        stale = replay.stalest(batch)
        for part in (batch, stale):
            replay.set_priorities(part.slots, np.array([0.1 + len(name) * (hash_of(name) % 17) for name in part.ids]))
            log.append((part.ids, part.slots.tolist(), part.importance_weights.tolist()))
    return log


def hash_of(name: str) -> int:
    return sum(ord(letter) * 31**place for place, letter in enumerate(name))


@pytest.mark.parametrize("stop", [0, 1, 7, 20, 33])
def test_a_resumed_replay_goes_on_exactly_as_an_uninterrupted_one(stop: int) -> None:
    whole, before, after = Replay(RESUME), Replay(RESUME), Replay(RESUME)
    expected = play(whole, 0, 40)
    log = play(before, 0, stop)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    log += play(after, stop, 40)
    assert log == expected
    assert after.state_dict() == whole.state_dict()
    assert after.stats() == whole.stats()


def test_freed_slots_are_taken_in_the_same_order_after_a_resume() -> None:
    before, after = filled(4), Replay(ReplaySettings(capacity=4))
    for name in ("2", "0"):
        before.discard(name)
    after.load_state_dict(before.state_dict())
    for replay in (before, after):
        replay.admit(record("new"), 0)
    assert after.state_dict() == before.state_dict()


def test_a_batch_drawn_before_the_checkpoint_can_still_be_prioritised_after_it() -> None:
    before, after = filled(3), Replay(ReplaySettings(capacity=3))
    batch = before.sample(3, 0)
    after.load_state_dict(before.state_dict())
    assert after.set_priorities(batch.slots, np.ones(3)) == 0


def test_loading_replaces_what_was_there() -> None:
    replay = filled(3)
    replay.load_state_dict(Replay(ReplaySettings(capacity=3)).state_dict())
    assert len(replay) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("rng"),
        lambda state: state["columns"].pop("priority"),
        lambda state: state["slots"].append(99),
        lambda state: state["ids"].pop(),
        lambda state: state.update(format=0),
        lambda state: state.update(capacity=7),
    ],
)
def test_a_damaged_or_foreign_state_is_refused_and_leaves_the_replay_empty(damage: Any) -> None:
    state = json.loads(json.dumps(filled(3).state_dict()))
    damage(state)
    replay = filled(3)
    with pytest.raises(CheckpointError):
        replay.load_state_dict(state)
    assert len(replay) == 0
    assert replay.admit(record("again"), 0) == "admitted"


def test_a_proposal_counts_nothing_until_it_is_named_as_trained_on() -> None:
    settings = ReplaySettings(capacity=8, replay_ratio=1.0, max_uses=2, seed=3)
    proposing, sampling = Replay(settings), Replay(settings)
    for replay in (proposing, sampling):
        for number in range(4):
            record = ReplayRecord(f"t{number}", num_steps=5, success=False, policy_version=0, ending=Ending.TERMINATED)
            replay.admit(record, 0)
    proposed, sampled = proposing.propose(4, 0), sampling.sample(4, 0)
    assert proposed.ids == sampled.ids  # The same draw.
    assert proposing.stats()["replay/steps_trained"] == 0
    assert sampling.stats()["replay/steps_trained"] == 20
    kept = proposed.take([2, 0])
    assert kept.ids == (proposed.ids[2], proposed.ids[0])
    for _ in range(2):
        proposing.count_trained(kept.slots)
    assert proposing.stats()["replay/steps_trained"] == 2 * 10
    proposing.may_sample(0)  # Evicts what has reached `max_uses`.
    assert {f"t{n}" for n in range(4) if f"t{n}" not in proposing} == set(kept.ids)
    proposing.count_trained(kept.slots)  # Its slots have died: nothing is counted for their successors.
    assert proposing.stats()["replay/steps_trained"] == 2 * 10


def test_taking_nothing_gives_an_empty_batch() -> None:
    replay = Replay(ReplaySettings(capacity=2))
    replay.admit(ReplayRecord("a", num_steps=1, success=True, policy_version=0, ending=Ending.TERMINATED), 0)
    empty = replay.propose(1, 0).take([])
    replay.count_trained(empty.slots)
    assert (empty.ids, len(empty.slots), replay.stats()["replay/steps_trained"]) == ((), 0, 0)
