"""Did it succeed? A judge answers after every step; one that cannot answer aborts the episode, it never fails it."""

from __future__ import annotations

from typing import Protocol

from distrl.device.base import Device
from distrl.types import Observation, Task, Verdict


class Judge(Protocol):
    """Decides success. Raises `JudgeError` or `DeviceError` when it cannot."""

    async def judge(self, device: Device, task: Task, observation: Observation, *, deadline_s: float) -> Verdict:
        """Says whether `task` is done on `device`, which now shows `observation`."""


class StateJudge:
    """Asks the device for its own state: exact, and indifferent to what the agent claims."""

    async def judge(self, device: Device, task: Task, observation: Observation, *, deadline_s: float) -> Verdict:
        """Returns the device's own verdict."""
        return await device.check(task, deadline_s=deadline_s)
