"""Pixel format: fingers go to a point, x then y, in thousandths of the screen's width and height.

tap 512 87 | long_press 512 87 | type "milk" | scroll down | back | home | enter | done | impossible
"""

from __future__ import annotations

from distrl.actions.grammar import decode_word, encode_word
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Observation

_POINTING = {"tap": ActionKind.TAP, "long_press": ActionKind.LONG_PRESS}
_CELLS = 1000


class PixelCodec:
    """Text <-> Action by position on a 1000 x 1000 grid; a point is the centre of its cell."""

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action, or raises `ActionError` saying which rule the text breaks."""
        verb, _, rest = text.strip().partition(" ")
        rest = rest.strip()
        if verb in _POINTING:
            return Action(_POINTING[verb], touch=self._point(rest))
        action = decode_word(verb, rest)
        if action is None:
            raise ActionError("unknown_action", f"{verb!r} is no action")
        return action

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text; a point is written as the cell that holds it."""
        word = encode_word(action)
        if word is not None:
            return word
        if action.touch is None:
            raise ActionError("unparsable", f"{action.kind} needs a touch point")
        x, y = (min(int(value * _CELLS), _CELLS - 1) for value in action.touch)
        return f"{'tap' if action.kind is ActionKind.TAP else 'long_press'} {x} {y}"

    def _point(self, rest: str) -> tuple[float, float]:
        numbers = rest.split()
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) <= 6 for n in numbers):
            raise ActionError("unparsable", f"tap takes x and y in 0-999; got {rest!r}")
        x, y = (int(number) for number in numbers)
        if x >= _CELLS or y >= _CELLS:
            raise ActionError("off_screen", f"({x}, {y}) lies off the screen: both go from 0 to 999")
        return (x + 0.5) / _CELLS, (y + 0.5) / _CELLS
