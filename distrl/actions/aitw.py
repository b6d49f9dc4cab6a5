"""Android-in-the-Wild format, as AutoUI writes it: touch and lift points, y first, in [0, 1].

"action_type": "DUAL_POINT", "touch_point": "[0.8, 0.5]", "lift_point": "[0.8, 0.5]", "typed_text": ""

A lift within `TAP_DISTANCE` of the touch is a tap, as in the dataset's own matching code; anything longer is a swipe.
"""

from __future__ import annotations

import json
import math
import re

from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Observation

TAP_DISTANCE = 0.04
"""Largest distance between touch and lift, in screen units, that is still a tap (AitW, section 4.1)."""

_PRESSES = {
    "PRESS_BACK": ActionKind.BACK,
    "PRESS_HOME": ActionKind.HOME,
    "PRESS_ENTER": ActionKind.ENTER,
    "STATUS_TASK_COMPLETE": ActionKind.COMPLETE,
    "STATUS_TASK_IMPOSSIBLE": ActionKind.IMPOSSIBLE,
}
_NAMES = {kind: name for name, kind in _PRESSES.items()}
_POINT = re.compile(r"\[\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*\]")


class AitwCodec:
    """Text <-> Action in the AitW format; points keep four decimals, a tenth of a pixel on a 1080-pixel screen."""

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action, or raises `ActionError` saying which rule the text breaks."""
        fields = self._fields(text)
        name = fields.get("action_type", "")
        if name in _PRESSES:
            return Action(_PRESSES[name])
        if name == "TYPE":
            if not fields.get("typed_text"):
                raise ActionError("empty_text", "TYPE with an empty typed_text types nothing")
            return Action(ActionKind.TYPE, text=fields["typed_text"])
        if name != "DUAL_POINT":
            raise ActionError("unknown_action", f"{name!r} is no AitW action type")
        touch, lift = (self._point(key, fields.get(key, "")) for key in ("touch_point", "lift_point"))
        if math.dist(touch, lift) <= TAP_DISTANCE:
            return Action(ActionKind.TAP, touch=touch)
        return Action(ActionKind.SWIPE, touch=touch, lift=lift)

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text; raises `ActionError` for a long press, which the AitW set cannot say."""
        touch = lift = (-1.0, -1.0)
        if action.kind in _NAMES:
            name = _NAMES[action.kind]
        elif action.kind is ActionKind.TYPE:
            name = "TYPE"
        elif action.kind in (ActionKind.TAP, ActionKind.SWIPE) and action.touch is not None:
            name, touch, lift = "DUAL_POINT", action.touch, action.lift or action.touch
        else:
            raise ActionError("unknown_action", f"the AitW action set has no {action.kind}")
        values = {
            "action_type": name,
            "touch_point": f"[{touch[1]:.4f}, {touch[0]:.4f}]",
            "lift_point": f"[{lift[1]:.4f}, {lift[0]:.4f}]",
            "typed_text": action.text,
        }
        return json.dumps(values, ensure_ascii=False)[1:-1]

    def _fields(self, text: str) -> dict[str, str]:
        body = text[text.find('"action_type"') :] if '"action_type"' in text else text
        try:
            fields, _ = json.JSONDecoder(strict=False).raw_decode("{" + body.strip().removesuffix("}") + "}")
        except (ValueError, RecursionError):
            raise ActionError("unparsable", f'expected AitW fields such as "action_type"; got {text!r}') from None
        return {key: value for key, value in fields.items() if isinstance(value, str)}

    def _point(self, key: str, value: str) -> tuple[float, float]:
        match = _POINT.fullmatch(value.strip())
        if match is None:
            raise ActionError("unparsable", f'{key} must read "[y, x]"; got {value!r}')
        y, x = float(match[1]), float(match[2])
        if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
            raise ActionError("off_screen", f"{key} ({y}, {x}) lies off the screen: y and x go from 0 to 1")
        return x, y
