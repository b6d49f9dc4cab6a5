"""Level 2: alarms, timers and deeper settings."""

from __future__ import annotations

import random

from distrl.device.sim.state import Alarm, SystemState, Timer
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import add_alarm, alarm_at, number, time_of_day, word
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.device.sim.words import ACCENTS, LANGUAGES, PERMISSIONS, WEEKDAYS, pool
from distrl.types import Split


class AddAlarm(Template):
    name = "clock.add_alarm"
    level = 2
    apps = ("clock",)
    instructions = (
        "Add an alarm at {hour}:{minute}.",
        "Set a new alarm for {hour}:{minute}.",
        "Wake me up at {hour}:{minute}: add an alarm.",
    )
    longest = 7

    def sample(self, rng: random.Random, split: Split) -> Params:
        return time_of_day(rng, split)

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        clear_time(state, params["hour"], params["minute"])

    def intend(self, state: SystemState, params: Params) -> None:
        state.alarms.append(Alarm(state.new_id(), int(params["hour"]), int(params["minute"])))

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from fill_alarm(hand, params["hour"], params["minute"])


def clear_time(state: SystemState, hour: str, minute: str) -> None:
    """Leaves no alarm at this time."""
    state.alarms = [alarm for alarm in state.alarms if (alarm.hour, alarm.minute) != (int(hour), int(minute))]


def fill_alarm(hand: Hand, hour: str, minute: str) -> Script:
    """From the list of alarms, adds one."""
    yield from hand.tap("Add alarm")
    yield from set_time(hand, hour, minute)


def set_time(hand: Hand, hour: str, minute: str) -> Script:
    """In the alarm form, types both numbers and saves."""
    yield from hand.type_into("Hour", hour)
    yield from hand.type_into("Minute", minute)
    yield from hand.tap("Save")


class AlarmTemplate(Template):
    """About one alarm of the list, at `hour`:`minute`."""

    level = 2
    apps = ("clock",)

    def sample(self, rng: random.Random, split: Split) -> Params:
        return time_of_day(rng, split)

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        add_alarm(state, params["hour"], params["minute"])


class DeleteAlarm(AlarmTemplate):
    name = "clock.delete_alarm"
    instructions = (
        "Delete the {hour}:{minute} alarm.",
        "Remove the alarm at {hour}:{minute}.",
        "I no longer need the alarm at {hour}:{minute}: delete it.",
    )
    longest = 4

    def intend(self, state: SystemState, params: Params) -> None:
        clear_time(state, params["hour"], params["minute"])

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap(f"{params['hour']}:{params['minute']}")
        yield from hand.tap("Delete alarm")
        yield from hand.tap("Delete")


class RepeatAlarm(AlarmTemplate):
    name = "clock.repeat_alarm"
    instructions = (
        "Repeat the {hour}:{minute} alarm on {day}.",
        "Make the alarm at {hour}:{minute} ring every {day}.",
        "The {hour}:{minute} alarm should repeat on {day}.",
    )
    longest = 4

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {**time_of_day(rng, split), "day": rng.choice(WEEKDAYS)}

    def intend(self, state: SystemState, params: Params) -> None:
        alarm = alarm_at(state, params["hour"], params["minute"])
        assert alarm is not None
        alarm.days = [WEEKDAYS.index(params["day"])]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap(f"{params['hour']}:{params['minute']}")
        yield from hand.tap(params["day"][:3])
        yield from hand.tap("Save")


class TypedTimer(Template):
    """A time for which there is no ready-made button."""

    name = "clock.timer"
    level = 2
    apps = ("clock",)
    instructions = (
        "Start a timer of {minutes} minutes.",
        "Set the timer to {minutes} minutes and start it.",
        "Let a timer run for {minutes} minutes.",
    )
    longest = 6

    def sample(self, rng: random.Random, split: Split) -> Params:
        minutes = number(rng, 2, 99, split)
        while minutes in {3, 5, 10, 15, 30}:
            minutes = number(rng, 2, 99, split)
        return {"minutes": minutes}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.timer = Timer()

    def intend(self, state: SystemState, params: Params) -> None:
        state.timer = Timer(60 * params["minutes"], running=True)

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap("Timer")
        yield from hand.type_into("Minutes", str(params["minutes"]))
        yield from hand.tap("Set")
        yield from hand.tap("Start")


