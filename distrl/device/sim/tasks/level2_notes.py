"""Level 2: notes, the app that training never opens."""

from __future__ import annotations

import random

from distrl.device.sim.state import Note, SystemState
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import HELD_OUT_APP, word
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.tasks.level2_forms import pick_swatch
from distrl.device.sim.words import NOTE_COLORS, pool
from distrl.types import Split


class NoteTemplate(Template):
    """About the note called `title`."""

    level = 2
    apps = (HELD_OUT_APP,)

    def sample(self, rng: random.Random, split: Split) -> Params:
        title, new = rng.sample(pool("note_titles", split), 2)
        return {
            "title": title,
            "new": new,
            "body": word(rng, "list_items", split),
            "color": rng.choice([name for name in NOTE_COLORS if name != "white"]),
        }

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        drop_notes(state, params)
        state.notes.append(Note(state.new_id(), params["title"], params["body"]))

    def note(self, state: SystemState, params: Params) -> Note:
        """The note that the instruction names."""
        return next(note for note in state.notes if note.title == params["title"])

    def open_note(self, hand: Hand, params: Params) -> Script:
        """Goes to the editor of the note that the instruction names."""
        yield from hand.open_app("notes")
        yield from hand.tap(params["title"])


def drop_notes(state: SystemState, params: Params) -> None:
    """Leaves no note with one of the titles that the task uses."""
    state.notes = [note for note in state.notes if note.title not in (params["title"], params["new"])]


class CreateNote(NoteTemplate):
    name = "notes.create"
    instructions = (
        'Create a note with the title "{title}" and the text "{body}".',
        'In Notes, write a new note: title "{title}", note "{body}".',
        'Add the note "{title}" with "{body}" in it.',
    )
    longest = 6

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        drop_notes(state, params)

    def intend(self, state: SystemState, params: Params) -> None:
        state.notes.append(Note(state.new_id(), params["title"], params["body"]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("notes")
        yield from hand.tap("New note")
        yield from hand.type_into("Title", params["title"])
        yield from hand.type_into("Note", params["body"])
        yield from hand.tap("Save")


class DeleteNote(NoteTemplate):
    name = "notes.delete"
    instructions = ('Delete the note "{title}".', 'Remove "{title}" from the notes.', 'In Notes, delete "{title}".')
    longest = 4

    def intend(self, state: SystemState, params: Params) -> None:
        state.notes.remove(self.note(state, params))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_note(hand, params)
        yield from hand.tap("Delete")
        yield from hand.tap("Delete", class_name="Button")


class PinNote(NoteTemplate):
    name = "notes.pin"
    instructions = ('Pin the note "{title}".', 'In Notes, pin "{title}".', 'Open the note "{title}", pin it and save.')
    longest = 4

    def intend(self, state: SystemState, params: Params) -> None:
        self.note(state, params).pinned = True

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_note(hand, params)
        yield from hand.tap("Pin")
        yield from hand.tap("Save")


class ColorNote(NoteTemplate):
    name = "notes.color"
    needs_pixels = True
    instructions = (
        'Make the note "{title}" {color}.',
        'Change the colour of the note "{title}" to {color}.',
        'In Notes, give "{title}" the colour {color}.',
    )
    longest = 4

    def intend(self, state: SystemState, params: Params) -> None:
        self.note(state, params).color = NOTE_COLORS[params["color"]]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_note(hand, params)
        yield from pick_swatch(hand, "swatch_", NOTE_COLORS[params["color"]])
        yield from hand.tap("Save")


TEMPLATES: tuple[Template, ...] = (CreateNote(), DeleteNote(), PinNote(), ColorNote())
