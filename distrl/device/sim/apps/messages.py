"""Text messages: conversations, a new message, and what happens without a network."""

from __future__ import annotations

import datetime
from functools import partial

from distrl.device.sim.app import App, launch
from distrl.device.sim.apps.drafts import confirm, draft_field, matches, remember
from distrl.device.sim.state import END_DP, Message, Page, SystemState, Thread
from distrl.device.sim.ui import (
    Dialog,
    Node,
    Screen,
    avatar,
    button,
    column,
    icon,
    icon_button,
    list_item,
    row,
    scroll,
    spacer,
    text,
)
from distrl.device.sim.words import WEEKDAYS


class MessagesApp(App):
    package = "messages"
    label = "Messages"
    icon = "message"
    tint = "#3f6ad8"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        if page.name == "new":
            return self._new(phone, page)
        if page.name == "thread":
            thread = find_thread(phone, page.args.get("id"))
            if thread is not None:
                return self._thread(phone, page, thread)
            return Screen(text("This conversation no longer exists."), title="Messages", back_arrow=True)
        return self._list(phone, page)

    def _list(self, phone: SystemState, page: Page) -> Screen:
        threads = [t for t in phone.threads if t.messages]
        threads.sort(key=lambda t: (-t.messages[-1].minute, t.id))
        body = [self._thread_item(phone, page, thread) for thread in threads]
        return Screen(
            scroll("threads", body or [text("No conversations", color="muted")]),
            title="Messages",
            fab=icon_button("plus", "New message", on_tap=partial(self._start_new, phone)),
            dialog=self._list_dialog(phone, page),
        )

    def _thread_item(self, phone: SystemState, page: Page, thread: Thread) -> Node:
        last = thread.messages[-1]
        preview = last.text if last.sender else f"You: {last.text}"
        marks: list[Node] = []
        if thread.muted:
            marks.append(icon("bell_off", size=18, description="Muted"))
        if thread.unread:
            marks.append(icon("dot", size=14, color="primary", description="Unread"))
        name = name_of(phone, thread.number)
        return list_item(
            name,
            preview if last.sent else f"Not sent: {last.text}",
            leading=avatar(name),
            trailing=row([*marks, text(when(phone, last.minute), size_sp=12, color="muted")], gap=4),
            bold=thread.unread,
            on_tap=partial(self._open, phone, thread),
            on_long_press=remember(page, dialog="menu", id=thread.id),
            key=f"thread_{thread.id}",
        )

    def _list_dialog(self, phone: SystemState, page: Page) -> Dialog | None:
        thread = find_thread(phone, page.args.get("id"))
        kind = page.args.get("dialog")
        if thread is None or not kind:
            return None
        if kind == "delete":
            return confirm(
                page,
                "Delete conversation?",
                f"All messages with {name_of(phone, thread.number)} will be deleted.",
                "Delete",
                partial(self._delete, phone, page, thread),
            )
        return Dialog(
            name_of(phone, thread.number),
            content=[
                list_item(
                    "Unmute" if thread.muted else "Mute",
                    icon="bell" if thread.muted else "bell_off",
                    on_tap=partial(_set_thread, page, thread, muted=not thread.muted),
                ),
                list_item(
                    "Mark as read" if thread.unread else "Mark as unread",
                    icon="mail",
                    on_tap=partial(_set_thread, page, thread, unread=not thread.unread),
                ),
                list_item("Delete", icon="trash", on_tap=remember(page, dialog="delete")),
            ],
            on_dismiss=remember(page, dialog=""),
            sheet=True,
        )

    def _thread(self, phone: SystemState, page: Page, thread: Thread) -> Screen:
        shown = thread.messages[-12:]
        bubbles = [self._bubble(phone, message) for message in shown]
        send = partial(self._send, phone, page, thread)
        actions = []
        if thread.muted:
            actions.append(icon_button("bell_off", "Muted", on_tap=partial(setattr, thread, "muted", False)))
        if phone.contact_of(thread.number) is None:
            new_contact = Page("edit", {"phone": thread.number})
            add = partial(launch, phone, "contacts", new_contact)
            actions.append(icon_button("person_add", "Add contact", on_tap=add))
        return Screen(
            scroll("messages", bubbles or [text("No messages yet", color="muted")], gap=8, padding=12),
            title=name_of(phone, thread.number),
            back_arrow=True,
            footer=_composer(page, send),
            actions=actions,
        )

    def _bubble(self, phone: SystemState, message: Message) -> Node:
        mine = not message.sender
        content = text(message.text, wrap=True, max_lines=0, color="on_primary" if mine else "on_surface", size_sp=15)
        bubble = column([content], padding=10, radius=16, background="primary" if mine else "surface_high", grow=5)
        note = text(when(phone, message.minute), size_sp=11, color="muted", align="end" if mine else "start")
        if not message.sent:
            note = text("Not sent. Tap to retry", size_sp=12, color="error", align="end")
            note.on_tap = partial(_retry, phone, message)
        gap = spacer(0, grow=1)
        return column([row([gap, bubble] if mine else [bubble, gap]), note], gap=2)

    def _new(self, phone: SystemState, page: Page) -> Screen:
        query = page.args.get("to", "").strip()
        to = draft_field(page, "to", "Name or number", icon="person", on_enter=partial(self._choose_typed, phone, page))
        people = sorted(phone.contacts, key=lambda c: c.name.casefold())
        items = [
            list_item(
                contact.name,
                contact.phone,
                leading=avatar(contact.name),
                on_tap=partial(self._choose, phone, contact.phone),
                key=f"contact_{contact.id}",
            )
            for contact in people
            if matches(query, contact.name, contact.phone)
        ]
        if is_number(query) and phone.contact_of(query) is None:
            items.insert(0, list_item(f"Send to {query}", icon="message", on_tap=partial(self._choose, phone, query)))
        return Screen(
            scroll("suggestions", items or [text("No match. Type a phone number", color="muted")]),
            title="New message",
            back_arrow=True,
            header=to,
        )

    def _start_new(self, phone: SystemState) -> None:
        self.push(phone, "new")
        phone.focus = "to"

    def _choose_typed(self, phone: SystemState, page: Page) -> None:
        query = page.args.get("to", "").strip()
        found = [c for c in phone.contacts if matches(query, c.name, c.phone)]
        if is_number(query):
            self._choose(phone, query)
        elif query and len(found) == 1:
            self._choose(phone, found[0].phone)

    def _choose(self, phone: SystemState, number: str) -> None:
        thread = next((t for t in phone.threads if t.number == number), None)
        if thread is None:
            thread = Thread(phone.new_id(), number)
            phone.threads.append(thread)
        self.pop(phone)
        self._open(phone, thread)

    def _open(self, phone: SystemState, thread: Thread) -> None:
        thread.unread = False
        self.push(phone, "thread", id=thread.id)
        self.page(phone).scroll_dp["messages"] = END_DP

    def _send(self, phone: SystemState, page: Page, thread: Thread) -> None:
        draft = page.args.get("draft", "").strip()
        if not draft:
            return
        thread.messages.append(Message("", draft, phone.clock_minute, sent=phone.online))
        page.args["draft"] = ""
        page.scroll_dp["messages"] = END_DP

    def _delete(self, phone: SystemState, page: Page, thread: Thread) -> None:
        phone.threads.remove(thread)
        page.args["dialog"] = ""


