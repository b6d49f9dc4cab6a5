"""Pixels for the tiny model: the whole screen shrunk, and a small square per element from the native screenshot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_OVERSAMPLING = 2
"""Samples per side of a crop's pixel: averaged, so that thin strokes of icons do not vanish between samples."""


def whole_screen(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Shrinks a screenshot [H, W, 3] to [height, width, 3] by averaging areas."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def element_crops(pixels: NDArray[np.uint8], bounds_px: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """Samples two squares of each box, its start and its middle, to [side, 2 side, 3]: icons keep their shape.

    A row of a list has its icon at the start; in a square box both squares are the same. bounds_px [E, 4]: left,
    top, right, bottom; boxes may leave the screen, whose edge is repeated.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = bounds_px.T
    extent = np.maximum(np.minimum(right - left, bottom - top), 1.0)[:, None]
    steps = (np.arange(side * _OVERSAMPLING) + 0.5) / (side * _OVERSAMPLING)
    xs = np.concatenate([left[:, None] + extent * steps, ((left + right) / 2)[:, None] + extent * (steps - 0.5)], 1)
    ys = ((top + bottom) / 2)[:, None] + extent * (steps - 0.5)
    columns = np.clip(xs, 0, width - 1).astype(np.intp)
    rows = np.clip(ys, 0, height - 1).astype(np.intp)
    samples = pixels[rows[:, :, None], columns[:, None, :]].astype(np.uint16)  # [E, 2 side, 4 side, 3]
    halved = samples[:, 0::2] + samples[:, 1::2]
    return ((halved[:, :, 0::2] + halved[:, :, 1::2] + 2) >> 2).astype(np.uint8)
