"""`mobile_use`, the function call that the Qwen-VL family is trained to write, as JSON in a `tool_call` tag.

<tool_call>
{"name": "mobile_use", "arguments": {"action": "click", "coordinate": [270, 600]}}
</tool_call>

Qwen2.5-VL writes pixels of the resized image, Qwen3-VL thousandths from 0 to 999. The tag, a code fence, the outer
object and text around them may be missing. `open`, `wait` and `answer` are no actions of a touched screen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from distrl.actions.resize import PixelBudget
from distrl.actions.tolerant import first_object, inside, pair
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Observation

_BUTTONS = {"Back": ActionKind.BACK, "Home": ActionKind.HOME, "Enter": ActionKind.ENTER}
_ENDS = {"success": ActionKind.COMPLETE, "failure": ActionKind.IMPOSSIBLE}
_POINTING = {"click": ActionKind.TAP, "long_press": ActionKind.LONG_PRESS}
_LAST_CELL = 999


@dataclass(frozen=True)
class MobileUseCodec:
    """Text <-> Action; with a budget in pixels of the image resized by it, without one in 0 to 999."""

    budget: PixelBudget | None = field(default_factory=PixelBudget)
    long_press_s: float = 2.0
    """Written with long presses; read and ignored."""

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action, or raises `ActionError` saying which rule the text breaks."""
        call = first_object(text, having="action")
        name = str(call["action"])
        if name in _POINTING:
            return Action(_POINTING[name], touch=self._point(call, "coordinate", observation))
        match name:
            case "swipe":
                points = (self._point(call, key, observation) for key in ("coordinate", "coordinate2"))
                touch, lift = points
                return Action(ActionKind.SWIPE, touch=touch, lift=lift)
            case "type":
                return Action(ActionKind.TYPE, text=_text(call))
            case "system_button" | "key":
                key = call.get("button", call.get("text"))
                kind = _BUTTONS.get(str(key).capitalize())
                if kind is None:
                    raise ActionError("unknown_key", f"the keys are {', '.join(_BUTTONS)}; got {key!r}")
                return Action(kind)
            case "terminate":
                status = str(call.get("status"))
                if status not in _ENDS:
                    raise ActionError("unparsable", f"status must be success or failure, got {status!r}")
                return Action(_ENDS[status])
        raise ActionError("unknown_action", f"{name!r} is no action of a touched screen")

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text."""
        arguments: dict[str, Any]
        match action.kind:
            case ActionKind.TAP | ActionKind.LONG_PRESS:
                arguments = {
                    "action": "click" if action.kind is ActionKind.TAP else "long_press",
                    "coordinate": self._cell(action.touch, observation),
                }
                if action.kind is ActionKind.LONG_PRESS:
                    arguments["time"] = self.long_press_s
            case ActionKind.SWIPE:
                points = [self._cell(point, observation) for point in (action.touch, action.lift)]
                arguments = {"action": "swipe", "coordinate": points[0], "coordinate2": points[1]}
            case ActionKind.TYPE:
                arguments = {"action": "type", "text": action.text}
            case ActionKind.COMPLETE | ActionKind.IMPOSSIBLE:
                status = "success" if action.kind is ActionKind.COMPLETE else "failure"
                arguments = {"action": "terminate", "status": status}
            case _:
                button = next(name for name, kind in _BUTTONS.items() if kind is action.kind)
                arguments = {"action": "system_button", "button": button}
        call = json.dumps({"name": "mobile_use", "arguments": arguments}, ensure_ascii=False)
        return f"<tool_call>\n{call}\n</tool_call>"

    def _size(self, observation: Observation) -> tuple[int, int]:
        if self.budget is None:
            return _LAST_CELL, _LAST_CELL
        return self.budget.resized(*observation.frame.size)

    def _point(self, call: dict[str, Any], key: str, observation: Observation) -> tuple[float, float]:
        x, y = pair(call.get(key), key)
        return inside(x, y, self._size(observation), key)

    def _cell(self, point: tuple[float, float] | None, observation: Observation) -> list[int]:
        if point is None:
            raise ActionError("unparsable", "a touch needs its points")
        width, height = self._size(observation)
        return [round(point[0] * width), round(point[1] * height)]


def _text(call: dict[str, Any]) -> str:
    text = call.get("text")
    if not isinstance(text, str):
        raise ActionError("unparsable", f"type takes a text, got {text!r}")
    if not text:
        raise ActionError("empty_text", "an empty text types nothing")
    return text
