"""The phone's settings: they change what the other apps can do and how everything looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from distrl.device.sim.app import App
from distrl.device.sim.apps.drafts import clearable_field, matches, remember, search_field
from distrl.device.sim.state import Page, Settings, SystemState
from distrl.device.sim.ui import (
    Dialog,
    Handler,
    Node,
    Screen,
    button,
    column,
    list_item,
    radio,
    row,
    scroll,
    slider,
    swatch,
    switch,
    text,
)
from distrl.device.sim.words import ACCENTS, LANGUAGES, PERMISSIONS, rotated

_SECTIONS: tuple[tuple[str, str, str, str], ...] = (
    # Page, title, icon, what it holds: also what the search looks through.
    ("network", "Network", "wifi", "Wi-Fi, Bluetooth, airplane mode, mobile data"),
    ("display", "Display", "brightness", "Brightness, dark theme, font size, screen timeout, accent colour"),
    ("sound", "Sound", "volume", "Media, ring and alarm volume, do not disturb"),
    ("apps", "Apps", "grid", "Permissions, location"),
    ("battery", "Battery", "battery", "Battery saver"),
    ("system", "System", "settings", "24-hour time, language, device name"),
)
_NETWORKS = ("Home", "Cafe Corner", "Office Guest", "Library Free")
_TIMEOUTS_S = {15: "15 seconds", 30: "30 seconds", 60: "1 minute", 120: "2 minutes", 300: "5 minutes"}
_FONT_SCALES = {0.85: "Small", 1.0: "Default", 1.15: "Large", 1.3: "Largest"}
_APPS = (("browser", "Browser"), ("clock", "Clock"), ("contacts", "Contacts"), ("messages", "Messages"),
         ("notes", "Notes"), ("shop", "Shop"))  # fmt: skip


class SettingsApp(App):
    package = "settings"
    label = "Settings"
    icon = "settings"
    tint = "#6b7280"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        pages: dict[str, Callable[[SystemState, Page], Screen]] = {
            "network": self._network,
            "networks": self._networks,
            "display": self._display,
            "sound": self._sound,
            "apps": self._apps,
            "permissions": self._permissions,
            "battery": self._battery,
            "system": self._system,
            "name": self._name,
        }
        return pages.get(page.name, self._home)(phone, page)

    def _home(self, phone: SystemState, page: Page) -> Screen:
        query = page.args.get("query", "")
        items = [
            list_item(title, content, icon=icon, on_tap=partial(self.push, phone, name), key=f"section_{name}")
            for name, title, icon, content in _SECTIONS
            if matches(query, title, content)
        ]
        return Screen(
            scroll("settings", items or [text("No settings found", color="muted")]),
            title="Settings",
            header=search_field(phone, page, "query", "Search settings"),
        )

    def _network(self, phone: SystemState, page: Page) -> Screen:
        settings = phone.settings
        grounded = settings.airplane
        network = list_item(
            "Wi-Fi network",
            settings.wifi_network if settings.wifi and not grounded else "Not connected",
            icon="wifi",
            on_tap=partial(self.push, phone, "networks"),
            key="wifi_network",
        )
        network.enabled = settings.wifi and not grounded
        return _page(
            "Network",
            [
                _toggle(settings, "airplane", "Airplane mode", icon="airplane", secondary="Turns all radios off"),
                _toggle(settings, "wifi", "Wi-Fi", icon="wifi", enabled=not grounded),
                network,
                _toggle(settings, "mobile_data", "Mobile data", icon="signal", enabled=not grounded),
                _toggle(settings, "bluetooth", "Bluetooth", icon="bluetooth", enabled=not grounded),
            ],
        )

    def _networks(self, phone: SystemState, page: Page) -> Screen:
        settings = phone.settings
        names = phone.wifi_networks or list(_NETWORKS)
        if settings.wifi_network not in names:
            names = [settings.wifi_network, *names]
        choices = [
            radio(name, name == settings.wifi_network, on_tap=partial(self._choose, phone, "wifi_network", name))
            for name in names
        ]
        return _page("Wi-Fi network", choices)

    def _choose(self, phone: SystemState, name: str, value: object) -> None:
        setattr(phone.settings, name, value)
        self.pop(phone)

    def _display(self, phone: SystemState, page: Page) -> Screen:
        settings = phone.settings
        swatches = [
            swatch(
                code,
                selected=code == settings.accent,
                on_tap=partial(setattr, settings, "accent", code),
                key=f"accent_{number}",
            )
            for number, code in enumerate(rotated(list(ACCENTS.values()), settings.wallpaper))
        ]
        timeout = _TIMEOUTS_S.get(settings.screen_timeout_s, f"{settings.screen_timeout_s} seconds")
        font = _FONT_SCALES.get(settings.font_scale, "Custom")
        items: list[Node] = [
            _slide(settings, "brightness", "Brightness", icon="brightness"),
            _toggle(settings, "dark_theme", "Dark theme", icon="moon"),
            list_item("Font size", font, icon="font", on_tap=remember(page, dialog="font"), key="font"),
            list_item("Screen timeout", timeout, icon="timer", on_tap=remember(page, dialog="timeout"), key="timeout"),
            _toggle(settings, "auto_rotate", "Auto-rotate", icon="rotate"),
            row([text("Accent colour", size_sp=16)], padding=12),
            row(swatches, gap=8, padding=8),
        ]
        dialogs: dict[str, tuple[str, str, Mapping[Any, str]]] = {
            "font": ("Font size", "font_scale", _FONT_SCALES),
            "timeout": ("Screen timeout", "screen_timeout_s", _TIMEOUTS_S),
        }
        screen = _page("Display", items)
        kind = page.args.get("dialog", "")
        if kind in dialogs:
            title, name, choices = dialogs[kind]
            screen.dialog = _radio_sheet(settings, page, title, name, choices)
        return screen

    def _sound(self, phone: SystemState, page: Page) -> Screen:
        settings = phone.settings
        return _page(
            "Sound",
            [
                _slide(settings, "volume_media", "Media volume", icon="volume"),
                _slide(settings, "volume_ring", "Ring volume", icon="bell"),
                _slide(settings, "volume_alarm", "Alarm volume", icon="alarm"),
                _toggle(
                    settings,
                    "do_not_disturb",
                    "Do not disturb",
                    icon="do_not_disturb",
                    secondary="No sounds, no pop-ups",
                ),
            ],
        )

    def _apps(self, phone: SystemState, page: Page) -> Screen:
        granted = phone.settings.permissions
        items: list[Node] = [_toggle(phone.settings, "location", "Use location", icon="location")]
        for package, label in _APPS:
            summary = ", ".join(granted.get(package, [])) or "No permissions"
            items.append(
                list_item(
                    label,
                    summary,
                    on_tap=partial(self.push, phone, "permissions", package=package, label=label),
                    key=f"app_{package}",
                )
            )
        return _page("Apps", items)

    def _permissions(self, phone: SystemState, page: Page) -> Screen:
        package = page.args.get("package", "")
        granted = phone.settings.permissions.get(package, [])
        items = [
            switch(name, name in granted, on_tap=partial(_toggle_permission, phone, package, name), key=name.lower())
            for name in PERMISSIONS
        ]
        return _page(f"{page.args.get('label', package)} permissions", items)

    def _battery(self, phone: SystemState, page: Page) -> Screen:
        settings = phone.settings
        return _page(
            "Battery",
            [
                list_item(f"{phone.battery} %", "Charge left", icon="battery"),
                _toggle(
                    settings, "battery_saver", "Battery saver", icon="battery_saver", secondary="Limits background work"
                ),
            ],
        )

    def _system(self, phone: SystemState, page: Page) -> Screen:
        settings = phone.settings
        languages = {name: name for name in LANGUAGES}
        screen = _page(
            "System",
            [
                _toggle(settings, "time_format_24h", "24-hour time", icon="clock", secondary=phone.time_text(13 * 60)),
                list_item(
                    "Language",
                    settings.language,
                    icon="globe",
                    on_tap=remember(page, dialog="language"),
                    key="language",
                ),
                list_item(
                    "Device name",
                    settings.device_name,
                    icon="device",
                    on_tap=partial(self._start_name, phone),
                    key="device_name",
                ),
            ],
        )
        if page.args.get("dialog") == "language":
            screen.dialog = _radio_sheet(settings, page, "Language", "language", languages)
        return screen

    def _start_name(self, phone: SystemState) -> None:
        self.push(phone, "name", device_name=phone.settings.device_name)

    def _name(self, phone: SystemState, page: Page) -> Screen:
        save = partial(self._save_name, phone, page)
        field = clearable_field(page, "device_name", "Device name", on_enter=save)
        screen = _page("Device name", [column([field], padding=12)])
        screen.actions = [button("Save", on_tap=save, enabled=bool(page.args.get("device_name", "").strip()))]
        return screen

    def _save_name(self, phone: SystemState, page: Page) -> None:
        name = page.args.get("device_name", "").strip()
        if name:
            self._choose(phone, "device_name", name)


def _page(title: str, items: list[Node]) -> Screen:
    return Screen(scroll(title.lower(), items, padding=4), title=title, back_arrow=True)


def _toggle(settings: Settings, name: str, label: str, *, icon: str, secondary: str = "", enabled: bool = True) -> Node:
    on = bool(getattr(settings, name))
    flip: Handler = partial(setattr, settings, name, not on)
    return switch(label, on, on_tap=flip, key=name, icon=icon, secondary=secondary, enabled=enabled)


def _slide(settings: Settings, name: str, label: str, *, icon: str) -> Node:
    return slider(label, getattr(settings, name), on_slide=partial(_set_level, settings, name), key=name, icon=icon)


def _set_level(settings: Settings, name: str, value: float) -> None:
    setattr(settings, name, round(min(1.0, max(0.0, value)), 2))


def _radio_sheet(settings: Settings, page: Page, title: str, name: str, choices: Mapping[Any, str]) -> Dialog:
    current = getattr(settings, name)
    return Dialog(
        title,
        content=[
            radio(label, value == current, on_tap=partial(_pick, settings, page, name, value), key=f"choice_{number}")
            for number, (value, label) in enumerate(choices.items())
        ],
        on_dismiss=remember(page, dialog=""),
        sheet=True,
    )


def _pick(settings: Settings, page: Page, name: str, value: object) -> None:
    setattr(settings, name, value)
    page.args["dialog"] = ""


def _toggle_permission(phone: SystemState, package: str, name: str) -> None:
    granted = set(phone.settings.permissions.get(package, [])) ^ {name}
    phone.settings.permissions[package] = [p for p in PERMISSIONS if p in granted]
