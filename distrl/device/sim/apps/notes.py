"""Notes: coloured cards, folders, search, an editor."""

from __future__ import annotations

from functools import partial

from distrl.device.sim.app import App
from distrl.device.sim.apps.drafts import confirm, draft_field, matches, remember, search_field
from distrl.device.sim.state import Note, Page, SystemState
from distrl.device.sim.ui import (
    Dialog,
    Node,
    Screen,
    button,
    card,
    chip,
    column,
    icon,
    icon_button,
    radio,
    row,
    scroll,
    swatch,
    text,
)
from distrl.device.sim.words import NOTE_COLORS, rotated

_WHITE = NOTE_COLORS["white"]
_ON_NOTE = "#24262b"
"""Notes keep their pale colours in the dark theme, so their text stays dark."""


class NotesApp(App):
    package = "notes"
    label = "Notes"
    icon = "note"
    tint = "#e0a52b"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        return self._edit(phone, page) if page.name == "edit" else self._list(phone, page)

    def _list(self, phone: SystemState, page: Page) -> Screen:
        query, folder = page.args.get("query", ""), page.args.get("folder", "")
        notes = [n for n in phone.notes if matches(query, n.title, n.body) and folder in ("", n.folder)]
        notes.sort(key=lambda n: (not n.pinned, -n.id))
        header: list[Node] = [search_field(phone, page, "query", "Search notes")]
        if phone.note_folders:
            names = ["All", *phone.note_folders]
            header.append(
                row(
                    [
                        chip(
                            name,
                            selected=folder == ("" if name == "All" else name),
                            on_tap=remember(page, folder="" if name == "All" else name),
                            key=f"folder_{name}",
                        )
                        for name in names
                    ],
                    gap=6,
                )
            )
        return Screen(
            scroll(
                "notes",
                [self._card(phone, note) for note in notes] or [text("No notes found", color="muted")],
                gap=8,
                padding=12,
            ),
            title="Notes",
            header=column(header, gap=8),
            fab=icon_button("plus", "New note", on_tap=partial(self._start_edit, phone, None)),
        )

    def _card(self, phone: SystemState, note: Note) -> Node:
        heading: list[Node] = [text(note.title or "Untitled", size_sp=16, bold=True, color=_ON_NOTE, grow=1)]
        if note.pinned:
            heading.append(icon("pin", size=18, color=_ON_NOTE, description="Pinned"))
        children = [row(heading, gap=4)]
        if note.body:
            children.append(text(note.body, wrap=True, max_lines=2, color=_ON_NOTE))
        if note.folder:
            children.append(text(note.folder, size_sp=12, color="#5c606b"))
        node = card(children, on_tap=partial(self._start_edit, phone, note))
        node.background = note.color
        node.key = f"note_{note.id}"
        return node

    def _start_edit(self, phone: SystemState, note: Note | None) -> None:
        if note is None:
            folder = self.page(phone).args.get("folder", "")
            self.push(phone, "edit", color=_WHITE, pinned=False, folder=folder)
            phone.focus = "note_title"
        else:
            self.push(
                phone,
                "edit",
                id=note.id,
                title=note.title,
                body=note.body,
                color=note.color,
                pinned=note.pinned,
                folder=note.folder,
            )

    def _edit(self, phone: SystemState, page: Page) -> Screen:
        args = page.args
        color, pinned, folder = args.get("color", _WHITE), args.get("pinned", False), args.get("folder", "")
        palette = [
            swatch(code, selected=code == color, on_tap=remember(page, color=code), key=f"swatch_{number}")
            for number, code in enumerate(rotated(list(NOTE_COLORS.values()), phone.settings.wallpaper))
        ]
        title = draft_field(page, "title", "Title")
        title.key = "note_title"  # The title bar has the key `title`.
        body = [
            title,
            draft_field(page, "body", "Note", max_lines=6, height=150),
            *([text(args["error"], color="error", size_sp=13)] if args.get("error") else []),
            row(list(palette), gap=2),
            button(f"Folder: {folder or 'None'}", on_tap=remember(page, dialog="folder"), filled=False),
        ]
        note = _note(phone, page)
        actions = [
            icon_button(
                "pin",
                "Unpin" if pinned else "Pin",
                selected=pinned,
                on_tap=remember(page, pinned=not pinned),
            )
        ]
        if note is not None:
            actions.append(icon_button("trash", "Delete", on_tap=remember(page, dialog="delete")))
        actions.append(button("Save", on_tap=partial(self._save, phone, page)))
        return Screen(
            scroll("editor", body, gap=10, padding=16),
            title="Edit note" if note else "New note",
            back_arrow=True,
            actions=actions,
            dialog=self._dialog(phone, page, note),
        )

    def _dialog(self, phone: SystemState, page: Page, note: Note | None) -> Dialog | None:
        kind = page.args.get("dialog")
        if kind == "delete" and note is not None:
            return confirm(
                page,
                "Delete note?",
                f"{note.title or 'Untitled'} is lost.",
                "Delete",
                partial(self._delete, phone, note),
            )
        if kind == "folder":
            folders = [("None", ""), *((name, name) for name in phone.note_folders)]
            return Dialog(
                "Move to folder",
                content=[
                    radio(
                        name,
                        page.args.get("folder", "") == value,
                        on_tap=remember(page, folder=value, dialog=""),
                        key=f"folder_{name}",
                    )
                    for name, value in folders
                ],
                on_dismiss=remember(page, dialog=""),
                sheet=True,
            )
        return None

    def _save(self, phone: SystemState, page: Page) -> None:
        args = page.args
        title, body = args.get("title", "").strip(), args.get("body", "").strip()
        if not title and not body:
            args["error"] = "An empty note is not saved"
            return
        note = _note(phone, page)
        if note is None:
            note = Note(phone.new_id(), title)
            phone.notes.append(note)
        note.title, note.body, note.color = title, body, args.get("color", _WHITE)
        note.pinned, note.folder = args.get("pinned", False), args.get("folder", "")
        self.pop(phone)

    def _delete(self, phone: SystemState, note: Note) -> None:
        phone.notes.remove(note)
        self.pop(phone)


def _note(phone: SystemState, page: Page) -> Note | None:
    return next((n for n in phone.notes if n.id == page.args.get("id")), None)