class Accent(Template):
    """A colour out of unlabelled swatches."""

    name = "settings.accent"
    level = 1
    apps = ("settings",)
    instructions = (
        "Change the accent colour to {color}.",
        "Make {color} the accent colour of the phone.",
        "In the display settings, choose {color} as the accent colour.",
    )
    longest = 3
    needs_pixels = True
    closed_params = True

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"color": rng.choice(list(ACCENTS))}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.settings.accent = rng.choice([code for name, code in ACCENTS.items() if name != params["color"]])

    def intend(self, state: SystemState, params: Params) -> None:
        state.settings.accent = ACCENTS[params["color"]]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        yield from hand.tap("Display")
        yield from pick_swatch(hand, "accent_", ACCENTS[params["color"]])


def pick_swatch(hand: Hand, key: str, color: str) -> Script:
    """Taps the swatch of a row that looks like `color`, scrolling until the whole row shows."""
    for _ in range(4):
        if hand.keyed(key):
            break
        yield from hand.scroll("down")
    yield from hand.touch(hand.nearest_color(hand.keyed(key), color))


class Language(Template):
    name = "settings.language"
    level = 2
    apps = ("settings",)
    instructions = (
        "Change the language to {language}.",
        "In the system settings, set the language to {language}.",
        "The phone should speak {language}: change its language.",
    )
    longest = 4
    closed_params = True

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"language": rng.choice(LANGUAGES[1:])}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.settings.language = LANGUAGES[0]

    def intend(self, state: SystemState, params: Params) -> None:
        state.settings.language = params["language"]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        yield from hand.tap("System")
        yield from hand.tap("Language")
        yield from hand.tap(params["language"])


class Permission(Template):
    """Grants or takes one permission of one app."""

    name = "settings.permission"
    level = 2
    apps = ("settings",)
    instructions = (
        "{verb} the {permission} permission for {app} in the settings.",
        "In the app settings of {app}, {verb} {permission}.",
        "Open the permissions of {app} and {verb} {permission}.",
    )
    longest = 4
    closed_params = True
    _apps = ("Browser", "Clock", "Contacts", "Messages", "Shop")

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {
            "verb": rng.choice(["allow", "deny"]),
            "permission": rng.choice(PERMISSIONS),
            "app": rng.choice(self._apps),
        }

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        grant(state, params["app"].lower(), params["permission"], on=params["verb"] == "deny")

    def intend(self, state: SystemState, params: Params) -> None:
        grant(state, params["app"].lower(), params["permission"], on=params["verb"] == "allow")

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        yield from hand.tap("Apps")
        yield from hand.tap(params["app"])
        yield from hand.tap(params["permission"])


def grant(state: SystemState, package: str, permission: str, *, on: bool) -> None:
    """Gives an app a permission, or takes it away."""
    granted = {*state.settings.permissions.get(package, [])} - {permission}
    state.settings.permissions[package] = [
        name for name in PERMISSIONS if name in granted or (on and name == permission)
    ]


class DeviceName(Template):
    name = "settings.device_name"
    level = 2
    apps = ("settings",)
    instructions = (
        'Rename this phone to "{new}".',
        'In the system settings, change the device name to "{new}".',
        'Set the device name to "{new}".',
    )
    longest = 7

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"new": word(rng, "device_names", split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        names = [name for name in pool("device_names") if name != params["new"]]
        state.settings.device_name = rng.choice(names)

    def intend(self, state: SystemState, params: Params) -> None:
        state.settings.device_name = params["new"]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        yield from hand.tap("System")
        yield from hand.tap("Device name")
        yield from hand.tap("Clear device name")
        yield from hand.type_into("Device name", params["new"])
        yield from hand.tap("Save")


TEMPLATES: tuple[Template, ...] = (
    AddAlarm(),
    DeleteAlarm(),
    RepeatAlarm(),
    TypedTimer(),
    Accent(),
    Language(),
    Permission(),
    DeviceName(),
)
