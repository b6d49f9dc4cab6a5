"""The training loop: trajectories in, versions out.

    inbox -> replay -> learner -> weights          consumes finished episodes; waits only for data; workers unblock it

The loop owns no device, socket or process. It runs in the caller's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from distrl.batch import TrainingCache, TrainingTrajectory, acted_by, prepare
from distrl.config import RunConfig
from distrl.errors import NonFiniteUpdateError
from distrl.inbox import Inbox
from distrl.learner import Learner, Update
from distrl.metrics import Metrics
from distrl.pacing import Pacer, RoundGate
from distrl.policy.base import Policy
from distrl.replay import Replay, ReplayBatch
from distrl.replay_records import ReplayRecord
from distrl.tasks import TaskStream
from distrl.types import Trajectory

INBOX_WAIT_S = 0.2
"""How long the loop waits for data before it looks whether it should stop."""
MAX_NON_FINITE_IN_A_ROW = 3
"""Non-finite updates in a row that end the run: one is a bad trajectory, three are a broken model."""


class Publisher(Protocol):
    """Where versions go."""

    def publish(self, state: Mapping[str, Tensor], *, version: int) -> object:
        """Makes a version available to the workers."""


class Hooks(Protocol):
    """What surrounds the loop: supervision, checkpoints, evaluations, display."""

    def should_stop(self) -> bool:
        """Whether to end in good order; raises `PartStoppedError` when a part has died."""

    def after_update(self, update: Update) -> None:
        """Called after each version was published."""


@dataclass
class Progress:
    """Counters that survive a resume."""

    trained_s: float = 0.0
    """Seconds of training, over all attempts."""
    num_episodes: int = 0
    num_steps: int = 0
    num_successes: int = 0
    last_admitted: str = ""
    """Id of the newest trajectory that was offered to replay: where a resumed run goes on reading the store."""
    by_template: dict[str, list[int]] = field(default_factory=dict)
    """Template -> [successes, episodes] while training, exploration and penalties included."""


class MismatchWatch:
    """Compares acting and learning log-probabilities at equal weights: at the start, and now and then.

    It keeps one published version until an episode arrives that this version has acted in, loads it into a policy of
    its own, and recomputes those steps. Equal weights make any difference a bug: other tokens, temperature, image.
    """

    def __init__(self, learner: Learner, make_policy: Callable[[], Policy], every: int) -> None:
        self._learner = learner
        self._make_policy = make_policy
        self._policy: Policy | None = None
        self._every = every
        self._watched: tuple[int, dict[str, Tensor]] | None = None
        self.worst = 0.0

    def published(self, version: int, *, first: bool) -> None:
        """Remembers this version's weights when a comparison is due."""
        if first or (self._every and version % self._every == 0):
            self._watched = version, {name: tensor.clone() for name, tensor in self._learner.policy_state().items()}

    def look(self, trajectory: TrainingTrajectory) -> None:
        """Compares the steps that the watched version acted in, if any; raises `LogProbMismatchError`."""
        if self._watched is None or not bool((trajectory.version_T == self._watched[0]).any()):
            return
        version, state = self._watched
        self._policy = self._policy or self._make_policy()
        self._policy.load_state(state, version=version)
        self.worst = max(self.worst, self._learner.refuse_mismatch([acted_by(trajectory, version)], self._policy))
        self._watched = None


