"""A trajectory's invariants, and its lossless codec: one compact record plus its frames by content hash.

The record is zlib-compressed JSON. What repeats in an episode is written once: each distinct element, each distinct
element list, each distinct observation. Token ids and log-probabilities are little-endian bytes, so float32
values come back bit for bit. Text is UTF-8 with surrogates passed through, so any Python string comes back equal.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distrl.errors import TrajectoryError
from distrl.invariants import check
from distrl.types import (
    Action,
    ActionKind,
    Decision,
    Element,
    Ending,
    Frame,
    Observation,
    Step,
    StepTiming,
    Task,
    Trajectory,
)

__all__ = ["EncodedTrajectory", "check", "decode", "encode", "frame_hashes"]

FORMAT = 1
"""Written into each record; a record of another format is refused by name."""

_FLAGS = (
    "clickable",
    "long_clickable",
    "editable",
    "focused",
    "checkable",
    "checked",
    "selected",
    "scrollable",
    "enabled",
)
"""Element flags, lowest bit first. The order is part of the format: append only."""


@dataclass(frozen=True, eq=False)
class EncodedTrajectory:
    """What a store keeps of one trajectory: `record` names each of `frames` by its content hash."""

    record: bytes
    frames: Mapping[str, Frame]


def encode(trajectory: Trajectory) -> EncodedTrajectory:
    """Checks `trajectory` and packs it; raises `TrajectoryError` when it breaks an invariant."""
    check(trajectory)
    table = _ObservationTable()
    decisions = [step.decision for step in trajectory.steps]
    document = {
        "format": FORMAT,
        "id": trajectory.id,
        "task": dataclasses.asdict(trajectory.task),
        "steps": [_pack_step(step, table) for step in trajectory.steps],
        "token_ids": _pack_arrays([decision.token_ids for decision in decisions], "<i4"),
        "log_probs": _pack_arrays([decision.log_probs for decision in decisions], "<f4"),
        "final": None if trajectory.final_observation is None else table.row(trajectory.final_observation),
        "ending": str(trajectory.ending),
        "success": bool(trajectory.success),
        "worker": trajectory.worker,
        "device": trajectory.device,
        "started_at": float(trajectory.started_at),
        "duration_s": float(trajectory.duration_s),
        "reset_s": float(trajectory.reset_s),
        "fault": trajectory.fault,
        "side_effects": list(trajectory.side_effects),
        "observations": list(table.observations),
        "element_lists": list(table.element_lists),
        "elements": [_pack_element(element) for element in table.elements],
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return EncodedTrajectory(zlib.compress(text.encode("utf-8", "surrogatepass"), 1), table.frames)


def decode(record: bytes, load_frame: Callable[[str], Frame]) -> Trajectory:
    """Unpacks what `encode` packed; `load_frame` is called once per distinct content hash.

    Equal observations of one episode come back as one object. Raises `TrajectoryError` when `record` is damaged or of
    another format; errors of `load_frame` pass through.
    """
    document = _parse(record)
    try:
        hashes = {row[0] for row in document["observations"]}
    except (KeyError, IndexError, TypeError) as error:
        raise _damaged(error) from error
    frames = {name: load_frame(name) for name in sorted(hashes)}
    try:
        return _unpack(document, frames)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(error) from error


def frame_hashes(record: bytes) -> frozenset[str]:
    """The content hashes of all frames that `decode(record, ...)` asks for."""
    return frozenset(row[0] for row in _parse(record)["observations"])


# --- Packing ---------------------------------------------------------------------------------------------------------


class _ObservationTable:
    """Numbers distinct observations, element lists and elements in order of appearance."""

    def __init__(self) -> None:
        self.elements: dict[Element, int] = {}
        self.element_lists: dict[tuple[int, ...], int] = {}
        self.observations: dict[tuple[str, int | None, str], int] = {}
        self.frames: dict[str, Frame] = {}
        self._rows: dict[int, int] = {}

    def row(self, observation: Observation) -> int:
        known = self._rows.get(id(observation))  # A step's observation is often the previous step's outcome itself.
        if known is not None:
            return known
        listed = None
        if observation.elements is not None:
            numbers = tuple(self.elements.setdefault(e, len(self.elements)) for e in observation.elements)
            listed = self.element_lists.setdefault(numbers, len(self.element_lists))
        name = observation.frame.content_hash
        self.frames.setdefault(name, observation.frame)
        row = self.observations.setdefault((name, listed, observation.app), len(self.observations))
        self._rows[id(observation)] = row
        return row


def _pack_step(step: Step, table: _ObservationTable) -> list[Any]:
    decision, action = step.decision, step.action
    return [
        table.row(step.observation),
        list(step.history),
        [decision.text, int(decision.policy_version), float(decision.temperature), float(decision.entropy)],
        None if action is None else [str(action.kind), _point(action.touch), _point(action.lift), action.text],
        float(step.reward),
        [[name, float(value)] for name, value in step.penalties],
        step.invalid,
        [float(seconds) for seconds in _timing_values(step.timing)],
    ]


def _timing_values(timing: StepTiming) -> tuple[float, ...]:
    return timing.observe_s, timing.policy_wait_s, timing.policy_s, timing.act_s, timing.judge_s


def _point(point: tuple[float, float] | None) -> list[float] | None:
    return None if point is None else [float(point[0]), float(point[1])]


def _pack_element(element: Element) -> list[Any]:
    flags = sum(1 << bit for bit, name in enumerate(_FLAGS) if getattr(element, name))
    return [
        element.index,
        element.class_name,
        [int(edge) for edge in element.bounds],
        element.text,
        element.content_description,
        element.resource_id,
        element.package,
        flags,
    ]


def _pack_arrays(arrays: list[NDArray[Any]], dtype: str) -> list[Any]:
    joined = b"".join(array.astype(dtype).tobytes() for array in arrays)
    return [[len(array) for array in arrays], base64.b64encode(joined).decode("ascii")]


# --- Unpacking -------------------------------------------------------------------------------------------------------


def _parse(record: bytes) -> dict[str, Any]:
    try:
        document = json.loads(zlib.decompress(record).decode("utf-8", "surrogatepass"))
    except (zlib.error, ValueError) as error:
        raise _damaged(error) from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise TrajectoryError(
            f"a trajectory record must have format {FORMAT}, this one has {found!r}: read it with the version of "
            "distrl that wrote it"
        )
    return dict(document)


def _damaged(error: Exception) -> TrajectoryError:
    return TrajectoryError(
        f"a trajectory record must be whole, this one is damaged ({type(error).__name__}: {error}): skip this episode"
    )


def _unpack(document: dict[str, Any], frames: Mapping[str, Frame]) -> Trajectory:
    elements = [_unpack_element(row) for row in document["elements"]]
    lists = [tuple(elements[number] for number in numbers) for numbers in document["element_lists"]]
    observations = [
        Observation(frames[name], None if listed is None else lists[listed], app)
        for name, listed, app in document["observations"]
    ]
    token_ids = _unpack_arrays(document["token_ids"], "<i4", np.int32)
    log_probs = _unpack_arrays(document["log_probs"], "<f4", np.float32)
    steps = tuple(
        _unpack_step(row, observations, ids, logs)
        for row, ids, logs in zip(document["steps"], token_ids, log_probs, strict=True)
    )
    task = document["task"]
    return Trajectory(
        id=document["id"],
        task=Task(**{**task, "apps": tuple(task["apps"])}),
        steps=steps,
        final_observation=None if document["final"] is None else observations[document["final"]],
        ending=Ending(document["ending"]),
        success=document["success"],
        worker=document["worker"],
        device=document["device"],
        started_at=document["started_at"],
        duration_s=document["duration_s"],
        fault=document["fault"],
        side_effects=tuple(document["side_effects"]),
        reset_s=document["reset_s"],
    )


def _unpack_step(
    row: list[Any], observations: list[Observation], token_ids: NDArray[np.int32], log_probs: NDArray[np.float32]
) -> Step:
    observed, history, (text, version, temperature, entropy), action, reward, penalties, invalid, timing = row
    return Step(
        observation=observations[observed],
        history=tuple(history),
        decision=Decision(text, token_ids, log_probs, version, temperature, entropy),
        action=None if action is None else _unpack_action(action),
        reward=reward,
        penalties=tuple((name, value) for name, value in penalties),
        invalid=invalid,
        timing=StepTiming(*timing),
    )


def _unpack_action(row: list[Any]) -> Action:
    kind, touch, lift, text = row
    return Action(
        ActionKind(kind),
        touch=None if touch is None else (touch[0], touch[1]),
        lift=None if lift is None else (lift[0], lift[1]),
        text=text,
    )


def _unpack_element(row: list[Any]) -> Element:
    index, class_name, bounds, text, description, resource_id, package, flags = row
    left, top, right, bottom = bounds
    return Element(
        index,
        class_name,
        (left, top, right, bottom),
        text,
        description,
        resource_id,
        package,
        **{name: bool(flags >> bit & 1) for bit, name in enumerate(_FLAGS)},
    )


def _unpack_arrays(packed: list[Any], stored: str, dtype: type[np.generic]) -> list[NDArray[Any]]:
    lengths, text = packed
    try:
        joined = np.frombuffer(base64.b64decode(text, validate=True), dtype=stored).astype(dtype)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
    if len(joined) != sum(lengths):
        raise ValueError(f"{len(joined)} values for steps of {sum(lengths)} tokens in all")
    joined.setflags(write=False)
    ends = np.cumsum(lengths, dtype=np.int64)
    return [joined[end - length : end] for end, length in zip(ends, lengths, strict=True)]
