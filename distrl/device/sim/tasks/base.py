"""What a task template is: how it draws, sets up, checks and solves one kind of task.

The check is one for all templates: `intend` makes, on a copy of the state before, the change that the instruction asks
for. The task is done when the phone shows exactly that change; whatever else changed is a side effect.

    class Wifi(Template):
        name, level, apps = "settings.wifi", 1, ("settings",)
        instructions = ("Turn {word} Wi-Fi.", "Switch Wi-Fi {word}.", "Wi-Fi should be {word}.")
        longest = 4
        def sample(self, rng, split): return {"word": rng.choice(["on", "off"])}
        def set_up(self, state, params, rng): state.settings.wifi = params["word"] == "off"
        def intend(self, state, params): state.settings.wifi = params["word"] == "on"
        def oracle(self, hand, params):
            yield from hand.open_app("settings")
            yield from hand.tap("Wi-Fi")
"""

from __future__ import annotations

import random
from typing import Any

from distrl.device.sim.state import SystemState, dump, load
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.tasks.userdata import Paths, changes, same
from distrl.types import Split, Verdict

Params = dict[str, Any]
"""What one task is about: JSON values that fill the instruction and drive set-up, check and oracle."""


class Template:
    """Base of every task template; a subclass fills in the attributes and the methods below."""

    name: str
    """`app.verb`, unique in the suite."""
    level: int
    """1 single screen; 2 one app, 4-10 steps; 3 cross-app or constrained."""
    apps: tuple[str, ...]
    """Packages that solving it passes through, the launcher left out."""
    instructions: tuple[str, ...]
    """At least three paraphrases, as format strings over the parameters; texts to type stand in double quotes."""
    longest: int
    """The most actions the oracle takes from any start without distractors; the step budget is twice that."""
    needs_pixels: bool = False
    """Whether what to touch can be told only from the screenshot."""
    closed_params: bool = False
    """Whether its parameters are a small fixed set (on/off, an app), the same in all splits."""
    start_in_app: float = 0.3
    """Chance that the phone starts inside `apps[0]` rather than on the home screen."""

    def sample(self, rng: random.Random, split: Split) -> Params:
        """Draws the parameters of one task, words and numbers from the pools of `split`."""
        raise NotImplementedError

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        """Changes a fresh world so that the task makes sense there and is not yet done."""

    def place(self, state: SystemState, params: Params, rng: random.Random) -> None:
        """Moves the phone to a start of its own, for tasks that begin on a certain page."""

    def intend(self, state: SystemState, params: Params) -> None:
        """Makes the change to user data that the instruction asks for; nothing for tasks that only go somewhere."""

    def arrived(self, state: SystemState, params: Params) -> bool:
        """Whether the phone is where the instruction wants it; for tasks that go somewhere."""
        return True

    def oracle(self, hand: Hand, params: Params) -> Script:
        """Solves the task from what the screen shows, one yielded action at a time."""
        raise NotImplementedError

    @property
    def max_steps(self) -> int:
        """Step budget: twice the oracle's longest way, and never under 4."""
        return max(4, 2 * self.longest)

    def wanted(self, before: SystemState, params: Params) -> Paths:
        """The changes to user data that the instruction asks for, by path."""
        expected = load(dump(before))
        self.intend(expected, params)
        return changes(before, expected)

    def verdict(self, before: SystemState, after: SystemState, params: Params, wanted: Paths) -> Verdict:
        """Success when `after` shows all of `wanted`, nothing else of the user's changed, and the place is right."""
        found = changes(before, after)
        missing = [path for path, value in wanted.items() if path not in found or not same(found[path], value)]
        effects = tuple(sorted(path for path in found if path not in wanted))
        if missing:
            return Verdict(False, effects, f"not done: {', '.join(sorted(missing))}")
        if effects:
            return Verdict(False, effects, "side effects")
        if not self.arrived(after, params):  # After the side effects: what it looks up is still there.
            return Verdict(False, reason="not there yet")
        return Verdict(True, reason="done")
