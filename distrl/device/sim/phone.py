"""The simulated phone: one state, touched by actions, seen as pixels and as an accessibility tree.

The screen is built from the state after each event and kept until the next: looking twice costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from distrl.device.sim import access, keyboard, system
from distrl.device.sim.app import App
from distrl.device.sim.apps import APPS
from distrl.device.sim.layers import Bars, Layer, Scene, SceneBuilder
from distrl.device.sim.layout import Placed, interactive
from distrl.device.sim.paint import Painter, slider_track
from distrl.device.sim.raster import FRAMES, DisplayList, Mark
from distrl.device.sim.state import Page, SystemState, dump, load
from distrl.device.sim.theme import palette
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Element, Frame, Observation

TOUCH_SLOP_DP = 8.0
"""A finger that moves less than this has tapped."""
_SHADE_PULL_DP = 40.0
_SMALLEST_PX = (90, 120)
"""width, height below which the system bars leave no room."""


class Phone:
    """A phone that can be looked at, touched, saved and copied.

    `size` is width, height in pixels; every width is 360 dp, so that the same tree is drawn at another scale.
    Reading `state` drops the built screen, as the reader may change it; after changing a state that was kept from an
    earlier read, call `refresh`.
    """

    def __init__(self, state: SystemState, *, size: tuple[int, int] = (540, 1200),
                 apps: Mapping[str, App] = APPS) -> None:  # fmt: skip
        if size[0] < _SMALLEST_PX[0] or size[1] < _SMALLEST_PX[1]:
            raise ValueError(
                f"a screen is at least {_SMALLEST_PX[0]} x {_SMALLEST_PX[1]} pixels, got {size}; choose a larger one"
            )
        self.size = size
        self._apps = apps
        self._state = state
        self._scene: Scene | None = None
        self._frame: Frame | None = None
        self._elements: tuple[Element, ...] | None = None

    # State

    @property
    def state(self) -> SystemState:
        """The whole state; it may be changed, and the next look shows the change."""
        self.refresh()
        return self._state

    @state.setter
    def state(self, state: SystemState) -> None:
        self._state = state
        self.refresh()

    def refresh(self) -> None:
        """Forgets the built screen, so that the next look is built from the state as it is."""
        self._scene = self._frame = self._elements = None

    def snapshot(self) -> bytes:
        """Everything about the phone but its size, as JSON; looking at the screen never changes it."""
        self._app.page(self._state)  # An app that was never shown gets its first page now rather than when drawn.
        return dump(self._state)

    def restore(self, snapshot: bytes) -> None:
        """Goes back to a snapshot."""
        self.state = load(snapshot)

    def fork(self) -> Phone:
        """A second phone in the same state; nothing is shared."""
        return Phone(load(self.snapshot()), size=self.size, apps=self._apps)

    # Looking

    @property
    def scene(self) -> Scene:
        """The screen as placed nodes; built when asked for, kept until the next event."""
        if self._scene is None:
            self._scene = self._build()
        return self._scene

    def _build(self) -> Scene:
        state = self._state
        app = self._app
        page = app.page(state)
        bars = Bars(self.back, self.home, self._recents)
        return SceneBuilder(state, self._apps, app.view(state), self.size, bars, page.scroll_dp).build()

    @property
    def _app(self) -> App:
        return self._apps.get(self._state.app) or self._apps["launcher"]

    def observe(self) -> Observation:
        """The screenshot, the tree, and the app in front."""
        return Observation(frame=self._screenshot(), elements=self.elements(), app=self._app.package)

    def render(self) -> NDArray[np.uint8]:
        """The screenshot: [H, W, 3] uint8, read-only."""
        return self._screenshot().pixels

    def elements(self) -> tuple[Element, ...]:
        """The accessibility tree, flattened in drawing order."""
        if self._elements is None:
            self._elements = access.elements(self.scene, self._app.package)
        return self._elements

    def _screenshot(self) -> Frame:
        if self._frame is None:
            self._frame = FRAMES.frame(self.display_list(), self.size, self._state.settings.dark_theme)
        return self._frame

    def display_list(self) -> DisplayList:
        """The marks that draw the screen: equal lists give equal pixels."""
        scene, settings = self.scene, self._state.settings
        colors = palette(settings.dark_theme, settings.accent)
        whole = (0, 0, *self.size)
        painter = Painter(scene.layout, colors, scene.focused.node.key if scene.focused is not None else "")
        marks = painter.marks
        if scene.screen.wallpaper:
            marks.append(("wallpaper", settings.wallpaper))
        else:
            marks.append(("fill", whole, colors["surface"]))
        for layer in scene.layers:
            if layer.modal and layer.name != "shade":
                marks.append(("dim", colors["scrim"], 0.5))
                if layer.sheet:  # It grows out of the edge below it: no round corners there.
                    left, _, right, bottom = layer.bounds
                    marks.append(("clip", whole))
                    marks.append(("fill", (left, bottom - scene.layout.px(26), right, bottom), colors["surface_high"]))
            elif layer.name == "shade":
                marks.append(("clip", whole))
                marks.append(("fill", whole, colors["surface"]))
                painter.clip_changed()
            if layer.name == "keyboard":
                marks.extend(self._keyboard_marks(scene))
                painter.clip_changed()
            for placed in layer.placed:
                painter.paint(placed)
        return tuple(marks)

    def _keyboard_marks(self, scene: Scene) -> list[Mark]:
        """The keyboard and the ground of the navigation bar below it."""
        settings = self._state.settings
        assert scene.keyboard is not None
        marks = list(keyboard.paint(scene.keyboard, scene.layout.scale, settings.dark_theme, settings.accent))
        whole = (0, 0, *self.size)
        ground = palette(settings.dark_theme, settings.accent)["surface_low"]
        return [*marks, ("clip", whole), ("fill", (0, scene.keyboard[3], *self.size), ground)]

    # Touching

    def apply(self, action: Action) -> None:
        """Does one action. COMPLETE and IMPOSSIBLE touch nothing; raises `ActionError` for a point off the screen."""
        focus = self._state.focus
        floating = system.heads_up(self._state)
        kind = action.kind
        if kind is ActionKind.TAP:
            self._tap(*self._pixel(action.touch))
        elif kind is ActionKind.LONG_PRESS:
            self._long_press(*self._pixel(action.touch))
        elif kind is ActionKind.SWIPE:
            self._swipe(self._pixel(action.touch), self._pixel(action.lift))
        elif kind is ActionKind.TYPE:
            self._type(action.text)
        elif kind is ActionKind.ENTER:
            self._enter()
        elif kind is ActionKind.BACK:
            self.back()
        elif kind is ActionKind.HOME:
            self.home()
        else:
            return
        if floating is not None:
            floating.heads_up = False  # It floats for one action; from then on it waits in the shade.
        self.refresh()
        self._settle(focus)

    def _pixel(self, point: tuple[float, float] | None) -> tuple[int, int]:
        if point is None or not (0 <= point[0] <= 1 and 0 <= point[1] <= 1):
            raise ActionError("off_screen", f"a point is x, y in [0, 1], got {point}; give a place on the screen")
        width, height = self.size
        return min(width - 1, int(point[0] * width)), min(height - 1, int(point[1] * height))

    def _settle(self, focus: str) -> None:
        """After an event: a focus without its field is dropped, and a new one is scrolled into sight."""
        state = self._state
        if not state.focus:
            return
        focused = self.scene.focused
        if focused is None:
            state.focus = ""
            self.refresh()
        elif state.focus != focus and focused.scroller is not None:
            view, scroller = focused.clip, focused.scroller
            margin = self.scene.layout.px(8)
            below, above = focused.box[3] + margin - view[3], view[1] + margin - focused.box[1]
            shift = below if below > 0 else -above if above > 0 else 0
            if shift:
                self._scroll_to(scroller, scroller.offset + shift)

    def _scroll_to(self, scroller: Placed, offset_px: int) -> None:
        offset = min(scroller.max_offset, max(0, offset_px))
        page = self._app.page(self._state)
        page.scroll_dp[scroller.node.key] = round(offset / self.scene.layout.scale, 2)
        self.refresh()

    def _under(self, x: int, y: int) -> tuple[Layer | None, list[Placed]]:
        """The layer that takes a touch at a point, and its nodes there, topmost first."""
        for layer in reversed(self.scene.active):
            left, top, right, bottom = layer.bounds
            inside = left <= x < right and top <= y < bottom
            if inside or layer.modal:
                return layer, [p for p in reversed(layer.placed) if _covers(p, x, y)] if inside else []
        return None, []

    def _tap(self, x: int, y: int) -> None:
        layer, there = self._under(x, y)
        if layer is None:
            return
        if layer.name == "keyboard":
            self._press_key(x, y)
            return
        target = next((placed for placed in there if interactive(placed.node)), None)
        if target is not None:
            self._press(target, x)
        elif not there and layer.modal and layer.on_outside is not None:
            layer.on_outside()

    def _press(self, target: Placed, x: int) -> None:
        node = target.node
        if not node.enabled:
            return
        if node.kind == "field":
            self._state.focus = node.key
        elif node.on_slide is not None:
            self._slide(target, x)
        elif node.on_tap is not None:
            node.on_tap()

    def _slide(self, target: Placed, x: int) -> None:
        left, right = slider_track(self.scene.layout, target)
        assert target.node.on_slide is not None
        target.node.on_slide(min(1.0, max(0.0, (x - left) / max(1, right - left))))

    def _press_key(self, x: int, y: int) -> None:
        scene = self.scene
        assert scene.keyboard is not None
        key = keyboard.key_at(scene.keyboard, scene.layout.scale, x, y)
        if key is None or scene.focused is None:
            return
        if key.name == keyboard.ENTER:
            self._enter()
        elif key.name == keyboard.BACKSPACE:
            self._edit(scene.focused.node.text[:-1])
        else:
            self._type(key.typed)

    def _edit(self, content: str) -> None:
        focused = self.scene.focused
        if focused is not None and focused.node.on_text is not None and focused.node.enabled:
            focused.node.on_text(content)

    def _type(self, content: str) -> None:
        """Appends to the focused field; without one nothing happens."""
        focused = self.scene.focused
        if focused is None:
            return
        if not focused.node.wrap:
            content = content.replace("\r", "").replace("\n", " ")
        self._edit(focused.node.text + content)

    def _enter(self) -> None:
        """The keyboard's action key: what the field does with it, a new line, or just closing the keyboard."""
        focused = self.scene.focused
        if focused is None:
            return
        node = focused.node
        if node.on_enter is not None:
            before = self._state.focus
            node.on_enter()
            if self._state.focus == before:
                self._state.focus = ""
        elif node.wrap:
            self._edit(node.text + "\n")
        else:
            self._state.focus = ""

    def _long_press(self, x: int, y: int) -> None:
        """What has no long press of its own takes it as a tap, as on Android."""
        _, there = self._under(x, y)
        target = next((placed for placed in there if interactive(placed.node)), None)
        if target is None or target.node.on_long_press is None:
            self._tap(x, y)
        elif target.node.enabled:
            target.node.on_long_press()

    def _swipe(self, touch: tuple[int, int], lift: tuple[int, int]) -> None:
        scene = self.scene
        move_x, move_y = lift[0] - touch[0], lift[1] - touch[1]
        if max(abs(move_x), abs(move_y)) < TOUCH_SLOP_DP * scene.layout.scale:
            self._tap(*touch)
            return
        vertical = abs(move_y) >= abs(move_x)
        direction = ("down" if move_y > 0 else "up") if vertical else ("right" if move_x > 0 else "left")
        state = self._state
        if touch[1] < scene.layout.px(system.STATUS_DP) and direction == "down" and not state.shade_open:
            if move_y >= _SHADE_PULL_DP * scene.layout.scale:
                state.shade_open, state.focus = True, ""
                self._app.page(state).scroll_dp.pop(system.SHADE_KEY, None)
            return
        layer, there = self._under(*touch)
        for placed in there:
            node = placed.node
            if node.on_slide is not None and not vertical and node.enabled:
                self._slide(placed, lift[0])
                return
            if node.kind == "scroll" and vertical and placed.max_offset > 0:
                self._scroll_to(placed, placed.offset - move_y)
                return
            if node.on_swipe is not None and (node.kind != "card" or not vertical or _is_floating(layer)):
                node.on_swipe(direction)
                return
        if state.shade_open and direction == "up":
            state.shade_open = False

    def back(self) -> None:
        """Closes what lies on top: keyboard, shade, popup, dialog, page, app."""
        state, scene = self._state, self.scene
        if state.shade_open:
            state.shade_open = False
        elif scene.focused is not None:
            state.focus = ""
        elif state.popups:
            state.popups.pop(0)
        elif scene.screen.dialog is not None:
            if scene.screen.dialog.on_dismiss is not None:
                scene.screen.dialog.on_dismiss()
        elif scene.screen.on_back is not None:
            scene.screen.on_back()
        else:
            self._app.pop(state)

    def home(self) -> None:
        """Leaves the app as it is for the first home page."""
        state = self._state
        state.focus, state.shade_open, state.app = "", False, "launcher"
        state.stacks["launcher"] = [Page("home")]

    def _recents(self) -> None:
        self.home()
        self._state.stacks["launcher"].append(Page("recents"))


def _covers(placed: Placed, x: int, y: int) -> bool:
    left, top, right, bottom = placed.visible
    return left <= x < right and top <= y < bottom


def _is_floating(layer: Layer | None) -> bool:
    """Whether a layer is the heads-up, which a swipe in any direction puts away."""
    return layer is not None and layer.name == "heads_up"
