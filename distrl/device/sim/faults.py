"""What goes wrong with a simulated phone, at the device's boundary: drawn at seeded rates, or scripted to the step.

    FaultPlan(crash=0.01, blank_frame=0.005)                           # per step
    FaultPlan(script=(Injection("hang", step=3),))                     # the fourth action of the first episode
    FaultPlan(script=(Injection("crash", call="recover", episode=0),)) # the first recovery fails

A fault lands on a call: hang, crash and offline on an `act` or the `observe` after it (evenly), or on a `reset`; blank
and stale frames on the `observe` after the step; lost taps on the `act`; slow resets on the `reset`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from distrl.errors import ConfigError
from distrl.types import Frame

FaultKind = Literal["hang", "crash", "offline", "blank_frame", "stale_frame", "lost_tap", "slow_reset"]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

FaultyCall = Literal["reset", "observe", "act", "check", "recover"]

_STOPPING: Final[tuple[FaultKind, ...]] = ("hang", "crash", "offline")
_PER_STEP: Final[tuple[FaultKind, ...]] = (*_STOPPING, "blank_frame", "stale_frame", "lost_tap")
_PER_RESET: Final[tuple[FaultKind, ...]] = (*_STOPPING, "slow_reset")
_USUAL_CALL: Final[dict[FaultKind, FaultyCall]] = {
    "hang": "act",
    "crash": "act",
    "offline": "act",
    "blank_frame": "observe",
    "stale_frame": "observe",
    "lost_tap": "act",
    "slow_reset": "reset",
}


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault at one exact call; each takes effect once.

    Example:
        Injection("hang", step=3)      # the action after three actions of the first episode never returns
    """

    kind: FaultKind
    episode: int = 0
    """How many resets were begun before this episode's own."""
    step: int = 0
    """How many actions of the episode were sent before the call; not looked at for `reset` and `recover`."""
    call: FaultyCall | None = None
    """Where it lands; None is the usual place: `act`, `observe` for frames, `reset` for slow_reset."""

    def __post_init__(self) -> None:
        usual = _USUAL_CALL.get(self.kind)
        if usual is None:
            raise ConfigError(f"unknown fault {self.kind!r}; there are: {', '.join(FAULT_KINDS)}")
        if self.call not in (None, usual) and self.kind not in _STOPPING:
            raise ConfigError(f"{self.kind} can only happen to `{usual}`, not to `{self.call}`; leave call out")

    @property
    def lands_on(self) -> FaultyCall:
        """The call it happens to."""
        return self.call or _USUAL_CALL[self.kind]


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often each fault happens, as a probability per step; hang, crash, offline and slow_reset also per reset.

    The rates carry the names of `device.faults` in the config: `FaultPlan(**config.faults.model_dump())`.
    """

    hang: float = 0.0
    """The call never returns; its deadline ends it."""
    crash: float = 0.0
    """The device is lost until it is recovered."""
    offline: float = 0.0
    """The device is lost, and no recovery succeeds until `offline_s` seconds are over; where the latency profile takes
    no time, the first recovery fails."""
    blank_frame: float = 0.0
    """The screenshot is of one colour; the device refuses it."""
    stale_frame: float = 0.0
    """The screenshot is the one before, with the present UI tree: nothing tells the caller."""
    lost_tap: float = 0.0
    """The action is not carried out, and nothing tells the caller."""
    slow_reset: float = 0.0
    """The reset takes `slow_reset_factor` times as long."""
    offline_s: tuple[float, float] = (30.0, 240.0)
    """Shortest and longest time offline, in seconds before the latency profile's scale."""
    slow_reset_factor: float = 10.0
    script: tuple[Injection, ...] = ()
    """Faults at exact calls, besides the drawn ones; an injection replaces what is drawn for its call."""

    def __post_init__(self) -> None:
        for kind in FAULT_KINDS:
            if not 0.0 <= self.rate(kind) <= 1.0:
                raise ConfigError(f"the rate of {kind} must be in [0, 1], not {self.rate(kind)}")
        for kinds, per in ((_PER_STEP, "step"), (_PER_RESET, "reset")):
            total = sum(self.rate(kind) for kind in kinds)
            if total > 1.0 + 1e-9:
                raise ConfigError(f"the fault rates per {per} add up to {total:g}; lower them to at most 1 in all")

    def rate(self, kind: FaultKind) -> float:
        """Probability of this fault per step or reset."""
        return float(getattr(self, kind))


NO_FAULTS: Final = FaultPlan()


class FaultInjector:
    """Decides for one device which fault its next call suffers; the same plan, seed and calls give the same faults."""

    def __init__(self, plan: FaultPlan, *, seed: int | str) -> None:
        self.plan = plan
        self.counts: Counter[FaultKind] = Counter()
        """Faults that took effect, by kind; the device counts them with `happened`."""
        self._rng = random.Random(f"faults/{seed}")
        self._script = list(plan.script)
        self._per_step = [(kind, plan.rate(kind)) for kind in _PER_STEP if plan.rate(kind)]
        self._per_reset = [(kind, plan.rate(kind)) for kind in _PER_RESET if plan.rate(kind)]
        self._next_observe: FaultKind | None = None
        self._episode = -1
        self._step = 0

    def draw(self, call: FaultyCall) -> FaultKind | None:
        """The fault that this call suffers, or None. Call it once per call: it also counts episodes and steps."""
        drawn: FaultKind | None = None
        step = self._step
        if call == "reset":
            self._episode += 1
            step = self._step = 0
            self._next_observe = None
            drawn = self._pick(self._per_reset)
        elif call == "act":
            self._step += 1
            drawn = self._draw_step()
        elif call == "observe":
            drawn, self._next_observe = self._next_observe, None
        return self._scripted(call, step) or drawn if self._script else drawn

    def happened(self, kind: FaultKind) -> None:
        """Counts a fault that took effect."""
        self.counts[kind] += 1

    def offline_s(self) -> float:
        """How long the device stays away this time, before the profile's scale."""
        return self._rng.uniform(*self.plan.offline_s)

    def blank(self, frame: Frame) -> Frame:
        """A frame of one colour, black or white, of the same shape."""
        return Frame(np.full_like(frame.pixels, self._rng.choice((0, 255))))

    def _draw_step(self) -> FaultKind | None:
        kind = self._pick(self._per_step)
        on_observe = kind in ("blank_frame", "stale_frame") or (kind in _STOPPING and self._rng.random() < 0.5)
        self._next_observe = kind if on_observe else None
        return None if on_observe else kind

    def _pick(self, rates: list[tuple[FaultKind, float]]) -> FaultKind | None:
        if not rates:
            return None
        left = self._rng.random()
        for kind, rate in rates:
            left -= rate
            if left < 0.0:
                return kind
        return None

    def _scripted(self, call: FaultyCall, step: int) -> FaultKind | None:
        for position, injection in enumerate(self._script):
            anywhere = call in ("reset", "recover")
            if injection.lands_on == call and injection.episode == max(0, self._episode) and (
                anywhere or injection.step == step
            ):  # fmt: skip
                return self._script.pop(position).kind
        return None


def is_blank(frame: Frame) -> bool:
    """Whether every pixel has the same colour: what a phone that is off or still drawing shows, never a real screen."""
    pixels = frame.pixels
    first = pixels[0, 0]
    # A real screen differs somewhere on this coarse grid nearly always: the full comparison is rarely needed.
    return bool((pixels[::16, ::16] == first).all() and (pixels == first).all())
