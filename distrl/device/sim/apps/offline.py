"""What apps that need the network show without one."""

from __future__ import annotations

from functools import partial

from distrl.device.sim.app import launch
from distrl.device.sim.state import Page, SystemState
from distrl.device.sim.ui import Screen, button, column, icon, spacer, text


def offline_screen(phone: SystemState, title: str, *, back_arrow: bool) -> Screen:
    """Says that the phone is offline, and leads to the network settings."""
    return Screen(
        column(
            [
                spacer(80),
                icon("wifi_off", size=72),
                text("You're offline", size_sp=22, bold=True, align="center"),
                text("Check the connection and try again.", color="muted", align="center"),
                button("Network settings", on_tap=partial(launch, phone, "settings", Page("network"))),
            ],
            gap=14,
            padding=24,
            align="center",
        ),
        title=title,
        back_arrow=back_arrow,
    )
