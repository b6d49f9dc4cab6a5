"""Places a tree of nodes on a screen: from density-independent pixels to whole pixels, in drawing order.

Widths go down the tree and heights come up. What lies wholly outside its scroll view is measured but not placed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from distrl.device.sim import text
from distrl.device.sim.ui import Node

Rect = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are exclusive."""
Align = Literal["start", "center", "end"]

ROW_KINDS = frozenset(("list_item", "switch", "checkbox", "radio"))
_FILLING = frozenset(("field", "slider", "scroll")) | ROW_KINDS
_SHRINKING = frozenset(("text", "button", "chip", "tab"))
_OWN_WIDTH = frozenset(("icon", "icon_button", "swatch", "avatar", "app_icon"))
_LABELLED = frozenset(("button", "chip"))
CONTROL_DP = {"switch": 44.0, "checkbox": 22.0, "radio": 22.0}
"""Width of what a row ends or starts with."""
ICON_DP = 24.0


def intersect(first: Rect, second: Rect) -> Rect:
    """The part both rectangles share; empty when right <= left or bottom <= top."""
    return (
        max(first[0], second[0]),
        max(first[1], second[1]),
        min(first[2], second[2]),
        min(first[3], second[3]),
    )


def interactive(node: Node) -> bool:
    """Whether the node answers touches of its own."""
    return (
        node.on_tap is not None
        or node.on_long_press is not None
        or node.on_slide is not None
        or node.kind in ("field", "button", "icon_button")
    )


def contains_key(node: Node, key: str) -> bool:
    """Whether `node` or a node below it has this key."""
    if node.key == key:
        return True
    sides = (side for side in (node.leading, node.trailing) if side is not None)
    return any(contains_key(child, key) for child in (*node.children, *sides))


@dataclass(slots=True)
class Placed:
    """A node with its place in pixels."""

    node: Node
    box: Rect
    clip: Rect
    """Only what lies inside shows."""
    ground: str = ""
    """Explicit `#rrggbb` it is drawn on, or empty for the theme's surface."""
    align: Align = "start"
    owner: Placed | None = None
    """The touchable row or card that reads it out."""
    text_left: int = 0
    text_right: int = 0
    """Rows: where their two lines of text go."""
    scroller: Placed | None = None
    """The scroll view it moves with."""
    offset: int = 0
    max_offset: int = 0
    """Scrolls: how far the content is and can be moved up, in pixels."""

    @property
    def visible(self) -> Rect:
        """The part of the box that shows."""
        return intersect(self.box, self.clip)


