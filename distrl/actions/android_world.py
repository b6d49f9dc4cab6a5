"""AndroidWorld's JSON actions: pixels of the screen, or the number of an element.

{"action_type": "click", "x": 270, "y": 600}
{"action_type": "click", "index": 7}
{"action_type": "input_text", "text": "milk"}

`scroll` names the way the view moves, `swipe` the way the finger moves: opposite ways. A swipe is written by its
direction alone; that is all the format has. `open_app`, `wait` and `answer` are no actions of a touched screen.
"""

from __future__ import annotations

import json
from typing import Any

from distrl.actions.element import element_at
from distrl.actions.grammar import SCROLLS, scroll_direction
from distrl.actions.tolerant import first_object, inside, number
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Element, Observation

_PRESSES = {
    "navigate_back": ActionKind.BACK,
    "navigate_home": ActionKind.HOME,
    "keyboard_enter": ActionKind.ENTER,
}
_ENDS = {"complete": ActionKind.COMPLETE, "infeasible": ActionKind.IMPOSSIBLE}
_POINTING = {"click": ActionKind.TAP, "long_press": ActionKind.LONG_PRESS}
_OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}


class AndroidWorldCodec:
    """Text <-> Action; writes element numbers where there are elements, pixels otherwise."""

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action, or raises `ActionError` saying which rule the text breaks."""
        fields = first_object(text, having="action_type")
        name = str(fields["action_type"])
        if name in _PRESSES:
            return Action(_PRESSES[name])
        if name in _POINTING:
            return Action(_POINTING[name], touch=self._point(fields, observation))
        match name:
            case "input_text":
                return self._typed(fields, observation)
            case "scroll" | "swipe":
                return self._swiped(fields, name, observation)
            case "status":
                goal = str(fields.get("goal_status"))
                if goal not in _ENDS:
                    raise ActionError("unparsable", f"goal_status must be complete or infeasible, got {goal!r}")
                return Action(_ENDS[goal])
        raise ActionError("unknown_action", f"{name!r} is no action of a touched screen")

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text; a swipe keeps its direction only."""
        return json.dumps(self._fields(action, observation), ensure_ascii=False)

    def _fields(self, action: Action, observation: Observation) -> dict[str, Any]:
        match action.kind:
            case ActionKind.TAP | ActionKind.LONG_PRESS:
                name = "click" if action.kind is ActionKind.TAP else "long_press"
                return {"action_type": name, **self._place(action, observation)}
            case ActionKind.TYPE:
                return {"action_type": "input_text", "text": action.text}
            case ActionKind.SWIPE:
                return {"action_type": "scroll", "direction": scroll_direction(action)}
            case ActionKind.COMPLETE | ActionKind.IMPOSSIBLE:
                goal = "complete" if action.kind is ActionKind.COMPLETE else "infeasible"
                return {"action_type": "status", "goal_status": goal}
        return {"action_type": next(name for name, kind in _PRESSES.items() if kind is action.kind)}

    def _place(self, action: Action, observation: Observation) -> dict[str, int]:
        if action.touch is None:
            raise ActionError("unparsable", "a touch needs its point")
        if observation.elements:
            return {"index": element_at(action, observation).index}
        width, height = observation.frame.size
        return {"x": round(action.touch[0] * width), "y": round(action.touch[1] * height)}

    def _point(self, fields: dict[str, Any], observation: Observation) -> tuple[float, float]:
        size = observation.frame.size
        if fields.get("index") is not None:
            x, y = _element(fields["index"], observation).center
            return inside(x, y, size, "the element's centre")
        return inside(number(fields.get("x"), "x"), number(fields.get("y"), "y"), size, "the point")

    def _typed(self, fields: dict[str, Any], observation: Observation) -> Action:
        text = fields.get("text")
        if not isinstance(text, str):
            raise ActionError("unparsable", f"input_text takes a text, got {text!r}")
        if not text:
            raise ActionError("empty_text", "an empty text types nothing")
        if fields.get("index") is not None and not _element(fields["index"], observation).focused:
            raise ActionError("unknown_element", f"element {fields['index']} is not focused: click it, then type")
        return Action(ActionKind.TYPE, text=text)

    def _swiped(self, fields: dict[str, Any], name: str, observation: Observation) -> Action:
        direction = str(fields.get("direction"))
        if direction not in SCROLLS:
            raise ActionError("unparsable", f"{name} takes up, down, left or right; got {direction!r}")
        touch, lift = SCROLLS[direction if name == "scroll" else _OPPOSITE[direction]]
        if fields.get("index") is not None:
            width, height = observation.frame.size
            left, top, right, bottom = _element(fields["index"], observation).bounds
            touch, lift = (
                ((left + x * (right - left)) / width, (top + y * (bottom - top)) / height) for x, y in (touch, lift)
            )
        return Action(ActionKind.SWIPE, touch=touch, lift=lift)


def _element(value: Any, observation: Observation) -> Element:
    elements, index = observation.elements or (), number(value, "index")
    if not (index.is_integer() and 0 <= index < len(elements)):
        raise ActionError("unknown_element", f"there is no element {value}: the screen has {len(elements)}")
    return elements[int(index)]
