"""The records that cross boundaries. Frozen, with shapes and units; no dicts of arrays between parts.

    Task -> Device.reset;  Device.observe -> Observation;  PolicyInput -> Policy.act -> Decision;
    codec.decode(Decision.text) -> Action -> Device.act;  Step* -> Trajectory -> Store.

Shape legend: H W screen height and width in pixels, A action tokens.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from distrl.errors import InvalidKind

Split = Literal["train", "held_out_params", "held_out_templates", "held_out_app"]
SPLITS: tuple[Split, ...] = ("train", "held_out_params", "held_out_templates", "held_out_app")


@dataclass(frozen=True)
class Task:
    """One thing to do on a phone, fully determined: the same task always starts the same way.

    Example:
        Task(id="clock.add_alarm/train/17", template="clock.add_alarm", instruction="Set an alarm for 07:30.",
             params={"hour": 7, "minute": 30}, split="train", seed=17, level=2, apps=("clock",), max_steps=14)
    """

    id: str
    template: str
    instruction: str
    split: Split
    seed: int
    level: int
    """1 single screen; 2 one app, 4-10 steps; 3 cross-app or constrained."""
    apps: tuple[str, ...]
    max_steps: int
    """Step budget H; an episode that reaches it is truncated."""
    params: dict[str, Any] = field(default_factory=dict)
    """JSON values only."""
    suite: str = "sim"
    """Which suite of tasks it belongs to: the device kind that can set it up and check it."""


@dataclass(frozen=True)
class Element:
    """One node of the accessibility tree, with the fields uiautomator gives. Bounds are in pixels."""

    index: int
    """Position in `Observation.elements`: what an element-index action names."""
    class_name: str
    """Short Android class: `Button`, `TextView`, `EditText`, `ImageView`, `Switch`, ..."""
    bounds: tuple[int, int, int, int]
    """left, top, right, bottom in pixels; right and bottom are exclusive."""
    text: str = ""
    content_description: str = ""
    resource_id: str = ""
    package: str = ""
    clickable: bool = False
    long_clickable: bool = False
    editable: bool = False
    focused: bool = False
    checkable: bool = False
    checked: bool = False
    selected: bool = False
    scrollable: bool = False
    enabled: bool = True

    @property
    def center(self) -> tuple[float, float]:
        """x, y in pixels."""
        left, top, right, bottom = self.bounds
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True, eq=False)
class Frame:
    """A screenshot: uint8 RGB, [H, W, 3], read-only. Equal content has an equal `content_hash`."""

    pixels: NDArray[np.uint8]

    @cached_property
    def content_hash(self) -> str:
        """128-bit hex digest of shape and pixels: the name a frame is stored under."""
        digest = hashlib.blake2b(repr(self.pixels.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()

    @property
    def size(self) -> tuple[int, int]:
        """width, height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, eq=False)
class Observation:
    """What the agent may see of the device at one moment."""

    frame: Frame
    elements: tuple[Element, ...] | None
    """The UI tree, flattened in drawing order; None where the device gives none."""
    app: str = ""
    """Package in the foreground, e.g. `clock`."""


class ActionKind(StrEnum):
    """The AitW action set, with the long press that its zero-length gestures cannot say."""

    TAP = "tap"
    LONG_PRESS = "long_press"
    SWIPE = "swipe"
    TYPE = "type"
    BACK = "back"
    HOME = "home"
    ENTER = "enter"
    COMPLETE = "complete"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True)
class Action:
    """What the device is asked to do. Points are x, y in [0, 1] of the screen's width and height.

    Example:
        Action(ActionKind.SWIPE, touch=(0.5, 0.8), lift=(0.5, 0.2))   # finger moves up, content scrolls down
        Action(ActionKind.TYPE, text="milk, 2 l")
    """

    kind: ActionKind
    touch: tuple[float, float] | None = None
    lift: tuple[float, float] | None = None
    """Where the finger leaves the screen; SWIPE only."""
    text: str = ""
    """TYPE only."""

    @property
    def ends_episode(self) -> bool:
        """Whether the agent declares the task over; the device is not touched."""
        return self.kind in (ActionKind.COMPLETE, ActionKind.IMPOSSIBLE)


@dataclass(frozen=True, eq=False)
class PolicyInput:
    """All that a policy sees when it decides: the same in training, evaluation and serving."""

    instruction: str
    observation: Observation
    history: tuple[str, ...] = ()
    """The agent's own last action texts, oldest first, bounded by `policy.history_length`."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What the policy wrote, exactly: never re-tokenised.

    token_ids [A] int32, log_probs [A] float32: behaviour log-probabilities at `temperature`, recorded when sampled,
    the end-of-action token included.
    """

    text: str
    token_ids: NDArray[np.int32]
    log_probs: NDArray[np.float32]
    policy_version: int
    temperature: float
    entropy: float = 0.0
    """Mean token entropy of the behaviour policy at this step, nats."""

    @property
    def log_prob(self) -> float:
        """log mu(a_t | s_t), summed over the action's tokens."""
        return float(self.log_probs.sum(dtype=np.float64))


@dataclass(frozen=True)
class Verdict:
    """A judge's answer about the present state of the device."""

    success: bool
    side_effects: tuple[str, ...] = ()
    """Paths of state that changed and should not have; success is False when there are any."""
    reason: str = ""
    failed: bool = False
    """The task can no longer succeed: the episode ends, with reward 0."""


class Ending(StrEnum):
    """How an episode ended; never confused with one another (see docs/algorithm.md)."""

    TERMINATED = "terminated"
    """The judge said success, or the agent declared the end. Bootstrap 0."""
    TRUNCATED = "truncated"
    """The step budget ran out. Bootstrap with the value of the final observation."""
    ABORTED = "aborted"
    """Device, network or judge failed. Recorded and counted, never trained on, never scored as a failure."""


@dataclass(frozen=True)
class StepTiming:
    """Where one step's time went, in seconds."""

    observe_s: float = 0.0
    policy_wait_s: float = 0.0
    """Waiting in the batch queue for the policy."""
    policy_s: float = 0.0
    act_s: float = 0.0
    judge_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Step:
    """One decision and what followed."""

    observation: Observation
    history: tuple[str, ...]
    decision: Decision
    action: Action | None
    """None when the text was not a valid action."""
    reward: float
    """Task reward: 1 at the step where the judge says success, else 0."""
    penalties: tuple[tuple[str, float], ...] = ()
    """Named, each <= 0, e.g. (("invalid", -1.0),)."""
    invalid: InvalidKind | None = None
    timing: StepTiming = StepTiming()

    @property
    def total_reward(self) -> float:
        """Reward plus penalties: what the learner sees."""
        return self.reward + sum(value for _, value in self.penalties)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One episode, whole: the unit that is stored, acknowledged, prioritised and replayed."""

    id: str
    """Unique over all runs and workers; a resend of the same id changes nothing."""
    task: Task
    steps: tuple[Step, ...]
    final_observation: Observation | None
    """The screen after the last step; None when the device could not show it."""
    ending: Ending
    success: bool
    worker: str
    device: str
    started_at: float
    """Unix time, seconds."""
    duration_s: float
    fault: str | None = None
    """What failed, for ABORTED: `lost`, `hung`, `rejected`, `no_observation`, `judge`."""
    side_effects: tuple[str, ...] = ()
    reset_s: float = 0.0

    @property
    def policy_version(self) -> int:
        """The oldest version that acted in it; -1 when there are no steps."""
        return min((step.decision.policy_version for step in self.steps), default=-1)

    @property
    def outcome(self) -> float:
        """1.0 for success, else 0.0."""
        return float(self.success)
