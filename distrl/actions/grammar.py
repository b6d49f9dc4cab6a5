"""The words that the element-index and pixel formats share: everything but where a finger goes.

type "TEXT"            TEXT as in JSON
scroll up|down|left|right   the way the view moves over the content
back | home | enter | done | impossible
"""

from __future__ import annotations

import json

from distrl.errors import ActionError
from distrl.types import Action, ActionKind

WORDS: dict[str, ActionKind] = {
    "back": ActionKind.BACK,
    "home": ActionKind.HOME,
    "enter": ActionKind.ENTER,
    "done": ActionKind.COMPLETE,
    "impossible": ActionKind.IMPOSSIBLE,
}
SPOKEN = {kind: word for word, kind in WORDS.items()}

SCROLLS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "down": ((0.5, 0.7), (0.5, 0.35)),
    "up": ((0.5, 0.35), (0.5, 0.7)),
    "right": ((0.8, 0.5), (0.2, 0.5)),
    "left": ((0.2, 0.5), (0.8, 0.5)),
}
"""Direction -> (touch, lift) in [0, 1]: the finger moves against the view."""


def decode_word(verb: str, rest: str) -> Action | None:
    """The action of a text whose first word is `verb`, or None when that word belongs to a format of its own."""
    if verb in WORDS:
        if rest:
            raise ActionError("unparsable", f"`{verb}` stands alone; got {rest!r} after it")
        return Action(WORDS[verb])
    if verb == "scroll":
        if rest not in SCROLLS:
            raise ActionError("unparsable", f"scroll takes up, down, left or right; got {rest!r}")
        touch, lift = SCROLLS[rest]
        return Action(ActionKind.SWIPE, touch=touch, lift=lift)
    if verb == "type":
        return Action(ActionKind.TYPE, text=_decode_text(rest))
    return None


def encode_word(action: Action) -> str | None:
    """The text of an action that needs no place, or None for taps and long presses."""
    if action.kind in SPOKEN:
        return SPOKEN[action.kind]
    if action.kind is ActionKind.TYPE:
        return f"type {json.dumps(action.text, ensure_ascii=False)}"
    if action.kind is ActionKind.SWIPE:
        return f"scroll {scroll_direction(action)}"
    return None


def scroll_direction(action: Action) -> str:
    """The way the view moves under this swipe: the larger component of the finger's travel, reversed."""
    if action.touch is None or action.lift is None:
        raise ActionError("unparsable", "a swipe needs touch and lift points")
    dx, dy = action.lift[0] - action.touch[0], action.lift[1] - action.touch[1]
    if abs(dy) >= abs(dx):
        return "down" if dy < 0 else "up"
    return "right" if dx < 0 else "left"


def _decode_text(rest: str) -> str:
    try:
        text = json.loads(rest, strict=False)
    except (ValueError, RecursionError):
        raise ActionError("unparsable", f'type takes one quoted text, as in type "milk"; got {rest!r}') from None
    if not isinstance(text, str):
        raise ActionError("unparsable", f"type takes a quoted text; got {rest!r}")
    if not text:
        raise ActionError("empty_text", 'type "" types nothing')
    return text
