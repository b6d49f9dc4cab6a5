"""The on-screen keyboard: where its keys are, what they type, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from distrl.device.sim import text
from distrl.device.sim.layout import Rect
from distrl.device.sim.raster import Mark
from distrl.device.sim.theme import RGB, palette

HEIGHT_DP = 248.0
_MARGIN_DP = 4.0
_ROWS: tuple[tuple[tuple[str, float], ...], ...] = (
    tuple((digit, 1.0) for digit in "1234567890"),
    tuple((letter, 1.0) for letter in "qwertyuiop"),
    tuple((letter, 1.0) for letter in "asdfghjkl"),
    (("@", 1.0), *((letter, 1.0) for letter in "zxcvbnm"), ("-", 1.0), ("backspace", 1.0)),
    (("'", 1.0), (",", 1.0), ("space", 5.0), (".", 1.0), ("enter", 2.0)),
)
"""Each key with its width; a row is ten wide at most and centred."""
ENTER = "enter"
BACKSPACE = "backspace"


@dataclass(frozen=True)
class Key:
    """One key; `name` is the letter it types, or `space`, `backspace`, `enter`."""

    name: str
    rect: Rect

    @property
    def typed(self) -> str:
        """What it adds to the focused field."""
        return " " if self.name == "space" else self.name if len(self.name) == 1 else ""


@lru_cache(maxsize=64)
def keys(board: Rect, scale: float) -> tuple[Key, ...]:
    """The keys of a keyboard drawn in `board`: they tile it, so that each touch on a row meets a key."""
    left, top, right, bottom = board
    margin = round(_MARGIN_DP * scale)
    unit = (right - left - 2 * margin) / 10
    height = (bottom - top - 2 * margin) / len(_ROWS)
    placed = []
    for number, line in enumerate(_ROWS):
        x = left + margin + (10 - sum(width for _, width in line)) / 2 * unit
        y = top + margin + number * height
        for name, width in line:
            placed.append(Key(name, (round(x), round(y), round(x + width * unit), round(y + height))))
            x += width * unit
    return tuple(placed)


def key_at(board: Rect, scale: float, x: int, y: int) -> Key | None:
    """The key under a point, or None between and beside them."""
    for key in keys(board, scale):
        left, top, right, bottom = key.rect
        if left <= x < right and top <= y < bottom:
            return key
    return None


@lru_cache(maxsize=64)
def paint(board: Rect, scale: float, dark: bool, accent: str) -> tuple[Mark, ...]:
    """The marks that draw the keyboard."""
    colors = palette(dark, accent)
    gap = max(1, round(2.5 * scale))
    marks: list[Mark] = [("clip", board), ("fill", board, colors["surface_low"])]
    for key in keys(board, scale):
        left, top, right, bottom = key.rect
        cap = (left + gap // 2, top + gap, right - (gap + 1) // 2, bottom - gap)
        fill: RGB = colors["primary"] if key.name == ENTER else colors["surface_high"]
        ink: RGB = colors["on_primary"] if key.name == ENTER else colors["on_surface"]
        marks.append(("round", cap, max(1, round(7 * scale)), fill))
        if key.name in (ENTER, BACKSPACE):
            px = max(7, round(22 * scale))
            marks.append(("icon", (left + right - px) // 2, (top + bottom - px) // 2, key.name, px, ink))
        else:
            px = text.text_px(18, scale, 1.0)
            label = "" if key.name == "space" else key.name
            width = text.width_px(label, px)
            marks.append(
                ("text", (left + right - width) // 2, (top + bottom - text.line_px(px)) // 2, label, px, False, ink)
            )
    return tuple(marks)
