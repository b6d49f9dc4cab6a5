"""Draws placed nodes: each kind of widget becomes a few marks of the display list that `raster.py` draws."""

from __future__ import annotations

from collections.abc import Callable

from distrl.device.sim import text, theme
from distrl.device.sim.layout import CONTROL_DP, ICON_DP, Layout, Placed, Rect
from distrl.device.sim.raster import Mark
from distrl.device.sim.theme import RGB, mix
from distrl.device.sim.ui import Color, Node

FIELD_LINE_DP = 1.6


class Painter:
    """Appends marks for placed nodes to `marks`; one for each screen."""

    def __init__(self, layout: Layout, palette: dict[str, RGB], focus: str) -> None:
        self.layout = layout
        self.palette = palette
        self.focus = focus
        self.marks: list[Mark] = []
        self._clip: Rect | None = None
        self._kinds: dict[str, Callable[[Placed], None]] = {
            "column": self._box,
            "row": self._box,
            "scroll": self._box,
            "card": self._card,
            "text": self._text,
            "icon": self._icon,
            "button": self._button,
            "icon_button": self._icon_button,
            "field": self._field,
            "switch": self._row,
            "checkbox": self._row,
            "radio": self._row,
            "list_item": self._row,
            "slider": self._slider,
            "chip": self._chip,
            "swatch": self._swatch,
            "divider": self._divider,
            "spacer": self._box,
            "avatar": self._avatar,
            "picture": self._picture,
            "tab": self._tab,
            "app_icon": self._app_icon,
        }

    def paint(self, placed: Placed) -> None:
        """Draws one node; its children are placed, and painted, after it."""
        if placed.clip != self._clip:
            self._clip = placed.clip
            self.marks.append(("clip", placed.clip))
        self._kinds[placed.node.kind](placed)

    def clip_changed(self) -> None:
        """Says that another hand has set the clip."""
        self._clip = None

    def color(self, name: Color, placed: Placed | None = None) -> RGB:
        """A role's or a literal colour; text roles turn readable on an explicit ground."""
        if name.startswith("#"):
            return theme.rgb(name)
        if placed is not None and placed.ground and name in ("on_surface", "muted", "outline"):
            ink, muted = theme.ink_on(theme.rgb(placed.ground))
            return ink if name == "on_surface" else muted
        if name not in self.palette:
            raise ValueError(f"no role of the theme is called {name!r}; roles: {', '.join(sorted(self.palette))}")
        return self.palette[name]

    def _round(self, rect: Rect, radius_dp: float, color: RGB) -> None:
        self.marks.append(("round", rect, self.layout.px(radius_dp), color))

    def _outline(self, rect: Rect, radius_dp: float, color: RGB, line_dp: float = 1.0) -> None:
        line = max(1, round(line_dp * self.layout.scale))
        self.marks.append(("frame", rect, self.layout.px(radius_dp), line, color))

    def _string(self, content: str, rect: Rect, size_sp: float, color: RGB, *, bold: bool = False,
                align: str = "start") -> None:  # fmt: skip
        """One line of text, ellipsised to the rectangle's width and centred in its height."""
        px = self.layout.text_px(size_sp)
        left, top, right, bottom = rect
        shown = text.fit(content, px, bold, right - left)
        if not shown:
            return
        x = left
        if align != "start":
            room = right - left - text.width_px(shown, px, bold)
            x += room // 2 if align == "center" else room
        self.marks.append(("text", x, (top + bottom - text.line_px(px)) // 2, shown, px, bold, color))

    def _symbol(self, name: str, center_x: int, center_y: int, size_dp: float, color: RGB) -> None:
        px = max(6, round(size_dp * self.layout.scale))
        self.marks.append(("icon", center_x - px // 2, center_y - px // 2, name, px, color))

    def _box(self, placed: Placed) -> None:
        node = placed.node
        if node.background:
            self._round(placed.box, node.radius, self.color(node.background))

    def _card(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        fill = self.color(node.background or "surface_high")
        shadow = mix(self.palette["surface"], self.palette["scrim"], 0.14)
        drop = max(1, round(self.layout.scale))
        self.marks.append(("round", (left, top + drop, right, bottom + drop), self.layout.px(node.radius), shadow))
        self._round(placed.box, node.radius, fill)
        if node.selected:
            self._outline(placed.box, node.radius, self.palette["primary"], 2)

    def _text(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        color = self.color(node.color or "on_surface", placed)
        lines = self.layout.lines(node, right - left)
        height = self.layout.line_px(node.size_sp)
        y = top + max(0, (bottom - top - height * len(lines)) // 2) if len(lines) == 1 else top
        for line in lines:
            self._string(line, (left, y, right, y + height), node.size_sp, color, bold=node.bold, align=placed.align)
            y += height

    def _icon(self, placed: Placed) -> None:
        left, top, right, bottom = placed.box
        color = self.color(placed.node.color or "muted", placed)
        self._symbol(placed.node.icon, (left + right) // 2, (top + bottom) // 2, placed.node.width or ICON_DP, color)

    def _button(self, placed: Placed) -> None:
        node = placed.node
        color = self.color(node.color or "primary")
        if node.background:
            fill = self.color(node.background)
            if not node.enabled:
                fill, color = self.palette["surface_low"], self.palette["muted"]
            self._round(placed.box, node.radius, fill)
        elif not node.enabled:
            color = self.palette["outline"]
        left, top, right, bottom = placed.box
        inset = self.layout.px(8)
        if node.icon:
            width = text.width_px(node.text, self.layout.text_px(14), True)
            start = (left + right - width - self.layout.px(26)) // 2
            self._symbol(node.icon, start + self.layout.px(10), (top + bottom) // 2, 20, color)
            left = start + self.layout.px(26) - inset
        align = "start" if node.icon else "center"
        self._string(node.text, (left + inset, top, right - inset, bottom), 14, color, bold=True, align=align)

    def _icon_button(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        x, y = (left + right) // 2, (top + bottom) // 2
        color = self.color(node.color or ("primary" if node.selected else "on_surface"), placed)
        if node.background:
            self._round(placed.box, node.radius, self.color(node.background))
        elif node.selected:
            reach = self.layout.px(20)
            self._round((x - reach, y - reach, x + reach, y + reach), 20, self.palette["primary_soft"])
        if not node.enabled:
            color = self.palette["outline"]
        self._symbol(node.icon, x, y, 24, color)

    def _field(self, placed: Placed) -> None:
        node = placed.node
        left, top, _, bottom = placed.box
        focused = bool(node.key) and node.key == self.focus
        radius = (node.height or 52) / 2 if node.icon == "search" else node.radius
        self._round(placed.box, radius, self.palette["surface_low"])
        if focused:
            self._outline(placed.box, radius, self.palette["primary"], FIELD_LINE_DP)
        if node.icon:
            self._symbol(
                node.icon, left + self.layout.px(16 + ICON_DP / 2), (top + bottom) // 2, 22, self.palette["muted"]
            )
        size, height = self.layout.text_px(15), self.layout.line_px(15)
        ink = self.palette["on_surface"] if node.text else self.palette["muted"]
        if node.wrap:
            inset = self.layout.px(12)
            lines = list(text.wrap(node.text or node.hint, size, False, placed.text_right - placed.text_left))
            room = max(1, (bottom - top - 2 * inset) // height)
            lines = lines[-room:] if focused else lines[:room]
            y = top + inset
        else:
            lines = [self._tail(node.text, size, placed.text_right - placed.text_left) if focused else node.text]
            lines = lines if node.text else [node.hint]
            y = (top + bottom - height) // 2
        end = y
        for line in lines:
            self._string(line, (placed.text_left, y, placed.text_right, y + height), 15, ink)
            end, y = y, y + height
        if focused:
            x = placed.text_left + (text.width_px(lines[-1], size) + 1 if node.text else 0)
            width = max(1, round(1.5 * self.layout.scale))
            self.marks.append(
                ("fill", (x, end + height // 8, x + width, end + height - height // 8), self.palette["primary"])
            )

    def _tail(self, content: str, px: int, room: int) -> str:
        """The end of `content` that fits: what is being typed stays in sight."""
        content = text.drawable(content)
        begin = max(0, len(content) - max(1, room))  # A letter is a pixel wide at least.
        while begin < len(content) and text.width_px(content[begin:], px) > room:
            begin += 1
        return content[begin:]

    def _row(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        px = self.layout.px
        middle = (top + bottom) // 2
        if node.background:
            self._round(placed.box, node.radius, self.color(node.background))
        if node.selected:
            self._round(placed.box, 14, self.palette["primary_soft"])
        ink, muted = self.color("on_surface", placed), self.color("muted", placed)
        if not node.enabled:
            ground = self.palette["surface"]
            ink, muted = mix(ink, ground, 0.55), mix(muted, ground, 0.45)
        if node.icon and node.leading is None:
            start = left + px(16) + (px(CONTROL_DP[node.kind] + 14) if node.kind in ("checkbox", "radio") else 0)
            self._symbol(node.icon, start + px(ICON_DP / 2), middle, ICON_DP, muted)
        if node.kind == "switch":
            self._switch(right - px(16), middle, node)
        elif node.kind in ("checkbox", "radio"):
            self._check_mark(left + px(16 + CONTROL_DP[node.kind] / 2), middle, node)
        if placed.text_right - placed.text_left < px(24):
            return  # A switch at the end of another row: its label is only read out.
        title, line = self.layout.line_px(15), self.layout.line_px(13)
        y = middle - (title + (line if node.secondary else 0)) // 2
        self._string(node.text, (placed.text_left, y, placed.text_right, y + title), 15, ink, bold=node.bold)
        if node.secondary:
            bounds = (placed.text_left, y + title, placed.text_right, y + title + line)
            self._string(node.secondary, bounds, 13, ink if node.bold else muted, bold=node.bold)

    def _switch(self, right: int, middle: int, node: Node) -> None:
        px = self.layout.px
        width, height = px(CONTROL_DP["switch"]), px(26)
        track = (right - width, middle - height // 2, right, middle - height // 2 + height)
        knob = px(18)
        inset = (height - knob) // 2
        if node.checked:
            fill, dot = self.palette["primary"], self.palette["on_primary"]
            x = right - inset - knob
        else:
            fill, dot = self.palette["outline"], self.palette["surface_high"]
            x = right - width + inset
        if not node.enabled:
            fill = mix(fill, self.palette["surface"], 0.5)
        self._round(track, 13, fill)
        self._round((x, track[1] + inset, x + knob, track[1] + inset + knob), 9, dot)

    def _check_mark(self, x: int, y: int, node: Node) -> None:
        half = self.layout.px(CONTROL_DP["checkbox"] / 2)
        box = (x - half, y - half, x + half, y + half)
        if node.kind == "radio":
            color = self.palette["primary" if node.checked else "muted"]
            self._outline(box, 11, color, 2)
            if node.checked:
                dot = max(2, half // 2)
                self._round((x - dot, y - dot, x + dot, y + dot), 6, color)
        elif node.checked:
            self._round(box, 5, self.palette["primary"])
            self._symbol("check", x, y, 18, self.palette["on_primary"])
        else:
            self._outline(box, 5, self.palette["muted"], 2)

    def _slider(self, placed: Placed) -> None:
        node = placed.node
        px = self.layout.px
        _left, top, right, bottom = placed.box
        track_left, track_right = slider_track(self.layout, placed)
        label = self.layout.line_px(14)
        percent = f"{round(node.value * 100)} %"
        y = top + px(6)
        ink = self.color("on_surface", placed)
        self._string(node.text, (track_left, y, track_right - px(50), y + label), 14, ink)
        self._string(
            percent, (track_right - px(60), y, right - px(16), y + label), 13, self.palette["muted"], align="end"
        )
        center = (y + label + bottom) // 2
        half = max(1, px(3))
        if node.icon:
            self._symbol(node.icon, track_left - px(28), (top + bottom) // 2, ICON_DP, self.palette["muted"])
        x = track_left + round((track_right - track_left) * min(1.0, max(0.0, node.value)))
        self._round((track_left, center - half, track_right, center + half), 3, self.palette["outline"])
        self._round((track_left, center - half, x, center + half), 3, self.palette["primary"])
        knob = max(3, px(10))
        self._round((x - knob, center - knob, x + knob, center + knob), 10, self.palette["primary"])

    def _chip(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        if node.selected:
            self._round(placed.box, node.radius, self.palette["primary"])
            ink = self.palette["on_primary"]
        else:
            self._outline(placed.box, node.radius, self.color("outline", placed))
            ink = self.color("on_surface", placed)
        inset = self.layout.px(4)
        if node.icon:
            self._symbol(node.icon, left + self.layout.px(16), (top + bottom) // 2, 16, ink)
            left += self.layout.px(22)
        self._string(node.text, (left + inset, top, right - inset, bottom), 13, ink, bold=True, align="center")

    def _swatch(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        inset = max(2, self.layout.px(5))
        color = self.color(node.background)
        disc = (left + inset, top + inset, right - inset, bottom - inset)
        self._round(disc, node.radius, color)
        self._outline(disc, node.radius, mix(color, self.palette["on_surface"], 0.25))
        if node.selected:
            self._outline(placed.box, node.radius + 4, self.palette["on_surface"], 2)

    def _divider(self, placed: Placed) -> None:
        left, top, right, bottom = placed.box
        self.marks.append(("fill", (left, top, right, max(bottom, top + 1)), self.color("outline", placed)))

    def _avatar(self, placed: Placed) -> None:
        node = placed.node
        tint = theme.rgb(theme.AVATAR_TINTS[node.number % len(theme.AVATAR_TINTS)])
        self._round(placed.box, node.radius, tint)
        self._string(
            node.text or "?", placed.box, (node.width or 40) * 0.42, (255, 255, 255), bold=True, align="center"
        )

    def _picture(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        color = self.color(node.background or "primary_soft")
        if node.background.startswith("#"):
            ground = mix(color, (255, 255, 255), 0.78) if theme.luminance(color) < 0.72 else mix(color, (0, 0, 0), 0.55)
        else:
            ground, color = color, self.palette["on_primary_soft"]
        self._round(placed.box, node.radius, ground)
        side = min(right - left, bottom - top)
        x, y = (left + right) // 2, (top + bottom) // 2
        reach = side // 5
        shift = (right - left) // 4 * (1 if node.number % 2 else -1)
        lift = side // 5 * (1 if node.number // 2 % 2 else -1)
        disc = (x + shift - reach, y + lift - reach, x + shift + reach, y + lift + reach)
        self.marks.append(("round", disc, reach, mix(ground, color, 0.13)))
        self._symbol(node.icon, x, y, side * 0.62 / self.layout.scale, color)

    def _tab(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, bottom = placed.box
        px = self.layout.px
        x = (left + right) // 2
        ink = self.palette["primary" if node.selected else "muted"]
        line = self.layout.line_px(12)
        if not node.icon:
            self._string(node.text, placed.box, 13, ink, bold=True, align="center")
            if node.selected:
                half = min((right - left) // 2, px(28))
                self._round((x - half, bottom - px(3), x + half, bottom), 2, ink)
            return
        y = (top + bottom - line - px(28)) // 2
        if node.selected:
            self._round((x - px(28), y, x + px(28), y + px(28)), 14, self.palette["primary_soft"])
        icon_ink = self.palette["on_primary_soft"] if node.selected else ink
        self._symbol(node.icon, x, y + px(14), 22, icon_ink)
        label = (left, y + px(28), right, y + px(28) + line)
        self._string(node.text, label, 12, ink, bold=node.selected, align="center")

    def _app_icon(self, placed: Placed) -> None:
        node = placed.node
        left, top, right, _bottom = placed.box
        px = self.layout.px
        x, side = (left + right) // 2, px(54)
        self._round(
            (x - side // 2, top + px(2), x - side // 2 + side, top + px(2) + side), 17, self.color(node.background)
        )
        self._symbol(node.icon, x, top + px(2) + side // 2, 30, (255, 255, 255))
        if node.text:
            line = self.layout.line_px(12)
            label = (left, top + px(59), right, top + px(59) + line)
            color = self.color(node.color or "on_surface", placed)
            self._string(node.text, label, 12, color, align="center")


def slider_track(layout: Layout, placed: Placed) -> tuple[int, int]:
    """Left and right end of a slider's track: where its value is 0 and 1."""
    left, _, right, _ = placed.box
    return left + layout.px(56 if placed.node.icon else 20), right - layout.px(20)
