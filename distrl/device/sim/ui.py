"""What apps are written in: a screen is a tree of nodes, built afresh from the state after every event.

An app's `view` is a pure function of the state; handlers are closures that change the state and are thrown away
with the tree. Lengths are density-independent pixels (dp): every screen is 360 dp wide, as tall as its shape asks.
`layout.py` places the nodes, `paint.py` draws them, `access.py` lists them as an accessibility tree.

    def view(self, phone):
        return Screen(
            title="Notes",
            on_back=None,                                      # None: the system leaves the page
            actions=[icon_button("search", "Search", on_tap=...)],
            body=scroll("notes", [list_item(note.title, note.body, on_tap=lambda n=note: self.open(phone, n)) ...]),
            fab=icon_button("plus", "New note", on_tap=...),
        )
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

Handler = Callable[[], None]
TextHandler = Callable[[str], None]
ValueHandler = Callable[[float], None]

Kind = Literal[
    "column",
    "row",
    "scroll",
    "card",
    "text",
    "icon",
    "button",
    "icon_button",
    "field",
    "switch",
    "checkbox",
    "radio",
    "slider",
    "chip",
    "list_item",
    "swatch",
    "divider",
    "spacer",
    "avatar",
    "picture",
    "tab",
    "app_icon",
]

Color = str
"""A role of the theme (`surface`, `surface_high`, `on_surface`, `muted`, `primary`, `on_primary`, `primary_soft`,
`on_primary_soft`, `outline`, `error`, `on_error`) or `#rrggbb`."""


@dataclass(slots=True)
class Node:
    """One widget. Apps use the builders below rather than this class."""

    kind: Kind
    text: str = ""
    """Drawn, and the `text` of its accessibility node; ellipsised when too long, unless `wrap`."""
    secondary: str = ""
    """Second line of a list item; drawn and read out after the first."""
    description: str = ""
    """`content_description`: read out, not drawn. Empty on an unlabelled icon: only its pixels say what it is."""
    key: str = ""
    """`resource_id`; unique within a screen for anything that scrolls or takes focus."""
    icon: str = ""
    """Name of a vector icon drawn by `icons.py`."""
    children: list[Node] = field(default_factory=list)
    leading: Node | None = None
    trailing: Node | None = None
    on_tap: Handler | None = None
    on_long_press: Handler | None = None
    on_text: TextHandler | None = None
    """Fields: called with the whole new text after each edit."""
    on_enter: Handler | None = None
    """Fields: the keyboard's action key or the ENTER action."""
    on_swipe: TextHandler | None = None
    """Called with `left`, `right`, `up` or `down` (where the finger went) when no scroll view takes the swipe."""
    on_slide: ValueHandler | None = None
    """Sliders: called with the new value in [0, 1] on tap or drag."""
    hint: str = ""
    checked: bool | None = None
    selected: bool = False
    enabled: bool = True
    value: float = 0.0
    size_sp: float = 14.0
    bold: bool = False
    wrap: bool = False
    max_lines: int = 1
    color: Color = ""
    background: Color = ""
    width: float | None = None
    height: float | None = None
    grow: float = 0.0
    """Share of the space left over in its row or column."""
    padding: float = 0.0
    gap: float = 0.0
    radius: float = 0.0
    align: Literal["start", "center", "end"] = "start"
    number: int = 0
    """Pictures and avatars: which one (a seed for their drawing)."""


@dataclass(slots=True)
class Screen:
    """One whole app page."""

    body: Node
    title: str = ""
    on_back: Handler | None = None
    """The BACK action and the arrow in the title bar; None lets the system pop the page or leave the app."""
    back_arrow: bool = False
    actions: list[Node] = field(default_factory=list)
    """Icon buttons at the right of the title bar."""
    header: Node | None = None
    """Between title bar and body, does not scroll (search field, tabs)."""
    footer: Node | None = None
    """Below the body, does not scroll; the keyboard covers it."""
    fab: Node | None = None
    dialog: Dialog | None = None
    bare: bool = False
    """No title bar (launcher, full-screen pages)."""
    wallpaper: bool = False
    """Drawn on the user's wallpaper rather than on the theme's surface."""


