"""A simulated phone as a device: set up from a suite of tasks, as slow and as faulty as its profile says.

    device = SimDevice("phone-3", SimSuite(), size=(180, 400), latency=latency_profile("emulator"), seed=3)
    task = await device.reset(task, deadline_s=120.0)
    observation = await device.observe(deadline_s=30.0)
    await device.act(Action(ActionKind.TAP, touch=(0.5, 0.5)), deadline_s=30.0)
    (await device.check(task, deadline_s=30.0)).success

Hundreds share one event loop: between two turns of the loop a device does at most one piece of work (sets a task
up, draws a screen, carries out an action), and time is spent only in `asyncio.sleep`, so that a virtual clock rules it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from distrl.device.sim.faults import NO_FAULTS, FaultInjector, FaultKind, FaultPlan, FaultyCall, is_blank
from distrl.device.sim.latency import PROFILES, Latency, LatencyProfile
from distrl.device.sim.phone import Phone
from distrl.device.sim.state import SystemState, dump, load
from distrl.errors import (
    ActionError,
    DeviceError,
    DeviceHungError,
    DeviceLostError,
    DeviceRejectedError,
    ObservationError,
)
from distrl.types import Action, Frame, Observation, Task, Verdict


class Suite(Protocol):
    """What sets the simulated phone up for a task and judges its state: `SimSuite`, or a stand-in."""

    def begin(self, task: Task) -> SystemState:
        """The state a task starts from; the same task gives an equal state each time."""

    def check(self, task: Task, before: SystemState, after: SystemState) -> Verdict:
        """Whether `after` is what the task asks of `before`."""


class SimDevice:
    """Implements `distrl.device.base.Device` over one simulated phone.

    The same name, seed, tasks and calls give the same screens, latencies and faults. A call that would take longer than
    its deadline ends at the deadline with `DeviceHungError`. Of a step that hangs, the action may or may not have been
    carried out, as on a real phone. After an error the device answers nothing but `recover` and `close`, and after
    `recover` it needs a `reset`.
    """

    def __init__(
        self,
        name: str,
        suite: Suite,
        *,
        size: tuple[int, int] = (180, 400),
        latency: LatencyProfile = PROFILES["instant"],
        faults: FaultPlan = NO_FAULTS,
        seed: int = 0,
    ) -> None:
        self.name = name
        self._suite = suite
        self._size = size
        self._latency = Latency(latency, seed=f"{seed}/{name}")
        self._faults = FaultInjector(faults, seed=f"{seed}/{name}")
        self._phone: Phone | None = None
        self._state = SystemState()
        self._before: SystemState | None = None
        self._last_frame: Frame | None = None
        self._failure = ""
        self._offline_until_s = 0.0
        self._is_offline_without_time = False
        self._closed = False

    @property
    def faults_injected(self) -> Mapping[FaultKind, int]:
        """How many faults of each kind took effect so far."""
        return dict(self._faults.counts)

    async def reset(self, task: Task, *, deadline_s: float) -> Task:
        """Sets `task` up on a fresh phone and returns it unchanged; raises `TaskError` for an unknown template."""
        self._must_be_usable("reset")
        fault = self._faults.draw("reset")
        self._phone = self._before = self._last_frame = None
        self._latency.begin_episode()
        if fault is not None and fault != "slow_reset":
            await self._stop(fault, "reset", deadline_s)
        factor = 1.0
        if fault == "slow_reset":
            self._faults.happened(fault)
            factor = self._faults.plan.slow_reset_factor
        await self._spend(self._latency.sample("reset", factor=factor), "reset", deadline_s)
        await asyncio.sleep(0)  # Setting up is work: let the loop turn first.
        before = self._suite.begin(task)
        # Kept besides the phone: reading `phone.state` would make it build its screen again.
        self._state = load(dump(before))
        self._phone = Phone(self._state, size=self._size)
        self._before = before
        return task

    async def observe(self, *, deadline_s: float) -> Observation:
        """The present screen and UI tree; raises `ObservationError` when the screenshot is of one colour."""
        self._must_be_usable("observe")
        phone = self._running_phone()
        fault = self._faults.draw("observe")
        if fault in ("hang", "crash", "offline"):
            await self._stop(fault, "observe", deadline_s)
        await self._spend(self._latency.sample("observe"), "observe", deadline_s)
        await asyncio.sleep(0)  # Drawing is work: let the loop turn first.
        observation = phone.observe()
        frame = observation.frame
        if fault == "blank_frame":
            self._faults.happened(fault)
            frame = self._faults.blank(frame)
        elif fault == "stale_frame" and self._last_frame is not None:
            self._faults.happened(fault)
            frame = self._last_frame
        if is_blank(frame):
            raise self._fail(ObservationError(self.name, "the screenshot is of one colour; recover the device"))
        self._last_frame = frame
        if frame is not observation.frame:
            return Observation(frame, observation.elements, observation.app)
        return observation

    async def act(self, action: Action, *, deadline_s: float) -> None:
        """Carries `action` out once; raises `DeviceRejectedError` for one that ends the episode or cannot be done."""
        self._must_be_usable("act")
        phone = self._running_phone()
        if action.ends_episode:
            message = f"{action.kind} ends the episode and is never sent to a device"
            raise self._fail(DeviceRejectedError(self.name, message))
        fault = self._faults.draw("act")
        if fault == "lost_tap":
            self._faults.happened(fault)
            await self._spend(self._latency.sample("act"), "act", deadline_s)
            return
        if fault is not None:
            await self._stop(fault, "act", deadline_s)
        app = self._state.app
        try:
            phone.apply(action)
        except ActionError as error:
            raise self._fail(DeviceRejectedError(self.name, str(error))) from error
        launched = self._state.app not in (app, "launcher")
        await self._spend(self._latency.sample("launch" if launched else "act"), "act", deadline_s)

    async def check(self, task: Task, *, deadline_s: float) -> Verdict:
        """Whether the phone's state is what `task` asks for, by the suite's check on state."""
        self._must_be_usable("check")
        self._running_phone()
        fault = self._faults.draw("check")
        if fault is not None:
            await self._stop(fault, "check", deadline_s)
        await self._spend(self._latency.sample("check"), "check", deadline_s)
        assert self._before is not None
        return self._suite.check(task, self._before, self._state)

    async def recover(self, *, deadline_s: float) -> None:
        """Restarts the phone, which then needs a `reset`; raises `DeviceLostError` while it stays offline."""
        if self._closed:
            raise DeviceLostError(self.name, "recover was called after close; make a new device")
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        self._phone = self._before = self._last_frame = None
        fault = self._faults.draw("recover")
        if fault is not None:
            await self._stop(fault, "recover", deadline_s)
        if self._is_offline_without_time:
            self._is_offline_without_time = False
            raise self._fail(DeviceLostError(self.name, "still offline; try again later"))
        offline_s = self._offline_until_s - started_s
        if offline_s > 0.0:
            await asyncio.sleep(min(offline_s, deadline_s))
            if offline_s > deadline_s:
                raise self._fail(DeviceLostError(self.name, f"still offline after {deadline_s:g} s; try again later"))
        left_s = deadline_s - max(0.0, offline_s)
        await self._spend(self._latency.sample("recover"), "recover", left_s)
        self._failure = ""

    async def close(self) -> None:
        """Frees the phone; calling it again changes nothing."""
        self._closed = True
        self._phone = self._before = self._last_frame = None

    def _must_be_usable(self, call: str) -> None:
        if self._closed:
            raise DeviceLostError(self.name, f"{call} was called after close; make a new device")
        if self._failure:
            raise DeviceLostError(self.name, f"{call} was called after a failure ({self._failure}); call recover first")

    def _running_phone(self) -> Phone:
        if self._phone is None:
            raise self._fail(DeviceRejectedError(self.name, "no task is set up; call reset first"))
        return self._phone

    async def _spend(self, seconds: float, call: str, deadline_s: float) -> None:
        if seconds == 0.0:
            return
        await asyncio.sleep(min(seconds, deadline_s))
        if seconds > deadline_s:
            raise self._hung(call, deadline_s)

    async def _stop(self, fault: FaultKind, call: FaultyCall, deadline_s: float) -> None:
        self._faults.happened(fault)
        if fault == "hang":
            await asyncio.sleep(deadline_s)
            raise self._hung(call, deadline_s)
        if fault == "offline":
            away_s = self._faults.offline_s() * self._latency.profile.scale
            self._offline_until_s = asyncio.get_running_loop().time() + away_s
            self._is_offline_without_time = away_s == 0.0  # Where nothing takes time, one recovery fails instead.
            raise self._fail(DeviceLostError(self.name, f"went offline during {call}; recover waits for it"))
        raise self._fail(DeviceLostError(self.name, f"crashed during {call}; recover restarts it"))

    def _hung(self, call: str, deadline_s: float) -> DeviceError:
        message = f"{call} was not done within its deadline of {deadline_s:g} s; recover the device"
        return self._fail(DeviceHungError(self.name, message))

    def _fail(self, error: DeviceError) -> DeviceError:
        self._failure = error.fault
        return error
