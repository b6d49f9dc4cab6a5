"""People: list, search, details, edit form."""

from __future__ import annotations

from functools import partial

from distrl.device.sim.app import App, launch
from distrl.device.sim.apps.drafts import clearable_field, confirm, matches, remember, search_field
from distrl.device.sim.state import END_DP, Contact, Page, SystemState, Thread
from distrl.device.sim.ui import (
    Node,
    Screen,
    avatar,
    button,
    card,
    column,
    icon,
    icon_button,
    list_item,
    row,
    scroll,
    spacer,
    text,
)

_FIELDS = (("first", "First name"), ("last", "Last name"), ("phone", "Phone"), ("email", "Email"))


class ContactsApp(App):
    package = "contacts"
    label = "Contacts"
    icon = "person"
    tint = "#2f8f57"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        if page.name == "edit":
            return self._edit(phone, page)
        if page.name == "detail":
            contact = next((c for c in phone.contacts if c.id == page.args.get("id")), None)
            if contact is not None:
                return self._detail(phone, page, contact)
            return Screen(text("This contact no longer exists."), title="Contact", back_arrow=True)
        return self._list(phone, page)

    def _list(self, phone: SystemState, page: Page) -> Screen:
        query = page.args.get("query", "")
        people = sorted(phone.contacts, key=lambda c: (c.name.casefold(), c.id))
        people = [c for c in people if matches(query, c.name, c.phone, c.email)]
        body = [
            list_item(
                contact.name,
                contact.phone,
                leading=avatar(contact.name),
                trailing=icon("star_filled", color="primary", description="Starred") if contact.starred else None,
                on_tap=partial(self.push, phone, "detail", id=contact.id),
                key=f"contact_{contact.id}",
            )
            for contact in people
        ] or [text("No contacts found", color="muted")]
        return Screen(
            scroll("contacts", body),
            title="Contacts",
            header=search_field(phone, page, "query", "Search contacts"),
            fab=icon_button("plus", "New contact", on_tap=partial(self._start_edit, phone, None)),
        )

    def _detail(self, phone: SystemState, page: Page, contact: Contact) -> Screen:
        facts = [list_item(contact.phone, "Phone", icon="phone", key="phone")]
        if contact.email:
            facts.append(list_item(contact.email, "Email", icon="mail", key="email"))
        body = column(
            [
                spacer(8),
                column([avatar(contact.name, size=88)], align="center"),
                text(contact.name, size_sp=24, bold=True, align="center", wrap=True, max_lines=2),
                row([button("Message", on_tap=partial(message_contact, phone, contact.phone), grow=1)], padding=8),
                card(facts, padding=4),
            ],
            gap=10,
            padding=16,
        )
        dialog = None
        if page.args.get("dialog") == "delete":
            dialog = confirm(
                page,
                "Delete contact?",
                f"{contact.name} will be removed from this phone.",
                "Delete",
                partial(self._delete, phone, contact),
            )
        star = "star_filled" if contact.starred else "star"
        return Screen(
            body,
            title="Contact",
            back_arrow=True,
            actions=[
                icon_button(
                    star,
                    "Remove star" if contact.starred else "Add star",
                    selected=contact.starred,
                    on_tap=partial(setattr, contact, "starred", not contact.starred),
                ),
                icon_button("edit", "Edit", on_tap=partial(self._start_edit, phone, contact)),
                icon_button("trash", "Delete", on_tap=remember(page, dialog="delete")),
            ],
            dialog=dialog,
        )

    def _edit(self, phone: SystemState, page: Page) -> Screen:
        save = partial(self._save, phone, page)
        fields: list[Node] = []
        for name, hint in _FIELDS:
            fields.append(clearable_field(page, name, hint, on_enter=save))
            if name == page.args.get("error_field"):
                fields.append(text(page.args["error"], color="error", size_sp=13))
        return Screen(
            scroll("form", fields, gap=10, padding=16),
            title="Edit contact" if page.args.get("id") else "New contact",
            back_arrow=True,
            actions=[button("Save", on_tap=save)],
        )

    def _start_edit(self, phone: SystemState, contact: Contact | None) -> None:
        if contact is None:
            self.push(phone, "edit")
            phone.focus = "first"
        else:
            drafts = {name: getattr(contact, name) for name, _ in _FIELDS}
            self.push(phone, "edit", id=contact.id, **drafts)

    def _save(self, phone: SystemState, page: Page) -> None:
        drafts = {name: page.args.get(name, "").strip() for name, _ in _FIELDS}
        if problem := _problem(drafts):
            page.args["error_field"], page.args["error"] = problem
            return
        contact = next((c for c in phone.contacts if c.id == page.args.get("id")), None)
        if contact is None:
            contact = Contact(phone.new_id(), **drafts)
            phone.contacts.append(contact)
            self.pop(phone)
            self.push(phone, "detail", id=contact.id)
            return
        for name, value in drafts.items():
            setattr(contact, name, value)
        self.pop(phone)

    def _delete(self, phone: SystemState, contact: Contact) -> None:
        phone.contacts.remove(contact)
        self.pop(phone)


def _problem(drafts: dict[str, str]) -> tuple[str, str] | None:
    if not drafts["first"] and not drafts["last"]:
        return "first", "Enter a name"
    if not drafts["phone"]:
        return "phone", "Enter a phone number"
    if not set(drafts["phone"]) <= set("+0123456789 -()"):
        return "phone", "Use digits only"
    if drafts["email"] and "@" not in drafts["email"]:
        return "email", "An email address has an @"
    return None


def message_contact(phone: SystemState, number: str) -> None:
    """Opens Messages at the conversation with this number, starting one where there is none."""
    thread = next((t for t in phone.threads if t.number == number), None)
    if thread is None:
        thread = Thread(phone.new_id(), number)
        phone.threads.append(thread)
    thread.unread = False
    launch(phone, "messages", Page("thread", {"id": thread.id}, {"messages": END_DP}))
