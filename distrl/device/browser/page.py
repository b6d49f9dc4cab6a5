"""What a page shows, as an Android-like UI tree: the script that reads it, and the mapping to `Element`s.

the page -> READ_ELEMENTS (JavaScript) -> nodes, in page pixels -> elements_of -> Elements, in screen pixels
"""

from __future__ import annotations

from typing import Any, Final

from distrl.types import Element

SCREEN: Final = (160, 210)
"""Width and height of a MiniWoB task in page pixels; what lies beyond belongs to the harness."""

PACKAGE: Final = "browser"

WATCH_LISTENERS: Final = """
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (kind, ...rest) {
  if (['click', 'mousedown', 'mouseup', 'touchstart', 'pointerdown'].includes(kind) && this instanceof Element)
    this.__touchable = true;
  return add.call(this, kind, ...rest);
};
"""
"""Runs before a page's own scripts: marks what listens for touches, which the DOM does not tell afterwards."""

HIDE_COVER: Final = "#sync-task-cover { display: none !important; }"
"""The harness covers a finished task with a START button that would begin another episode."""

START: Final = """
const [seed, limitMs, style, done] = arguments;
const sheet = document.createElement('style');
sheet.textContent = style;
document.head.appendChild(sheet);
core.EPISODE_MAX_TIME = limitMs;
Math.seedrandom(seed);
core.setDataMode('train');
core.startEpisodeReal();
(function wait() {
  if (!WOB_TASK_READY) return setTimeout(wait, 10);
  const said = core.getUtterance();
  done(typeof said === 'string' ? said : said.utterance);
})();
"""
"""Starts the episode and waits until the page is ready; returns the instruction."""

NEXT_FRAME: Final = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(true)));"
"""Waits until what was just done is drawn."""

STATUS: Final = """
return {done: WOB_DONE_GLOBAL, reward: WOB_RAW_REWARD_GLOBAL, reason: String(WOB_REWARD_REASON || '')};
"""

READ_ELEMENTS: Final = r"""
const [width, height] = arguments;
const harness = new Set(['reward-display', 'sync-task-cover', 'click-canvas', 'query']);
const squeeze = text => (text || '').replace(/\s+/g, ' ').trim();
const pictures = new Set(['img', 'canvas', 'rect', 'circle', 'ellipse', 'polygon', 'path', 'line', 'text']);
const buttons = /^(button|submit|reset|image)$/;

function meet(rect, clip) {
  return [Math.max(rect.left, clip[0]), Math.max(rect.top, clip[1]),
          Math.min(rect.right, clip[2]), Math.min(rect.bottom, clip[3])];
}
const shows = box => box[2] - box[0] >= 1 && box[3] - box[1] >= 1;

function describe(el, tag, box) {
  const type = tag === 'input' ? el.type : '';
  const editable = (tag === 'textarea' || el.isContentEditable ||
    (tag === 'input' && !buttons.test(type) && !/^(checkbox|radio|range|color|file)$/.test(type)));
  let text = '';
  if (type === 'checkbox' || type === 'radio') text = [...el.labels].map(label => label.textContent).join(' ');
  else if (type === 'password') text = '\u2022'.repeat(el.value.length);
  else if (tag === 'select') text = el.selectedOptions.length ? el.selectedOptions[0].text : '';
  else if (tag === 'input' || tag === 'textarea') text = el.value;
  else text = el.textContent;
  text = squeeze(text);
  const label = squeeze(el.getAttribute('aria-label') || el.getAttribute('title') || el.alt || el.placeholder);
  return {
    tag, type, box, editable, text, id: el.id || '', description: label === text ? '' : label,
    focused: document.activeElement === el, checked: !!el.checked, enabled: !el.disabled && !el.readOnly,
    selected: !!el.selected || el.getAttribute('aria-selected') === 'true', scrollable: false,
    clickable: tag !== 'label',
  };
}

// A drop-down list opens outside the page, where no screenshot shows it; a list box is part of the page.
const isList = select => !!select && (select.multiple || select.size > 1);

function touchable(el, tag, style, inherited) {
  if (tag === 'select' && isList(el)) return false;
  if (['button', 'option', 'a', 'input', 'textarea', 'select', 'summary'].includes(tag)) return true;
  if (tag === 'svg') return false;
  if (el.__touchable || el.onclick || el.onmousedown || el.isContentEditable) return true;
  return style.cursor === 'pointer' && !inherited;
}

function readText(node, clip, nodes) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = meet(range.getBoundingClientRect(), clip);
  const text = squeeze(node.data);
  if (text && shows(box)) nodes.push({tag: 't', text, box});
}

function read(el, clip, nodes, pointer) {
  if (harness.has(el.id)) return;
  const tag = el.tagName.toLowerCase();
  if (['script', 'style', 'br'].includes(tag) || (tag === 'option' && !isList(el.closest('select')))) return;
  const style = getComputedStyle(el);
  if (style.display === 'none') return;
  const rect = el.getBoundingClientRect();
  let inner = clip;
  const scrolls = /auto|scroll/.test(style.overflowX + style.overflowY) && tag !== 'textarea';
  if (/auto|scroll|hidden/.test(style.overflowX + style.overflowY)) inner = meet(rect, clip);
  const box = meet(rect, clip);
  const visible = style.visibility === 'visible' && +style.opacity > 0;
  const touch = touchable(el, tag, style, pointer);
  const kids = [];
  for (const child of el.childNodes) {
    if (child instanceof Text) {
      // A label that holds its own check box is that box's text already.
      if (visible && shows(inner) && !(tag === 'label' && el.control && el.contains(el.control)))
        readText(child, inner, kids);
    } else if (child instanceof Element) read(child, inner, kids, pointer || style.cursor === 'pointer');
  }
  const moves = scrolls && (el.scrollHeight > el.clientHeight + 1 || el.scrollWidth > el.clientWidth + 1);
  if (!visible || !shows(box)) nodes.push(...kids);
  else if (moves) nodes.push({tag: 'scroll', box, id: el.id || '', scrollable: true}, ...kids);
  else if (touch && !kids.some(kid => kid.clickable)) nodes.push(describe(el, tag, box));
  else if (pictures.has(tag)) nodes.push({...describe(el, tag, box), clickable: false});
  else {
    // A touch on a part reaches the whole that listens: a row of a list with icons of its own.
    if (touch) for (const kid of kids) kid.clickable = kid.clickable || !kid.scrollable;
    nodes.push(...kids);
  }
}

const nodes = [];
read(document.body, [0, 0, width, height], nodes, false);
return nodes;
"""
"""Returns the meaningful nodes on screen in drawing order: what can be touched, read, or scrolled."""

