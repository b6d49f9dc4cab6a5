"""What a run folder says, gathered for its report: one record, read from files that a running or killed run leaves."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from distrl import __version__
from distrl.errors import RunFolderError, StoreError
from distrl.evaluate import wilson_interval
from distrl.metrics import read_rows
from distrl.rundir import RunFolder
from distrl.store import EpisodeFilter, Store
from distrl.types import Trajectory

RECENT_EPISODES = 200
"""Training episodes that `progress/recent_success` is a running mean of."""
PACKAGES = ("torch", "transformers", "numpy", "gymnasium")
BEST_STRIP_STEPS = range(4, 9)
"""Steps of an episode that makes a good strip: long enough to tell a story, short enough to be looked at."""


@dataclass(frozen=True)
class Measured:
    """One evaluation in evaluations.jsonl."""

    split: str
    when: str
    """before, during, after, or eval (asked for later)."""
    policy_version: int
    num_episodes: int
    num_successes: int
    mean_steps: float | None
    num_aborted: int
    num_side_effects: int
    by_template: dict[str, tuple[int, int]]
    """Template -> (successes, episodes)."""
    trained_s: float | None

    @property
    def success(self) -> float:
        """Share of successes; NaN when nothing was judged."""
        return self.num_successes / self.num_episodes if self.num_episodes else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `success`."""
        return wilson_interval(self.num_successes, self.num_episodes)


@dataclass(frozen=True)
class CurvePoint:
    """Success of the last training episodes at one moment."""

    trained_s: float
    version: int
    success: float
    num_episodes: int
    """How many episodes the running mean is over."""


@dataclass(frozen=True, eq=False)
class RunData:
    """All a report is made from."""

    path: Path
    evaluations: tuple[Measured, ...]
    curve: tuple[CurvePoint, ...]
    last: dict[str, Any]
    """The newest row of metrics; {} when none was written."""
    means: dict[str, float]
    """Mean over all rows of what has no total: policy age, spreads of priority terms."""
    elapsed_s: float
    """From the first to the last row of metrics, by the wall clock: pauses before a resume included."""
    config_hash: str
    missing: tuple[str, ...]
    """What this run does not have (yet), each with what to do about it."""
    episode: Trajectory | None
    """The episode of the strip."""
    episode_title: str
    """Which kind of episode it is."""

    def at(self, when: str, split: str) -> Measured | None:
        """The evaluation of a split before (the first) or after (the last) training."""
        found = [e for e in self.evaluations if e.when == when and e.split == split]
        return (found[0] if when == "before" else found[-1]) if found else None

    @property
    def splits(self) -> list[str]:
        """Splits evaluated before or after training, in order of appearance."""
        return list(dict.fromkeys(e.split for e in self.evaluations if e.when in ("before", "after")))

    def held_out_curve(self) -> list[Measured]:
        """Evaluations of the periodically evaluated split, over time: before, during, after."""
        during = [e for e in self.evaluations if e.when == "during" and e.trained_s is not None]
        split = during[0].split if during else (self.splits[0] if self.splits else "")
        ends = [e for e in (self.at("before", split), self.at("after", split)) if e and e.trained_s is not None]
        return sorted([*during, *ends], key=lambda e: (e.trained_s or 0.0, e.policy_version))


def read_run(path: Path) -> RunData:
    """Reads a run folder, finished or not.

    Raises:
        RunFolderError: it is none, of another version, or nothing has happened in it yet.
    """
    with RunFolder.open(path, resume=False) as run:
        rows = read_rows(run.metrics_path)
        evaluations = _read_evaluations(run.path / "evaluations.jsonl")
        if not rows and not evaluations:
            raise RunFolderError(
                f"a report needs metrics or evaluations, {path} has neither yet: let the run make its first updates "
                "(metrics.jsonl), then report again"
            )
        episode, title = _episode_to_show(run)
        config = run.config_path.read_bytes() if run.config_path.exists() else b""
        return RunData(
            path=path,
            evaluations=evaluations,
            curve=_curve(rows),
            last=rows[-1] if rows else {},
            means=_means(rows),
            elapsed_s=float(rows[-1]["time"] - rows[0]["time"]) if rows else 0.0,
            config_hash=hashlib.sha256(config).hexdigest()[:12],
            missing=tuple(_missing(rows, evaluations, episode)),
            episode=episode,
            episode_title=title,
        )