@dataclass(slots=True)
class Dialog:
    """A modal over the screen: nothing below it can be touched."""

    title: str
    body: str = ""
    content: list[Node] = field(default_factory=list)
    buttons: list[Node] = field(default_factory=list)
    on_dismiss: Handler | None = None
    """BACK or a tap outside; None means only the buttons close it."""
    sheet: bool = False
    """Drawn from the bottom edge (menus, pickers) rather than centred."""


def column(
    children: list[Node],
    *,
    gap: float = 0,
    padding: float = 0,
    grow: float = 0,
    background: Color = "",
    radius: float = 0,
    align: Literal["start", "center", "end"] = "start",
) -> Node:
    """Children from top to bottom, each as wide as the column."""
    return Node(
        "column",
        children=children,
        gap=gap,
        padding=padding,
        grow=grow,
        background=background,
        radius=radius,
        align=align,
    )


def row(
    children: list[Node],
    *,
    gap: float = 0,
    padding: float = 0,
    grow: float = 0,
    height: float | None = None,
    align: Literal["start", "center", "end"] = "center",
    on_tap: Handler | None = None,
) -> Node:
    """Children from left to right; `align` is vertical. Children with `grow` share the width left over."""
    return Node(
        "row", children=children, gap=gap, padding=padding, grow=grow, height=height, align=align, on_tap=on_tap
    )


def scroll(key: str, children: list[Node], *, gap: float = 0, padding: float = 0) -> Node:
    """A column taller than its place; its offset is kept under `key` in the page."""
    return Node("scroll", key=key, children=children, gap=gap, padding=padding, grow=1)


def card(children: list[Node], *, gap: float = 4, padding: float = 14, on_tap: Handler | None = None) -> Node:
    """A raised, rounded column."""
    return Node(
        "card", children=children, gap=gap, padding=padding, on_tap=on_tap, background="surface_high", radius=16
    )


def text(
    content: str,
    *,
    size_sp: float = 14,
    bold: bool = False,
    color: Color = "on_surface",
    wrap: bool = False,
    max_lines: int = 1,
    align: Literal["start", "center", "end"] = "start",
    key: str = "",
    grow: float = 0,
) -> Node:
    """A label; ellipsised after `max_lines` (any number with `wrap` and max_lines=0)."""
    return Node(
        "text",
        text=content,
        size_sp=size_sp,
        bold=bold,
        color=color,
        wrap=wrap,
        max_lines=max_lines,
        align=align,
        key=key,
        grow=grow,
    )


def button(
    label: str,
    *,
    on_tap: Handler,
    key: str = "",
    filled: bool = True,
    enabled: bool = True,
    grow: float = 0,
    color: Color = "",
) -> Node:
    """A labelled button: filled (main action) or plain."""
    return Node(
        "button",
        text=label,
        key=key,
        on_tap=on_tap,
        enabled=enabled,
        grow=grow,
        height=40,
        radius=20,
        background="primary" if filled else "",
        color=color or ("on_primary" if filled else "primary"),
    )


def icon_button(
    icon: str,
    description: str,
    *,
    on_tap: Handler,
    key: str = "",
    selected: bool = False,
    enabled: bool = True,
    on_long_press: Handler | None = None,
) -> Node:
    """An icon that can be tapped. An empty description leaves it unlabelled: only its pixels say what it is."""
    return Node(
        "icon_button",
        icon=icon,
        description=description,
        key=key,
        on_tap=on_tap,
        selected=selected,
        enabled=enabled,
        on_long_press=on_long_press,
        width=48,
        height=48,
    )


def text_field(
    key: str,
    value: str,
    *,
    hint: str,
    on_text: TextHandler,
    on_enter: Handler | None = None,
    max_lines: int = 1,
    height: float | None = None,
    icon: str = "",
) -> Node:
    """An editable field. A tap focuses it and opens the keyboard; TYPE goes to the focused field only."""
    return Node(
        "field",
        key=key,
        text=value,
        hint=hint,
        on_text=on_text,
        on_enter=on_enter,
        max_lines=max_lines,
        wrap=max_lines != 1,
        height=height or 52,
        radius=12,
        icon=icon,
    )