_CLASS_OF_TYPE: Final = {
    "checkbox": "CheckBox",
    "radio": "RadioButton",
    "range": "SeekBar",
    "button": "Button",
    "submit": "Button",
    "reset": "Button",
    "image": "Button",
}
_CLASS_OF_TAG: Final = {
    "button": "Button",
    "textarea": "EditText",
    "input": "EditText",
    "select": "Spinner",
    "scroll": "ScrollView",
    "img": "ImageView",
    "canvas": "ImageView",
    "rect": "ImageView",
    "circle": "ImageView",
    "ellipse": "ImageView",
    "polygon": "ImageView",
    "path": "ImageView",
    "line": "ImageView",
}


def elements_of(nodes: list[dict[str, Any]], *, scale: int) -> tuple[Element, ...]:
    """The UI tree of what READ_ELEMENTS returned; `scale` is screen pixels per page pixel.

    Example:
        elements_of([{"tag": "button", "text": "ONE", "box": [4, 60, 44, 100], "clickable": True}], scale=2)
        # one Element: Button "ONE", bounds (8, 120, 88, 200), clickable
    """
    return tuple(_element(index, node, scale) for index, node in enumerate(nodes))


def class_name_of(node: dict[str, Any]) -> str:
    """The Android class that behaves like this node."""
    if node.get("type") in _CLASS_OF_TYPE:
        return _CLASS_OF_TYPE[node["type"]]
    if node["tag"] in _CLASS_OF_TAG:
        return _CLASS_OF_TAG[node["tag"]]
    if node.get("editable"):
        return "EditText"
    return "TextView" if node.get("text") else "View"


def _element(index: int, node: dict[str, Any], scale: int) -> Element:
    class_name = class_name_of(node)
    left, top, right, bottom = (round(edge * scale) for edge in node["box"])
    return Element(
        index=index,
        class_name=class_name,
        bounds=(left, top, right, bottom),
        text=node.get("text", ""),
        content_description=node.get("description", ""),
        resource_id=node.get("id", ""),
        package=PACKAGE,
        clickable=node.get("clickable", False),
        editable=node.get("editable", False),
        focused=node.get("focused", False),
        checkable=class_name in ("CheckBox", "RadioButton"),
        checked=node.get("checked", False),
        selected=node.get("selected", False),
        scrollable=node.get("scrollable", False),
        enabled=node.get("enabled", True),
    )
