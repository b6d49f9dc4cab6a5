"""Finding the action in what a sloppy model writes: code fences, thoughts before it, chatter after it, missing tags."""

from __future__ import annotations

import json
from typing import Any

from distrl.errors import ActionError

_DECODER = json.JSONDecoder(strict=False)


def first_object(text: str, *, having: str) -> dict[str, Any]:
    """The first JSON object in `text` that has the key `having`, at its top or one level down.

    Raises:
        ActionError: there is none.
    """
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            for candidate in (found, *found.values()):
                if isinstance(candidate, dict) and having in candidate:
                    return candidate
        start = text.find("{", start + 1)
    raise ActionError("unparsable", f"expected a JSON object with {having!r}; got {text!r}")


def number(value: Any, name: str) -> float:
    """A finite JSON number, also as a string of digits.

    Raises:
        ActionError: it is none.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise ActionError("unparsable", f"{name} must be a number, got {value!r}")
    return float(value)


def pair(value: Any, name: str) -> tuple[float, float]:
    """Two numbers, x then y.

    Raises:
        ActionError: it is no list of two numbers.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ActionError("unparsable", f"{name} must be [x, y], got {value!r}")
    return number(value[0], name), number(value[1], name)


def inside(x: float, y: float, size: tuple[float, float], name: str) -> tuple[float, float]:
    """A point in units of `size` as a share of the screen.

    Raises:
        ActionError: it lies off the screen.
    """
    width, height = size
    if not (0 <= x <= width and 0 <= y <= height):
        raise ActionError(
            "off_screen", f"{name} ({x:g}, {y:g}) lies off the screen: x goes to {width:g}, y to {height:g}"
        )
    return x / width, y / height
