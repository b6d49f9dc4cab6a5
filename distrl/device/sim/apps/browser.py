"""A browser over the local sites: address field, bookmarks, history."""

from __future__ import annotations

from functools import partial

from distrl.device.sim.app import App
from distrl.device.sim.apps.drafts import confirm, draft_field, remember
from distrl.device.sim.apps.offline import offline_screen
from distrl.device.sim.apps.sites import SITES, resolve, site_nodes, title_of
from distrl.device.sim.state import Bookmark, Page, SystemState
from distrl.device.sim.ui import (
    Dialog,
    Node,
    Screen,
    button,
    column,
    icon,
    icon_button,
    list_item,
    row,
    scroll,
    spacer,
    text,
)


class BrowserApp(App):
    package = "browser"
    label = "Browser"
    icon = "globe"
    tint = "#1f86b8"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        if page.name == "bookmarks":
            return self._bookmarks(phone)
        if page.name == "history":
            return self._history(phone, page)
        if page.name == "web":
            return self._web(phone, page)
        return self._home(phone, page)

    def visit(self, phone: SystemState, url: str) -> None:
        """Opens an address on top of the present page and notes it in the history."""
        if phone.online:
            phone.history.append(url)
        self.push(phone, "web", url=url)

    def _go(self, phone: SystemState, page: Page) -> None:
        typed = page.args.get("address", "").strip()
        if typed:
            page.args["address"] = ""
            self.visit(phone, resolve(typed))

    def _home(self, phone: SystemState, page: Page) -> Screen:
        go = partial(self._go, phone, page)
        field = draft_field(page, "address", "Search or type address", on_enter=go, icon="search")
        sites = [
            list_item(title, host, icon="globe", on_tap=partial(self.visit, phone, host), key=f"site_{host}")
            for host, title in SITES.items()
        ]
        return Screen(
            scroll("sites", [text("Popular sites", bold=True, color="muted"), *sites], gap=4, padding=12),
            title="Browser",
            header=row([field, icon_button("arrow_forward", "Go", on_tap=go)], gap=4),
            actions=[
                icon_button("bookmark", "Bookmarks", on_tap=partial(self.push, phone, "bookmarks")),
                icon_button("clock", "History", on_tap=partial(self.push, phone, "history")),
            ],
        )

    def _web(self, phone: SystemState, page: Page) -> Screen:
        url = page.args.get("url", "")
        if not phone.online:
            return offline_screen(phone, url, back_arrow=True)
        content = site_nodes(phone, page, url, partial(self.visit, phone))
        marked = any(bookmark.url == url for bookmark in phone.bookmarks)
        body = content or [
            spacer(60),
            column([icon("warning", size=56)], align="center"),
            text("This site can't be reached", size_sp=20, bold=True, align="center"),
            text("Check the address for typing mistakes.", color="muted", align="center"),
        ]
        bar = list_item(url, icon="lock", on_tap=partial(self._edit_address, phone), key="address_bar")
        return Screen(
            scroll("web", body, gap=10, padding=16),
            title=title_of(phone, url),
            back_arrow=True,
            header=column([bar], background="surface_low", radius=24),
            actions=[
                icon_button(
                    "bookmark_filled" if marked else "bookmark",
                    "Remove bookmark" if marked else "Add bookmark",
                    selected=marked,
                    on_tap=partial(_toggle_bookmark, phone, url),
                ),
                icon_button("more", "More options", on_tap=remember(page, dialog="menu")),
            ],
            dialog=self._menu(phone, page),
        )

    def _menu(self, phone: SystemState, page: Page) -> Dialog | None:
        if page.args.get("dialog") != "menu":
            return None
        return Dialog(
            "Browser",
            content=[
                list_item("Home page", icon="home", on_tap=partial(self._leave_to, phone, page, "")),
                list_item("Bookmarks", icon="bookmark", on_tap=partial(self._leave_to, phone, page, "bookmarks")),
                list_item("History", icon="clock", on_tap=partial(self._leave_to, phone, page, "history")),
            ],
            on_dismiss=remember(page, dialog=""),
            sheet=True,
        )

    def _leave_to(self, phone: SystemState, page: Page, name: str) -> None:
        page.args["dialog"] = ""
        if name:
            self.push(phone, name)
        else:
            phone.focus = ""
            phone.stacks[self.package] = [Page(self.home)]

    def _edit_address(self, phone: SystemState) -> None:
        self.push(phone, "home")
        phone.focus = "address"

    def _bookmarks(self, phone: SystemState) -> Screen:
        items: list[Node] = [
            list_item(
                bookmark.title,
                bookmark.url,
                icon="bookmark_filled",
                on_tap=partial(self.visit, phone, bookmark.url),
                trailing=icon_button(
                    "trash", f"Delete {bookmark.title}", on_tap=partial(_toggle_bookmark, phone, bookmark.url)
                ),
                key=f"bookmark_{number}",
            )
            for number, bookmark in enumerate(phone.bookmarks)
        ]
        return Screen(
            scroll("bookmarks", items or [text("No bookmarks", color="muted")]), title="Bookmarks", back_arrow=True
        )

    def _history(self, phone: SystemState, page: Page) -> Screen:
        items: list[Node] = [
            list_item(title_of(phone, url), url, icon="clock", on_tap=partial(self.visit, phone, url))
            for url in reversed(phone.history)
        ]
        dialog = None
        if page.args.get("dialog") == "clear":
            dialog = confirm(
                page, "Clear history?", "All visited pages are forgotten.", "Clear", partial(_clear, phone, page)
            )
        return Screen(
            column([scroll("history", items or [text("No history", color="muted")])], grow=1),
            title="History",
            back_arrow=True,
            actions=[button("Clear", on_tap=remember(page, dialog="clear"), filled=False, enabled=bool(phone.history))],
            dialog=dialog,
        )


def _clear(phone: SystemState, page: Page) -> None:
    phone.history.clear()
    page.args["dialog"] = ""


def _toggle_bookmark(phone: SystemState, url: str) -> None:
    if any(bookmark.url == url for bookmark in phone.bookmarks):
        phone.bookmarks = [bookmark for bookmark in phone.bookmarks if bookmark.url != url]
    else:
        phone.bookmarks.append(Bookmark(title_of(phone, url), url))
