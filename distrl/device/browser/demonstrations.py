"""Scripted demonstrations on real pages: what `distrl sft` clones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from distrl.config import BrowserDeviceConfig, DeadlinesConfig
from distrl.device.browser.device import BrowserDevice
from distrl.device.browser.oracles import oracle
from distrl.types import Action, Observation, Task

DemonstratedSteps = list[tuple[Observation, Action, bool]]
"""Screen, action, and whether the action was a mistake; the scripts make none."""


def page_demonstrator(
    settings: BrowserDeviceConfig, deadlines: DeadlinesConfig
) -> Callable[[Task], tuple[Task, DemonstratedSteps]]:
    """Returns what plays a task by its script, on one page that it keeps for all of them.

    The result is the task with the instruction that the page wrote, and the steps; no steps when the script did not
    solve it (a button can lie under another). The browser ends with the last reference to the demonstrator.

    Raises:
        ConfigError: Chromium, its driver or the package `miniwob` is missing.
        TaskError: a page has no script (when it is played).
        DeviceError: the browser failed (when it is played).
    """
    device = BrowserDevice("demonstrator", settings)
    return lambda task: asyncio.run(_demonstrate(device, task, deadlines))


async def _demonstrate(device: BrowserDevice, task: Task, deadlines: DeadlinesConfig) -> tuple[Task, DemonstratedSteps]:
    task = await device.reset(task, deadline_s=deadlines.reset_s)
    steps: DemonstratedSteps = []
    while len(steps) < task.max_steps:
        observation = await device.observe(deadline_s=deadlines.observe_s)
        action = oracle(task, observation)
        if action is None:
            break
        await device.act(action, deadline_s=deadlines.act_s)
        steps.append((observation, action, False))
        verdict = await device.check(task, deadline_s=deadlines.check_s)
        if verdict.success:
            return task, steps
        if verdict.failed:
            break
    return task, []
