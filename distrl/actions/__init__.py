"""Codecs between what a model writes and what a device is asked to do; pure, one file per format.

    codec.decode(text, observation) -> Action        raises ActionError(kind, ...) for anything that is no action
    codec.encode(action, observation) -> text        what a demonstration would have written

A malformed text is an invalid action, by kind, and gets counted; it never becomes a silent wait.
"""

from __future__ import annotations

from typing import Protocol

from distrl.actions.aitw import AitwCodec
from distrl.actions.android_world import AndroidWorldCodec
from distrl.actions.element import ElementCodec
from distrl.actions.mobile_use import MobileUseCodec
from distrl.actions.pixel import PixelCodec
from distrl.actions.resize import PixelBudget
from distrl.actions.ui_tars import UiTarsCodec
from distrl.types import Action, Observation

__all__ = [
    "CODECS",
    "ActionCodec",
    "AitwCodec",
    "AndroidWorldCodec",
    "ElementCodec",
    "MobileUseCodec",
    "PixelBudget",
    "PixelCodec",
    "UiTarsCodec",
]


class ActionCodec(Protocol):
    """One action format."""

    def decode(self, text: str, observation: Observation) -> Action:
        """Returns the action that `text` means on this screen, or raises `ActionError`."""

    def encode(self, action: Action, observation: Observation) -> str:
        """Returns the text for `action`, or raises `ActionError` when the format cannot say it here."""


CODECS: dict[str, ActionCodec] = {
    "element": ElementCodec(),
    "pixel": PixelCodec(),
    "aitw": AitwCodec(),
    "mobile_use": MobileUseCodec(),
    "mobile_use_999": MobileUseCodec(budget=None),
    "ui_tars": UiTarsCodec(),
    "android_world": AndroidWorldCodec(),
}
"""By the name used in `policy.actions`."""