def switch(
    label: str, on: bool, *, on_tap: Handler, secondary: str = "", key: str = "", icon: str = "", enabled: bool = True
) -> Node:
    """A list row that ends in a switch; the whole row toggles."""
    return Node(
        "switch", text=label, secondary=secondary, key=key, checked=on, on_tap=on_tap, icon=icon, enabled=enabled
    )


def checkbox(label: str, on: bool, *, on_tap: Handler, key: str = "") -> Node:
    """A list row that starts with a box."""
    return Node("checkbox", text=label, checked=on, on_tap=on_tap, key=key)


def radio(label: str, on: bool, *, on_tap: Handler, key: str = "") -> Node:
    """A list row that starts with a round mark; one of several."""
    return Node("radio", text=label, checked=on, on_tap=on_tap, key=key)


def slider(label: str, value: float, *, on_slide: ValueHandler, key: str, icon: str = "") -> Node:
    """A labelled slider; a tap or drag sets `value` in [0, 1]. The tree shows it as a SeekBar."""
    return Node("slider", text=label, value=value, on_slide=on_slide, key=key, icon=icon, height=64)


def chip(label: str, *, selected: bool, on_tap: Handler, key: str = "") -> Node:
    """A small choice, e.g. a filter or a weekday."""
    return Node("chip", text=label, selected=selected, checked=selected, on_tap=on_tap, key=key, height=32, radius=16)


def tabs(labels: list[tuple[str, str]], selected: str, *, on_select: TextHandler) -> Node:
    """A row of tabs; `labels` are (text, icon name) pairs, `selected` one of the texts."""
    return row(
        [
            Node(
                "tab",
                text=label,
                icon=icon,
                selected=label == selected,
                grow=1,
                height=56,
                on_tap=partial(on_select, label),
            )
            for label, icon in labels
        ]
    )


def list_item(
    title: str,
    secondary: str = "",
    *,
    on_tap: Handler | None = None,
    on_long_press: Handler | None = None,
    leading: Node | None = None,
    trailing: Node | None = None,
    icon: str = "",
    key: str = "",
    selected: bool = False,
    bold: bool = False,
) -> Node:
    """A row of a list: up to two lines, something before (icon, avatar) and something after."""
    return Node(
        "list_item",
        text=title,
        secondary=secondary,
        on_tap=on_tap,
        on_long_press=on_long_press,
        bold=bold,
        leading=leading,
        trailing=trailing,
        icon=icon,
        key=key,
        selected=selected,
    )


def swatch(color: Color, *, selected: bool, on_tap: Handler, description: str = "", key: str = "") -> Node:
    """A round colour to choose; unlabelled unless described, so that only its pixels tell the colour."""
    return Node(
        "swatch",
        background=color,
        selected=selected,
        on_tap=on_tap,
        description=description,
        key=key,
        width=44,
        height=44,
        radius=22,
    )


def avatar(name: str, *, size: float = 40) -> Node:
    """A coloured disc with an initial; decoration, not in the accessibility tree."""
    return Node("avatar", text=name[:1].upper(), number=sum(map(ord, name)), width=size, height=size, radius=size / 2)


def icon(name: str, *, size: float = 24, color: Color = "muted", description: str = "") -> Node:
    """A drawn icon; decoration unless described."""
    return Node("icon", icon=name, width=size, height=size, color=color, description=description)


def picture(
    kind: str,
    *,
    number: int = 0,
    color: Color = "primary_soft",
    height: float = 96,
    width: float | None = None,
    on_tap: Handler | None = None,
    description: str = "",
) -> Node:
    """A drawn picture (a product, a photo): icon `kind` large on a tinted ground; unlabelled unless described."""
    return Node(
        "picture",
        icon=kind,
        number=number,
        background=color,
        height=height,
        width=width,
        radius=12,
        on_tap=on_tap,
        description=description,
    )


def divider() -> Node:
    """A thin line."""
    return Node("divider", height=1)


def spacer(height: float = 8, *, grow: float = 0) -> Node:
    """Empty space."""
    return Node("spacer", height=height, width=height, grow=grow)
