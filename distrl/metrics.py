"""Counters, gauges and timers of a run, and the sinks they are written to. JSON lines are always on.

    metrics.count("worker/episodes")                 total since the start of the run
    metrics.gauge("inbox/depth", 12)                 last value
    metrics.observe("replay/age", 3)                 p50, p99, mean and count of recent values
    with metrics.timer("worker/policy_wait_s"): ...  the same, of seconds
    metrics.write(step, {"learner/loss": 0.1})       one line to every sink: the snapshot and these values

Names are `part/name`; every method may be called from any thread.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from distrl.errors import PartStoppedError

_NAME = re.compile(r"[a-z][a-z0-9_]*(/[A-Za-z0-9_.\-]+)+")

WINDOW = 2048
"""Newest values a distribution's percentiles are taken over: 16 KiB each, and p99 rests on 20 of them."""

Value = float | int | None


class Sink(Protocol):
    """Where written rows go."""

    def write(self, step: int, unix_time: float, values: Mapping[str, Value]) -> None:
        """Records one row; values are finite or None."""

    def close(self) -> None:
        """Flushes and frees the sink."""


class Metrics:
    """Counts and times what the parts of a run do, and writes it to its sinks.

    Thread-safe. Memory is bounded by the number of names. `clock` gives seconds for timers, `wall_clock` Unix time.
    """

    def __init__(
        self,
        sinks: Sequence[Sink] = (),
        *,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sinks = tuple(sinks)
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()  # Apart from _lock: a slow disk must not stop whoever counts.
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._distributions: dict[str, _Distribution] = {}
        self._checked: set[str] = set()

    def count(self, name: str, amount: float = 1) -> None:
        """Adds `amount` to a total."""
        with self._lock:
            self._check(name)
            self._counters[name] = self._counters.get(name, 0) + amount

    def gauge(self, name: str, value: float) -> None:
        """Sets the present value of something."""
        with self._lock:
            self._check(name)
            self._gauges[name] = value

    def observe(self, name: str, value: float) -> None:
        """Adds one value to a distribution."""
        with self._lock:
            self._check(name)
            self._distributions.setdefault(name, _Distribution()).add(value)

    def timer(self, name: str) -> Timer:
        """Times a `with` block, in seconds, into the distribution `name`; also when the block raises."""
        return Timer(self, name, self._clock)

    def counters(self) -> dict[str, float]:
        """All totals: what a checkpoint keeps, so that a resumed run counts on."""
        with self._lock:
            return dict(self._counters)

    def restore_counters(self, totals: Mapping[str, float]) -> None:
        """Sets totals to those of a checkpoint."""
        with self._lock:
            for name in totals:
                self._check(name)
            self._counters.update(totals)

    def snapshot(self) -> dict[str, float]:
        """Everything by name; a distribution gives `name/p50`, `/p99`, `/mean`, `/count` (mean and count of all)."""
        with self._lock:
            values = {**self._counters, **self._gauges}
            distributions = {name: found.copy() for name, found in self._distributions.items()}
        for name, distribution in distributions.items():  # Sorted outside the lock.
            for suffix, value in distribution.summary().items():
                values[f"{name}/{suffix}"] = value
        return values

    def write(self, step: int, values: Mapping[str, Value] | None = None) -> None:
        """Writes one row to every sink: the snapshot, overlaid by `values`. Non-finite values become None.

        `step` may not fall within one run. Raises `PartStoppedError` when a sink's disk fails.
        """
        row: dict[str, Value] = {**self.snapshot()}
        with self._lock:
            for name in values or {}:
                self._check(name)
        row.update(values or {})
        finite = {name: _finite(name, value) for name, value in sorted(row.items())}
        with self._write_lock:
            for sink in self._sinks:
                sink.write(step, self._wall_clock(), finite)

    def close(self) -> None:
        """Closes every sink."""
        with self._write_lock:
            for sink in self._sinks:
                sink.close()

    def _check(self, name: str) -> None:
        if name in self._checked:
            return
        if not _NAME.fullmatch(name):
            raise ValueError(f"a metric is named part/name, for example worker/episodes; got {name!r}")
        self._checked.add(name)


class Timer:
    """The `with` block of `Metrics.timer`."""

    def __init__(self, metrics: Metrics, name: str, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._name = name
        self._clock = clock
        self._started_s = 0.0

    def __enter__(self) -> Timer:
        self._started_s = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._metrics.observe(self._name, self._clock() - self._started_s)


class _Distribution:
    """Count and sum of all values; the newest `WINDOW` of them for percentiles."""

    def __init__(self) -> None:
        self.recent = array("d")
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        if len(self.recent) < WINDOW:
            self.recent.append(value)
        else:
            self.recent[self.count % WINDOW] = value
        self.count += 1
        self.total += value

    def copy(self) -> _Distribution:
        twin = _Distribution()
        twin.recent, twin.count, twin.total = self.recent[:], self.count, self.total
        return twin

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.recent)
        return {
            "p50": _nearest_rank(ordered, 0.50),
            "p99": _nearest_rank(ordered, 0.99),
            "mean": self.total / self.count,
            "count": self.count,
        }


def _nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of `ordered` do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _finite(name: str, value: Any) -> Value:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"the metric {name} must be a number or None; got {value!r}") from None
    if not math.isfinite(number):
        return None
    return int(value) if isinstance(value, int) else number


