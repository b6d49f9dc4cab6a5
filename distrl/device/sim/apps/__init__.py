"""The apps on every simulated phone."""

from __future__ import annotations

from distrl.device.sim.app import App
from distrl.device.sim.apps.browser import BrowserApp
from distrl.device.sim.apps.clock import ClockApp
from distrl.device.sim.apps.contacts import ContactsApp
from distrl.device.sim.apps.launcher import LauncherApp
from distrl.device.sim.apps.messages import MessagesApp
from distrl.device.sim.apps.notes import NotesApp
from distrl.device.sim.apps.settings import SettingsApp
from distrl.device.sim.apps.shop import ShopApp

APPS: dict[str, App] = {
    app.package: app
    for app in (
        BrowserApp(),
        ClockApp(),
        ContactsApp(),
        MessagesApp(),
        NotesApp(),
        SettingsApp(),
        ShopApp(),
    )
}
"""Package -> app."""
APPS["launcher"] = LauncherApp(APPS)
