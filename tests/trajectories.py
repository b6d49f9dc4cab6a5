"""Builds valid trajectories for tests; every field can be replaced."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

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

WIDTH, HEIGHT = 18, 40


def task(**changes: Any) -> Task:
    fields: dict[str, Any] = {
        "id": "clock.add_alarm/train/17",
        "template": "clock.add_alarm",
        "instruction": "Set an alarm for 07:30.",
        "params": {"hour": 7, "days": ["mon", "tue"]},
        "split": "train",
        "seed": 17,
        "level": 2,
        "apps": ("clock",),
        "max_steps": 14,
    }
    return Task(**{**fields, **changes})


def frame(seed: int, *, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    return Frame(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def elements() -> tuple[Element, ...]:
    return (
        Element(0, "TextView", (0, 0, 18, 10), text="Alarms"),
        Element(1, "Switch", (2, 12, 10, 20), resource_id="on", package="clock", checkable=True, checked=True),
        Element(2, "EditText", (0, 20, 18, 40), content_description="Label", editable=True, enabled=False),
    )


def observation(seed: int, **changes: Any) -> Observation:
    return dataclasses.replace(Observation(frame(seed), elements(), "clock"), **changes)


def decision(**changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "text": "tap 1",
        "token_ids": np.array([5, 900, 2], np.int32),
        "log_probs": np.array([-0.1, -1 / 3, 0.0], np.float32),
        "policy_version": 3,
        "temperature": 0.7,
        "entropy": 0.1,
    }
    return Decision(**{**fields, **changes})


def step(seed: int, **changes: Any) -> Step:
    fields: dict[str, Any] = {
        "observation": observation(seed),
        "history": ("home",),
        "decision": decision(),
        "action": Action(ActionKind.TAP, touch=(0.1, 1 / 3)),
        "reward": 0.0,
        "penalties": (("repetition", -0.4),),
        "timing": StepTiming(0.1, 0.2, 0.3, 0.4, 0.5),
    }
    return Step(**{**fields, **changes})


def trajectory(name: str = "w0-1", **changes: Any) -> Trajectory:
    """Two steps and a success; the frames are those of seeds 0, 1, 2."""
    fields: dict[str, Any] = {
        "id": name,
        "task": task(),
        "steps": (step(0), step(1, reward=1.0)),
        "final_observation": observation(2),
        "ending": Ending.TERMINATED,
        "success": True,
        "worker": "w0",
        "device": "sim-3",
        "started_at": 1.7e9 + 1 / 3,
        "duration_s": 12.5,
        "reset_s": 0.25,
    }
    return Trajectory(**{**fields, **changes})


def with_frames(name: str, *seeds: int, size: int = 40) -> Trajectory:
    """A truncated episode that shows one square noise frame of `size` pixels per seed, the last one at its end."""
    screens = [Observation(frame(seed, width=size, height=size), None) for seed in seeds]
    return trajectory(
        name,
        steps=tuple(step(0, observation=screen) for screen in screens[:-1]),
        final_observation=screens[-1],
        ending=Ending.TRUNCATED,
        success=False,
    )


def plain(value: Any) -> Any:
    """Everything in a record as comparable values: arrays with type and bytes, dataclasses by field."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, (tuple, list)):
        return type(value).__name__, [plain(item) for item in value]
    return value
