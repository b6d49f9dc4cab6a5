"""Level 1: switches, sliders, watches: a few taps on one or two screens."""

from __future__ import annotations

import random
from collections.abc import Sequence

from distrl.device.sim.state import Page, Stopwatch, SystemState, Timer
from distrl.device.sim.tasks.base import Params, Template
from distrl.device.sim.tasks.draws import add_alarm, alarm_at, time_of_day, top
from distrl.device.sim.tasks.hand import Hand, Script
from distrl.types import Split


class Toggle(Template):
    """Turns one switch of the settings on or off."""

    level = 1
    apps = ("settings",)
    longest = 3
    closed_params = True
    start_in_app = 0.5

    def __init__(self, name: str, field: str, section: str, label: str) -> None:
        self.name = f"settings.{name}"
        self._field, self._section, self._label = field, section, label
        said = label if label in ("Wi-Fi", "Bluetooth") else label.lower()
        self.instructions = (
            f"Turn {{word}} {said}.",
            f"Switch {said} {{word}}.",
            f"In the settings, turn {said} {{word}}.",
            f"Make sure that {said} is {{word}}.",
        )

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"word": rng.choice(["on", "off"])}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.settings.airplane = False  # It would disable the other radios.
        setattr(state.settings, self._field, params["word"] == "off")

    def intend(self, state: SystemState, params: Params) -> None:
        setattr(state.settings, self._field, params["word"] == "on")

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("settings")
        yield from hand.tap(self._section)
        yield from hand.tap(self._label)


class Slider(Template):
    """Sets a slider to its middle: where a touch on the element itself lands."""

    name = "settings.slider"
    level = 1
    apps = ("settings",)
    instructions = (
        "Set the {label} to half.",
        "Put {label} at 50 percent.",
        "Move the {label} slider to the middle.",
        "Make the {label} half of the maximum.",
    )
    longest = 3
    closed_params = True
    start_in_app = 0.5
    _sliders = {
        "brightness": ("Display", "Brightness", "brightness"),
        "media volume": ("Sound", "Media volume", "volume_media"),
        "ring volume": ("Sound", "Ring volume", "volume_ring"),
        "alarm volume": ("Sound", "Alarm volume", "volume_alarm"),
    }

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"label": rng.choice(list(self._sliders))}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        setattr(state.settings, self._sliders[params["label"]][2], rng.choice([0.0, 0.1, 0.2, 0.8, 0.9, 1.0]))

    def intend(self, state: SystemState, params: Params) -> None:
        setattr(state.settings, self._sliders[params["label"]][2], 0.5)

    def oracle(self, hand: Hand, params: Params) -> Script:
        section, label, _ = self._sliders[params["label"]]
        yield from hand.open_app("settings")
        yield from hand.tap(section)
        yield from hand.tap(label, class_name="SeekBar")


class StartStopwatch(Template):
    name = "clock.start_stopwatch"
    level = 1
    apps = ("clock",)
    instructions = ("Start the stopwatch.", "Run the stopwatch.", "In the clock, start the stopwatch.")
    longest = 3
    closed_params = True
    start_in_app = 0.5

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.stopwatch = Stopwatch()

    def intend(self, state: SystemState, params: Params) -> None:
        state.stopwatch.running = True

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap("Stopwatch")
        yield from hand.tap("Start")


class StopStopwatch(Template):
    name = "clock.stop_stopwatch"
    level = 1
    apps = ("clock",)
    instructions = ("Stop the stopwatch.", "The stopwatch is running: stop it.", "In the clock, stop the stopwatch.")
    longest = 3
    closed_params = True
    start_in_app = 0.5

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.stopwatch = Stopwatch(running=True, elapsed_s=rng.randrange(5, 300))

    def intend(self, state: SystemState, params: Params) -> None:
        state.stopwatch.running = False

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap("Stopwatch")
        yield from hand.tap("Stop")


class ClockTab(Template):
    """Opens one of the clock's pages."""

    name = "clock.open_tab"
    level = 1
    apps = ("clock",)
    instructions = (
        "Open the {tab} page of the clock.",
        "Show the {tab} in the clock app.",
        "Go to the clock's {tab} page.",
    )
    longest = 2
    closed_params = True
    start_in_app = 0.5
    _tabs: Sequence[str] = ("Alarm", "Timer", "Stopwatch")

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"tab": rng.choice(self._tabs).lower()}

    def place(self, state: SystemState, params: Params, rng: random.Random) -> None:
        others = [tab for tab in self._tabs if tab.lower() != params["tab"]]
        state.stacks["clock"] = [Page("home", {"tab": rng.choice(others)})]

    def arrived(self, state: SystemState, params: Params) -> bool:
        page = top(state, "clock")
        return state.app == "clock" and page is not None and page.args.get("tab", "Alarm").lower() == params["tab"]

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap(params["tab"].capitalize())


class PresetTimer(Template):
    """Starts the timer with one of the ready-made times."""

    name = "clock.preset_timer"
    level = 1
    apps = ("clock",)
    instructions = (
        "Start a timer of {minutes} min.",
        "Set the timer to {minutes} min and start it.",
        "Run a {minutes} min timer.",
    )
    longest = 4
    closed_params = True
    start_in_app = 0.5

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"minutes": rng.choice([1, 3, 5, 10, 15, 30])}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        state.timer = Timer()

    def intend(self, state: SystemState, params: Params) -> None:
        state.timer = Timer(60 * params["minutes"], running=True)

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap("Timer")
        yield from hand.tap(f"{params['minutes']} min")
        yield from hand.tap("Start")


class SwitchAlarm(Template):
    """Turns one alarm of the list on or off."""

    name = "clock.switch_alarm"
    level = 1
    apps = ("clock",)
    instructions = (
        "Turn {word} the {hour}:{minute} alarm.",
        "Switch the alarm at {hour}:{minute} {word}.",
        "The alarm set for {hour}:{minute} should be {word}.",
    )
    longest = 2
    start_in_app = 0.5

    def sample(self, rng: random.Random, split: Split) -> Params:
        return {"word": rng.choice(["on", "off"]), **time_of_day(rng, split)}

    def set_up(self, state: SystemState, params: Params, rng: random.Random) -> None:
        add_alarm(state, params["hour"], params["minute"], on=params["word"] == "off")

    def intend(self, state: SystemState, params: Params) -> None:
        alarm = alarm_at(state, params["hour"], params["minute"])
        assert alarm is not None
        alarm.on = params["word"] == "on"

    def oracle(self, hand: Hand, params: Params) -> Script:
        yield from hand.open_app("clock")
        yield from hand.tap(f"Alarm {params['hour']}:{params['minute']} on")


TEMPLATES: tuple[Template, ...] = (
    Toggle("wifi", "wifi", "Network", "Wi-Fi"),
    Toggle("bluetooth", "bluetooth", "Network", "Bluetooth"),
    Toggle("dark_theme", "dark_theme", "Display", "Dark theme"),
    Toggle("do_not_disturb", "do_not_disturb", "Sound", "Do not disturb"),
    Toggle("battery_saver", "battery_saver", "Battery", "Battery saver"),
    Toggle("auto_rotate", "auto_rotate", "Display", "Auto-rotate"),
    Slider(),
    StartStopwatch(),
    StopStopwatch(),
    ClockTab(),
    PresetTimer(),
    SwitchAlarm(),
)
