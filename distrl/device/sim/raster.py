"""Turns a display list into a screenshot, and keeps the last screenshots by their list.

A display list is a tuple of marks; equal lists give equal pixels, so that a screen seen before is not drawn again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from distrl.device.sim import icons, text, theme
from distrl.device.sim.layout import Rect, intersect
from distrl.device.sim.theme import RGB
from distrl.types import Frame

Mark = tuple[Any, ...]
"""("clip", rect) | ("fill", rect, rgb) | ("round", rect, radius, rgb) | ("frame", rect, radius, width, rgb) |
("text", x, y, content, px, bold, rgb) | ("icon", x, y, name, px, rgb) | ("wallpaper", number) | ("dim", rgb, share)"""
DisplayList = tuple[Mark, ...]


@lru_cache(maxsize=4096)
def _round_mask(width: int, height: int, radius: int, line: int) -> Image.Image:
    """A rounded block, or its outline `line` pixels wide where `line` is above 0; smooth at its corners."""
    factor = 8
    mask = Image.new("L", (width, height), 255 if line == 0 else 0)
    radius = min(radius, width // 2, height // 2)
    pen = ImageDraw.Draw(mask)
    if line:
        pen.rectangle((0, 0, width - 1, height - 1), outline=255, width=line)
    if radius == 0:
        return mask
    side = radius * 2 * factor
    large = Image.new("L", (side, side), 0)
    large_pen = ImageDraw.Draw(large)
    large_pen.ellipse((0, 0, side - 1, side - 1), fill=255)
    if line:
        inset = line * factor
        large_pen.ellipse((inset, inset, side - 1 - inset, side - 1 - inset), fill=0)
    disc = large.resize((radius * 2, radius * 2), Image.Resampling.BOX)
    for x, left in ((0, 0), (width - radius, radius)):
        for y, top in ((0, 0), (height - radius, radius)):
            mask.paste(disc.crop((left, top, left + radius, top + radius)), (x, y))
    return mask


@lru_cache(maxsize=24)
def _wallpaper(number: int, width: int, height: int, dark: bool) -> Image.Image:
    """A soft gradient with two large discs."""
    stops = [theme.rgb(color) for color in theme.WALLPAPERS[number % len(theme.WALLPAPERS)]]
    if dark:
        stops = [theme.mix(color, (8, 9, 14), 0.62) for color in stops]
    column = Image.new("RGB", (1, height))
    for y in range(height):
        place = y / max(1, height - 1) * 2
        first = min(int(place), 1)
        column.putpixel((0, y), theme.mix(stops[first], stops[first + 1], place - first))
    image = column.resize((width, height), Image.Resampling.NEAREST)
    for center_x, center_y, share, color in ((0.95, 0.2, 0.55, stops[2]), (0.05, 0.72, 0.7, stops[0])):
        reach = max(1, round(share * width))
        veil = _round_mask(2 * reach, 2 * reach, reach, 0).point([value * 60 // 255 for value in range(256)])
        image.paste(color, (round(center_x * width) - reach, round(center_y * height) - reach), veil)
    return image


class _Canvas:
    """One image being drawn, with the clip in force."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.image = Image.new("RGB", size)
        self.clip: Rect = (0, 0, *size)

    def fill(self, rect: Rect, color: RGB) -> None:
        left, top, right, bottom = intersect(rect, self.clip)
        if left < right and top < bottom:
            self.image.paste(color, (left, top, right, bottom))

    def stamp(self, mask: Image.Image, x: int, y: int, color: RGB) -> None:
        width, height = mask.size
        rect = (x, y, x + width, y + height)
        shown = intersect(rect, self.clip)
        if shown == rect:
            self.image.paste(color, rect, mask)
        elif shown[0] < shown[2] and shown[1] < shown[3]:
            part = mask.crop((shown[0] - x, shown[1] - y, shown[2] - x, shown[3] - y))
            self.image.paste(color, shown, part)

    def round(self, rect: Rect, radius: int, color: RGB) -> None:
        left, top, right, bottom = rect
        width, height = right - left, bottom - top
        if width <= 0 or height <= 0:
            return
        radius = min(radius, width // 2, height // 2)
        if width * height < 6000 or radius * 2 >= height:
            self.stamp(_round_mask(width, height, radius, 0), left, top, color)
            return
        # A large block is three plain bands and its two rounded ends: much less to blend.
        self.fill((left, top + radius, right, bottom - radius), color)
        self.stamp(_half(width, radius, 0), left, top, color)
        self.stamp(_half(width, radius, 1), left, bottom - radius, color)


@lru_cache(maxsize=2048)
def _half(width: int, radius: int, which: int) -> Image.Image:
    """The upper (0) or lower (1) end of a rounded block."""
    top = which * radius
    return _round_mask(width, 2 * radius, radius, 0).crop((0, top, width, top + radius))


def draw(marks: DisplayList, size: tuple[int, int], dark: bool) -> Image.Image:
    """The image of a display list, mode RGB."""
    canvas = _Canvas(size)
    for mark in marks:
        kind = mark[0]
        if kind == "text":
            _, x, y, content, px, bold, color = mark
            canvas.stamp(text.run(content, px, bold), x, y, color)
        elif kind == "round":
            canvas.round(mark[1], mark[2], mark[3])
        elif kind == "icon":
            _, x, y, name, px, color = mark
            canvas.stamp(icons.mask(name, px), x, y, color)
        elif kind == "fill":
            canvas.fill(mark[1], mark[2])
        elif kind == "clip":
            canvas.clip = mark[1]
        elif kind == "frame":
            left, top, right, bottom = mark[1]
            if right > left and bottom > top:
                canvas.stamp(_round_mask(right - left, bottom - top, mark[2], mark[3]), left, top, mark[4])
        elif kind == "wallpaper":
            canvas.image.paste(_wallpaper(mark[1], size[0], size[1], dark), (0, 0))
        elif kind == "dim":
            canvas.image = Image.blend(canvas.image, Image.new("RGB", size, mark[1]), mark[2])
        else:
            raise ValueError(f"no mark is called {kind!r}")
    return canvas.image


class FrameCache:
    """Keeps the screenshots drawn last, up to `capacity_bytes` of pixels, for all phones of the process."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.hits = 0
        self.misses = 0
        self._frames: OrderedDict[tuple[Any, ...], Frame] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def frame(self, marks: DisplayList, size: tuple[int, int], dark: bool) -> Frame:
        """The screenshot of `marks`: drawn, or the one drawn before."""
        key = (size, dark, marks)
        with self._lock:
            known = self._frames.get(key)
            if known is not None:
                self._frames.move_to_end(key)
                self.hits += 1
                return known
        # On immutable bytes: a screenshot that many share cannot be written to.
        pixels = np.frombuffer(draw(marks, size, dark).tobytes(), dtype=np.uint8).reshape(size[1], size[0], 3)
        frame = Frame(pixels)
        with self._lock:
            self.misses += 1
            if key not in self._frames:
                self._frames[key] = frame
                self._bytes += pixels.nbytes
            while self._bytes > self.capacity_bytes:
                _, oldest = self._frames.popitem(last=False)
                self._bytes -= oldest.pixels.nbytes
        return frame


FRAMES = FrameCache(capacity_bytes=48 * 1024 * 1024)
"""Shared by every phone of the process."""
