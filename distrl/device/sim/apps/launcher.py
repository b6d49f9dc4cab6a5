"""The launcher: home pages, dock, app drawer with search, and recent apps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from distrl.device.sim.app import App, launch
from distrl.device.sim.apps.drafts import clearable_field, matches, remember
from distrl.device.sim.state import Page, SystemState
from distrl.device.sim.system import date_text
from distrl.device.sim.ui import (
    Dialog,
    Node,
    Screen,
    card,
    column,
    icon,
    list_item,
    row,
    scroll,
    spacer,
    text,
)

PER_PAGE = 8
_ACROSS = 4
_ON_WALLPAPER = "#ffffff"


class LauncherApp(App):
    package = "launcher"
    label = "Home"
    icon = "home"

    def __init__(self, apps: Mapping[str, App]) -> None:
        self.apps = apps

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        if page.name == "drawer":
            return self._drawer(phone, page)
        if page.name == "recents":
            return self._recents(phone)
        return self._home(phone, page)

    def _installed(self) -> list[App]:
        return sorted((app for app in self.apps.values() if app is not self), key=lambda app: app.label)

    def _icon(self, phone: SystemState, page: Page, app: App, *, color: str, labelled: bool = True) -> Node:
        return Node(
            "app_icon",
            text=app.label if labelled else "",
            icon=app.icon,
            background=app.tint,
            color=color,
            on_tap=partial(launch, phone, app.package),
            on_long_press=remember(page, menu=app.package),
            grow=1,
        )

    def _grid(self, phone: SystemState, page: Page, apps: list[App], *, color: str) -> list[Node]:
        lines = []
        for start in range(0, len(apps), _ACROSS):
            line = [self._icon(phone, page, app, color=color) for app in apps[start : start + _ACROSS]]
            lines.append(row([*line, *(spacer(0, grow=1) for _ in range(_ACROSS - len(line)))], align="start"))
        return lines

    def _home(self, phone: SystemState, page: Page) -> Screen:
        apps = [self.apps[package] for package in phone.home_apps if package in self.apps]
        num_pages = max(1, -(-len(apps) // PER_PAGE))
        index = min(int(page.args.get("index", 0)), num_pages - 1)
        shown = apps[index * PER_PAGE : (index + 1) * PER_PAGE]
        dots = [
            Node("spacer", width=8, height=8, radius=4, background=_ON_WALLPAPER if number == index else "#c3c7d6")
            for number in range(num_pages)
        ]
        docked = [self.apps[package] for package in phone.dock if package in self.apps]
        dock = [self._icon(phone, page, app, color="", labelled=False) for app in docked]
        search = row([icon("search", size=20), text("Search apps", color="muted", grow=1)], gap=10, padding=13)
        search.background, search.radius, search.key = "surface_high", 24, "search_bar"
        search.on_tap = partial(self._open_drawer, phone, typing=True)
        children = [
            spacer(18),
            text(phone.time_text(phone.clock_minute), size_sp=46, color=_ON_WALLPAPER, align="center"),
            text(date_text(phone.date), size_sp=15, color=_ON_WALLPAPER, align="center", key="date"),
            spacer(12),
            search,
            spacer(0, grow=1),
            *self._grid(phone, page, shown, color=_ON_WALLPAPER),
            row([spacer(0, grow=1), *dots, spacer(0, grow=1)], gap=8, height=16),
            row(dock, height=72),
        ]
        body = column(children, gap=10, padding=12)
        body.on_swipe = partial(self._turn, phone, page, num_pages)
        return Screen(body, bare=True, wallpaper=True, dialog=self._menu(phone, page))

    def _turn(self, phone: SystemState, page: Page, num_pages: int, direction: str) -> None:
        index = int(page.args.get("index", 0))
        if direction == "up":
            self._open_drawer(phone)
        elif direction == "left":
            page.args["index"] = min(num_pages - 1, index + 1)
        elif direction == "right":
            page.args["index"] = max(0, index - 1)

    def _open_drawer(self, phone: SystemState, *, typing: bool = False) -> None:
        self.push(phone, "drawer")
        if typing:
            phone.focus = "query"

    def _drawer(self, phone: SystemState, page: Page) -> Screen:
        query = page.args.get("query", "")
        found = [app for app in self._installed() if matches(query, app.label)]
        lines = self._grid(phone, page, found, color="on_surface") or [
            text(f"No app is called {query}", color="muted", align="center")
        ]
        body = scroll("drawer", lines, gap=14, padding=12)
        open_first = partial(launch, phone, found[0].package) if found else None
        search = clearable_field(page, "query", "Search apps", on_enter=open_first, icon="search")
        header = column([search], padding=12)
        outer = column([header, body])
        outer.on_swipe = partial(self._leave_drawer, phone)
        return Screen(outer, bare=True, dialog=self._menu(phone, page))

    def _leave_drawer(self, phone: SystemState, direction: str) -> None:
        if direction == "down":
            self.pop(phone)

    def _menu(self, phone: SystemState, page: Page) -> Dialog | None:
        """What a long press on an icon offers."""
        package = page.args.get("menu", "")
        app = self.apps.get(package)
        if app is None:
            return None
        close = remember(page, menu="")
        on_home = package in phone.home_apps
        move = list_item(
            "Remove from home" if on_home else "Add to home",
            icon="close" if on_home else "plus",
            on_tap=partial(self._move, phone, page, package),
            key="menu_move",
        )
        start = list_item(
            "Open", icon="arrow_forward", on_tap=partial(self._open, phone, page, package), key="menu_open"
        )
        return Dialog(app.label, content=[start, move], on_dismiss=close, sheet=True)

    def _open(self, phone: SystemState, page: Page, package: str) -> None:
        page.args["menu"] = ""
        launch(phone, package)

    def _move(self, phone: SystemState, page: Page, package: str) -> None:
        page.args["menu"] = ""
        if package in phone.home_apps:
            phone.home_apps.remove(package)
        else:
            phone.home_apps.append(package)

    def _recents(self, phone: SystemState) -> Screen:
        opened = [self.apps[package] for package in reversed(phone.recent) if package in self.apps]
        cards = []
        for app in opened:
            badge = Node("column", children=[icon(app.icon, size=22, color="#ffffff")], padding=9, width=40, height=40,
                         background=app.tint, radius=13)  # fmt: skip
            entry = card([row([badge, text(app.label, bold=True, size_sp=16, grow=1)], gap=14)],
                         on_tap=partial(launch, phone, app.package))  # fmt: skip
            entry.key = f"recent_{app.package}"
            cards.append(entry)
        body = scroll("recents", cards or [text("No recent apps", color="muted", align="center")], gap=10, padding=16)
        return Screen(body, title="Recent apps")
