"""Things that get in the way and have nothing to do with the task: popups, a heads-up notification, a namesake."""

from __future__ import annotations

import random
from typing import Final

from distrl.device.sim.state import Notification, Page, Popup, SystemState
from distrl.device.sim.words import PERMISSIONS

_APPS: Final = ("Browser", "Clock", "Messages", "Shop")


def permission_popup(app: str, permission: str) -> Popup:
    """An app asks for a permission."""
    return Popup(
        "permission",
        f"Allow {app} to use {permission}?",
        "You can change this later in the settings.",
        ["Don't allow", "Allow"],
        app.lower(),
        permission,
    )


def distract(state: SystemState, rate: float, rng: random.Random) -> None:
    """With probability `rate`, puts one thing in the way; it can be dismissed without any lasting change."""
    if rng.random() >= rate:
        return
    kind = rng.choice(["permission", "update", "rating", "notification"])
    if state.popups:  # A dialog that is the task: another one on top would make the instruction ambiguous.
        kind = "notification"
    if kind == "permission":
        app, permission = rng.choice(_APPS), rng.choice(PERMISSIONS)
        state.popups.append(permission_popup(app, permission))
    elif kind == "update":
        state.popups.append(
            Popup("update", "System update", "A new version is ready to install.", ["Later", "Install"])
        )
    elif kind == "rating":
        app = rng.choice(_APPS)
        state.popups.append(Popup("rating", f"Enjoying {app}?", "Tell others what you think.", ["Not now", "Rate"]))
    elif state.threads:
        thread = rng.choice(state.threads)
        contact = state.contact_of(thread.number)
        state.notifications.append(
            Notification(
                state.new_id(),
                "messages",
                contact.name if contact else thread.number,
                thread.messages[-1].text if thread.messages else "New message",
                Page("thread", {"id": thread.id}),
                heads_up=True,
            )
        )
