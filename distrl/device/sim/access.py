"""Lists a scene as an accessibility tree: the elements an agent reads, with the fields uiautomator gives.

A touchable row or card is one element that reads out all its labels. Only what shows is listed, with the bounds of
its visible part; nothing below a modal layer is.
"""

from __future__ import annotations

from distrl.device.sim import keyboard
from distrl.device.sim.layers import Scene
from distrl.device.sim.layout import Placed, Rect, interactive, intersect
from distrl.device.sim.ui import Node
from distrl.types import Element

_LEAST_VISIBLE_DP = 8.0
_CLASSES = {
    "text": "TextView",
    "icon": "ImageView",
    "button": "Button",
    "icon_button": "ImageButton",
    "field": "EditText",
    "switch": "Switch",
    "checkbox": "CheckBox",
    "radio": "RadioButton",
    "slider": "SeekBar",
    "chip": "Chip",
    "list_item": "LinearLayout",
    "swatch": "ImageButton",
    "picture": "ImageView",
    "tab": "Tab",
    "app_icon": "TextView",
    "card": "CardView",
    "row": "LinearLayout",
    "column": "LinearLayout",
    "scroll": "ScrollView",
}
_CHECKABLE = frozenset(("switch", "checkbox", "radio", "chip"))


def elements(scene: Scene, package: str) -> tuple[Element, ...]:
    """What the screen shows, in drawing order; `package` is the app in front."""
    listed: list[Element] = []
    least = max(2, round(_LEAST_VISIBLE_DP * scene.layout.scale))
    top = max((layer.bounds[3] for layer in scene.layers if layer.name == "heads_up"), default=0)
    active = scene.active
    for layer in scene.layers:
        # The status bar stays readable below dialogs, not below the shade, which has its own.
        if layer not in active and not (layer.name == "status" and active[0].name != "shade"):
            continue
        if layer.name == "keyboard":
            listed.append(_enter_key(scene, len(listed)))
            continue
        owner_package = "systemui" if layer.name in ("status", "nav", "shade", "heads_up", "popup") else package
        covered = top if layer.name in ("screen", "dialog", "popup") else 0
        for placed in layer.placed:
            if not _is_listed(placed):
                continue
            bounds = placed.visible
            if covered and bounds[1] < covered:
                bounds = intersect(bounds, (0, covered, *scene.size))
            bounds = intersect(bounds, (0, 0, *scene.size))
            if _shows(bounds, placed.box, least):
                listed.append(_element(placed, bounds, len(listed), owner_package, scene))
    return tuple(listed)


def _shows(bounds: Rect, box: Rect, least: int) -> bool:
    """Whether enough of it is visible to be seen and touched."""
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    return width >= min(least, box[2] - box[0]) and height >= min(least, box[3] - box[1]) and width > 0 and height > 0


def _is_listed(placed: Placed) -> bool:
    node = placed.node
    if interactive(node):
        return True
    if placed.owner is not None:
        return False
    if node.kind == "scroll":
        return placed.max_offset > 0
    if node.kind in ("text", "list_item", "switch", "checkbox", "radio", "slider", "chip", "tab"):
        return bool(node.text or node.secondary)
    if node.kind == "icon":
        return bool(node.description)
    return node.kind in ("picture", "swatch")


def _labels(node: Node, texts: list[str], descriptions: list[str]) -> None:
    """Collects what a merged element reads out, itself first; parts that answer touches speak for themselves."""
    if node.kind != "avatar":
        texts += [part for part in (node.text, node.secondary) if part]
    if node.description:
        descriptions.append(node.description)
    for child in (node.leading, *node.children, node.trailing):
        if child is not None and not interactive(child):
            _labels(child, texts, descriptions)


def _element(placed: Placed, bounds: Rect, index: int, package: str, scene: Scene) -> Element:
    node = placed.node
    checkable = node.kind in _CHECKABLE or (node.checked is not None and node.kind != "radio")
    if node.kind == "field":
        label, description = node.text or node.hint, node.hint
    elif node.kind == "scroll":
        label, description = "", node.description
    elif node.kind == "slider":
        label, description = node.text, f"{round(node.value * 100)} %"
    else:
        texts: list[str] = []
        descriptions: list[str] = []
        _labels(node, texts, descriptions)
        label, description = ", ".join(texts), ", ".join(descriptions)
    return Element(
        index=index,
        class_name=_class_name(node),
        bounds=bounds,
        text=label,
        content_description=description,
        resource_id=node.key,
        package=package,
        clickable=node.enabled and (node.on_tap is not None or node.kind in ("field", "slider")),
        long_clickable=node.enabled and node.on_long_press is not None,
        editable=node.kind == "field",
        focused=scene.focused is placed,
        checkable=checkable,
        checked=bool(node.checked) and checkable,
        selected=node.selected,
        scrollable=node.kind == "scroll",
        enabled=node.enabled,
    )


def _class_name(node: Node) -> str:
    if node.kind == "list_item" and not interactive(node):
        return "TextView"
    if node.kind == "app_icon" and not node.text:
        return "ImageView"
    if node.kind == "picture" and node.on_tap is not None:
        return "ImageButton"
    return _CLASSES[node.kind]


def _enter_key(scene: Scene, index: int) -> Element:
    """The only key that is listed: letters are typed with TYPE."""
    board = scene.keyboard
    assert board is not None
    enter = next(key for key in keyboard.keys(board, scene.layout.scale) if key.name == keyboard.ENTER)
    return Element(index=index, class_name="Button", bounds=enter.rect, content_description="Enter",
                   resource_id="key_enter", package="inputmethod", clickable=True)  # fmt: skip
