"""Distributed prioritised experience replay over whole trajectories: which to train on next, and how often.

It holds ids and a few numbers of each trajectory, never its content: the caller fetches that from the store by id. It
knows no model: priorities are given to it. One thread uses it (the learner's); it starts and waits for nothing.

    admit(record) -> verdict;  may_sample();  sample() -> ReplayBatch;  set_priorities(batch.slots, ...)

Terms:
    mass   p(tau)^alpha, what a draw is proportional to
    pool   the successes, or all the others
    age    the learner's version minus the oldest version that acted in the trajectory
    slot   a handle that dies with the trajectory: one kept too long does nothing, and never hits its successor
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from distrl.errors import CheckpointError
from distrl.replay_records import ReplayBatch, ReplayRecord, ReplaySettings
from distrl.sum_tree import SumTree, draw
from distrl.types import Ending

__all__ = ["AdmitVerdict", "EvictionReason", "Replay", "ReplayBatch", "ReplayRecord", "ReplaySettings"]

AdmitVerdict = Literal["admitted", "too_old", "duplicate", "empty", "aborted"]
EvictionReason = Literal["overwritten", "used_up", "expired", "discarded"]

FIRST_PRIORITY = 1.0
"""Priority of a trajectory that enters an empty buffer."""
MAX_PRIORITY = 1e100
"""Keeps sums of many masses finite."""
_STATE_VERSION = 2
_COLUMNS = ("priority", "pool", "template", "num_steps", "version", "uses", "order")


class Replay:
    """Chooses which recorded trajectories the learner trains on next, and says when it may.

    Draws follow mass exactly: a trajectory stands in a batch of N on average N mass / total mass times. Only where
    successes would fall short of `success_share` does their pool get that share; inside each pool, draws stay
    proportional, and importance weights account for both (see `distrl.sum_tree.draw`).

    Example:
        replay = Replay(ReplaySettings(capacity=1000, min_trajectories=32))
        verdict = replay.admit(ReplayRecord.of(trajectory), learner_version)
        if replay.may_sample(learner_version):
            batch = replay.sample(16, learner_version)
            replay.set_priorities(batch.slots, priorities)
    """

    def __init__(self, settings: ReplaySettings) -> None:
        self.settings = settings
        self._reset()

    def _reset(self) -> None:
        capacity = self.settings.capacity
        self._ids: list[str] = [""] * capacity
        self._priority = np.zeros(capacity, dtype=np.float64)  # 0 marks a free slot.
        self._pool = np.zeros(capacity, dtype=np.int64)
        self._template = np.zeros(capacity, dtype=np.int64)  # Its place among the names seen.
        self._templates: dict[str, int] = {}
        self._num_steps = np.zeros(capacity, dtype=np.int64)
        self._version = np.zeros(capacity, dtype=np.int64)
        self._uses = np.zeros(capacity, dtype=np.int64)
        self._order = np.full(capacity, -1, dtype=np.int64)  # Number of the admission that filled the slot.
        self._slot_of: OrderedDict[str, int] = OrderedDict()  # Oldest first.
        self._refreshed: OrderedDict[int, None] = OrderedDict()  # Slots, stalest priority first.
        self._past_ids: OrderedDict[str, None] = OrderedDict()
        self._freed: list[int] = []
        self._num_touched = 0
        self._tree = SumTree(capacity)
        self._dirty: list[int] = []
        self._max_priority: float | None = None  # None: to be looked up.
        self._rng = np.random.default_rng(self.settings.seed)
        self._learner_version = 0
        self._refresh_carry = 0.0
        self._verdicts: Counter[str] = Counter()
        self._evictions: Counter[str] = Counter()
        self._steps_admitted = 0
        self._steps_trained = 0

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, trajectory_id: object) -> bool:
        return trajectory_id in self._slot_of

    def admit(self, record: ReplayRecord, learner_version: int) -> AdmitVerdict:
        """Takes in a trajectory with the largest priority present, or says by name why not.

        `aborted` and `empty` ones teach nothing; a `duplicate` changes nothing, also when the first was evicted since
        (the last `capacity` evicted ids are remembered); `too_old` is beyond `max_age_versions`.
        """
        self._expire(learner_version)
        verdict = self._judge(record)
        self._verdicts[verdict] += 1
        if verdict != "admitted":
            return verdict
        if len(self._slot_of) == self.settings.capacity:
            self._evict(next(iter(self._slot_of)), "overwritten")
        priority = self._largest_priority()
        slot = self._free_slot()
        self._ids[slot] = record.id
        self._priority[slot] = priority
        self._pool[slot] = int(record.success)
        self._template[slot] = self._templates.setdefault(record.template, len(self._templates))
        self._num_steps[slot] = record.num_steps
        self._version[slot] = record.policy_version
        self._uses[slot] = 0
        self._order[slot] = self._verdicts["admitted"]
        self._slot_of[record.id] = slot
        self._refreshed[slot] = None
        self._dirty.append(slot)
        self._max_priority = priority
        self._steps_admitted += record.num_steps
        return verdict

    def _judge(self, record: ReplayRecord) -> AdmitVerdict:
        cap = self.settings.max_age_versions
        if record.ending is Ending.ABORTED:
            return "aborted"
        if record.num_steps == 0:
            return "empty"
        if record.id in self._slot_of or record.id in self._past_ids:
            return "duplicate"
        if cap is not None and self._learner_version - record.policy_version > cap:
            return "too_old"
        return "admitted"

    def may_sample(self, learner_version: int | None = None) -> bool:
        """Says whether enough is present, and the learner is not ahead of the data.

        Ahead is: trained steps > replay_ratio * admitted steps; it is overshot by one batch at most. Workers unblock
        both. Without `learner_version`, the last one named counts.
        """
        self._expire(self._learner_version if learner_version is None else learner_version)
        is_ahead = self._steps_trained > self.settings.replay_ratio * self._steps_admitted
        return len(self) >= self.settings.min_trajectories and not is_ahead

    def sample(self, batch_size: int, learner_version: int) -> ReplayBatch:
        """Draws a batch, and counts it as trained on.

        Raises:
            ValueError: nothing is present, or `batch_size` is not positive.
        """
        batch = self.propose(batch_size, learner_version)
        self.count_trained(batch.slots)
        return batch

    def propose(self, batch_size: int, learner_version: int) -> ReplayBatch:
        """Draws as `sample` does and counts nothing: for callers that train on some of it, and name those.

        Raises:
            ValueError: nothing is present, or `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}; set learner.batch_size")
        self._expire(learner_version)
        if not self._slot_of:
            raise ValueError("replay must hold a trajectory to be sampled, got none; ask may_sample(version) first")
        self._flush()
        slots, probabilities = draw(self._tree, batch_size, self.settings.success_share, self._rng)
        weights = (len(self) * probabilities) ** -self.settings.beta_is
        return self._batch(slots, weights / weights.max())

    def count_trained(self, slots: NDArray[np.int64]) -> None:
        """Counts a batch's slots, each as often as it stands there, towards `replay_ratio` and `max_uses`."""
        order, places = np.divmod(np.asarray(slots, dtype=np.int64), self.settings.capacity)
        places = places[self._order[places] == order]
        self._uses[np.unique(places)] += 1
        self._steps_trained += int(self._num_steps[places].sum())

    def set_priorities(self, slots: NDArray[np.int64], priorities: NDArray[np.float64]) -> int:
        """Sets the priorities of trajectories that are still there; gives how many were not, and were left alone.

        Raises:
            ValueError: shapes differ, or a priority is not in (0, 1e100]; nothing was changed.
        """
        slots, priorities = np.asarray(slots, dtype=np.int64), np.asarray(priorities, dtype=np.float64)
        if slots.ndim != 1 or slots.shape != priorities.shape:
            raise ValueError(
                f"slots and priorities must be two [N], got {slots.shape} and {priorities.shape}; give one per slot"
            )
        is_wrong = ~((priorities > 0) & (priorities <= MAX_PRIORITY))
        if is_wrong.any():
            raise ValueError(
                f"priorities must be in (0, {MAX_PRIORITY:g}], got {priorities[is_wrong][0]}; "
                "floor them above 0, and skip trajectories whose numbers are not finite"
            )
        order, places = np.divmod(slots, self.settings.capacity)
        is_present = (self._order[places] == order) & (order > 0)
        places, priorities = places[is_present], priorities[is_present]
        if places.size:
            self._write_priorities(places, priorities)
        return int(slots.size - places.size)

    def _write_priorities(self, places: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
        largest_before = float(self._priority[places].max())
        self._priority[places] = priorities
        largest = float(self._priority[places].max())  # Read back: a place named twice keeps its last priority.
        if self._max_priority is not None and largest >= self._max_priority:
            self._max_priority = largest
        elif largest_before == self._max_priority:
            self._max_priority = None
        touched = places.tolist()
        self._dirty.extend(touched)
        for place in touched:
            self._refreshed.move_to_end(place)

    def stalest(self, batch: ReplayBatch) -> ReplayBatch:
        """Names the trajectories outside `batch` whose priorities are oldest: `refresh_share` per one in the batch.

        Fractions add up over calls. It is not training: nothing is counted as used. Pass the slots back to
        `set_priorities`; until then they stay the stalest.
        """
        self._refresh_carry += self.settings.refresh_share * len(batch.ids)
        wanted = math.floor(self._refresh_carry + 1e-9)
        self._refresh_carry = max(0.0, self._refresh_carry - wanted)
        excluded = set((batch.slots % self.settings.capacity).tolist())
        others = (slot for slot in self._refreshed if slot not in excluded)
        slots = np.fromiter(itertools.islice(others, wanted), dtype=np.int64)
        return self._batch(slots, np.ones(len(slots)))

    def discard(self, trajectory_id: str) -> bool:
        """Drops a trajectory, e.g. one whose content the store no longer has; says whether it was there."""
        if trajectory_id not in self._slot_of:
            return False
        self._evict(trajectory_id, "discarded")
        return True

    @property
    def num_owed(self) -> float:
        """How much training is due, in trajectories of average length: what to hold new episodes back by.

        0 while the learner waits for data; training brings it to 0. Trajectories not drawn yet would be no measure:
        draws follow priorities, a large buffer holds many that never are, and waiting for those would never end.
        """
        if len(self) < self.settings.min_trajectories or not self._steps_admitted:
            return 0.0
        steps_owed = self.settings.replay_ratio * self._steps_admitted - self._steps_trained
        return max(0.0, steps_owed * self._verdicts["admitted"] / self._steps_admitted)

    def stats(self) -> dict[str, float]:
        """Gives the numbers to plot: fill, pools, verdicts, evictions, reuse, ages and the spread of priorities."""
        present = np.fromiter(self._slot_of.values(), dtype=np.int64)
        ages = self._learner_version - self._version[present]
        priorities = self._priority[present]
        numbers = {
            "size": len(present),
            "fill": len(present) / self.settings.capacity,
            "successes": int(self._pool[present].sum()),
            "steps_admitted": self._steps_admitted,
            "steps_trained": self._steps_trained,
            "replay_ratio": self._steps_trained / max(1, self._steps_admitted),
        }
        if len(present):
            numbers |= {
                "age_mean": float(ages.mean()),
                "age_max": int(ages.max()),
                "uses_mean": float(self._uses[present].mean()),
                "priority_mean": float(priorities.mean()),
                "priority_std": float(priorities.std()),
                "priority_max": float(priorities.max()),
            }
        numbers |= {f"verdict/{name}": self._verdicts[name] for name in get_args(AdmitVerdict)}
        numbers |= {f"evicted/{name}": self._evictions[name] for name in get_args(EvictionReason)}
        return {f"replay/{name}": float(value) for name, value in numbers.items()}

    def _batch(self, slots: NDArray[np.int64], weights: NDArray[np.float64]) -> ReplayBatch:
        return ReplayBatch(
            slots=self._order[slots] * self.settings.capacity + slots,
            ids=tuple(self._ids[slot] for slot in slots.tolist()),
            importance_weights=weights,
            ages=self._learner_version - self._version[slots],
        )

    def _largest_priority(self) -> float:
        if self._max_priority is None:
            largest = float(self._priority.max())
            self._max_priority = largest if largest > 0 else FIRST_PRIORITY
        return self._max_priority

    def _free_slot(self) -> int:
        if self._freed:
            return self._freed.pop()
        self._num_touched += 1
        return self._num_touched - 1

    def _flush(self) -> None:
        """Brings the tree up to date with everything that changed since the last draw, at once."""
        if not self._dirty:
            return
        slots = np.array(self._dirty, dtype=np.int64)
        self._dirty.clear()
        priorities = self._priority[slots]
        exponent = self.settings.alpha if self.settings.prioritised else 0.0
        masses = np.where(priorities > 0, priorities**exponent, 0.0)
        is_success = self._pool[slots] == 1
        if self.settings.balance_templates:
            self._balance(exponent)
            slots, masses, is_success = slots[~is_success], masses[~is_success], is_success[~is_success]
        self._tree.set(
            np.repeat(np.array([0, 1]), len(slots)),
            np.concatenate([slots, slots]),
            np.concatenate([np.where(is_success, 0.0, masses), np.where(is_success, masses, 0.0)]),
        )

    def _balance(self, exponent: float) -> None:
        """Sets the masses of all successes anew, each divided by how many successes its template has."""
        slots = np.flatnonzero(self._pool == 1)
        self._tree.set(np.zeros(len(slots), dtype=np.int64), slots, np.zeros(len(slots)))
        priorities = self._priority[slots]
        masses = np.where(priorities > 0, priorities**exponent, 0.0)
        counts = np.bincount(self._template[slots[priorities > 0]], minlength=max(1, len(self._templates)))
        shares = masses / np.maximum(counts[self._template[slots]], 1)
        if shares.any():  # The pool keeps its mass, and with it its natural share of a batch.
            shares *= masses.sum() / shares.sum()
        self._tree.set(np.ones(len(slots), dtype=np.int64), slots, shares)

    def _expire(self, learner_version: int) -> None:
        """Evicts what has reached a cap; at the next call rather than in `sample`, so that a batch outlives its use."""
        self._learner_version = learner_version
        settings = self.settings
        if settings.max_uses is not None:
            for slot in np.flatnonzero((self._priority > 0) & (self._uses >= settings.max_uses)).tolist():
                self._evict(self._ids[slot], "used_up")
        if settings.max_age_versions is not None:
            oldest = learner_version - settings.max_age_versions
            for slot in np.flatnonzero((self._priority > 0) & (self._version < oldest)).tolist():
                self._evict(self._ids[slot], "expired")

    def _evict(self, trajectory_id: str, reason: EvictionReason) -> None:
        slot = self._slot_of.pop(trajectory_id)
        del self._refreshed[slot]
        if self._priority[slot] == self._max_priority:
            self._max_priority = None
        self._priority[slot] = 0.0
        self._order[slot] = -1
        self._ids[slot] = ""
        self._freed.append(slot)
        self._dirty.append(slot)
        self._evictions[reason] += 1
        self._past_ids[trajectory_id] = None
        if len(self._past_ids) > self.settings.capacity:
            self._past_ids.popitem(last=False)

    def state_dict(self) -> dict[str, Any]:
        """Gives everything a resumed run needs to draw the same batches, as JSON values only."""
        present = np.fromiter(self._slot_of.values(), dtype=np.int64)
        columns = {name: getattr(self, f"_{name}")[present].tolist() for name in _COLUMNS}
        return {
            "format": _STATE_VERSION,
            "capacity": self.settings.capacity,
            "ids": list(self._slot_of),
            "slots": present.tolist(),
            "columns": columns,
            "templates": list(self._templates),
            "refreshed": list(self._refreshed),
            "past_ids": list(self._past_ids),
            "freed": list(self._freed),
            "num_touched": self._num_touched,
            "rng": self._rng.bit_generator.state,
            "learner_version": self._learner_version,
            "refresh_carry": self._refresh_carry,
            "verdicts": dict(self._verdicts),
            "evictions": dict(self._evictions),
            "steps_admitted": self._steps_admitted,
            "steps_trained": self._steps_trained,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state_dict` was taken; exponents, shares and caps may have changed since.

        Raises:
            CheckpointError: the state is of another format or capacity, or incomplete; the replay is then empty.
        """
        self._reset()
        if state.get("format") != _STATE_VERSION or state.get("capacity") != self.settings.capacity:
            raise CheckpointError(
                f"a replay state must have format {_STATE_VERSION} and capacity {self.settings.capacity}, got "
                f"{state.get('format')} and {state.get('capacity')}; set replay.capacity as it was"
            )
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self._reset()
            raise CheckpointError(f"a replay state must be complete, got {error!r}; use another checkpoint") from error

    def _restore(self, state: dict[str, Any]) -> None:
        slots = np.array(state["slots"], dtype=np.int64)
        for name in _COLUMNS:
            getattr(self, f"_{name}")[slots] = state["columns"][name]
        self._templates = {name: index for index, name in enumerate(state["templates"])}
        for trajectory_id, slot in zip(state["ids"], state["slots"], strict=True):
            self._ids[slot] = trajectory_id
            self._slot_of[trajectory_id] = slot
        self._refreshed = OrderedDict.fromkeys(state["refreshed"])
        self._past_ids = OrderedDict.fromkeys(state["past_ids"])
        self._freed = list(state["freed"])
        self._num_touched = int(state["num_touched"])
        self._rng.bit_generator.state = state["rng"]
        self._learner_version = int(state["learner_version"])
        self._refresh_carry = float(state["refresh_carry"])
        self._verdicts = Counter(state["verdicts"])
        self._evictions = Counter(state["evictions"])
        self._steps_admitted = int(state["steps_admitted"])
        self._steps_trained = int(state["steps_trained"])
        self._dirty = list(state["slots"])
