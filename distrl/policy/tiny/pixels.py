"""Pixels for the tiny model: the whole screen shrunk, and a small square per element from the native screenshot.

Both average a fixed number of samples per pixel made, so the cost does not grow with the screen.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_OVERSAMPLING: Final = 2
"""Samples per side of a pixel made: averaged, so that thin strokes of icons do not vanish between samples."""


def whole_screen(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Shrinks a screenshot [H, W, 3] to [height, width, 3]."""
    if pixels.shape[:2] == (height, width):
        return pixels
    rows = (_fractions(height) * pixels.shape[0]).astype(np.intp)
    columns = (_fractions(width) * pixels.shape[1]).astype(np.intp)
    screen: NDArray[np.uint8] = _sampled(pixels, rows[None], columns[None])[0]
    return screen


def element_crops(pixels: NDArray[np.uint8], bounds_px: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """Samples two squares of each box, its start and its middle, to [E, side, 2 side, 3]: icons keep their shape.

    A row of a list has its icon at the start; in a square box both squares are the same. bounds_px [E, 4]: left,
    top, right, bottom; boxes may leave the screen, whose edge is repeated.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = bounds_px.T[:, :, None]
    extent = np.maximum(np.minimum(right - left, bottom - top), 1.0)
    steps = _fractions(side)
    xs = np.concatenate([left + extent * steps, (left + right) / 2 + extent * (steps - 0.5)], 1)
    ys = (top + bottom) / 2 + extent * (steps - 0.5)
    columns = np.clip(xs, 0, width - 1).astype(np.intp)
    rows = np.clip(ys, 0, height - 1).astype(np.intp)
    return _sampled(pixels, rows, columns)


def _fractions(count: int) -> NDArray[np.float64]:
    samples = count * _OVERSAMPLING
    return (np.arange(samples) + 0.5) / samples


def _sampled(pixels: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Takes pixels at rows [E, 2h] and columns [E, 2w] and averages each square of four: [E, h, w, 3]."""
    places = (rows * pixels.shape[1])[:, :, None] + columns[:, None, :]
    samples = pixels.reshape(-1, 3).take(places, axis=0)
    halved = np.add(samples[:, 0::2], samples[:, 1::2], dtype=np.uint16)
    total: NDArray[np.uint16] = halved[:, :, 0::2] + halved[:, :, 1::2]
    total += 2
    total >>= 2
    return total.astype(np.uint8)
