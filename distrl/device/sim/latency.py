"""How long a simulated phone takes for each call: named profiles, drawn from a seed.

Profiles are parametrised from published figures (screenshots of an emulator over adb: median around 1 s with
p90/p10 = 4.5; app launches 2-15 s; settling 1-2 s; snapshot resets around 5 s, cold boots up to 2 min), not measured
on one fleet. `docs/simulated-phone.md` lists them.

    latency = Latency(latency_profile("emulator", scale=0.01), seed=7)
    latency.begin_episode()                  # how slow this phone is during this episode
    seconds = latency.sample("reset") + latency.sample("observe") + latency.sample("act")

Two draws make whole tasks differ as widely as on real emulators: one slowness per episode, which multiplies every call,
and stragglers, single calls that take 5-10 times as long. No call of a healthy phone reaches the default deadlines
(`workers.deadlines`): hangs are injected by `faults.py`, never an accident of the profile.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log
from types import MappingProxyType
from typing import Final, Literal

from distrl.errors import ConfigError

CallKind = Literal["reset", "observe", "act", "launch", "check", "recover"]
"""`launch` is an `act` that brings another app to the front."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A positive duration whose logarithm is normal: `median_s` seconds, spread `sigma` (p90/p10 = exp(2.56 sigma))."""

    median_s: float
    sigma: float

    def sample(self, rng: random.Random) -> float:
        """One duration in seconds."""
        return rng.lognormvariate(log(self.median_s), self.sigma)


@dataclass(frozen=True, slots=True)
class Uniform:
    """A number drawn evenly from [low, high]; durations are in seconds."""

    low: float
    high: float

    def sample(self, rng: random.Random) -> float:
        """One number."""
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """What each call costs on one kind of device. All durations are seconds, multiplied by `scale`.

    Example:
        profile = latency_profile("emulator", scale=0.01)   # an hour of emulator time in 36 seconds
    """

    name: str
    action: LogNormal
    """Sending the gesture and waiting for the screen to settle."""
    screenshot: LogNormal
    launch: Uniform
    """Instead of `action` where another app comes to the front."""
    reset: LogNormal
    """From a snapshot."""
    cold_reset: Uniform
    """From a cold boot, at `cold_reset_rate`."""
    check: LogNormal
    recover: LogNormal
    cold_reset_rate: float
    straggler_rate: float
    """Share of calls that take `straggler_factor` times as long."""
    straggler_factor: Uniform
    slowness_sigma: float
    """Spread of the factor, drawn once per episode with median 1, that multiplies every call but `recover`."""
    longest_call_s: float = 25.0
    """No observe, act, launch or check takes longer."""
    longest_reset_s: float = 110.0
    longest_recover_s: float = 280.0
    scale: float = 1.0
    """0 makes every call instant."""


_EMULATOR: Final = LatencyProfile(
    name="emulator",
    action=LogNormal(1.5, 0.3),
    screenshot=LogNormal(1.0, 0.587),
    launch=Uniform(2.0, 15.0),
    reset=LogNormal(5.0, 0.4),
    cold_reset=Uniform(12.0, 100.0),
    check=LogNormal(0.3, 0.5),
    recover=LogNormal(38.0, 0.45),
    cold_reset_rate=0.03,
    straggler_rate=0.03,
    straggler_factor=Uniform(5.0, 10.0),
    slowness_sigma=0.6,
)
_STREAM: Final = LatencyProfile(
    name="stream",
    action=LogNormal(0.6, 0.25),
    screenshot=LogNormal(0.03, 0.25),
    launch=Uniform(0.8, 4.0),
    reset=LogNormal(2.0, 0.3),
    cold_reset=Uniform(12.0, 40.0),
    check=LogNormal(0.05, 0.3),
    recover=LogNormal(15.0, 0.3),
    cold_reset_rate=0.0,
    straggler_rate=0.01,
    straggler_factor=Uniform(5.0, 10.0),
    slowness_sigma=0.15,
)

PROFILES: Final[Mapping[str, LatencyProfile]] = MappingProxyType(
    {"instant": replace(_STREAM, name="instant", scale=0.0), "stream": _STREAM, "emulator": _EMULATOR}
)
"""`instant` takes no time; `stream` is a phone watched through a video stream; `emulator` one driven over adb."""


def latency_profile(name: str, *, scale: float = 1.0) -> LatencyProfile:
    """The named profile with every duration multiplied by `scale`; raises `ConfigError` for an unknown name."""
    if name not in PROFILES:
        raise ConfigError(f"unknown latency profile {name!r}; there are: {', '.join(PROFILES)}")
    if not scale >= 0.0:
        raise ConfigError(f"latency scale must be 0 or more, not {scale}; 0.01 makes an hour half a minute")
    return replace(PROFILES[name], scale=PROFILES[name].scale * scale)


class Latency:
    """Draws the duration of one device's calls: the same profile, seed and order of calls give the same durations."""

    def __init__(self, profile: LatencyProfile, *, seed: int | str) -> None:
        self.profile = profile
        self.slowness = 1.0
        """The present episode's factor."""
        self._rng = random.Random(f"latency/{seed}")

    def begin_episode(self) -> None:
        """Draws how slow the device is from here on; call it before sampling the episode's reset."""
        if self.profile.scale:
            self.slowness = self._rng.lognormvariate(0.0, self.profile.slowness_sigma)

    def sample(self, kind: CallKind, *, factor: float = 1.0) -> float:
        """Seconds that the next call of this kind takes, `factor` times its ordinary duration."""
        profile = self.profile
        if not profile.scale:
            return 0.0
        rng = self._rng
        if kind == "recover":
            return min(profile.recover.sample(rng), profile.longest_recover_s) * factor * profile.scale
        seconds = self._ordinary(kind) * self.slowness
        if rng.random() < profile.straggler_rate:
            seconds *= profile.straggler_factor.sample(rng)
        longest_s = profile.longest_reset_s if kind == "reset" else profile.longest_call_s
        return min(seconds, longest_s) * factor * profile.scale

    def _ordinary(self, kind: CallKind) -> float:
        profile, rng = self.profile, self._rng
        if kind == "observe":
            return profile.screenshot.sample(rng)
        if kind == "act":
            return profile.action.sample(rng)
        if kind == "launch":
            return profile.launch.sample(rng)
        if kind == "check":
            return profile.check.sample(rng)
        cold = rng.random() < profile.cold_reset_rate
        return (profile.cold_reset if cold else profile.reset).sample(rng)
