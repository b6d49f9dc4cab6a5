"""The size at which the Qwen-VL family sees an image: coordinates are pixels of that image, and not of the screen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from distrl.errors import ConfigError


@dataclass(frozen=True)
class PixelBudget:
    """How an image is resized: sides are multiples of `factor`, area within the budget, shape kept as far as possible.

    Source: Qwen2-VL, arXiv 2409.12191, section 2.1 (naive dynamic resolution); the numbers are Qwen2.5-VL's defaults.
    """

    factor: int = 28
    """Side of a merged patch, pixels."""
    min_pixels: int = 56 * 56
    max_pixels: int = 12_845_056

    def __post_init__(self) -> None:
        if not (self.factor >= 1 and self.factor**2 <= self.max_pixels and self.min_pixels <= self.max_pixels):
            raise ConfigError(f"a pixel budget needs factor^2 <= max_pixels and min_pixels <= max_pixels, got {self}")

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the image the model sees of a screen of this size.

        Raises:
            ValueError: a side is below 1, or one side is 200 times the other, which the family refuses.
        """
        if min(width, height) < 1 or max(width, height) > 200 * min(width, height):
            raise ValueError(f"sides must be >= 1 and within 200 to 1 of each other, got {width}x{height}")
        factor = self.factor
        columns, rows = (max(factor, round(side / factor) * factor) for side in (width, height))
        if columns * rows > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            columns, rows = (max(factor, math.floor(side / shrink / factor) * factor) for side in (width, height))
        elif columns * rows < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            columns, rows = (math.ceil(side * grow / factor) * factor for side in (width, height))
        return columns, rows