class Layout:
    """Measures and places nodes at one scale; made anew for each screen."""

    def __init__(self, scale: float, font_scale: float, offsets_dp: Mapping[str, float], focus: str = "") -> None:
        self.scale = scale
        self.font_scale = font_scale
        self.focus = focus
        self.placed: list[Placed] = []
        self._offsets_dp = offsets_dp
        self._heights: dict[tuple[int, int], int] = {}
        self._widths: dict[int, int] = {}
        self._seen: list[Node] = []  # Keeps measured nodes alive, so that their ids stay theirs.

    def px(self, dp: float) -> int:
        """Whole pixels of a length in dp; a length above zero keeps at least one."""
        return max(1, round(dp * self.scale)) if dp > 0 else 0

    def text_px(self, size_sp: float) -> int:
        """Pixel size of text."""
        return text.text_px(size_sp, self.scale, self.font_scale)

    def line_px(self, size_sp: float) -> int:
        """Height of a line of text."""
        return text.line_px(self.text_px(size_sp))

    def width(self, node: Node) -> int:
        """Width the node would like, in pixels; those that fill their place ask for little."""
        known = self._widths.get(id(node))
        if known is None:
            known = self._widths[id(node)] = self._measure_width(node)
            self._seen.append(node)
        return known

    def _measure_width(self, node: Node) -> int:
        if node.width is not None:
            return self.px(node.width)
        if node.kind == "text":
            lines = node.text.split("\n") if node.wrap else [node.text]
            return 1 + max(text.width_px(line, self.text_px(node.size_sp), node.bold) for line in lines)
        if node.kind in ("button", "chip", "tab"):
            size_sp, room_dp = {"button": (14.0, 40.0), "chip": (13.0, 28.0), "tab": (12.0, 16.0)}[node.kind]
            icon = 22 if node.icon and node.kind != "tab" else 0
            return text.width_px(node.text, self.text_px(size_sp), True) + self.px(room_dp + icon)
        if node.kind in ("column", "card"):
            return 2 * self.px(node.padding) + max((self.width(child) for child in node.children), default=0)
        if node.kind == "row":
            gaps = self.px(node.gap) * max(0, len(node.children) - 1)
            return 2 * self.px(node.padding) + gaps + sum(self.width(child) for child in node.children)
        if node.kind in ("app_icon", "switch"):
            return self.px(76)
        return self.px(node.height if node.height is not None and node.kind not in _FILLING else 48)

    def height(self, node: Node, width: int) -> int:
        """Height the node takes at `width` pixels."""
        key = (id(node), width)
        known = self._heights.get(key)
        if known is None:
            known = self._heights[key] = self._measure_height(node, width)
            self._seen.append(node)
        return known

    def _measure_height(self, node: Node, width: int) -> int:
        kind = node.kind
        if kind == "text":
            return text.line_px(self.text_px(node.size_sp)) * len(self.lines(node, width))
        if node.height is not None:
            least = 0
            if kind in ("button", "chip", "field"):
                least = self.line_px(14) + self.px(8)
            elif kind == "slider":
                least = self.line_px(14) + self.px(34)
            elif kind == "tab":
                least = self.line_px(12) + self.px(10 + (30 if node.icon else 6))
            return max(self.px(node.height), least)
        if kind in ("column", "card", "scroll"):
            inner = width - 2 * self.px(node.padding)
            gaps = self.px(node.gap) * max(0, len(node.children) - 1)
            heights = sum(self.height(child, self._child_width(node, child, inner)) for child in node.children)
            return 2 * self.px(node.padding) + gaps + heights
        if kind == "row":
            widths = self._row_widths(node, width)
            tallest = max((self.height(c, w) for c, w in zip(node.children, widths, strict=True)), default=0)
            return 2 * self.px(node.padding) + tallest
        if kind in ROW_KINDS:
            return self._row_height(node)
        if kind == "app_icon":
            return self.px(60) + (self.line_px(12) if node.text else 0)
        return self.px(48 if node.width is None else node.width)

    def lines(self, node: Node, width: int) -> tuple[str, ...]:
        """The lines a text node is drawn in."""
        size = self.text_px(node.size_sp)
        if node.wrap or node.max_lines > 1:
            return text.wrap(node.text, size, node.bold, width, node.max_lines)
        return (text.fit(node.text, size, node.bold, width),)

    def _row_height(self, node: Node) -> int:
        lines = self.line_px(15) + (self.line_px(13) if node.secondary else 0)
        sides = [self.height(side, self.width(side)) for side in (node.leading, node.trailing) if side is not None]
        return max(self.px(48), lines + self.px(20), *(side + self.px(8) for side in sides), 0)

    def _child_width(self, parent: Node, child: Node, inner: int) -> int:
        if child.kind in _OWN_WIDTH or (child.kind == "picture" and child.width is not None):
            return min(inner, self.width(child))
        if parent.align != "start" and child.kind in _LABELLED:
            return min(inner, self.width(child))
        return max(0, inner)

    def _row_widths(self, node: Node, width: int) -> list[int]:
        room = width - 2 * self.px(node.padding) - self.px(node.gap) * max(0, len(node.children) - 1)
        grows = [
            child.grow or (1.0 if child.kind in _FILLING and child.width is None else 0.0) for child in node.children
        ]
        widths = [0 if grow else self.width(child) for child, grow in zip(node.children, grows, strict=True)]
        total_grow = sum(grows)
        left_over = room - sum(widths)
        if left_over < 0:
            shrinking = sum(w for c, w in zip(node.children, widths, strict=True) if c.kind in _SHRINKING)
            if shrinking:
                factor = max(0.0, 1 + left_over / shrinking)
                widths = [
                    int(w * factor) if c.kind in _SHRINKING else w for c, w in zip(node.children, widths, strict=True)
                ]
            left_over = max(0, room - sum(widths))
        if total_grow:
            shared = 0.0
            for index, grow in enumerate(grows):
                if grow:
                    begin = round(left_over * shared / total_grow)
                    shared += grow
                    widths[index] = round(left_over * shared / total_grow) - begin
        return widths

    def place(self, node: Node, box: Rect, clip: Rect, *, ground: str = "", align: Align = "start",
              owner: Placed | None = None, scroller: Placed | None = None) -> Placed:  # fmt: skip
        """Places `node` and all below it, appending to `placed` in drawing order."""
        if node.background.startswith("#") and node.kind in ("card", "column", "row"):
            ground = node.background
        own_align: Align = node.align if node.kind == "text" and node.align != "start" else align
        placed = Placed(node, box, clip, ground, own_align, owner, scroller=scroller)
        self.placed.append(placed)
        if node.kind in ROW_KINDS or node.kind == "field":
            self._place_row_sides(placed)
        elif node.children:
            inner_owner = placed if interactive(node) else owner
            if node.kind == "row":
                self._place_across(placed, inner_owner)
            elif node.kind == "scroll":
                self._place_scrolled(placed)
            else:
                self._place_down(placed, box, clip, inner_owner, scroller)
        return placed

    def _place_row_sides(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        placed.text_left = left + self.px(16)
        placed.text_right = right - self.px(16)
        middle = (top + bottom) // 2
        if node.kind in ("checkbox", "radio"):
            placed.text_left += self.px(CONTROL_DP[node.kind] + 14)
        elif node.kind == "switch":
            placed.text_right -= self.px(CONTROL_DP["switch"] + 12)
        if node.icon and node.leading is None:
            placed.text_left += self.px(ICON_DP + 12 if node.kind == "field" else ICON_DP + 16)
        owner = placed if interactive(node) or node.kind == "list_item" else placed.owner
        if node.leading is not None:
            width = self.width(node.leading)
            height = self.height(node.leading, width)
            box = (placed.text_left, middle - height // 2, placed.text_left + width, middle - height // 2 + height)
            placed.text_left += width + self.px(14)
            self.place(node.leading, box, placed.clip, ground=placed.ground, owner=owner, scroller=placed.scroller)
        if node.trailing is not None:
            width = min(self.width(node.trailing), max(0, (placed.text_right - placed.text_left) * 2 // 3))
            height = self.height(node.trailing, width)
            inset = self.px({"icon_button": 8, "switch": 16}.get(node.trailing.kind, 0))
            right_edge = placed.text_right + inset
            box = (right_edge - width, middle - height // 2, right_edge, middle - height // 2 + height)
            placed.text_right = right_edge - width - self.px(10)
            self.place(node.trailing, box, placed.clip, ground=placed.ground, owner=owner, scroller=placed.scroller)

    def _place_across(self, placed: Placed, owner: Placed | None) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        padding = self.px(node.padding)
        room = bottom - top - 2 * padding
        x = left + padding
        for child, width in zip(node.children, self._row_widths(node, right - left), strict=True):
            stretched = child.kind in ("card", "scroll") or (child.kind == "column" and child.background)
            height = room if stretched else min(room, self.height(child, width))
            shift = {"start": 0, "center": (room - height) // 2, "end": room - height}[node.align]
            y = top + padding + shift
            box = (x, y, x + width, y + height)
            if child.kind in _OWN_WIDTH and child.grow and child.kind != "app_icon":
                own = min(width, self.width(child))
                box = (x + (width - own) // 2, y, x + (width - own) // 2 + own, y + height)
            self.place(child, box, placed.clip, ground=placed.ground, owner=owner, scroller=placed.scroller)
            x += width + self.px(node.gap)

    def _place_down(self, placed: Placed, box: Rect, clip: Rect, owner: Placed | None, scroller: Placed | None) -> None:
        node = placed.node
        left, top, right, bottom = box
        padding, gap = self.px(node.padding), self.px(node.gap)
        inner = right - left - 2 * padding
        widths = [self._child_width(node, child, inner) for child in node.children]
        heights = [
            0 if child.kind == "scroll" and child.grow else self.height(child, width)
            for child, width in zip(node.children, widths, strict=True)
        ]
        total_grow = sum(child.grow for child in node.children)
        left_over = max(0, bottom - top - 2 * padding - gap * max(0, len(heights) - 1) - sum(heights))
        y, shared = top + padding, 0.0
        for child, width, natural in zip(node.children, widths, heights, strict=True):
            height = natural
            if child.grow:
                begin = round(left_over * shared / total_grow)
                shared += child.grow
                height += round(left_over * shared / total_grow) - begin
            shift = {"start": 0, "center": (inner - width) // 2, "end": inner - width}[node.align]
            x = left + padding + shift
            shows = y < clip[3] and y + height > clip[1]
            if shows or scroller is None or (self.focus and contains_key(child, self.focus)):
                self.place(child, (x, y, x + width, y + height), clip, ground=placed.ground, align=node.align,
                           owner=owner, scroller=scroller)  # fmt: skip
            y += height + gap

    def _place_scrolled(self, placed: Placed) -> None:
        node = placed.node
        view = placed.visible
        left, top, right, bottom = placed.box
        content = self._measure_scrolled(node, right - left)
        shown = max(0, min(bottom, view[3]) - top)
        placed.max_offset = max(0, content - shown)
        placed.offset = min(placed.max_offset, max(0, round(self._offsets_dp.get(node.key, 0.0) * self.scale)))
        y = top - placed.offset
        self._place_down(placed, (left, y, right, y + max(content, bottom - top)), view, None, placed)

    def _measure_scrolled(self, node: Node, width: int) -> int:
        inner = width - 2 * self.px(node.padding)
        gaps = self.px(node.gap) * max(0, len(node.children) - 1)
        heights = sum(self.height(child, self._child_width(node, child, inner)) for child in node.children)
        return 2 * self.px(node.padding) + gaps + heights
