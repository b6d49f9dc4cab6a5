"""What tasks are drawn from and put into a world: people, numbers, times, with parts that training never sees."""

from __future__ import annotations

import random

from distrl.device.sim.state import Alarm, Contact, Message, Page, SystemState, Thread
from distrl.device.sim.words import pool
from distrl.types import Split

HELD_OUT_APP = "notes"
"""Never opened in training; its tasks need what other apps teach: forms, swatches, deleting, long lists."""


def word(rng: random.Random, name: str, split: Split) -> str:
    """One word of a pool."""
    return rng.choice(pool(name, split))


def short_text(rng: random.Random, name: str, split: Split) -> str:
    """A text of a pool that has at most four words, for tasks in which it is typed."""
    return rng.choice([text for text in pool(name, split) if len(text.split()) <= 4])


def person(rng: random.Random, split: Split, prefix: str = "") -> dict[str, str]:
    """A first name, a last name and a phone number, under keys that start with `prefix`."""
    return {
        f"{prefix}first": word(rng, "first_names", split),
        f"{prefix}last": word(rng, "last_names", split),
        f"{prefix}phone": phone_number(rng, split),
    }


def phone_number(rng: random.Random, split: Split) -> str:
    """Seven digits; the last is 0 or 5 exactly for held-out parameters."""
    last = rng.choice("05" if split == "held_out_params" else "12346789")
    return f"555{rng.randrange(1000):03d}{last}"


def number(rng: random.Random, low: int, high: int, split: Split) -> int:
    """A whole number from `low` to `high`; those that leave 3 when divided by 5 belong to held-out parameters."""
    held_out = split == "held_out_params"
    return rng.choice([value for value in range(low, high + 1) if (value % 5 == 3) == held_out])


def time_of_day(rng: random.Random, split: Split) -> dict[str, str]:
    """An hour and a minute in whole five minutes, two digits each."""
    hour, minute = divmod(5 * number(rng, 0, 24 * 12 - 1, split), 60)
    return {"hour": f"{hour:02d}", "minute": f"{minute:02d}"}


def top(state: SystemState, package: str) -> Page | None:
    """The page on top of an app's back stack, or None when the app was never opened."""
    stack = state.stacks.get(package)
    return stack[-1] if stack else None


def add_contact(state: SystemState, first: str, last: str, phone: str) -> Contact:
    """Puts a person into the contacts, in place of any with the same name or number."""
    drop_contact(state, first, last, phone)
    contact = Contact(state.new_id(), first, last, phone)
    state.contacts.append(contact)
    return contact


def drop_contact(state: SystemState, first: str, last: str, phone: str) -> None:
    """Takes whoever has this name or number out of contacts and conversations."""
    name = f"{first} {last}"
    numbers = {phone, *(contact.phone for contact in state.contacts if contact.name == name)}
    state.contacts = [contact for contact in state.contacts if contact.phone not in numbers]
    state.threads = [thread for thread in state.threads if thread.number not in numbers]


def add_namesakes(state: SystemState, first: str, last: str, rng: random.Random, split: Split) -> None:
    """Adds one person with the same first name and one with the same last name, so that half a name is not enough."""
    taken = {contact.name for contact in state.contacts}
    others = [(first, other) for other in pool("last_names", split) if other != last]
    likes = [(other, last) for other in pool("first_names", split) if other != first]
    for candidates in (others, likes):
        free = [(one, two) for one, two in candidates if f"{one} {two}" not in taken]
        one, two = rng.choice(free)
        numbers = {contact.phone for contact in state.contacts} | {thread.number for thread in state.threads}
        phone = phone_number(rng, split)
        while phone in numbers:
            phone = phone_number(rng, split)
        state.contacts.append(Contact(state.new_id(), one, two, phone))


def contact_named(state: SystemState, first: str, last: str) -> Contact:
    """The contact with exactly this name; set-up has made sure that there is one."""
    return next(contact for contact in state.contacts if (contact.first, contact.last) == (first, last))


def thread_with(state: SystemState, phone: str) -> Thread:
    """The conversation with a number, started where there is none."""
    for thread in state.threads:
        if thread.number == phone:
            return thread
    thread = Thread(state.new_id(), phone)
    state.threads.append(thread)
    return thread


def add_alarm(state: SystemState, hour: str, minute: str, *, on: bool = True, label: str = "") -> Alarm:
    """Puts an alarm into the list, in place of any at the same time."""
    state.alarms = [alarm for alarm in state.alarms if (alarm.hour, alarm.minute) != (int(hour), int(minute))]
    alarm = Alarm(state.new_id(), int(hour), int(minute), on=on, label=label)
    state.alarms.append(alarm)
    state.settings.time_format_24h = True  # Instructions name times this way.
    return alarm


def alarm_at(state: SystemState, hour: str, minute: str) -> Alarm | None:
    """The alarm at this time, or None."""
    return next((alarm for alarm in state.alarms if (alarm.hour, alarm.minute) == (int(hour), int(minute))), None)


def split_of(params: dict[str, str]) -> Split:
    """The split whose words a drawn person is made of."""
    return "held_out_params" if params["first"] in pool("first_names", "held_out_params") else "train"


def go_online(state: SystemState) -> None:
    """Makes sure that messages go out."""
    state.settings.airplane, state.settings.wifi = False, True


def receive(state: SystemState, phone: str, text: str, rng: random.Random) -> None:
    """Lets a message from this number come in earlier today."""
    thread = thread_with(state, phone)
    thread.messages.append(Message(phone, text, state.clock_minute - rng.randrange(1, 300)))
    thread.unread = True