class TrainingLoop:
    """Drives a learner from an inbox until its updates or its time are used up, or it is asked to stop."""

    def __init__(
        self,
        config: RunConfig,
        *,
        learner: Learner,
        replay: Replay,
        cache: TrainingCache,
        inbox: Inbox,
        weights: Publisher,
        tasks: TaskStream,
        gate: Pacer | RoundGate,
        metrics: Metrics,
        watch: MismatchWatch,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.learner = learner
        self.replay = replay
        self.progress = progress or Progress()
        self._cache = cache
        self._inbox = inbox
        self._weights = weights
        self._tasks = tasks
        self._gate = gate
        self._metrics = metrics
        self._watch = watch
        self._clock = clock
        self._num_non_finite = 0
        self._last_publish = -1

    def run(self, hooks: Hooks) -> None:
        """Trains until `learner.num_updates` or `learner.max_minutes`, publishing as it goes."""
        started = self._clock() - self.progress.trained_s
        self._publish(first=True)
        while not self._is_finished() and not hooks.should_stop():
            wait_s = 0.0 if self._may_update() else INBOX_WAIT_S
            with self._metrics.timer("learner/wait_s"):
                arrived = self._inbox.drain(timeout_s=wait_s)
            for trajectory in arrived:
                self.admit(trajectory)
            self.progress.trained_s = self._clock() - started
            if self._may_update():
                with self._metrics.timer("learner/update_s"):
                    update = self._update()
                if update is not None:
                    self._publish()
                    hooks.after_update(update)
            elif isinstance(self._gate, RoundGate) and self._gate.round_is_complete():
                self._gate.open_next()
            self._tell_pacer()

    def admit(self, trajectory: Trajectory) -> None:
        """Takes in one finished episode; what replay refuses is counted by name, never silently dropped."""
        verdict = self.replay.admit(ReplayRecord.of(trajectory), self.learner.version)
        self._metrics.count(f"replay/{verdict}")
        self.progress.last_admitted = trajectory.id
        if isinstance(self._gate, RoundGate):
            self._gate.admitted()
        if verdict in ("aborted", "duplicate"):
            return
        self.progress.num_episodes += 1
        self.progress.num_steps += len(trajectory.steps)
        self.progress.num_successes += trajectory.success
        successes, episodes = self.progress.by_template.get(trajectory.task.template, (0, 0))
        self.progress.by_template[trajectory.task.template] = [successes + trajectory.success, episodes + 1]
        if trajectory.id in self.replay:
            prepared = prepare(trajectory, self.learner.policy, self.config.policy.history_length)
            self._cache.put(prepared)
            self._watch.look(prepared)

    def _is_finished(self) -> bool:
        limit = self.config.learner.max_minutes
        late = limit is not None and self.progress.trained_s >= limit * 60
        return late or self.learner.version >= self.config.learner.num_updates

    def _may_update(self) -> bool:
        if isinstance(self._gate, RoundGate) and not self._gate.round_is_complete():
            return False
        return self.replay.may_sample(self.learner.version)

    def _update(self) -> Update | None:
        """One update on a sampled batch; None when it was skipped for a non-finite loss."""
        batch, trajectories = self._sample()
        if not trajectories:
            return None
        self.learner.time_fraction = self._time_fraction()
        try:
            update = self.learner.update(trajectories, batch.importance_weights)
        except NonFiniteUpdateError as error:
            self._num_non_finite += 1
            self._metrics.count("learner/non_finite_updates")
            if self._num_non_finite >= MAX_NON_FINITE_IN_A_ROW:
                raise
            for trajectory_id in error.trajectory_ids or batch.ids:
                self.replay.discard(trajectory_id)
            return None
        self._num_non_finite = 0
        self.replay.set_priorities(batch.slots, update.priorities)
        for template, surprise in update.surprises:
            self._tasks.report(template, surprise)
        return update

    def _tell_pacer(self) -> None:
        if isinstance(self._gate, Pacer):
            self._gate.set_owed(self.replay.num_owed, num_delivered=self._inbox.depth)

    def _sample(self) -> tuple[ReplayBatch, list[TrainingTrajectory]]:
        """A batch as the algorithm wants it: prioritised, or the baselines' best share of a uniform draw.

        Only what is trained on counts towards `replay_ratio` and `max_uses`. Empty when all content drawn is gone.
        """
        algorithm, size = self.config.algorithm, self.config.learner.batch_size
        if algorithm.name == "a_ride":
            batch, trajectories = self._with_content(self.replay.propose(size, self.learner.version))
            if self.replay.settings.refresh_share:
                self._refresh(self.replay.stalest(batch))
        else:
            num_candidates = min(round(size / algorithm.filter_share), max(len(self.replay), size))
            drawn, candidates = self._with_content(self.replay.propose(num_candidates, self.learner.version))
            chosen = self.learner.choose(candidates) if candidates else []
            batch, trajectories = drawn.take(chosen), [candidates[i] for i in chosen]
        self.replay.count_trained(batch.slots)
        return batch, trajectories

    def _with_content(self, batch: ReplayBatch) -> tuple[ReplayBatch, list[TrainingTrajectory]]:
        """A batch without the trajectories whose screenshots have left the disk; those leave replay, counted."""
        found = {i: self._cache.get(i) for i in dict.fromkeys(batch.ids)}
        for trajectory_id, content in found.items():
            if content is None:
                self.replay.discard(trajectory_id)
                self._metrics.count("replay/content_gone")
        kept = batch.take([position for position, i in enumerate(batch.ids) if found[i] is not None])
        return kept, [content for i in kept.ids if (content := found[i]) is not None]

    def _refresh(self, stale: ReplayBatch) -> None:
        """Looks again at trajectories whose priorities are oldest; they are not trained on."""
        stale, trajectories = self._with_content(stale)
        if trajectories:
            self.replay.set_priorities(stale.slots, self.learner.priorities(trajectories))

    def _time_fraction(self) -> float:
        limit = self.config.learner.max_minutes
        return 0.0 if limit is None else min(self.progress.trained_s / (limit * 60), 1.0)

    def _publish(self, *, first: bool = False) -> None:
        version = self.learner.version
        if version == self._last_publish or (version % self.config.learner.publish_every and not first):
            return
        self._last_publish = version
        with self._metrics.timer("weights/publish_s"):
            self._weights.publish(self.learner.policy_state(), version=version)
        self._watch.published(version, first=first)
