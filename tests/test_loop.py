"""The training loop: admission, pacing, rounds, skipped updates, the mismatch watch, and an exact resume."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import trajectories as canned
from training import HISTORY, config, make_learner, play, prepared, tiny_policy, weights_of

from distrl.batch import TrainingCache, prepare
from distrl.build import build_replay
from distrl.checkpoint import Checkpoints
from distrl.errors import LogProbMismatchError, NonFiniteUpdateError
from distrl.inbox import Inbox
from distrl.loop import MismatchWatch, Progress, TrainingLoop
from distrl.metrics import Metrics
from distrl.pacing import Pacer, RoundGate
from distrl.run_state import RunParts, restore_run, save_run
from distrl.tasks import TaskStream
from distrl.types import Ending
from distrl.weights import MemoryWeights


class Suite:
    name = "fake"

    def splits(self):
        return {"train": ("fake.tap",)}

    def make_task(self, template_name, *, split, seed):
        return canned.task(template=template_name, seed=seed)


class Rig:
    """A training loop fed by hand: trajectories are put into the inbox, updates are recorded."""

    def __init__(self, run, *, gate=None, episodes=(), stop_at=None, seed=0, check_every=0):
        self.run_config = run
        self.known = {episode.id: episode for episode in episodes}
        self.gate = gate or Pacer(batch_size=run.learner.batch_size, max_policy_age=run.learner.max_policy_age)
        self.metrics, self.inbox, self.weights = Metrics(), Inbox(1000), MemoryWeights()
        self.learner, self.replay = make_learner(run, seed=seed), build_replay(run)
        self.tasks = TaskStream(Suite(), ("fake.tap",), seed=1)
        self.watch = MismatchWatch(self.learner, tiny_policy, check_every)
        self.stop_at, self.updates, self.events = stop_at, [], []
        self.on_idle = lambda: None
        self.loop = self.make_loop(Progress())

    def make_loop(self, progress):
        learner = self.learner

        def load(name):
            return prepare(self.known[name], learner.policy, HISTORY) if name in self.known else None

        return TrainingLoop(
            self.run_config,
            learner=learner,
            replay=self.replay,
            cache=TrainingCache(2**26, load),
            inbox=self.inbox,
            weights=self.weights,
            tasks=self.tasks,
            gate=self.gate,
            metrics=self.metrics,
            watch=self.watch,
            progress=progress,
            clock=lambda: 0.0,
        )

    def put(self, *episodes):
        for episode in episodes:
            self.known[episode.id] = episode
            asyncio.run(self.inbox.put(episode))

    def run(self):
        self.loop.run(self)
        return self

    def should_stop(self):
        self.on_idle()
        return self.stop_at is not None and len(self.updates) >= self.stop_at

    def after_update(self, update):
        self.updates.append(update)
        self.events.append("update")


@pytest.fixture(scope="module")
def episodes():
    return play(tiny_policy(), 12, max_steps=3)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("distrl.loop.INBOX_WAIT_S", 0.0)


def test_versions_are_published_from_the_first_on_in_order(episodes):
    rig = Rig(config(learner={"num_updates": 3, "publish_every": 2}))
    published = []
    publish = rig.weights.publish
    rig.weights.publish = lambda state, *, version: (published.append(version), publish(state, version=version))
    rig.put(*episodes)
    rig.run()
    assert published == [0, 2]
    assert rig.learner.version == 3


def test_the_loop_waits_for_data_and_never_trains_more_than_the_replay_ratio(episodes):
    rig = Rig(config(learner={"batch_size": 2}, replay={"replay_ratio": 1.0, "min_trajectories": 4}))
    left = list(episodes)

    def feed():
        if rig.updates:
            trained, admitted = rig.replay._steps_trained, rig.replay._steps_admitted
            assert trained <= admitted + 2 * 3  # Overshot by one batch at most.
        if left:
            rig.put(left.pop())
        else:
            rig.stop_at = len(rig.updates)

    rig.on_idle = feed
    rig.run()
    assert len(rig.updates) >= 4
    assert rig.loop.progress.num_episodes == 12


def test_every_episode_is_accounted_for_by_name(episodes):
    rig = Rig(config())
    aborted = canned.trajectory("aborted", steps=(), ending=Ending.ABORTED, success=False, fault="lost")
    for episode in (episodes[0], aborted, episodes[0]):
        rig.loop.admit(episode)
    counters = rig.metrics.counters()
    assert {name: counters[f"replay/{name}"] for name in ("admitted", "aborted", "duplicate")} == {
        "admitted": 1,
        "aborted": 1,
        "duplicate": 1,
    }
    progress = rig.loop.progress
    assert (progress.num_episodes, progress.num_steps) == (1, len(episodes[0].steps))
    assert progress.by_template == {"fake.tap": [int(episodes[0].success), 1]}
    assert progress.last_admitted == episodes[0].id


def test_the_pacer_learns_what_is_owed_also_while_nothing_is_trained(episodes):
    pacer = Pacer(batch_size=4, max_policy_age=64)
    rig = Rig(config(replay={"min_trajectories": 3}), gate=pacer)
    for _ in range(5):
        pacer.delivered()  # More than the learner will ever see: aborted ones, say.
    told = []
    set_owed = pacer.set_owed
    pacer.set_owed = lambda owed, *, num_delivered: (
        told.append((owed, num_delivered)),
        set_owed(owed, num_delivered=num_delivered),
    )
    rig.put(*episodes[:2])
    rounds = iter(range(3))
    rig.on_idle = lambda: None if next(rounds, None) is not None else setattr(rig, "stop_at", 0)
    rig.run()
    assert told[-1] == (0.0, 0)
    assert rig.updates == []


def test_in_sync_mode_updates_come_only_after_a_complete_round_and_before_the_next(episodes):
    gate = RoundGate(3)
    rig = Rig(config(learner={"batch_size": 4}, replay={"replay_ratio": 1.0}), gate=gate)
    left, opened = list(episodes), []
    open_next = gate.open_next
    gate.open_next = lambda: (rig.events.append("open"), opened.append(len(rig.updates)), open_next())

    def feed():
        if len(opened) == 2:
            rig.stop_at = 0
        elif left and not gate.round_is_complete():
            rig.events.append("episode")
            rig.put(left.pop())

    rig.on_idle = feed
    rig.run()
    text = "".join({"episode": "e", "update": "u", "open": "o"}[event] for event in rig.events)
    rounds = text.split("o")[:2]
    assert all(round_.startswith("eee") and set(round_[3:]) == {"u"} for round_ in rounds)


def test_a_non_finite_update_is_skipped_and_its_trajectories_leave_replay(episodes, monkeypatch):
    rig = Rig(config(learner={"num_updates": 1, "batch_size": 2}))
    rig.put(*episodes)
    update, fails = rig.learner.update, iter([True, True])

    def sometimes(trajectories, weights):
        if next(fails, False):
            raise NonFiniteUpdateError("planted")
        return update(trajectories, weights)

    monkeypatch.setattr(rig.learner, "update", sometimes)
    rig.run()
    assert rig.metrics.counters()["learner/non_finite_updates"] == 2
    assert rig.replay.stats()["replay/evicted/discarded"] >= 2
    assert rig.learner.version == len(rig.updates) == 1


def test_only_the_trajectory_that_is_to_blame_leaves_replay(episodes, monkeypatch):
    rig = Rig(config(learner={"num_updates": 1, "batch_size": 4}))
    rig.put(*episodes)
    update, blamed = rig.learner.update, []

    def once(trajectories, weights):
        if not blamed:
            blamed.append(trajectories[1].id)
            raise NonFiniteUpdateError("planted", (trajectories[1].id,))
        return update(trajectories, weights)

    monkeypatch.setattr(rig.learner, "update", once)
    rig.run()
    assert rig.replay.stats()["replay/evicted/discarded"] == 1
    assert blamed[0] not in rig.replay


def test_three_non_finite_updates_in_a_row_end_the_run(episodes, monkeypatch):
    rig = Rig(config(learner={"batch_size": 1}, replay={"replay_ratio": 50.0}))
    rig.put(*episodes)

    def fails(trajectories, weights):
        raise NonFiniteUpdateError("planted")

    monkeypatch.setattr(rig.learner, "update", fails)
    with pytest.raises(NonFiniteUpdateError, match="planted"):
        rig.run()
    assert rig.metrics.counters()["learner/non_finite_updates"] == 3
    assert rig.updates == []


def test_trajectories_whose_screenshots_left_the_disk_leave_replay_and_are_counted(episodes):
    rig = Rig(config(learner={"num_updates": 2, "batch_size": 8}, replay={"replay_ratio": 50.0}))
    for episode in episodes[:6]:
        rig.loop.admit(episode)
    rig.loop._cache._entries.clear()
    for episode in episodes[1:6]:
        rig.known.pop(episode.id, None)
    rig.known[episodes[0].id] = episodes[0]
    rig.replay.settings = replace(rig.replay.settings, min_trajectories=1)
    rig.run()
    assert rig.metrics.counters()["replay/content_gone"] == 5
    assert len(rig.replay) == 1


@pytest.mark.parametrize("name", ["filtered_bc", "digirl"])
def test_for_the_baselines_only_what_was_chosen_counts_as_trained_on(episodes, name):
    run = config(algorithm={"name": name, "filter_share": 0.25}, learner={"num_updates": 2, "batch_size": 3})
    rig = Rig(run)
    rig.put(*episodes)
    trained = []
    update = rig.learner.update
    rig.learner.update = lambda chosen, weights: (trained.extend(chosen), update(chosen, weights))[1]
    rig.run()
    assert len(trained) == 2 * 3
    assert rig.replay._steps_trained == sum(len(trajectory.steps) for trajectory in trained)
    state = rig.replay.state_dict()
    used = {i for i, uses in zip(state["ids"], state["columns"]["uses"], strict=True) if uses}
    assert used == {trajectory.id for trajectory in trained}


def test_the_watch_compares_the_steps_of_the_watched_version_and_only_those(episodes):
    learner = make_learner()
    watch = MismatchWatch(learner, tiny_policy, 5)
    (episode,) = prepared(learner.policy, [e for e in episodes if len(e.steps) == 3][:1])
    watch.published(0, first=True)
    other = tuple(log_probs - 1.0 for log_probs in episode.log_probs)
    watch.look(replace(episode, version_T=np.array([1, 1, 1]), log_probs=other))  # Not its own: not compared.
    assert watch.worst == 0.0
    mixed = replace(
        episode, version_T=np.array([0, 1, 0]), log_probs=(episode.log_probs[0], other[1], episode.log_probs[2])
    )
    watch.look(mixed)
    assert 0.0 < watch.worst <= 1e-4
    watch.look(replace(episode, log_probs=other))  # Compared once; the next is due at version 5.
    watch.published(4, first=False)
    watch.look(replace(episode, version_T=np.array([4, 4, 4]), log_probs=other))
    watch.published(5, first=False)
    with pytest.raises(LogProbMismatchError):
        watch.look(replace(episode, version_T=np.array([5, 5, 5]), log_probs=other))


def test_the_watch_keeps_the_weights_it_watches_while_the_learner_moves_on(episodes):
    learner = make_learner()
    watch = MismatchWatch(learner, tiny_policy, 0)
    watch.published(0, first=True)
    ready = prepared(learner.policy, episodes)
    learner.update(ready, np.ones(len(ready)))
    watch.look(ready[0])
    assert watch.worst <= 1e-4


def test_surprises_reach_the_curriculum_and_priorities_the_replay(episodes):
    rig = Rig(config(learner={"num_updates": 1}))
    rig.put(*episodes)
    rig.run()
    assert rig.tasks.state_dict()["surprise"]["fake.tap"] < 1.0
    assert set(np.unique(rig.replay._priority)) > {0.0, 1.0}


def test_the_time_limit_ends_the_run_and_the_learning_rate_knows_it(episodes):
    rig = Rig(config(learner={"max_minutes": 1.0}, replay={"replay_ratio": 50.0}))
    rig.put(*episodes)
    now = iter(np.arange(0.0, 1000.0, 10.0))
    rig.loop._clock = lambda: float(next(now))
    rig.run()
    assert rig.learner.time_fraction == 1.0
    assert rig.loop.progress.trained_s == 60.0
    assert len(rig.updates) == 6


def feed_by_version(rig, episodes):
    """Two episodes before each update: the same order for a run that was interrupted and one that was not."""

    def feed():
        seen = rig.loop.progress.num_episodes
        wanted = min(4 + 2 * rig.learner.version, len(episodes))
        rig.put(*episodes[seen + rig.inbox.depth : wanted])

    rig.on_idle = feed


def traced(rig):
    """What each update sampled, lost, and gave as priorities."""
    trace, sample = [], rig.loop._sample

    def spying():
        batch, trajectories = sample()
        trace.append(batch.ids)
        return batch, trajectories

    rig.loop._sample = spying
    return trace


@pytest.mark.parametrize("kind", ["retrace_pg", "decoupled_ppo"])
def test_a_resumed_run_samples_and_learns_exactly_what_the_uninterrupted_one_does(episodes, tmp_path, kind):
    run = config(
        algorithm={"policy_loss": kind, "proximal_every": 4},
        learner={"num_updates": 6, "batch_size": 3, "warmup_updates": 4},
        replay={"beta_is": 0.5, "refresh_share": 0.4, "replay_ratio": 2.0},
        tasks={"curriculum": "surprise"},
    )
    whole = Rig(run)
    feed_by_version(whole, episodes)
    expected = traced(whole)
    whole.run()

    first = Rig(run, stop_at=3)
    feed_by_version(first, episodes)
    seen = traced(first)
    first.run()
    checkpoints = Checkpoints(tmp_path)
    parts = RunParts(first.learner, first.replay, first.tasks, first.metrics)
    save_run(checkpoints, parts, progress=first.loop.progress, evaluations=(), attempt=0)

    second = Rig(run, seed=5, episodes=episodes)
    parts = RunParts(second.learner, second.replay, second.tasks, second.metrics)
    progress, _ = restore_run(checkpoints.load(), parts)
    second.loop = second.make_loop(progress)
    feed_by_version(second, episodes)
    seen_later = traced(second)
    second.run()

    assert seen + seen_later == expected
    updates = [*first.updates, *second.updates]
    assert [update.stats for update in updates] == [update.stats for update in whole.updates]
    for left, right in zip(updates, whole.updates, strict=True):
        assert np.array_equal(left.priorities, right.priorities)
    assert second.replay.state_dict() == whole.replay.state_dict()
    assert second.tasks.state_dict() == whole.tasks.state_dict()
    assert vars(second.loop.progress) == vars(whole.loop.progress)
    assert second.metrics.counters() == whole.metrics.counters()
    left, right = weights_of(second.learner), weights_of(whole.learner)
    assert all(bool((left[name] == right[name]).all()) for name in right)
