"""Stacks what is on the screen: the app's page, then dialogs, heads-up, keyboard, shade and system bars above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from distrl.device.sim import keyboard, system
from distrl.device.sim.app import App
from distrl.device.sim.layout import Layout, Placed, Rect, contains_key
from distrl.device.sim.state import SystemState
from distrl.device.sim.ui import Dialog, Handler, Node, Screen, column, icon_button, row, scroll, spacer, text

TITLE_DP = 56.0
_DIALOG_SCROLL = "dialog"

LayerName = Literal["screen", "status", "dialog", "popup", "heads_up", "keyboard", "shade", "nav"]


@dataclass(slots=True)
class Layer:
    """A sheet of placed nodes; the last layer of a scene is on top."""

    name: LayerName
    bounds: Rect
    """Touches inside never reach the layers below."""
    placed: list[Placed]
    modal: bool = False
    """Nothing below answers or is listed."""
    on_outside: Handler | None = None
    sheet: bool = False


@dataclass(slots=True)
class Scene:
    """One screen, placed: what is painted, listed and touched until the next event."""

    screen: Screen
    layout: Layout
    size: tuple[int, int]
    layers: list[Layer] = field(default_factory=list)
    focused: Placed | None = None
    """The field that has the keyboard."""
    keyboard: Rect | None = None

    @property
    def active(self) -> list[Layer]:
        """Layers that can be touched: from the topmost modal one up, and the system bars."""
        modal = max((index for index, layer in enumerate(self.layers) if layer.modal), default=0)
        return [layer for index, layer in enumerate(self.layers) if index >= modal]


@dataclass(frozen=True)
class Bars:
    """What the navigation bar's buttons and the title bar's arrow do."""

    on_back: Handler
    on_home: Handler
    on_recents: Handler


class SceneBuilder:
    """Places one screen and all that lies over it."""

    def __init__(self, state: SystemState, apps: Mapping[str, App], screen: Screen, size: tuple[int, int], bars: Bars,
                 offsets_dp: Mapping[str, float]) -> None:  # fmt: skip
        self.state = state
        self.apps = apps
        self.screen = screen
        self.size = size
        self.bars = bars
        self.layout = Layout(size[0] / 360, state.settings.font_scale, offsets_dp, state.focus)
        self.scene = Scene(screen, self.layout, size)
        px = self.layout.px
        self.top = px(system.STATUS_DP)
        self.bottom = size[1] - px(system.NAV_DP)
        self.keyboard_top = self.bottom
        if state.focus and not state.shade_open:
            height = min(px(keyboard.HEIGHT_DP), (self.bottom - self.top) // 2)
            self.keyboard_top = self.bottom - height

    def build(self) -> Scene:
        """The finished scene."""
        state, width = self.state, self.size[0]
        self._add("screen", (0, 0, *self.size), self._place_screen)
        ink = "#ffffff" if self.screen.wallpaper else "on_surface"
        self._add("status", (0, 0, 0, 0), lambda: self._place(system.status_bar(state, ink), (0, 0, width, self.top)))
        if self.screen.dialog is not None:
            self._add_dialog("dialog", self.screen.dialog)
        if state.popups:
            self._add_dialog("popup", system.popup_dialog(state, state.popups[0]))
        floating = system.heads_up(state)
        if floating is not None:
            node = system.notification_card(state, self.apps, floating, floating=True)
            margin = self.layout.px(8)
            room = width - 2 * margin
            box = (margin, self.top, margin + room, self.top + self.layout.height(node, room))
            self._add("heads_up", box, lambda: self._place(node, box))
        self._find_focus()
        if self.scene.focused is not None:
            board = (0, self.keyboard_top, width, self.bottom)
            self.scene.keyboard = board
            self.scene.layers.append(Layer("keyboard", board, []))
        if state.shade_open:
            box = (0, 0, width, self.bottom)
            self._add("shade", box, lambda: self._place(system.shade(state, self.apps), box))
            self.scene.layers[-1].modal = True
        nav_ink = "#ffffff" if self.screen.wallpaper and not state.shade_open else "on_surface"
        nav = system.nav_bar(
            nav_ink, on_back=self.bars.on_back, on_home=self.bars.on_home, on_recents=self.bars.on_recents
        )
        box = (0, self.bottom, *self.size)
        self._add("nav", box, lambda: self._place(nav, box))
        return self.scene

    def _add(self, name: LayerName, bounds: Rect, place: Handler) -> None:
        begin = len(self.layout.placed)
        place()
        self.scene.layers.append(Layer(name, bounds, self.layout.placed[begin:]))

    def _place(self, node: Node, box: Rect, clip: Rect | None = None) -> None:
        self.layout.place(node, box, clip or box)

    def _find_focus(self) -> None:
        """The focused field must lie in the topmost sheet that can be typed into."""
        key = self.state.focus
        if not key:
            return
        sheets = [layer for layer in self.scene.layers if layer.name in ("screen", "dialog", "popup")]
        for placed in sheets[-1].placed:
            if placed.node.kind == "field" and placed.node.key == key:
                self.scene.focused = placed

    def _place_screen(self) -> None:
        screen, px, width = self.screen, self.layout.px, self.size[0]
        y = self.top
        if not screen.bare:
            bar = self._title_bar()
            height = max(px(TITLE_DP), self.layout.line_px(20))
            self._place(bar, (0, y, width, y + height))
            y += height
        if screen.header is not None:
            y = self._place_edge(screen.header, y, below=True)
        bottom = self.bottom
        shown_bottom = min(bottom, self.keyboard_top)
        if screen.footer is not None:
            typed_in = bool(self.state.focus) and contains_key(screen.footer, self.state.focus)
            edge = self.keyboard_top if typed_in else bottom
            bottom = self._place_edge(screen.footer, edge, below=False)
            shown_bottom = min(shown_bottom, bottom)
        self._place_body((0, y, width, max(y, bottom)), (0, y, width, max(y, shown_bottom)))
        if screen.fab is not None:
            side, margin = px(56), px(16)
            fab = replace(
                screen.fab, width=56, height=56, radius=18, background="primary_soft", color="on_primary_soft"
            )
            box = (width - margin - side, bottom - margin - side, width - margin, bottom - margin)
            self._place(fab, box, (0, y, width, shown_bottom))

    def _title_bar(self) -> Node:
        screen = self.screen
        children: list[Node] = []
        if screen.back_arrow:
            on_back = screen.on_back or self.bars.on_back
            children.append(icon_button("arrow_back", "Navigate up", on_tap=on_back, key="navigate_up"))
        else:
            children.append(spacer(12))
        children.append(text(screen.title, size_sp=20, bold=True, grow=1, key="title"))
        return row([*children, *screen.actions, spacer(4)], gap=4, height=TITLE_DP)

    def _place_edge(self, node: Node, y: int, *, below: bool) -> int:
        """Places a header below `y` or a footer above it; returns its other edge."""
        edge_to_edge = node.padding > 0 or any(child.kind == "tab" or child.padding > 0 for child in node.children)
        inset = 0 if edge_to_edge else self.layout.px(12)
        gap = self.layout.px(6) if inset else 0
        width = self.size[0] - 2 * inset
        height = self.layout.height(node, width)
        top = y + (0 if below else -height - gap)
        clip = (0, self.top, self.size[0], self.bottom if below else max(self.keyboard_top, top))
        self._place(node, (inset, top, inset + width, top + height), clip)
        return top + height + gap if below else top - gap

    def _place_body(self, box: Rect, clip: Rect) -> None:
        begin = len(self.layout.placed)
        self._place(self.screen.body, box, clip)
        if not self.state.focus:
            return
        fields = (placed for placed in self.layout.placed[begin:] if placed.node.key == self.state.focus)
        hidden = next((placed for placed in fields if placed.scroller is None and placed.box[3] > clip[3]), None)
        if hidden is not None:
            # The page is pushed up, as there is nothing to scroll.
            del self.layout.placed[begin:]
            shift = hidden.box[3] - clip[3] + self.layout.px(8)
            self._place(self.screen.body, (box[0], box[1] - shift, box[2], box[3] - shift), clip)

    def _add_dialog(self, name: LayerName, dialog: Dialog) -> None:
        px = self.layout.px
        margin = 0 if dialog.sheet else px(22)
        width = self.size[0] - 2 * margin
        bottom = self.keyboard_top
        room = bottom - self.top - (px(48) if dialog.sheet else px(24))
        node = self._dialog_node(dialog, width, room)
        height = min(room, self.layout.height(node, width))
        top = bottom - height if dialog.sheet else self.top + (bottom - self.top - height) // 2
        box = (margin, top, margin + width, top + height)
        self._add(name, box, lambda: self._place(node, box))
        layer = self.scene.layers[-1]
        layer.modal, layer.on_outside, layer.sheet = True, dialog.on_dismiss, dialog.sheet

    def _dialog_node(self, dialog: Dialog, width: int, room: int) -> Node:
        head = [text(dialog.title, size_sp=18, bold=True, wrap=True, max_lines=3, key="dialog_title")]
        if dialog.body:
            head.append(text(dialog.body, color="muted", wrap=True, max_lines=8))
        parts: list[Node] = [column(head, gap=8, padding=20)]
        if dialog.content:
            plain = all(node.kind in ("list_item", "radio", "checkbox", "switch") for node in dialog.content)
            parts.append(column(dialog.content, gap=0 if plain else 8, padding=4 if plain else 16))
        if dialog.buttons:
            wanted = sum(self.layout.width(node) for node in dialog.buttons) + self.layout.px(
                24 + 8 * len(dialog.buttons)
            )
            if wanted <= width:
                parts.append(row([spacer(0, grow=1), *dialog.buttons], gap=8, padding=12))
            else:
                parts.append(column(list(reversed(dialog.buttons)), gap=8, padding=12))
        elif dialog.content:
            parts.append(spacer(8))
        if sum(self.layout.height(part, width) for part in parts) > room and dialog.content:
            parts[1] = scroll(_DIALOG_SCROLL, dialog.content, padding=8, gap=4)
        node = column(parts, background="surface_high", radius=26)
        node.height = None
        return node
