"""Level 2: people and their messages, whole forms and lists, one app at a time."""

from __future__ import annotations

import random

from distrl.device.sim.state import Contact, Message, SystemState
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import (
    add_contact,
    add_namesakes,
    contact_named,
    drop_contact,
    go_online,
    person,
    phone_number,
    receive,
    short_text,
    split_of,
    thread_with,
    word,
)
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.words import pool
from distrl.types import Split


class PersonTemplate(Template):
    """About a contact who has namesakes: `first`, `last`, `phone`."""

    level = 2

    def sample(self, rng: random.Random, split: Split) -> Params:
        return person(rng, split)

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        add_contact(state, params["first"], params["last"], params["phone"])
        add_namesakes(state, params["first"], params["last"], rng, split_of(params))

    def open_contact(self, hand: Hand, params: Params) -> Script:
        """Goes to the page of the contact that the instruction names."""
        yield from hand.open_app("contacts")
        yield from hand.tap(f"{params['first']} {params['last']}")


class AddContact(Template):
    name = "contacts.add"
    level = 2
    apps = ("contacts",)
    instructions = (
        "Add a contact: first name {first}, last name {last}, phone {phone}.",
        "Create the contact {first} {last} with the phone number {phone}.",
        "Save {first} {last}, phone {phone}, as a new contact.",
    )
    longest = 8

    def sample(self, rng: random.Random, split: Split) -> Params:
        return person(rng, split)

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        drop_contact(state, params["first"], params["last"], params["phone"])

    def intend(self, state: SystemState, params: Params) -> None:
        state.contacts.append(Contact(state.new_id(), params["first"], params["last"], params["phone"]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("contacts")
        yield from fill_contact(hand, params)


def fill_contact(hand: Hand, params: Params) -> Script:
    """From the list of contacts, adds the person of the parameters."""
    yield from hand.tap("New contact")
    yield from hand.type_into("First name", params["first"])
    yield from hand.type_into("Last name", params["last"])
    yield from hand.type_into("Phone", params["phone"])
    yield from hand.tap("Save")


class ChangePhone(PersonTemplate):
    name = "contacts.change_phone"
    apps = ("contacts",)
    instructions = (
        "Change the phone number of {first} {last} to {new}.",
        "{first} {last} has a new phone number: {new}. Update the contact.",
        "Edit the contact {first} {last}: the phone is now {new}.",
    )
    longest = 9

    def sample(self, rng: random.Random, split: Split) -> Params:
        params = person(rng, split)
        new = phone_number(rng, split)
        while new == params["phone"]:
            new = phone_number(rng, split)
        return {**params, "new": new}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        drop_contact(state, "", "", params["new"])
        super().set_up(state, params, rng)

    def intend(self, state: SystemState, params: Params) -> None:
        contact_named(state, params["first"], params["last"]).phone = params["new"]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_contact(hand, params)
        yield from hand.tap("Edit")
        yield from hand.tap("Clear phone")
        yield from hand.type_into("Phone", params["new"])
        yield from hand.tap("Save")


class SetEmail(PersonTemplate):
    name = "contacts.set_email"
    apps = ("contacts",)
    instructions = (
        'Add the email "{email}" to the contact {first} {last}.',
        'Edit {first} {last}: the email is "{email}".',
        'The contact {first} {last} needs the email "{email}".',
    )
    longest = 8

    def sample(self, rng: random.Random, split: Split) -> Params:
        params = person(rng, split)
        return {**params, "email": f"{params['first'].lower()}@{word(rng, 'email_domains', split)}"}

    def intend(self, state: SystemState, params: Params) -> None:
        contact_named(state, params["first"], params["last"]).email = params["email"]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_contact(hand, params)
        yield from hand.tap("Edit")
        yield from hand.type_into("Email", params["email"])
        yield from hand.tap("Save")


class DeleteContact(PersonTemplate):
    name = "contacts.delete"
    apps = ("contacts",)
    instructions = (
        "Delete the contact {first} {last}.",
        "Remove {first} {last} from the contacts.",
        "{first} {last} should no longer be a contact: delete the entry.",
    )
    longest = 6

    def intend(self, state: SystemState, params: Params) -> None:
        state.contacts.remove(contact_named(state, params["first"], params["last"]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_contact(hand, params)
        yield from hand.tap("Delete")
        yield from hand.tap("Delete", class_name="Button")


class StarContact(PersonTemplate):
    name = "contacts.star"
    level = 1
    apps = ("contacts",)
    instructions = (
        "Add a star to the contact {first} {last}.",
        "Star {first} {last} in the contacts.",
        "Give the contact {first} {last} a star.",
    )
    longest = 5

    def intend(self, state: SystemState, params: Params) -> None:
        contact_named(state, params["first"], params["last"]).starred = True

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_contact(hand, params)
        yield from hand.tap("Add star")


class SendMessage(PersonTemplate):
    """A new message to a contact; texts wait for a network, so the phone is online."""

    name = "messages.send"
    apps = ("messages",)
    instructions = (
        'Send the message "{text}" to {first} {last}.',
        'Text {first} {last}: "{text}".',
        'Write a new message to {first} {last} that says "{text}".',
    )
    longest = 7

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {**person(rng, split), "text": short_text(rng, "message_texts", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        super().set_up(state, params, rng)
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        say(state, params["phone"], params["text"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("messages")
        yield from write_to(hand, params["first"], params["last"], params["text"])


def say(state: SystemState, phone: str, text: str) -> None:
    """The owner's message `text` to a number, sent."""
    thread_with(state, phone).messages.append(Message("", text, state.clock_minute))


def write_to(hand: Hand, first: str, last: str, text: str) -> Script:
    """From the list of conversations, writes a new message to a contact and sends it."""
    yield from hand.tap("New message")
    yield from hand.type_into("Name or number", f"{first} {last}")
    yield from hand.tap(f"{first} {last}")
    yield from answer(hand, text)


def answer(hand: Hand, text: str) -> Script:
    """Inside a conversation, writes and sends."""
    yield from hand.type_into("Text message", text)
    yield from hand.tap("Send")


class ConversationTemplate(PersonTemplate):
    """About the conversation with a contact, who has just written `received`."""

    apps = ("messages",)

    def sample(self, rng: random.Random, split: Split) -> Params:
        text = short_text(rng, "message_texts", split)
        received = rng.choice([other for other in pool("message_texts", split) if other != text])
        return {**person(rng, split), "received": received, "text": text}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        super().set_up(state, params, rng)
        receive(state, params["phone"], params["received"], rng)
        go_online(state)

    def open_thread(self, hand: Hand, params: Params, *, long: bool = False) -> Script:
        """Goes to the conversation that the instruction names, or opens its menu."""
        yield from hand.open_app("messages")
        yield from hand.tap(f"{params['first']} {params['last']}", long=long)


class Reply(ConversationTemplate):
    name = "messages.reply"
    instructions = (
        'Reply "{text}" to the message from {first} {last}.',
        '{first} {last} wrote to you. Answer "{text}".',
        'Open the conversation with {first} {last} and reply "{text}".',
    )
    longest = 5

    def intend(self, state: SystemState, params: Params) -> None:
        say(state, params["phone"], params["text"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_thread(hand, params)
        yield from answer(hand, params["text"])


class DeleteThread(ConversationTemplate):
    name = "messages.delete"
    instructions = (
        "Delete the conversation with {first} {last}.",
        "Remove all messages with {first} {last}: delete the conversation.",
        "In the messages, delete the conversation with {first} {last}.",
    )
    longest = 4

    def intend(self, state: SystemState, params: Params) -> None:
        state.threads.remove(thread_with(state, params["phone"]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_thread(hand, params, long=True)
        yield from hand.tap("Delete")
        yield from hand.tap("Delete", class_name="Button")


class MuteThread(ConversationTemplate):
    name = "messages.mute"
    level = 1
    instructions = (
        "Mute the conversation with {first} {last}.",
        "In the messages, mute {first} {last}.",
        "Mute the messages from {first} {last}.",
    )
    longest = 3

    def intend(self, state: SystemState, params: Params) -> None:
        thread_with(state, params["phone"]).muted = True

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from self.open_thread(hand, params, long=True)
        yield from hand.tap("Mute")


TEMPLATES: tuple[Template, ...] = (
    AddContact(),
    ChangePhone(),
    SetEmail(),
    DeleteContact(),
    StarContact(),
    SendMessage(),
    Reply(),
    DeleteThread(),
    MuteThread(),
)
