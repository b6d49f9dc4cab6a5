"""What a page remembers between two events: half-typed fields, the open dialog, the chosen filter.

It all lives in `page.args`, so that views stay pure functions of the state and a snapshot holds half-typed text too.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from distrl.device.sim.state import Page, SystemState
from distrl.device.sim.ui import Dialog, Handler, Node, button, icon_button, row, text_field


def remember(page: Page, **args: Any) -> Handler:
    """A handler that sets `args` on the page."""
    return partial(page.args.update, args)


def draft_field(
    page: Page,
    name: str,
    hint: str,
    *,
    on_enter: Handler | None = None,
    max_lines: int = 1,
    height: float | None = None,
    icon: str = "",
) -> Node:
    """A text field whose text lives in `page.args[name]`."""
    return text_field(
        name,
        page.args.get(name, ""),
        hint=hint,
        on_text=partial(page.args.__setitem__, name),
        on_enter=on_enter,
        max_lines=max_lines,
        height=height,
        icon=icon,
    )


def clearable_field(page: Page, name: str, hint: str, *, on_enter: Handler | None = None, icon: str = "") -> Node:
    """A draft field followed, once it holds text, by a button that empties it."""
    children = [draft_field(page, name, hint, on_enter=on_enter, icon=icon)]
    if page.args.get(name):
        children.append(icon_button("close", f"Clear {hint.lower()}", on_tap=remember(page, **{name: ""})))
    return row(children)


def search_field(phone: SystemState, page: Page, name: str, hint: str) -> Node:
    """A clearable field with a magnifier; the keyboard's action key closes the keyboard."""
    return clearable_field(page, name, hint, on_enter=partial(close_keyboard, phone), icon="search")


def close_keyboard(phone: SystemState) -> None:
    """Takes the focus from the field."""
    phone.focus = ""


def confirm(page: Page, title: str, body: str, action: str, on_confirm: Handler) -> Dialog:
    """Asks before something is lost; closes when `page.args["dialog"]` is cleared."""
    dismiss = remember(page, dialog="")
    return Dialog(
        title,
        body,
        buttons=[
            button("Cancel", on_tap=dismiss, filled=False),
            button(action, on_tap=on_confirm, filled=False, color="error"),
        ],
        on_dismiss=dismiss,
    )


def matches(query: str, *texts: str) -> bool:
    """Whether every word of the query occurs in the texts, letter case aside."""
    haystack = " ".join(texts).casefold()
    return all(word in haystack for word in query.casefold().split())
