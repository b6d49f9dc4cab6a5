"""What the system draws around apps: status bar, navigation bar, notification shade, popups, heads-up."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import partial

from distrl.device.sim.app import App, launch
from distrl.device.sim.state import Notification, Popup, SystemState
from distrl.device.sim.ui import (
    Dialog,
    Handler,
    Node,
    button,
    card,
    column,
    icon,
    row,
    scroll,
    spacer,
    text,
)

STATUS_DP = 28.0
NAV_DP = 44.0
SHADE_KEY = "shade"
# Not strftime: its names follow the machine's locale.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def date_text(date: str) -> str:
    """An ISO date as a person reads it, e.g. `Friday, 14 March`."""
    day = datetime.date.fromisoformat(date)
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]}"


def status_bar(state: SystemState, ink: str = "on_surface") -> Node:
    """Time at the left; what is on at the right."""
    settings = state.settings
    signs = []
    if settings.do_not_disturb:
        signs.append(icon("do_not_disturb", size=15, color=ink, description="Do not disturb"))
    if settings.bluetooth and not settings.airplane:
        signs.append(icon("bluetooth", size=15, color=ink, description="Bluetooth"))
    if settings.airplane:
        signs.append(icon("airplane", size=15, color=ink, description="Airplane mode"))
    else:
        if settings.wifi:
            signs.append(icon("wifi", size=15, color=ink, description="Wi-Fi"))
        if settings.mobile_data:
            signs.append(icon("signal", size=15, color=ink, description="Mobile data"))
    signs.append(icon("battery", size=15, color=ink, description=f"Battery {state.battery} %"))
    clock = text(state.time_text(state.clock_minute), size_sp=13, bold=True, color=ink, grow=1, key="status_time")
    return row([spacer(14), clock, *signs, spacer(10)], gap=4, height=STATUS_DP)


def nav_bar(ink: str, *, on_back: Handler, on_home: Handler, on_recents: Handler) -> Node:
    """Back, home and recent apps."""
    return row(
        [
            Node("icon_button", icon=f"nav_{name}", description=label, on_tap=on_tap, color=ink, key=f"nav_{name}",
                 grow=1, height=NAV_DP, width=96)
            for name, label, on_tap in (
                ("back", "Back", on_back), ("home", "Home", on_home), ("recents", "Recent apps", on_recents),
            )
        ],
        height=NAV_DP,
    )  # fmt: skip


def _badge(apps: Mapping[str, App], package: str, size: float) -> Node:
    """A small round mark of an app."""
    app = apps.get(package)
    name, tint = (app.icon, app.tint) if app is not None else ("bell", "#6b7280")
    return Node(
        "column", children=[icon(name, size=size * 0.6, color="#ffffff")], padding=size * 0.2, background=tint,
        radius=size / 2, width=size, height=size, align="center")  # fmt: skip


def _open_notification(state: SystemState, apps: Mapping[str, App], notification: Notification) -> None:
    state.notifications.remove(notification)
    state.shade_open = False
    if notification.app in apps:
        launch(state, notification.app, notification.page)


def _dismiss(state: SystemState, notification: Notification, _direction: str = "") -> None:
    state.notifications.remove(notification)


def _calm(notification: Notification, direction: str) -> None:
    """A swiped heads-up leaves the screen and stays in the shade."""
    notification.heads_up = False


def notification_card(
    state: SystemState, apps: Mapping[str, App], notification: Notification, *, floating: bool
) -> Node:
    """A notification: a tap opens its page, a sideways swipe puts it away."""
    lines = [text(notification.title, bold=True), text(notification.body, size_sp=13, color="muted")]
    node = card(
        [row([_badge(apps, notification.app, 36), column(lines, grow=1)], gap=12)],
        padding=12,
        on_tap=partial(_open_notification, state, apps, notification),
    )
    node.key = f"notification_{notification.id}"
    node.on_swipe = partial(_calm, notification) if floating else partial(_dismiss, state, notification)
    return node


def heads_up(state: SystemState) -> Notification | None:
    """The notification that floats over the screen now, if one does."""
    if state.settings.do_not_disturb or state.shade_open:
        return None
    return next((entry for entry in state.notifications if entry.heads_up), None)


def _tile(label: str, icon_name: str, on: bool, on_tap: Handler) -> Node:
    ink = "on_primary" if on else "on_surface"
    tile = card(
        [row([icon(icon_name, size=22, color=ink), text(label, bold=True, color=ink, grow=1)], gap=8)], on_tap=on_tap
    )
    tile.background = "primary" if on else "surface_low"
    tile.radius = 22
    tile.checked = on
    tile.grow = 1
    tile.key = f"tile_{icon_name}"
    return tile


def shade(state: SystemState, apps: Mapping[str, App]) -> Node:
    """Quick toggles and the list of notifications."""
    settings = state.settings

    def tile(label: str, icon_name: str, name: str) -> Node:
        on = bool(getattr(settings, name))
        return _tile(label, icon_name, on, partial(setattr, settings, name, not on))

    cards = [notification_card(state, apps, entry, floating=False) for entry in state.notifications]
    heading: list[Node] = [text("Notifications", bold=True, color="muted", grow=1)]
    if cards:
        heading.append(button("Clear all", on_tap=state.notifications.clear, filled=False, key="clear_all"))
    return column(
        [
            status_bar(state),
            column(
                [
                    text(date_text(state.date), size_sp=20, bold=True),
                    row([tile("Wi-Fi", "wifi", "wifi"), tile("Airplane", "airplane", "airplane")], gap=10),
                    row(
                        [tile("Silence", "do_not_disturb", "do_not_disturb"), tile("Dark", "moon", "dark_theme")],
                        gap=10,
                    ),
                    row(heading, height=40),
                ],
                gap=10,
                padding=14,
            ),
            scroll(SHADE_KEY, cards or [text("No notifications", color="muted", align="center")], gap=8, padding=14),
        ]
    )


def _answer(state: SystemState, popup: Popup, label: str) -> None:
    if popup in state.popups:
        state.popups.remove(popup)
    if popup.effect and popup.app and label.startswith(("Allow", "While")):
        granted = state.settings.permissions.setdefault(popup.app, [])
        if popup.effect not in granted:
            granted.append(popup.effect)


def popup_dialog(state: SystemState, popup: Popup) -> Dialog:
    """A system dialog: any of its buttons closes it."""
    buttons = [
        button(label, on_tap=partial(_answer, state, popup, label), filled=number == len(popup.buttons) - 1,
               key=f"popup_{number}")
        for number, label in enumerate(popup.buttons)
    ]  # fmt: skip
    return Dialog(popup.title, popup.body, buttons=buttons)
