"""Text as the phone draws it: one shipped typeface, whole-pixel positions, and a mask per run kept for the next frame.

Runs are laid out with Pillow's basic engine, word by word, so that the same string has the same pixels everywhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageFont

FONT_FOLDER = Path(__file__).parent / "fonts"
SMALLEST_PX = 7
"""Below this no letter can be told from another."""
ELLIPSIS = "…"
_NOT_A_CHARACTER = "\U0010fffe"
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff\ud800-\udfff]"
)


@lru_cache(maxsize=256)
def _font(px: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "Roboto-Medium.ttf" if bold else "Roboto-Regular.ttf"
    return ImageFont.truetype(str(FONT_FOLDER / name), px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=64)
def _fallback_font(px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT_FOLDER / "DejaVuSans.ttf"), px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    """Whether the main typeface draws `character` as something else than its empty box."""
    if " " <= character <= "~":
        return True
    font = _font(24, False)
    return bytes(font.getmask(character)) != bytes(font.getmask(_NOT_A_CHARACTER))


def text_px(size_sp: float, scale: float, font_scale: float) -> int:
    """Pixel size of text of `size_sp` at a screen's scale and the user's font scale."""
    return max(SMALLEST_PX, round(size_sp * scale * font_scale))


def line_px(px: int) -> int:
    """Height of one line of text of `px` pixels."""
    return max(px + 2, round(px * 1.36))


def drawable(content: str) -> str:
    """`content` on one line without control and formatting characters."""
    if content.isascii() and content.isprintable():
        return content
    return _INVISIBLE.sub("", content.replace("\n", " ").replace("\t", " "))


def _space_px(px: int) -> int:
    return max(3, round(px * 0.26))


@lru_cache(maxsize=16384)
def _word_px(word: str, px: int, bold: bool) -> int:
    return sum(_advance(part, font) for part, font in _parts(word, px, bold))


def _parts(word: str, px: int, bold: bool) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """`word` split by the typeface that has its glyphs."""
    if word.isascii():
        return [(word, _font(px, bold))]
    parts: list[tuple[str, bool]] = []
    for character in word:
        has_glyph = _has_glyph(character)
        if parts and parts[-1][1] == has_glyph:
            parts[-1] = (parts[-1][0] + character, has_glyph)
        else:
            parts.append((character, has_glyph))
    return [(part, _font(px, bold) if main else _fallback_font(px)) for part, main in parts]


@lru_cache(maxsize=16384)
def width_px(content: str, px: int, bold: bool = False) -> int:
    """Width of `content` on one line, in pixels."""
    words = drawable(content).split(" ")
    return sum(_word_px(word, px, bold) for word in words if word) + _space_px(px) * (len(words) - 1)


@lru_cache(maxsize=16384)
def fit(content: str, px: int, bold: bool, room_px: int) -> str:
    """`content`, or as much of it as fits into `room_px` with an ellipsis."""
    content = drawable(content)
    if width_px(content, px, bold) <= room_px:
        return content
    low, high = 0, len(content)
    while low < high:
        middle = (low + high + 1) // 2
        if width_px(content[:middle].rstrip() + ELLIPSIS, px, bold) <= room_px:
            low = middle
        else:
            high = middle - 1
    return content[:low].rstrip() + ELLIPSIS


@lru_cache(maxsize=4096)
def wrap(content: str, px: int, bold: bool, room_px: int, max_lines: int = 0) -> tuple[str, ...]:
    """`content` broken into lines of at most `room_px`; the last of `max_lines` (0: any number) is ellipsised."""
    lines: list[str] = []
    for paragraph in content.split("\n"):
        line = ""
        for word in drawable(paragraph).split(" "):
            longer = f"{line} {word}" if line else word
            if width_px(longer, px, bold) <= room_px:
                line = longer
                continue
            if line:
                lines.append(line)
            line = word
            while width_px(line, px, bold) > room_px and len(line) > 1:
                cut = _cut(line, px, bold, room_px)
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    if max_lines and len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and width_px(last + ELLIPSIS, px, bold) > room_px:
            last = last[:-1].rstrip()
        lines = [*lines[: max_lines - 1], last + ELLIPSIS]
    return tuple(lines)


def _cut(word: str, px: int, bold: bool, room_px: int) -> int:
    """How many characters of a word too long for a line fit on it: at least one."""
    cut = 1
    while cut < len(word) and width_px(word[: cut + 1], px, bold) <= room_px:
        cut += 1
    return cut


@lru_cache(maxsize=8192)
def _drawn(part: str, font: ImageFont.FreeTypeFont) -> tuple[Image.Image | None, int, int, float]:
    """What Pillow draws of `part`: its mask (None when it shows nothing), its offset from the pen, its advance."""
    glyphs, offset = font.getmask2(part, mode="L", anchor="ls")
    ink = Image.frombytes("L", glyphs.size, bytes(glyphs)) if glyphs.size[0] and glyphs.size[1] else None
    return ink, int(offset[0]), int(offset[1]), font.getlength(part)


def _advance(part: str, font: ImageFont.FreeTypeFont) -> int:
    """Width of a word in one typeface, pixels: the basic engine applies no kerning to the shipped ones."""
    if part.isascii():
        return round(sum(_drawn(character, font)[3] for character in part))
    return round(font.getlength(part))


@lru_cache(maxsize=16384)
def _ink(part: str, font: ImageFont.FreeTypeFont) -> tuple[Image.Image | None, int, int, int]:
    """A word's mask (None when it shows nothing), its offset from the pen, its advance: words recur, lines do not.

    Put together from letters, which recur more: a tenth of the time, and the same pixels.
    """
    if not part.isascii():
        ink, left, top, _ = _drawn(part, font)
        return ink, left, top, _advance(part, font)
    pen, letters = 0.0, []
    for character in part:
        ink, left, top, advance = _drawn(character, font)
        if ink is not None:
            letters.append((ink, round(pen) + left, top))
        pen += advance
    if not letters:
        return None, 0, 0, round(pen)
    left, top = min(x for _, x, _ in letters), min(y for _, _, y in letters)
    right, bottom = max(x + ink.width for ink, x, _ in letters), max(y + ink.height for ink, _, y in letters)
    word = Image.new("L", (right - left, bottom - top), 0)
    for ink, x, y in letters:
        word.paste(255, (x - left, y - top), ink)
    return word, left, top, round(pen)


@lru_cache(maxsize=8192)
def run(content: str, px: int, bold: bool = False) -> Image.Image:
    """The mask of `content` on one line: mode L, as wide as `width_px` says and `line_px` tall."""
    content = drawable(content)
    height = line_px(px)
    mask = Image.new("L", (max(1, width_px(content, px, bold) + 1), height), 0)
    baseline = round(height * 0.5 + px * 0.36)
    x = 0
    for word in content.split(" "):
        for part, font in _parts(word, px, bold) if word else []:
            ink, left, top, advance = _ink(part, font)
            if ink is not None:
                mask.paste(255, (x + left, baseline + top), ink)
            x += advance
        x += _space_px(px)
    return mask
