"""What oracles are written in: a hand that sees only what an agent sees, and says what to do in the same actions.

    def oracle(self, hand, params):
        yield from hand.open_app("contacts")
        yield from hand.tap("New contact")
        yield from hand.type_into("First name", params["first"])
        yield from hand.tap("Save")

A script is a generator: it yields an action and is sent the observation that followed. Every action is one that the
element-index format can say: taps and long presses in the centre of an element, the four fixed scrolls, typing, keys.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import numpy as np

from distrl.errors import TaskError
from distrl.types import Action, ActionKind, Element, Observation

Script = Generator[Action, Observation, None]

SCROLLS: Final[dict[str, tuple[tuple[float, float], tuple[float, float]]]] = {
    "down": ((0.5, 0.7), (0.5, 0.35)),
    "up": ((0.5, 0.35), (0.5, 0.7)),
    "right": ((0.8, 0.5), (0.2, 0.5)),
    "left": ((0.2, 0.5), (0.8, 0.5)),
}
"""Direction the view moves -> touch and lift; the same fingers as the `scroll` word of the action formats."""

SAFE_BUTTONS: Final = ("Don't allow", "Not now", "Later", "No thanks")
"""What dismisses a popup without changing anything."""

MAX_SCROLLS: Final = 12

APP_NAMES: Final = {
    "browser": "Browser",
    "clock": "Clock",
    "contacts": "Contacts",
    "messages": "Messages",
    "notes": "Notes",
    "settings": "Settings",
    "shop": "Shop",
}
"""Package -> the name under its icon."""


class Hand:
    """Reads the present observation and yields actions; `observation` is always the newest screen."""

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.dismiss_popups = True
        """Whether a popup in the way is closed by its safe button before the next action."""

    # --- looking ---

    @property
    def elements(self) -> tuple[Element, ...]:
        """The UI tree on the screen."""
        return self.observation.elements or ()

    def all(self, text: str = "", *, class_name: str = "", part: bool = False) -> list[Element]:
        """Every element that says `text` (or contains it, with `part`) and is of the class, in drawing order.

        Text fields are left out: what was typed there is no button (`type_into` finds them). So are notifications.
        """
        return [
            element
            for element in self.elements
            if not element.editable
            and not element.resource_id.startswith("notification_")
            and (not class_name or element.class_name == class_name)
            and (not text or says(element, text, part=part))
        ]

    def keyed(self, prefix: str) -> list[Element]:
        """Every element whose resource id starts with `prefix`: for rows of pictures without words."""
        return [element for element in self.elements if element.resource_id.startswith(prefix)]

    def sees(self, text: str, *, part: bool = False) -> bool:
        """Whether something on the screen says `text`."""
        return bool(self.all(text, part=part))

    def find(self, text: str = "", *, class_name: str = "", part: bool = False, nth: int = 0) -> Element:
        """The nth such element, those that can be touched first; raises `TaskError` when there is none."""
        found = self.all(text, class_name=class_name, part=part)
        found.sort(key=lambda element: not element.clickable)
        if nth >= len(found):
            seen = ", ".join(repr(label(element)) for element in self.elements if label(element))
            raise TaskError(f"The oracle looks for {text or class_name!r}, number {nth}; the screen shows {seen}.")
        return found[nth]

    def nearest_color(self, elements: list[Element], color: str) -> Element:
        """The element that shows `#rrggbb` most exactly at its start; raises `TaskError` without candidates."""
        if not elements:
            raise TaskError(f"The oracle looks for the colour {color}; the screen has no candidates.")
        target = np.array([int(color[index : index + 2], 16) for index in (1, 3, 5)])

        def distance(element: Element) -> int:
            left, top, right, bottom = element.bounds
            square = self.observation.frame.pixels[top:bottom, left : min(right, left + bottom - top)]
            return int(np.abs(square - target).sum(axis=-1).min())

        return min(elements, key=distance)

    # --- acting ---

    def do(self, action: Action) -> Script:
        """Yields one action, after closing a popup that is in the way."""
        while self.dismiss_popups and (button := self._safe_button()) is not None:
            self.observation = yield self._touch(ActionKind.TAP, button)
        self.observation = yield action

    def touch(self, element: Element, *, long: bool = False) -> Script:
        """Taps or long-presses the middle of an element of the present screen."""
        yield from self.do(self._touch(ActionKind.LONG_PRESS if long else ActionKind.TAP, element))

    def tap(self, text: str, *, class_name: str = "", part: bool = False, nth: int = 0, long: bool = False) -> Script:
        """Taps what says `text`, scrolling to it where needed and closing the keyboard when that hides it."""
        yield from self.clear()
        if len(self.all(text, class_name=class_name, part=part)) <= nth:
            yield from self.scroll_to(text, class_name=class_name, part=part, nth=nth)
        yield from self.touch(self.find(text, class_name=class_name, part=part, nth=nth), long=long)

    def long_press(self, text: str, *, part: bool = False) -> Script:
        """Holds what says `text`."""
        yield from self.tap(text, part=part, long=True)

    def type(self, text: str) -> Script:
        """Types into the focused field."""
        yield from self.do(Action(ActionKind.TYPE, text=text))

    def back(self) -> Script:
        """Presses the system's back key."""
        yield from self.do(Action(ActionKind.BACK))

    def home(self) -> Script:
        """Presses the system's home key."""
        yield from self.do(Action(ActionKind.HOME))

    def enter(self) -> Script:
        """Presses the keyboard's action key."""
        yield from self.do(Action(ActionKind.ENTER))

    def scroll(self, direction: str) -> Script:
        """Moves the view `up`, `down`, `left` or `right`."""
        touch, lift = SCROLLS[direction]
        yield from self.do(Action(ActionKind.SWIPE, touch=touch, lift=lift))

    def scroll_to(self, text: str, *, class_name: str = "", part: bool = False, nth: int = 0) -> Script:
        """Looks further down, then back up, until something says `text`; raises `TaskError` when nothing does."""
        if any(element.focused and element.editable for element in self.elements):
            yield from self.back()  # The keyboard covers part of the list.
        for direction in ("down", "up"):
            for _ in range(MAX_SCROLLS):
                if len(self.all(text, class_name=class_name, part=part)) > nth:
                    return
                before = self.elements
                yield from self.scroll(direction)
                if self.elements == before:
                    break
        self.find(text, class_name=class_name, part=part, nth=nth)

    def type_into(self, field: str, text: str) -> Script:
        """Focuses the field that says `field` (its hint or content) and types."""
        element = self._field(field)
        if element is None:
            yield from self.scroll_to(field)
            element = self._field(field)
        assert element is not None, f"no field {field!r}"
        if not element.focused:
            yield from self.touch(element)
        yield from self.type(text)

    def clear(self) -> Script:
        """Closes every popup that is in the way, so that what follows reads the screen below."""
        while self.dismiss_popups and (button := self._safe_button()) is not None:
            self.observation = yield self._touch(ActionKind.TAP, button)

    def open_app(self, package: str, name: str = "") -> Script:
        """Brings an app to the front from anywhere: by its icon on the home pages, else in the app drawer."""
        yield from self.clear()
        if self.observation.app == package:
            return
        if self.observation.app != "launcher":
            yield from self.home()
        yield from self.tap(name or APP_NAMES[package])

    def leave_to(self, text: str) -> Script:
        """Goes back until something says `text`; raises `TaskError` when that leaves the app."""
        app = self.observation.app
        while not self.sees(text):
            if self.observation.app != app:
                raise TaskError(f"The oracle goes back to {text!r}, and has left {app!r} without seeing it.")
            yield from self.back()

    def _field(self, text: str) -> Element | None:
        return next(
            (element for element in self.elements if element.editable and says(element, text)),
            None,
        )

    def _safe_button(self) -> Element | None:
        return next(
            (element for element in self.elements if element.clickable and label(element) in SAFE_BUTTONS),
            None,
        )

    def _touch(self, kind: ActionKind, element: Element) -> Action:
        width, height = self.observation.frame.size
        x, y = element.center
        return Action(kind, touch=(x / width, y / height))


def label(element: Element) -> str:
    """What an element says: its text, else its description."""
    return element.text or element.content_description


def says(element: Element, text: str, *, part: bool = False) -> bool:
    """Whether `text` is the element's text, description or first label; with `part`, whether they contain it."""
    spoken = (element.text, element.content_description)
    if part:
        return any(text in words for words in spoken)
    return any(text == words or text == words.partition(", ")[0] for words in spoken)
