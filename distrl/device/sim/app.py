"""What an app of the simulated phone is, and how it moves between its pages.

An app owns no state: all of it is in `SystemState`, so that apps act on one another's data and a snapshot is whole.
"""

from __future__ import annotations

from typing import Any, ClassVar

from distrl.device.sim.state import Page, SystemState
from distrl.device.sim.ui import Screen


class App:
    """Base of every app: `view` draws the top page of its back stack; handlers inside the view change the state."""

    package: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str]
    """Icon name; drawn on `tint` in the launcher."""
    tint: ClassVar[str] = "#3f6ad8"
    home: ClassVar[str] = "home"
    """Name of its first page."""

    def view(self, phone: SystemState) -> Screen:
        """The screen for the top page: a pure function of the state."""
        raise NotImplementedError

    def page(self, phone: SystemState) -> Page:
        """The top page of this app."""
        stack = phone.stacks.setdefault(self.package, [])
        if not stack:
            stack.append(Page(self.home))
        return stack[-1]

    def push(self, phone: SystemState, name: str, /, **args: Any) -> None:
        """Opens a page on top; the keyboard closes."""
        phone.focus = ""
        self.page(phone)
        phone.stacks[self.package].append(Page(name, args))

    def pop(self, phone: SystemState) -> None:
        """Leaves the top page; on the first page, leaves the app for the launcher."""
        phone.focus = ""
        self.page(phone)
        if len(phone.stacks[self.package]) > 1:
            phone.stacks[self.package].pop()
        else:
            phone.app = "launcher"


def launch(phone: SystemState, package: str, page: Page | None = None) -> None:
    """Brings an app to the front, at `page` on top of its first page where one is given."""
    phone.focus = ""
    phone.shade_open = False
    phone.app = package
    if package in phone.recent:
        phone.recent.remove(package)
    phone.recent.append(package)
    if page is not None:
        phone.stacks[package] = [*phone.stacks.get(package, [])[:1], page]