def _composer(page: Page, send: partial[None]) -> Node:
    field = draft_field(page, "draft", "Text message", on_enter=send)
    field.grow = 1
    return row([field, button("Send", on_tap=send, enabled=bool(page.args.get("draft", "").strip()))], gap=8, padding=8)


def _set_thread(page: Page, thread: Thread, **changes: bool) -> None:
    for name, value in changes.items():
        setattr(thread, name, value)
    page.args["dialog"] = ""


def _retry(phone: SystemState, message: Message) -> None:
    if phone.online:
        message.sent = True
        message.minute = phone.clock_minute


def find_thread(phone: SystemState, thread_id: int | None) -> Thread | None:
    """The conversation with this id, or None."""
    return next((t for t in phone.threads if t.id == thread_id), None)


def name_of(phone: SystemState, number: str) -> str:
    """The name of the contact with this number, or the number itself."""
    contact = phone.contact_of(number)
    return contact.name if contact else number


def is_number(content: str) -> bool:
    """Whether the text can be dialled: at least three digits, and nothing but digits and separators."""
    return sum(c.isdigit() for c in content) >= 3 and set(content) <= set("+0123456789 -()")


def when(phone: SystemState, minute: int) -> str:
    """When a message came: the time today, else the day's short name, or the date from a week ago on."""
    if minute >= 0:
        return phone.time_text(minute)
    days = -(minute // 1440)
    day = datetime.date.fromisoformat(phone.date) - datetime.timedelta(days=days)
    return WEEKDAYS[day.weekday()][:3] if days < 7 else f"{day.day}.{day.month}."
