"""What can be asked of stored episodes, and what is answered without decoding them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from distrl.types import Ending

SUMMARY_COLUMNS = (
    "sequence, id, task, template, split, level, success, ending, fault, worker, device, policy_version, num_steps, "
    "started_at, duration_s, sequence > (SELECT through_sequence FROM dropped)"
)


@dataclass(frozen=True)
class EpisodeSummary:
    """What is known of a stored episode without decoding it; fields as in `Trajectory` and `Task`."""

    sequence: int
    """Order of arrival, from 1."""
    id: str
    task: str
    """`Task.id`."""
    template: str
    split: str
    level: int
    success: bool
    ending: Ending
    fault: str | None
    worker: str
    device: str
    policy_version: int
    num_steps: int
    started_at: float
    duration_s: float
    has_frames: bool
    """False once its frames were dropped for space; `get` then refuses."""


@dataclass(frozen=True)
class EpisodeFilter:
    """Which episodes `Store.query` returns; None accepts all.

    Example:
        EpisodeFilter(split="train", ending=Ending.TERMINATED, newest_first=True, limit=10)
    """

    template: str | None = None
    split: str | None = None
    success: bool | None = None
    ending: Ending | None = None
    worker: str | None = None
    device: str | None = None
    after_sequence: int = 0
    """Only episodes that arrived after this one."""
    with_frames: bool = False
    """Only episodes that `get` can return."""
    newest_first: bool = False
    limit: int | None = None


EVERY_EPISODE = EpisodeFilter()
"""Accepts all, in order of arrival."""


@dataclass(frozen=True)
class StoreCounts:
    """How much a store holds."""

    num_episodes: int
    num_steps: int
    num_successes: int
    num_aborted: int
    num_without_frames: int
    num_frames: int
    frame_bytes: int
    """Encoded; at most `max_frame_bytes` unless the newest episode alone is larger."""


def summary_of(row: tuple[Any, ...]) -> EpisodeSummary:
    """The summary in a row of `SUMMARY_COLUMNS`."""
    names = [field.name for field in dataclasses.fields(EpisodeSummary)]
    values = dict(zip(names, row, strict=True))
    values.update({name: bool(values[name]) for name in ("success", "has_frames")}, ending=Ending(values["ending"]))
    return EpisodeSummary(**values)


def where(wanted: EpisodeFilter) -> tuple[str, tuple[Any, ...]]:
    """The filter as SQL after `FROM episodes`, from constants and placeholders only."""
    clauses, values = ["sequence > ?"], [wanted.after_sequence]
    equal: dict[str, Any] = {
        "template": wanted.template,
        "split": wanted.split,
        "success": None if wanted.success is None else int(wanted.success),
        "ending": None if wanted.ending is None else str(wanted.ending),
        "worker": wanted.worker,
        "device": wanted.device,
    }
    for column, value in equal.items():
        if value is not None:
            clauses.append(f"{column} = ?")
            values.append(value)
    if wanted.with_frames:
        clauses.append("sequence > (SELECT through_sequence FROM dropped)")
    tail = f"WHERE {' AND '.join(clauses)} ORDER BY sequence {'DESC' if wanted.newest_first else 'ASC'}"
    if wanted.limit is not None:
        tail += " LIMIT ?"
        values.append(wanted.limit)
    return tail, tuple(values)
