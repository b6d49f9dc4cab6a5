"""Element-index format: fingers go to the centre of a numbered element of the UI tree.

tap 7 | long_press 7 | type "milk" | scroll down | back | home | enter | done | impossible
"""

from __future__ import annotations

from distrl.actions.grammar import decode_word, encode_word
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Element, Observation

_POINTING = {"tap": ActionKind.TAP, "long_press": ActionKind.LONG_PRESS}


class ElementCodec:
    """Text <-> Action by element index; needs an observation with a UI tree."""

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action, or raises `ActionError` saying which rule the text breaks."""
        verb, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if verb in _POINTING:
            return Action(_POINTING[verb], touch=self._point(rest, observation))
        action = decode_word(verb, rest)
        if action is None:
            raise ActionError("unknown_action", f"{verb!r} is no action")
        return action

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text; a point is written as the smallest clickable element that holds it."""
        word = encode_word(action)
        if word is not None:
            return word
        element = element_at(action, observation)
        return f"{'tap' if action.kind is ActionKind.TAP else 'long_press'} {element.index}"

    def _point(self, number: str, observation: Observation) -> tuple[float, float]:
        if not (number.isascii() and number.isdigit() and len(number) <= 6):
            raise ActionError("unparsable", f"tap takes the number of an element; got {number!r}")
        elements = observation.elements or ()
        index = int(number)
        if index >= len(elements):
            raise ActionError("unknown_element", f"there is no element {index}: the screen has {len(elements)}")
        width, height = observation.frame.size
        x, y = elements[index].center
        return x / width, y / height


def element_at(action: Action, observation: Observation) -> Element:
    """The element an agent would name for this touch: the smallest that holds the point, clickable ones first."""
    if action.touch is None:
        raise ActionError("unparsable", f"{action.kind} needs a touch point")
    width, height = observation.frame.size
    x, y = action.touch[0] * width, action.touch[1] * height

    def holds(element: Element) -> bool:
        left, top, right, bottom = element.bounds
        return left <= x < right and top <= y < bottom

    def order(element: Element) -> tuple[bool, int]:
        left, top, right, bottom = element.bounds
        return not (element.clickable or element.editable), (right - left) * (bottom - top)

    touched = [element for element in observation.elements or () if holds(element)]
    if not touched:
        raise ActionError("unknown_element", f"no element lies at pixel ({x:.0f}, {y:.0f})")
    return min(touched, key=order)