def versions_and_machine() -> tuple[dict[str, str], dict[str, Any]]:
    """Versions of what matters, and the machine this process runs on."""
    versions = {"distrl": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return versions, {"platform": platform.platform(), "cores": cores, "memory_gib": round(memory / 2**30, 1)}


def _read_evaluations(path: Path) -> tuple[Measured, ...]:
    """Lines in order; a line cut off by a crash, and what a resumed run measured anew, are left out."""
    if not path.exists():
        return ()
    kept: list[Measured] = []
    for line in path.read_bytes().splitlines():
        try:
            measured = _measured(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
        if measured.when == "during":  # A resumed run goes back to its checkpoint and comes by here again.
            kept = [e for e in kept if e.when != "during" or e.policy_version < measured.policy_version]
        kept.append(measured)
    return tuple(kept)


def _measured(record: dict[str, Any]) -> Measured:
    mean_steps, trained_s = record["mean_steps"], record.get("trained_s")
    return Measured(
        split=str(record["split"]),
        when=str(record["when"]),
        policy_version=int(record["policy_version"]),
        num_episodes=int(record["num_episodes"]),
        num_successes=int(record["num_successes"]),
        mean_steps=None if mean_steps is None or math.isnan(mean_steps) else float(mean_steps),
        num_aborted=int(record["num_aborted"]),
        num_side_effects=int(record.get("num_side_effects", 0)),
        by_template={str(name): (int(k), int(n)) for name, (k, n) in record["by_template"].items()},
        trained_s=None if trained_s is None else float(trained_s),
    )


def _curve(rows: Sequence[dict[str, Any]]) -> tuple[CurvePoint, ...]:
    points = []
    for row in rows:
        seconds, success, episodes = (
            row.get(f"progress/{name}") for name in ("trained_s", "recent_success", "episodes")
        )
        if seconds is not None and success is not None and episodes:
            points.append(CurvePoint(seconds, row["step"], success, min(int(episodes), RECENT_EPISODES)))
    return tuple(points)


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = [name for name in (rows[-1] if rows else {}) if name.startswith(("age/", "priority/", "ratio/"))]
    means = {}
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        if values:
            means[name] = sum(values) / len(values)
    return means


def _missing(rows: Sequence[dict[str, Any]], evaluations: Sequence[Measured], episode: Trajectory | None) -> list[str]:
    missing, times = [], {e.when for e in evaluations}
    if not rows:
        missing.append("metrics: the run ended before its first updates")
    if "before" not in times:
        missing.append("success before training: set evaluation.final_episodes above 0 in a new run")
    if "during" not in times:
        missing.append("evaluations during training: none was due yet (evaluation.every_updates)")
    if "after" not in times:
        missing.append(
            "success after training: the run has not ended by itself; go on with `distrl train CONFIG --resume`, or "
            "measure what there is with `distrl eval`"
        )
    if episode is None:
        missing.append("a strip of one episode: no successful episode is stored")
    return missing


def _episode_to_show(run: RunFolder) -> tuple[Trajectory | None, str]:
    """A successful episode and what it is: from after training if there is one, then of a good length."""
    for path, held_out in ((run.path / "evaluation.sqlite", True), (run.episodes_path, False)):
        try:
            if not path.exists():
                continue
            with Store(path, max_frame_bytes=2**62, read_only=True) as store:
                found = store.query(EpisodeFilter(success=True, with_frames=True, newest_first=True, limit=2000))
                found = [e for e in found if e.num_steps > 0 and (not held_out or e.split != "train")]
                if found:
                    best = min(found, key=lambda e: (_rank(e.id, e.num_steps), -e.level, -e.num_steps, e.id))
                    return store.get(best.id), _title(best.id, held_out=held_out)
        except StoreError:
            continue  # A damaged store costs the strip, not the report.
    return None, ""


def _title(name: str, *, held_out: bool) -> str:
    if not held_out:
        return "A training episode"
    when = "before" if name.startswith("before/") else "after"
    return f"A task never trained on, {when} training"


def _rank(name: str, num_steps: int) -> tuple[bool, bool]:
    return name.startswith("before/"), num_steps not in BEST_STRIP_STEPS


def as_json(measured: Measured) -> dict[str, Any]:
    """The evaluation as JSON values, with its interval."""
    success = None if math.isnan(measured.success) else measured.success
    return {**asdict(measured), "success": success, "interval": list(measured.interval)}
