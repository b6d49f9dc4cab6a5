"""A trajectory's invariants: what must hold before it may be stored, acknowledged or trained on."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np

from distrl.errors import INVALID_KINDS, TrajectoryError
from distrl.types import SPLITS, Decision, Ending, Observation, Step, Task, Trajectory

MAX_LOG_PROB = 1e-3
"""Log-probabilities are at most 0; softmax in half precision may round a little above."""


def check(trajectory: Trajectory) -> None:
    """Raises `TrajectoryError`, naming the rule and the value, when `trajectory` contradicts itself."""
    where = f"trajectory {trajectory.id!r}"
    _check_names(trajectory, where)
    _check_task(trajectory.task, where)
    _check_ending(trajectory, where)
    for name in ("started_at", "duration_s", "reset_s"):
        value = getattr(trajectory, name)
        _require(math.isfinite(value) and value >= 0, where, f"{name} must be finite and at least 0, it is {value}")
    for number, step in enumerate(trajectory.steps):
        _check_step(step, f"{where}, step {number}")
    if trajectory.final_observation is not None:
        _check_observation(trajectory.final_observation, f"{where}, final observation")


def _require(holds: bool, where: str, rule: str) -> None:
    if not holds:
        raise TrajectoryError(f"{where}: {rule}; fix what recorded it, it was not stored")


def _check_names(trajectory: Trajectory, where: str) -> None:
    names = {
        "id": trajectory.id,
        "task.id": trajectory.task.id,
        "task.template": trajectory.task.template,
        "worker": trajectory.worker,
        "device": trajectory.device,
    }
    for name, value in names.items():
        _require(bool(value), where, f"{name} must not be empty")
        _require(
            not any("\ud800" <= letter <= "\udfff" for letter in value),
            where,
            f"{name} must be valid Unicode, it is {value!r}",
        )


def _check_task(task: Task, where: str) -> None:
    _require(task.split in SPLITS, where, f"task.split must be one of {', '.join(SPLITS)}, it is {task.split!r}")
    try:
        same = json.loads(json.dumps(task.params, ensure_ascii=False, allow_nan=False)) == task.params
    except (TypeError, ValueError):
        same = False
    _require(same, where, f"task.params must be JSON values (lists, not tuples; text keys), they are {task.params!r}")


def _check_ending(trajectory: Trajectory, where: str) -> None:
    ending, steps = trajectory.ending, trajectory.steps
    aborted = ending is Ending.ABORTED
    _require(
        bool(trajectory.fault) == aborted,
        where,
        f"a fault must be named exactly when the ending is aborted, ending is {ending} and fault {trajectory.fault!r}",
    )
    _require(
        not trajectory.success or ending is Ending.TERMINATED,
        where,
        f"success must end as terminated, it ended as {ending}",
    )
    _require(
        not (trajectory.success and trajectory.side_effects),
        where,
        f"success must have no side effects, it has {trajectory.side_effects!r}",
    )
    _require(aborted or bool(steps), where, f"an episode that ended as {ending} must have a step, it has none")
    _require(
        len(steps) <= trajectory.task.max_steps,
        where,
        f"it must have at most task.max_steps={trajectory.task.max_steps} steps, it has {len(steps)}",
    )
    _require(
        ending is not Ending.TRUNCATED or trajectory.final_observation is not None,
        where,
        "a truncated episode must have a final observation to bootstrap from, it has None",
    )
    rewarded = any(step.reward > 0 for step in steps)
    last = steps[-1].reward if steps else 0.0
    _require(
        last > 0 if trajectory.success else not rewarded,
        where,
        f"a success must be rewarded at its last step and nothing else at all, success is {trajectory.success} "
        f"and rewards are {[step.reward for step in steps]}",
    )


def _check_step(step: Step, where: str) -> None:
    _check_observation(step.observation, where)
    _check_decision(step.decision, where)
    _require(math.isfinite(step.reward), where, f"reward must be finite, it is {step.reward}")
    for name, value in step.penalties:
        _require(math.isfinite(value) and value <= 0, where, f"penalty {name!r} must be at most 0, it is {value}")
    _require(
        (step.action is None) == (step.invalid is not None),
        where,
        f"a step must have an action or an invalid kind, action is {step.action!r} and invalid {step.invalid!r}",
    )
    _require(
        step.invalid is None or step.invalid in INVALID_KINDS,
        where,
        f"invalid must be one of {', '.join(INVALID_KINDS)}, it is {step.invalid!r}",
    )
    points = () if step.action is None else (step.action.touch, step.action.lift)
    for point in points:
        inside = point is None or (0 <= point[0] <= 1 and 0 <= point[1] <= 1)
        _require(inside, where, f"a point must be inside [0, 1] x [0, 1], it is {point}")
    for seconds in dataclasses.astuple(step.timing):
        _require(math.isfinite(seconds) and seconds >= 0, where, f"timing must be at least 0 s, it is {step.timing}")


def _check_decision(decision: Decision, where: str) -> None:
    ids, logs = decision.token_ids, decision.log_probs
    _require(
        ids.dtype == np.int32 and ids.ndim == 1 and ids.size > 0,
        where,
        f"token_ids must be int32 [A] with A >= 1, they are {ids.dtype} {list(ids.shape)}",
    )
    _require(
        logs.dtype == np.float32 and logs.shape == ids.shape,
        where,
        f"log_probs must be float32 [{ids.size}], one per token, they are {logs.dtype} {list(logs.shape)}",
    )
    _require(int(ids.min()) >= 0, where, f"token_ids must be at least 0, one is {ids.min()}")
    _require(
        bool(np.isfinite(logs).all()) and float(logs.max()) <= MAX_LOG_PROB,
        where,
        f"log_probs must be finite and at most 0, they are {logs.tolist()}",
    )
    _require(decision.policy_version >= 0, where, f"policy_version must be at least 0, it is {decision.policy_version}")
    for name in ("temperature", "entropy"):
        value = getattr(decision, name)
        _require(
            math.isfinite(value) and value >= -MAX_LOG_PROB, where, f"{name} must be finite, at least 0, it is {value}"
        )


def _check_observation(observation: Observation, where: str) -> None:
    pixels = observation.frame.pixels
    _require(
        pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0,
        where,
        f"a frame must be uint8 [H, W, 3], it is {pixels.dtype} {list(pixels.shape)}",
    )
    width, height = observation.frame.size
    for position, element in enumerate(observation.elements or ()):
        left, top, right, bottom = element.bounds
        _require(
            element.index == position, where, f"element {position} must have index {position}, it has {element.index}"
        )
        _require(
            0 <= left <= right <= width and 0 <= top <= bottom <= height,
            where,
            f"element {position} must lie inside the {width}x{height} frame, its bounds are {element.bounds}",
        )
