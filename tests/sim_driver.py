"""Drives the simulated phone's apps without pixels: touches the nodes of their views as the phone would."""

from __future__ import annotations

from collections.abc import Iterator

from distrl.device.sim.app import launch
from distrl.device.sim.apps import APPS
from distrl.device.sim.state import Alarm, Contact, Message, Note, Product, SystemState, Thread, dump
from distrl.device.sim.ui import Node, Screen
from distrl.device.sim.words import COLORS

HARD_TEXT = 'Say "hi" \\ it\'s 5 < 6 & 🙂\nsecond line'


def _walk(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk([side for side in (node.leading, node.trailing) if side is not None])
        yield from _walk(node.children)


def _reachable(screen: Screen) -> list[Node]:
    """What can be touched: a dialog hides all that lies below it."""
    if screen.dialog is not None:
        return list(_walk([*screen.dialog.content, *screen.dialog.buttons]))
    places = [*screen.actions, screen.header, screen.body, screen.footer, screen.fab]
    return list(_walk([place for place in places if place is not None]))


class Driver:
    """Touches the nodes of the front app's view the way the phone does, with handlers made anew for each touch."""

    def __init__(self, state: SystemState, package: str) -> None:
        self.state = state
        launch(state, package)

    def screen(self) -> Screen:
        app = APPS[self.state.app]
        app.page(self.state)
        before = dump(self.state)
        screen = app.view(self.state)
        assert dump(self.state) == before, "a view must not change the state"
        return screen

    def nodes(self) -> list[Node]:
        return _reachable(self.screen())

    def find(self, label: str) -> Node:
        found = [
            node for node in self.nodes() if label in (node.text, node.description, node.key) and node.kind != "field"
        ]
        found.sort(key=lambda node: node.on_tap is None and node.on_slide is None)
        assert found, f"no {label!r} among {self.labels()}"
        return found[0]

    def labels(self) -> list[str]:
        return [node.text or node.description for node in self.nodes() if node.text or node.description]

    def sees(self, label: str) -> bool:
        return any(label in (f"{node.text}|{node.secondary}|{node.description}") for node in self.nodes())

    def tap(self, label: str) -> None:
        node = self.find(label)
        if not node.enabled:
            return
        if node.on_tap is None:  # The card around it takes the touch.
            node = next(n for n in self.nodes() if n.on_tap is not None and node in list(_walk(n.children)))
        assert node.on_tap is not None
        node.on_tap()

    def hold(self, label: str) -> None:
        node = self.find(label)
        assert node.on_long_press is not None
        node.on_long_press()

    def slide(self, label: str, value: float) -> None:
        node = self.find(label)
        assert node.on_slide is not None
        node.on_slide(value)

    def field(self, name: str) -> Node:
        return next(node for node in self.nodes() if node.kind == "field" and name in (node.key, node.hint))

    def type(self, name: str, content: str) -> None:
        node = self.field(name)
        assert node.on_text is not None
        node.on_text(content)

    def enter(self, name: str) -> None:
        node = self.field(name)
        assert node.on_enter is not None
        node.on_enter()

    def swatch(self, color: str) -> None:
        node = next(n for n in self.nodes() if n.kind == "swatch" and n.background == color)
        assert node.on_tap is not None
        assert not node.description
        assert not node.text
        node.on_tap()

    def back(self) -> None:
        screen = self.screen()
        if screen.dialog is not None:
            assert screen.dialog.on_dismiss is not None
            screen.dialog.on_dismiss()
        elif screen.on_back is not None:
            screen.on_back()
        else:
            APPS[self.state.app].pop(self.state)


def small_state() -> SystemState:
    """A phone with a little of everything, chosen by hand."""
    state = SystemState()
    state.contacts = [
        Contact(1, "Anna", "Keller", "5550001", "anna@mail.example"),
        Contact(2, "Ben", "Keller", "5550002"),
    ]
    state.threads = [
        Thread(10, "5550001", [Message("5550001", "Hello there", 400)], unread=True),
        Thread(11, "5559999", [Message("", "Old one", -10)]),
    ]
    state.alarms = [Alarm(20, 7, 30, on=False, label="Work")]
    state.note_folders = ["Work", "Travel"]
    state.notes = [Note(30, "Shopping list", "milk, eggs"), Note(31, "Ideas", "a boat", folder="Work", pinned=True)]
    colors = [COLORS["red"], COLORS["blue"], COLORS["green"]]
    state.products = [
        Product(40, "Red mug", "Tavrin", "Home", 1250, 4.6, colors, "mug"),
        Product(41, "Tall lamp", "Brumel", "Office", 3990, 3.4, colors, "lamp"),
        Product(42, "Soft hat", "Tavrin", "Clothes", 900, 4.1, colors, "hat"),
    ]
    return state
