"""Scripted solutions of a few MiniWoB++ pages: what demonstrations are made of.

Each is a function of what an agent sees, one step at a time; it remembers nothing, so it can go on from any screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from distrl.errors import TaskError
from distrl.types import Action, ActionKind, Element, Observation, Task


def oracle(task: Task, observation: Observation) -> Action | None:
    """The next right action, or None when there is none on this screen.

    `task` is what `BrowserDevice.reset` returned: it has the instruction.

    Raises:
        TaskError: there is no scripted solution of this page.
    """
    solve = _ORACLES.get(task.template)
    if solve is None:
        raise TaskError(f"no scripted solution of {task.template!r}; there are: {', '.join(ORACLE_TEMPLATES)}")
    element_or_text = solve(task.instruction, observation.elements or ())
    if isinstance(element_or_text, str):
        return Action(ActionKind.TYPE, text=element_or_text)
    if element_or_text is None:
        return None
    (x, y), (width, height) = element_or_text.center, observation.frame.size
    return Action(ActionKind.TAP, touch=(x / width, y / height))


Elements = Sequence[Element]
Move = Element | str | None
"""An element to tap, a text to type, or nothing to do."""


def _with(elements: Elements, *, class_name: str = "", text: str | None = None) -> Element | None:
    for element in elements:
        if class_name in ("", element.class_name) and (text is None or element.text == text) and element.clickable:
            return element
    return None


def _quoted(instruction: str) -> list[str]:
    return re.findall(r'"([^"]*)"', instruction)


def _fill(fields: Elements, texts: Sequence[str], button: Element | None) -> Move:
    """Focus and fill each field in turn, then press the button. A password shows as dots: filled is filled."""
    for field, text in zip(fields, texts, strict=False):
        if not field.text:
            return text if field.focused else field
    return button


def _named_button(instruction: str, elements: Elements) -> Move:
    return _with(elements, class_name="Button", text=_quoted(instruction)[0])


def _button_one(instruction: str, elements: Elements) -> Move:
    found = re.search(r"button (\w+)\.", instruction)
    return _with(elements, class_name="Button", text=found[1]) if found else None


def _only_button(instruction: str, elements: Elements) -> Element | None:
    return _with(elements, class_name="Button")


def _only_field(instruction: str, elements: Elements) -> Move:
    return _with(elements, class_name="EditText")


def _tab(instruction: str, elements: Elements) -> Move:
    found = re.search(r"Tab #\d+", instruction)
    return _with(elements, text=found[0]) if found else None


def _checkboxes(instruction: str, elements: Elements) -> Move:
    found = re.fullmatch(r"Select (.*) and click Submit\.", instruction)
    if found is None:
        return None
    wanted = set() if found[1] == "nothing" else set(found[1].split(", "))
    for element in elements:
        if element.checkable and element.checked != (element.text in wanted):
            return element
    return _only_button(instruction, elements)


def _form(instruction: str, elements: Elements) -> Move:
    fields = [element for element in elements if element.editable]
    return _fill(fields, _quoted(instruction), _only_button(instruction, elements))


_ORACLES: Final[dict[str, Callable[[str, Elements], Move]]] = {
    "click-test": _only_button,
    "click-test-2": _button_one,
    "click-button": _named_button,
    "click-checkboxes": _checkboxes,
    "enter-text": _form,
    "focus-text": _only_field,
    "login-user": _form,
    "click-tab": _tab,
    "click-dialog": _only_button,
}

ORACLE_TEMPLATES: Final = tuple(_ORACLES)
"""Pages that `oracle` solves."""
