"""The one thing every kind of device is: an async handle with a deadline on every call.

A device knows no policy and no reward. It sets a task up, shows its screen, obeys an action, and says whether
its own state satisfies the task. Failures are `DeviceError`s, one class per cause. An action is sent once:
retrying a tap is a second tap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar, runtime_checkable

from distrl.errors import DeviceHungError
from distrl.types import Action, Observation, Task, Verdict

T = TypeVar("T")


@runtime_checkable
class Device(Protocol):
    """A phone, an emulator, a web page: anything with a screen that obeys touches.

    Every call raises `DeviceHungError` when it is not done within `deadline_s` seconds, and another `DeviceError`
    when it failed for another reason. After any `DeviceError` only `recover` and `close` may be called.
    """

    name: str
    """Unique in the fleet; appears in logs, metrics and trajectories."""

    async def reset(self, task: Task, *, deadline_s: float) -> Task:
        """Brings the device to the start of `task`; returns it as set up (a web page may write its instruction)."""

    async def observe(self, *, deadline_s: float) -> Observation:
        """Returns the present screen and UI tree; raises `ObservationError` rather than return a blank one."""

    async def act(self, action: Action, *, deadline_s: float) -> None:
        """Does `action` once. COMPLETE and IMPOSSIBLE are never sent to a device."""

    async def check(self, task: Task, *, deadline_s: float) -> Verdict:
        """Says whether the device's present state satisfies `task`."""

    async def recover(self, *, deadline_s: float) -> None:
        """Makes a failed device usable again (restart, reconnect)."""

    async def close(self) -> None:
        """Frees everything the device holds; never raises."""


async def before_deadline(call: Awaitable[T], *, deadline_s: float, device: str, name: str) -> T:
    """Awaits `call`, or raises `DeviceHungError` naming the device and the call after `deadline_s` seconds."""
    try:
        async with asyncio.timeout(deadline_s):
            return await call
    except TimeoutError:
        raise DeviceHungError(device, f"{name} was not done within its deadline of {deadline_s:g} s") from None