class JsonLinesSink:
    """Appends one JSON object per row to `path`, flushed at once: `step`, `time`, `attempt`, and the values.

    `attempt` counts how often the file was opened for writing: 0, then 1 after a resume, and so on. Rows of an
    attempt that was cut off after its last checkpoint stay in the file; `read_rows` leaves them out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        last = _last_row(path)
        self._attempt = 0 if last is None else int(last["attempt"]) + 1
        self._step: int | None = None
        try:
            self._file = path.open("a+b")
            if self._file.tell() > 0:  # A killed writer may have left half a line; ours starts on its own.
                self._file.seek(-1, 2)
                if self._file.read(1) != b"\n":
                    self._file.write(b"\n")
        except OSError as error:
            raise self._cannot_write(error) from error

    def write(self, step: int, unix_time: float, values: Mapping[str, Value]) -> None:
        """Appends one row; `step` may not be below the one before it."""
        if self._step is not None and step < self._step:
            raise ValueError(f"metrics are written in order of step; got step {step} after {self._step}")
        self._step = step
        row = {"step": step, "time": round(unix_time, 3), "attempt": self._attempt, **values}
        try:
            self._file.write(json.dumps(row, allow_nan=False).encode("ascii") + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Closes the file."""
        try:
            self._file.close()
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> PartStoppedError:
        return PartStoppedError("metrics", f"cannot write {self._path}: {error}; free space, then resume the run")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics file in order of step, as one run without interruptions.

    A resumed run goes back to its checkpoint: what an earlier attempt wrote from that step on is left out, and so is a
    line that was cut off. Returns [] for a missing file.
    """
    rows: list[dict[str, Any]] = []
    for row in _all_rows(path):
        if rows and row["attempt"] != rows[-1]["attempt"]:
            rows = [earlier for earlier in rows if earlier["step"] < row["step"]]
        rows.append(row)
    return rows


def _last_row(path: Path) -> dict[str, Any] | None:
    rows = _all_rows(path)
    return rows[-1] if rows else None


def _all_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    rows = []
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int) and isinstance(row.get("attempt"), int):
                rows.append(row)
    return rows


class TensorBoardSink:
    """Writes rows as TensorBoard scalars into `folder`; None values are left out."""

    def __init__(self, folder: Path) -> None:
        # Imported here: it takes a second, and only runs that ask for it should pay.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder))

    def write(self, step: int, unix_time: float, values: Mapping[str, Value]) -> None:
        """Adds one event with all finite values."""
        scalars = [self._summary.Value(tag=tag, simple_value=v) for tag, v in values.items() if v is not None]
        self._writer.add_event(self._event(step=step, wall_time=unix_time, summary=self._summary(value=scalars)))

    def close(self) -> None:
        """Flushes the events and stops the writer's thread."""
        self._writer.close()
