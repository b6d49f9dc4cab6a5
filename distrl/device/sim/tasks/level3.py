"""Level 3: several apps, or several things at once, or one thing under a condition."""

from __future__ import annotations

import random

from distrl.device.sim.state import Alarm, Contact, SystemState
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import (
    add_alarm,
    add_contact,
    add_namesakes,
    drop_contact,
    go_online,
    person,
    receive,
    short_text,
    split_of,
    time_of_day,
    word,
)
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.tasks.level2 import PersonTemplate, answer, fill_contact, say, write_to
from distrl.device.sim.tasks.level2_forms import clear_time, fill_alarm
from distrl.types import Split


class SendAfterAirplane(PersonTemplate):
    """A message written in airplane mode would stay unsent."""

    name = "messages.after_airplane"
    level = 3
    apps = ("settings", "messages")
    instructions = (
        'Turn off airplane mode, then text {first} {last}: "{text}".',
        'Switch airplane mode off and send {first} {last} the message "{text}".',
        'Airplane mode is on. Turn it off and write "{text}" to {first} {last}.',
    )
    longest = 11

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {**person(rng, split), "text": short_text(rng, "message_texts", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        super().set_up(state, params, rng)
        state.settings.airplane, state.settings.wifi = True, True

    def intend(self, state: SystemState, params: Params) -> None:
        state.settings.airplane = False
        say(state, params["phone"], params["text"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        yield from hand.tap("Network")
        yield from hand.tap("Airplane mode")
        yield from hand.open_app("messages")
        yield from write_to(hand, params["first"], params["last"], params["text"])


class AddAndText(Template):
    """The new contact's page leads on to the conversation."""

    name = "contacts.add_and_text"
    level = 3
    apps = ("contacts", "messages")
    instructions = (
        'Add the contact {first} {last}, phone {phone}, and text them "{text}".',
        'Create the contact {first} {last} with the phone number {phone}, then send the message "{text}" to them.',
        'Save {first} {last}, phone {phone}, as a contact and message them "{text}".',
    )
    longest = 12

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {**person(rng, split), "text": short_text(rng, "message_texts", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        drop_contact(state, params["first"], params["last"], params["phone"])
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        state.contacts.append(Contact(state.new_id(), params["first"], params["last"], params["phone"]))
        say(state, params["phone"], params["text"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("contacts")
        yield from fill_contact(hand, params)
        yield from hand.tap("Message")
        yield from answer(hand, params["text"])


class TellTwo(Template):
    """The same words to two people."""

    name = "messages.tell_two"
    level = 3
    apps = ("messages",)
    instructions = (
        'Send "{text}" to {first} {last} and to {other_first} {other_last}.',
        'Text {first} {last} and {other_first} {other_last}: "{text}".',
        'Tell both {first} {last} and {other_first} {other_last} "{text}".',
    )
    longest = 15

    def sample(self, rng: random.Random, split: Split) -> Params:
        one, two = person(rng, split), person(rng, split, "other_")
        while len({one["first"], two["other_first"]}) < 2 or one["phone"] == two["other_phone"]:
            two = person(rng, split, "other_")
        return {**one, **two, "text": short_text(rng, "message_texts", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        add_contact(state, params["first"], params["last"], params["phone"])
        add_contact(state, params["other_first"], params["other_last"], params["other_phone"])
        add_namesakes(state, params["first"], params["last"], rng, split_of(params))
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        say(state, params["phone"], params["text"])
        say(state, params["other_phone"], params["text"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("messages")
        yield from write_to(hand, params["first"], params["last"], params["text"])
        yield from hand.leave_to("New message")
        yield from write_to(hand, params["other_first"], params["other_last"], params["text"])


class TwoSwitches(Template):
    """Two switches on different pages, and nothing else."""

    name = "settings.two_switches"
    level = 3
    apps = ("settings",)
    instructions = (
        "Turn {one_word} {one} and turn {two_word} {two}.",
        "Switch {one} {one_word} and {two} {two_word}.",
        "In the settings, turn {one} {one_word}, then turn {two} {two_word}.",
    )
    longest = 6
    closed_params = True
    _switches = {
        "Wi-Fi": ("Network", "Wi-Fi", "wifi"),
        "Bluetooth": ("Network", "Bluetooth", "bluetooth"),
        "dark theme": ("Display", "Dark theme", "dark_theme"),
        "do not disturb": ("Sound", "Do not disturb", "do_not_disturb"),
        "battery saver": ("Battery", "Battery saver", "battery_saver"),
    }

    def sample(self, rng: random.Random, split: Split) -> Params:
        one, two = rng.sample(list(self._switches), 2)
        while self._switches[one][0] == self._switches[two][0]:
            one, two = rng.sample(list(self._switches), 2)
        return {
            "one": one,
            "one_word": rng.choice(["on", "off"]),
            "two": two,
            "two_word": rng.choice(["on", "off"]),
        }

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.settings.airplane = False
        self._set(state, params, inverted=True)

    def intend(self, state: SystemState, params: Params) -> None:
        self._set(state, params, inverted=False)

    def _set(self, state: SystemState, params: Params, *, inverted: bool) -> None:
        for which in ("one", "two"):
            on = (params[f"{which}_word"] == "on") is not inverted
            setattr(state.settings, self._switches[params[which]][2], on)

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        for which in ("one", "two"):
            section, label, _ = self._switches[params[which]]
            yield from hand.leave_to(section)
            yield from hand.tap(section)
            yield from hand.tap(label)


class MoveAlarm(Template):
    """Edits the alarm's time; deleting it and adding another would lose what else it holds."""

    name = "clock.move_alarm"
    level = 3
    apps = ("clock",)
    instructions = (
        "Move the {old_hour}:{old_minute} alarm to {hour}:{minute}.",
        "Change the alarm at {old_hour}:{old_minute} so that it rings at {hour}:{minute}.",
        "The {old_hour}:{old_minute} alarm should ring at {hour}:{minute} instead.",
    )
    longest = 7

    def sample(self, rng: random.Random, split: Split) -> Params:
        new, old = time_of_day(rng, split), time_of_day(rng, split)
        while new == old:
            old = time_of_day(rng, split)
        return {**new, "old_hour": old["hour"], "old_minute": old["minute"]}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        clear_time(state, params["hour"], params["minute"])
        add_alarm(state, params["old_hour"], params["old_minute"])

    def intend(self, state: SystemState, params: Params) -> None:
        alarm = next(
            alarm
            for alarm in state.alarms
            if (alarm.hour, alarm.minute) == (int(params["old_hour"]), int(params["old_minute"]))
        )
        alarm.hour, alarm.minute = int(params["hour"]), int(params["minute"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap(f"{params['old_hour']}:{params['old_minute']}")
        if params["hour"] != params["old_hour"]:
            yield from hand.type_into("Hour", params["hour"])
        if params["minute"] != params["old_minute"]:
            yield from hand.type_into("Minute", params["minute"])
        yield from hand.tap("Save")


class AlarmAndText(PersonTemplate):
    name = "clock.alarm_and_text"
    level = 3
    apps = ("clock", "messages")
    instructions = (
        'Set an alarm for {hour}:{minute} and text {first} {last} "{text}".',
        'Add a {hour}:{minute} alarm, then send {first} {last} the message "{text}".',
        'Write "{text}" to {first} {last} and add an alarm at {hour}:{minute}.',
    )
    longest = 15

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {**person(rng, split), **time_of_day(rng, split), "text": short_text(rng, "message_texts", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        super().set_up(state, params, rng)
        clear_time(state, params["hour"], params["minute"])
        go_online(state)

    def intend(self, state: SystemState, params: Params) -> None:
        state.alarms.append(Alarm(state.new_id(), int(params["hour"]), int(params["minute"])))
        say(state, params["phone"], params["text"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from fill_alarm(hand, params["hour"], params["minute"])
        yield from hand.open_app("messages")
        yield from write_to(hand, params["first"], params["last"], params["text"])


class SaveSender(Template):
    """The number stands only in the conversation; the form that opens there already holds it."""

    name = "messages.save_sender"
    level = 3
    apps = ("messages", "contacts")
    instructions = (
        'Save the unknown number that wrote "{received}" as the contact {first} {last}.',
        'An unknown number wrote "{received}". Add it to the contacts as {first} {last}.',
        'Make a contact {first} {last} from the number that sent "{received}".',
    )
    longest = 8

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {**person(rng, split), "received": word(rng, "message_texts", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        drop_contact(state, params["first"], params["last"], params["phone"])
        for thread in state.threads:  # The message must tell one conversation from the others.
            thread.messages = [message for message in thread.messages if message.text != params["received"]]
        receive(state, params["phone"], params["received"], rng)

    def intend(self, state: SystemState, params: Params) -> None:
        state.contacts.append(Contact(state.new_id(), params["first"], params["last"], params["phone"]))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("messages")
        yield from hand.tap(params["received"], part=True)
        yield from hand.tap("Add contact")
        yield from hand.type_into("First name", params["first"])
        yield from hand.type_into("Last name", params["last"])
        yield from hand.tap("Save")


TEMPLATES: tuple[Template, ...] = (
    SendAfterAirplane(),
    AddAndText(),
    TellTwo(),
    TwoSwitches(),
    MoveAlarm(),
    AlarmAndText(),
    SaveSender(),
)
