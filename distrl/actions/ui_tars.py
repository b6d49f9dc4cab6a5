r"""UI-TARS: a thought, then one call, with points in pixels of the resized image.

Thought: The message is written.
Action: click(point='<point>270 600</point>')

Calls are Python's, so they are read by Python's own parser, which runs nothing. Older models write `start_box='(x,y)'`;
that is understood too. The set has no enter key: `type(content='\n')` is one. Nor can it say impossible, but by asking
for the user, `call_user()`. `open_app` and `wait` are no actions of a touched screen.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from distrl.actions.grammar import SCROLLS
from distrl.actions.resize import PixelBudget
from distrl.actions.tolerant import inside
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Observation

_BARE = {
    "press_home": ActionKind.HOME,
    "press_back": ActionKind.BACK,
    "finished": ActionKind.COMPLETE,
    "call_user": ActionKind.IMPOSSIBLE,
}
_BARE_NAMES = {kind: name for name, kind in _BARE.items()}
_POINTING = {"click": ActionKind.TAP, "long_press": ActionKind.LONG_PRESS}
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")
_CALL = re.compile(r"[a-z_]+\s*\(")
_TARS_BUDGET = PixelBudget(min_pixels=100 * 28 * 28, max_pixels=16_384 * 28 * 28)


@dataclass(frozen=True)
class UiTarsCodec:
    """Text <-> Action; `budget` is the image processor's."""

    budget: PixelBudget = field(default=_TARS_BUDGET)

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action, or raises `ActionError` saying which rule the text breaks."""
        name, arguments = _parse(text)
        if name in _BARE:
            return Action(_BARE[name])
        if name in _POINTING:
            return Action(_POINTING[name], touch=self._point(arguments, ("point", "start_box"), observation))
        match name:
            case "drag":
                touch = self._point(arguments, ("start_point", "start_box"), observation)
                lift = self._point(arguments, ("end_point", "end_box"), observation)
                return Action(ActionKind.SWIPE, touch=touch, lift=lift)
            case "scroll":
                touch = self._point(arguments, ("point", "start_box"), observation)
                return _scrolled(touch, arguments.get("direction", ""))
            case "type":
                content = arguments.get("content", "")
                if content == "\n":
                    return Action(ActionKind.ENTER)
                if not content:
                    raise ActionError("empty_text", "type(content='') types nothing")
                return Action(ActionKind.TYPE, text=content)
        raise ActionError("unknown_action", f"{name!r} is no action of a touched screen")

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text, without a thought; raises `ActionError` for a text that is one line break."""
        match action.kind:
            case ActionKind.TAP | ActionKind.LONG_PRESS:
                name = "click" if action.kind is ActionKind.TAP else "long_press"
                call = f"{name}(point='{self._cell(action.touch, observation)}')"
            case ActionKind.SWIPE:
                start, end = (self._cell(point, observation) for point in (action.touch, action.lift))
                call = f"drag(start_point='{start}', end_point='{end}')"
            case ActionKind.TYPE:
                if action.text == "\n":
                    raise ActionError("unknown_action", "a line break alone is the enter key here; send that")
                call = f"type(content={_quoted(action.text)})"
            case ActionKind.ENTER:
                call = r"type(content='\n')"
            case ActionKind.COMPLETE:
                call = "finished(content='')"
            case _:
                call = f"{_BARE_NAMES[action.kind]}()"
        return f"Action: {call}"

    def _point(
        self, arguments: dict[str, str], names: tuple[str, ...], observation: Observation
    ) -> tuple[float, float]:
        value = next((arguments[name] for name in names if name in arguments), "")
        numbers = [float(found) for found in _NUMBERS.findall(value)]
        if len(numbers) == 4:  # A box: its middle.
            numbers = [(numbers[0] + numbers[2]) / 2, (numbers[1] + numbers[3]) / 2]
        if len(numbers) != 2:
            raise ActionError("unparsable", f"{names[0]} must read <point>x y</point>, got {value!r}")
        return inside(numbers[0], numbers[1], self.budget.resized(*observation.frame.size), names[0])

    def _cell(self, point: tuple[float, float] | None, observation: Observation) -> str:
        if point is None:
            raise ActionError("unparsable", "a touch needs its points")
        width, height = self.budget.resized(*observation.frame.size)
        return f"<point>{round(point[0] * width)} {round(point[1] * height)}</point>"


def _parse(text: str) -> tuple[str, dict[str, str]]:
    """The call's name and its text arguments: the one after the last `Action:`, or else the first that is one."""
    _, marked, after = text.rpartition("Action:")
    body = (after if marked else text).strip().strip("`").strip()
    found = _CALL.search(body)
    if found is None:
        raise ActionError("unparsable", f"expected a call such as click(point='<point>x y</point>'); got {text!r}")
    body = body[found.start() :]
    ends = [place for place, character in enumerate(body) if character == ")"]
    for end in ends[:64]:  # The first that closes the call: brackets may stand in a text.
        try:
            tree = ast.parse(
                body[: end + 1].replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0"), mode="eval"
            )
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if isinstance(tree.body, ast.Call) and isinstance(tree.body.func, ast.Name):
            return tree.body.func.id, {
                keyword.arg: keyword.value.value
                for keyword in tree.body.keywords
                if keyword.arg and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
            }
    raise ActionError("unparsable", f"the call does not end or is no call: {body!r}")


def _scrolled(touch: tuple[float, float], direction: str) -> Action:
    if direction not in SCROLLS:
        raise ActionError("unparsable", f"scroll takes up, down, left or right; got {direction!r}")
    start, end = SCROLLS[direction]
    lift = tuple(min(max(at + after - before, 0.0), 1.0) for at, before, after in zip(touch, start, end, strict=True))
    return Action(ActionKind.SWIPE, touch=touch, lift=(lift[0], lift[1]))


def _quoted(text: str) -> str:
    """A Python literal in single quotes, readable: only what must be is escaped."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\0": "\\x00", "\x0c": "\\x0c"}
    body = "".join(
        f"\\u{ord(character):04x}" if 0xD800 <= ord(character) <= 0xDFFF else escapes.get(character, character)
        for character in text
    )
    return f"'{body}'"
