"""The prompt of text models: the same words for every family, so that results can be compared.

Task: Call Ann.
Past actions: tap 3; scroll down
App: contacts
Screen:
0 TextView "Contacts"
1 EditText "Search" [editable, focused]
7 Button "Call" [clickable]
Action:
"""

from __future__ import annotations

import json
from typing import Final

from distrl.types import Element, PolicyInput

_FLAGS: Final = (
    "clickable", "long_clickable", "editable", "focused", "checkable", "checked", "selected", "scrollable",
)  # fmt: skip


def render_prompt(policy_input: PolicyInput, *, ui_tree: bool = True, max_elements: int = 128) -> str:
    """Writes instruction, history, app and UI tree as text; one line per element, texts quoted as in JSON.

    At most `max_elements` lines; a last line says how many were left out.
    """
    observation = policy_input.observation
    lines = [f"Task: {policy_input.instruction}"]
    if policy_input.history:
        lines.append(f"Past actions: {'; '.join(policy_input.history)}")
    if observation.app:
        lines.append(f"App: {observation.app}")
    if ui_tree and observation.elements is not None:
        lines.append("Screen:")
        lines += [describe_element(element) for element in observation.elements[:max_elements]]
        hidden = len(observation.elements) - max_elements
        if hidden > 0:
            lines.append(f"({hidden} more)")
    lines.append("Action:")
    return "\n".join(lines)


def describe_element(element: Element) -> str:
    """One line: number, class, texts and flags."""
    parts = [str(element.index), element.class_name]
    if element.text:
        parts.append(json.dumps(element.text, ensure_ascii=False))
    if element.content_description and element.content_description != element.text:
        parts.append(f"({json.dumps(element.content_description, ensure_ascii=False)})")
    flags = [name for name in _FLAGS if getattr(element, name)]
    if not element.enabled:
        flags.append("disabled")
    if flags:
        parts.append(f"[{', '.join(flags)}]")
    return " ".join(parts)
