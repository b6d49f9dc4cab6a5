"""Screens as pictures for people: touches drawn on them, actions in words, text in the phone's typeface."""

from __future__ import annotations

from PIL import Image, ImageDraw

from distrl.actions.element import element_at
from distrl.actions.grammar import scroll_direction
from distrl.device.sim.text import line_px, run, wrap
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Frame, Observation

TOUCH = (232, 33, 75)
"""Colour of fingers."""
_SMOOTHING = 4
_PLAIN = {
    ActionKind.BACK: "back",
    ActionKind.HOME: "home",
    ActionKind.ENTER: "enter",
    ActionKind.COMPLETE: "says: done",
    ActionKind.IMPOSSIBLE: "says: impossible",
}


def screen_image(frame: Frame, width_px: int) -> Image.Image:
    """The screenshot, scaled to `width_px`."""
    image = Image.fromarray(frame.pixels)
    height_px = max(1, round(image.height * width_px / image.width))
    return image.resize((width_px, height_px), Image.Resampling.LANCZOS) if image.width != width_px else image


def draw_touch(screen: Image.Image, action: Action | None) -> None:
    """Draws where the finger was: a ring for a tap, two for a long press, an arrow for a swipe; else nothing."""
    if action is None or action.touch is None:
        return
    radius = max(6.0, screen.width * 0.055)
    mask = Image.new("L", (screen.width * _SMOOTHING, screen.height * _SMOOTHING), 0)
    pen = ImageDraw.Draw(mask)
    touch = _pixel(action.touch, mask)
    large, thick = radius * _SMOOTHING, max(1, round(radius * _SMOOTHING * 0.22))
    if action.lift is not None:
        _draw_arrow(pen, touch, _pixel(action.lift, mask), large)
    else:
        rings = (large, large * 1.6) if action.kind is ActionKind.LONG_PRESS else (large,)
        for ring in rings:
            box = (touch[0] - ring, touch[1] - ring, touch[0] + ring, touch[1] + ring)
            pen.ellipse(box, outline=255, width=thick, fill=60 if ring == large else None)
    small = mask.resize(screen.size, Image.Resampling.BOX)
    screen.paste(TOUCH, (0, 0), small)


def _pixel(point: tuple[float, float], image: Image.Image) -> tuple[float, float]:
    return point[0] * image.width, point[1] * image.height


def _draw_arrow(pen: ImageDraw.ImageDraw, touch: tuple[float, float], lift: tuple[float, float], radius: float) -> None:
    dx, dy = lift[0] - touch[0], lift[1] - touch[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1.0)
    ux, uy = dx / length, dy / length
    head = min(radius * 1.5, length * 0.6)
    neck = lift[0] - ux * head, lift[1] - uy * head
    pen.line((*touch, *neck), fill=220, width=round(radius * 0.5))
    pen.ellipse((touch[0] - radius / 2, touch[1] - radius / 2, touch[0] + radius / 2, touch[1] + radius / 2), fill=220)
    sides = [(neck[0] - uy * side, neck[1] + ux * side) for side in (head * 0.6, -head * 0.6)]
    pen.polygon([lift, *sides], fill=220)


def in_words(action: Action | None, observation: Observation, text: str = "") -> str:
    """The action for people, what was touched by its label: `tap "Save"`; `text` is what stands for no action."""
    if action is None:
        return f"no action: {text}"
    if action.kind in _PLAIN:
        return _PLAIN[action.kind]
    if action.kind is ActionKind.TYPE:
        return f"type “{action.text}”"
    if action.kind is ActionKind.SWIPE:
        return f"scroll {scroll_direction(action)}"
    verb = "tap" if action.kind is ActionKind.TAP else "hold"
    try:
        element = element_at(action, observation)
    except ActionError:
        assert action.touch is not None
        return f"{verb} at {action.touch[0]:.0%}, {action.touch[1]:.0%}"
    label = element.text or element.content_description
    return f"{verb} “{label}”" if label else f"{verb} {element.class_name}"


def write_text(
    page: Image.Image,
    at: tuple[int, int],
    content: str,
    *,
    px: int,
    room_px: int,
    max_lines: int = 1,
    bold: bool = False,
    fill: tuple[int, int, int] = (34, 37, 45),
) -> int:
    """Writes wrapped text from the top left corner `at`, ellipsised after `max_lines`; returns its height in pixels."""
    lines = wrap(content, px, bold, room_px, max_lines)
    for number, line in enumerate(lines):
        page.paste(fill, (at[0], at[1] + number * line_px(px)), run(line, px, bold))
    return len(lines) * line_px(px)
