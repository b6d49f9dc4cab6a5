"""Oracle demonstrations: what a policy is cloned from, with mistakes and recoveries on request.

steps = run_oracle(suite, task, size=(180, 400), detour_rate=0.1, seed=3)
[(step.observation, step.action) for step in steps if not step.mistake]
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from distrl.device.sim.phone import Phone
from distrl.device.sim.state import SystemState, dump, load
from distrl.device.sim.tasks.hand import SCROLLS, Hand
from distrl.device.sim.tasks.suite import SimSuite
from distrl.device.sim.tasks.userdata import changes
from distrl.errors import TaskError
from distrl.types import Action, ActionKind, Element, Observation, Task

_TRIES = 8
"""Wrong steps tried before a detour is given up: most can be taken back by one key or scroll."""


@dataclass(frozen=True, eq=False)
class DemonstrationStep:
    """What the demonstrator saw and did. A `mistake` belongs into the history but is not to be imitated."""

    observation: Observation
    action: Action
    mistake: bool = False


def run_oracle(
    suite: SimSuite, task: Task, *, size: tuple[int, int] = (180, 400), detour_rate: float = 0.0, seed: int = 0
) -> list[DemonstrationStep]:
    """Solves `task` on a fresh phone of `size` pixels and returns each step, up to the first that the check accepts.

    With chance `detour_rate` per step the demonstrator first does something else, lasting for one step and without
    consequences, and takes it back; it never spends more than the step budget. Raises `TaskError` when the oracle
    ends and the task is not done.
    """
    before = suite.begin(task)
    phone = Phone(load(dump(before)), size=size)
    rng = random.Random(f"detour/{task.id}/{seed}")
    hand = Hand(phone.observe())
    template = suite.template(task.template)
    script = template.oracle(hand, task.params)
    steps: list[DemonstrationStep] = []
    action = next(script, None)
    while action is not None:
        if task.max_steps - len(steps) - template.longest >= 2 and rng.random() < detour_rate:
            steps += _detour(phone, suite, task, before, rng)
        steps.append(DemonstrationStep(phone.observe(), action))
        phone.apply(action)
        if suite.check(task, before, phone.state).success:
            return steps
        try:
            action = script.send(phone.observe())
        except StopIteration:
            action = None
    verdict = suite.check(task, before, phone.state)
    raise TaskError(f"The oracle of {task.id} ended without success: {verdict.reason} {verdict.side_effects}")


def _detour(
    phone: Phone, suite: SimSuite, task: Task, before: SystemState, rng: random.Random
) -> list[DemonstrationStep]:
    """Makes one wrong step and takes it back, leaving the phone as it was; no steps when none is found."""
    here, start = phone.elements(), dump(phone.state)
    for _ in range(_TRIES):
        wrong = _wrong_action(here, phone.size, rng)
        trial = Phone(load(start), size=phone.size)
        trial.apply(wrong)
        if trial.elements() == here or suite.check(task, before, trial.state).success:
            continue
        for recovery in _RECOVERIES:
            again = trial.fork()
            again.apply(recovery)
            if again.elements() != here or changes(load(start), again.state):
                continue
            steps = [DemonstrationStep(phone.observe(), wrong, mistake=True)]
            phone.apply(wrong)
            steps.append(DemonstrationStep(phone.observe(), recovery))
            phone.apply(recovery)
            return steps
    return []


_RECOVERIES = (
    Action(ActionKind.BACK),
    *(Action(ActionKind.SWIPE, touch=touch, lift=lift) for touch, lift in SCROLLS.values()),
)


def _wrong_action(elements: tuple[Element, ...], size: tuple[int, int], rng: random.Random) -> Action:
    """A tap on something that can be tapped, or now and then a scroll."""
    targets = [element for element in elements if element.clickable]
    if not targets or rng.random() < 0.2:
        touch, lift = rng.choice(list(SCROLLS.values()))
        return Action(ActionKind.SWIPE, touch=touch, lift=lift)
    x, y = rng.choice(targets).center
    return Action(ActionKind.TAP, touch=(x / size[0], y / size[1]))
