"""Alarms, a timer and a stopwatch. The phone's clock is frozen: an action moves it, or nothing does."""

from __future__ import annotations

from functools import partial

from distrl.device.sim.app import App
from distrl.device.sim.apps.drafts import confirm, draft_field, remember
from distrl.device.sim.state import Alarm, Page, SystemState
from distrl.device.sim.ui import (
    Node,
    Screen,
    button,
    card,
    chip,
    column,
    icon_button,
    row,
    scroll,
    spacer,
    switch,
    tabs,
    text,
)
from distrl.device.sim.words import WEEKDAYS

_TABS = [("Alarm", "alarm"), ("Timer", "timer"), ("Stopwatch", "stopwatch")]
_PRESETS_MIN = (1, 3, 5, 10, 15, 30)
_LAP_S = 7
"""Seconds that pass on the stopwatch with each tap of Lap or Stop: a frozen clock cannot tell them."""


class ClockApp(App):
    package = "clock"
    label = "Clock"
    icon = "clock"
    tint = "#5b4bb5"

    def view(self, phone: SystemState) -> Screen:
        page = self.page(phone)
        if page.name == "alarm":
            return self._edit(phone, page)
        tab = page.args.get("tab", "Alarm")
        bodies = {"Alarm": self._alarms, "Timer": self._timer, "Stopwatch": self._stopwatch}
        return Screen(
            bodies[tab](phone, page),
            title="Clock",
            header=tabs(_TABS, tab, on_select=partial(_select_tab, phone, page)),
            fab=icon_button("plus", "Add alarm", on_tap=partial(self._start_edit, phone, None))
            if tab == "Alarm"
            else None,
        )

    def _alarms(self, phone: SystemState, page: Page) -> Node:
        alarms = sorted(phone.alarms, key=lambda a: (a.hour, a.minute, a.id))
        items = [self._alarm_card(phone, alarm) for alarm in alarms]
        return scroll("alarms", items or [text("No alarms", color="muted")], gap=8, padding=12)

    def _alarm_card(self, phone: SystemState, alarm: Alarm) -> Node:
        time = phone.time_text(alarm.hour * 60 + alarm.minute)
        details = " · ".join(part for part in (alarm.label, days_text(alarm.days)) if part)
        toggle = switch("", alarm.on, on_tap=partial(setattr, alarm, "on", not alarm.on), key=f"alarm_{alarm.id}_on")
        lines = [
            text(time, size_sp=28, bold=True, color="on_surface" if alarm.on else "muted"),
            text(details, color="muted"),
        ]
        node = card(
            [row([column(lines, grow=1), _narrow(toggle, f"Alarm {time} on")])],
            padding=12,
            on_tap=partial(self._start_edit, phone, alarm),
        )
        node.key = f"alarm_{alarm.id}"
        return node

    def _start_edit(self, phone: SystemState, alarm: Alarm | None) -> None:
        if alarm is None:
            self.push(phone, "alarm", hour="07", minute="00", days=[])
        else:
            self.push(
                phone,
                "alarm",
                id=alarm.id,
                hour=f"{alarm.hour:02d}",
                minute=f"{alarm.minute:02d}",
                days=list(alarm.days),
                label=alarm.label,
            )

    def _edit(self, phone: SystemState, page: Page) -> Screen:
        save = partial(self._save, phone, page)
        days = page.args.get("days", [])
        chips = [
            chip(name[:3], selected=day in days, on_tap=partial(_toggle_day, page, day), key=f"day_{name.lower()}")
            for day, name in enumerate(WEEKDAYS)
        ]
        body: list[Node] = [
            text("Time (24-hour)", size_sp=13, color="muted"),
            row([_chooser(page, "hour", 24), text(":", size_sp=28), _chooser(page, "minute", 60)], gap=8),
            *([text(page.args["error"], color="error", size_sp=13)] if page.args.get("error") else []),
            text("Repeat on", size_sp=13, color="muted"),
            row(chips[:4], gap=6),
            row(chips[4:], gap=6),
            draft_field(page, "label", "Label", on_enter=save),
        ]
        alarm = next((a for a in phone.alarms if a.id == page.args.get("id")), None)
        actions = [button("Save", on_tap=save)]
        dialog = None
        if alarm is not None:
            actions.insert(0, icon_button("trash", "Delete alarm", on_tap=remember(page, dialog="delete")))
            if page.args.get("dialog") == "delete":
                dialog = confirm(
                    page, "Delete alarm?", "It will not ring again.", "Delete", partial(self._delete, phone, alarm)
                )
        return Screen(
            scroll("alarm_form", body, gap=10, padding=16),
            title="Edit alarm" if alarm else "New alarm",
            back_arrow=True,
            actions=actions,
            dialog=dialog,
        )

    def _save(self, phone: SystemState, page: Page) -> None:
        hour, minute = (whole_number(page.args.get(name, "")) for name in ("hour", "minute"))
        if hour is None or hour > 23:
            page.args["error"] = "The hour goes from 0 to 23"
            return
        if minute is None or minute > 59:
            page.args["error"] = "The minutes go from 0 to 59"
            return
        days, label = sorted(page.args.get("days", [])), page.args.get("label", "").strip()
        alarm = next((a for a in phone.alarms if a.id == page.args.get("id")), None)
        if alarm is None:
            phone.alarms.append(Alarm(phone.new_id(), hour, minute, on=True, days=days, label=label))
        else:
            alarm.hour, alarm.minute, alarm.days, alarm.label, alarm.on = hour, minute, days, label, True
        self.pop(phone)

    def _delete(self, phone: SystemState, alarm: Alarm) -> None:
        phone.alarms.remove(alarm)
        self.pop(phone)

    def _timer(self, phone: SystemState, page: Page) -> Node:
        timer = phone.timer
        minutes, seconds = divmod(timer.total_s, 60)
        presets = [
            chip(
                f"{preset} min",
                selected=timer.total_s == preset * 60,
                on_tap=partial(_set_timer, phone, preset * 60),
                key=f"preset_{preset}",
            )
            for preset in _PRESETS_MIN
        ]
        set_typed = partial(_set_typed_timer, phone, page)
        field = draft_field(page, "minutes", "Minutes", on_enter=set_typed)
        field.grow = 1
        body = [
            spacer(12),
            text(f"{minutes:02d}:{seconds:02d}", size_sp=52, align="center", key="timer_time"),
            text(
                "Running" if timer.running else "Paused" if timer.total_s else "Not set", color="muted", align="center"
            ),
            row(presets[:3], gap=8),
            row(presets[3:], gap=8),
            row([field, button("Set", on_tap=set_typed, filled=False)], gap=8),
            *([text(page.args["error"], color="error", size_sp=13)] if page.args.get("error") else []),
            row(
                [
                    button("Reset", on_tap=partial(_set_timer, phone, 0), filled=False, grow=1),
                    button(
                        "Pause" if timer.running else "Start",
                        on_tap=partial(setattr, timer, "running", not timer.running),
                        enabled=timer.total_s > 0,
                        grow=1,
                    ),
                ],
                gap=8,
            ),
        ]
        return column(body, gap=12, padding=16)

    def _stopwatch(self, phone: SystemState, page: Page) -> Node:
        watch = phone.stopwatch
        minutes, seconds = divmod(watch.elapsed_s, 60)
        second = "Lap" if watch.running else "Reset"
        laps = [text(f"Lap {number + 1}", size_sp=15, align="center") for number in range(watch.laps)]
        return column(
            [
                spacer(12),
                text(f"{minutes:02d}:{seconds:02d}", size_sp=52, align="center", key="stopwatch_time"),
                row(
                    [
                        button(second, on_tap=partial(_stopwatch_second, phone), filled=False, grow=1),
                        button("Stop" if watch.running else "Start", on_tap=partial(_stopwatch_start, phone), grow=1),
                    ],
                    gap=8,
                ),
                scroll("laps", laps[::-1] or [text("No laps", color="muted", align="center")], gap=8),
            ],
            gap=12,
            padding=16,
            grow=1,
        )


def _narrow(node: Node, description: str) -> Node:
    """A switch at the end of a row whose text stands at the start; described, as it has no text of its own."""
    node.width, node.description = 72, description
    return node


def _chooser(page: Page, name: str, modulus: int) -> Node:
    """A column of plus, a number field and minus."""
    value = whole_number(page.args.get(name, "")) or 0
    up, down = f"{(value + 1) % modulus:02d}", f"{(value - 1) % modulus:02d}"
    field = draft_field(page, name, name.capitalize())
    field.on_text = partial(_type_over, page, name)
    return column(
        [
            icon_button("plus", f"{name.capitalize()} up", on_tap=remember(page, error="", **{name: up})),
            field,
            icon_button("minus", f"{name.capitalize()} down", on_tap=remember(page, error="", **{name: down})),
        ],
        align="center",
        grow=1,
    )


def _type_over(page: Page, name: str, typed: str) -> None:
    """The first digits typed replace the number that stood there; later ones push the oldest out."""
    shown, typed_over = page.args.get(name, ""), page.args.setdefault("typed_over", [])
    if name not in typed_over:
        typed_over.append(name)
        typed = typed.removeprefix(shown)
    page.args[name] = typed[-2:]


def _select_tab(phone: SystemState, page: Page, tab: str) -> None:
    phone.focus = ""
    page.args["tab"] = tab


def _toggle_day(page: Page, day: int) -> None:
    days = page.args.setdefault("days", [])
    page.args["days"] = sorted(set(days) ^ {day})


def _set_timer(phone: SystemState, total_s: int) -> None:
    phone.timer.total_s, phone.timer.running = total_s, False


def _set_typed_timer(phone: SystemState, page: Page) -> None:
    minutes = whole_number(page.args.get("minutes", ""))
    if minutes is None or not 1 <= minutes <= 999:
        page.args["error"] = "Enter 1 to 999 minutes"
        return
    page.args.update(minutes="", error="")
    phone.focus = ""
    _set_timer(phone, minutes * 60)


def _stopwatch_start(phone: SystemState) -> None:
    watch = phone.stopwatch
    if watch.running:
        watch.elapsed_s += _LAP_S
    watch.running = not watch.running


def _stopwatch_second(phone: SystemState) -> None:
    watch = phone.stopwatch
    if watch.running:
        watch.laps += 1
        watch.elapsed_s += _LAP_S
    else:
        watch.laps = watch.elapsed_s = 0


def whole_number(content: str) -> int | None:
    """The number a field holds, e.g. 7 for ` 07 `; None for anything but one to four decimal digits."""
    content = content.strip()
    return int(content) if content.isascii() and content.isdigit() and len(content) <= 4 else None


def days_text(days: list[int]) -> str:
    """The weekdays an alarm repeats on, in words."""
    chosen = sorted(days)
    if not chosen:
        return "Once"
    if chosen == list(range(7)):
        return "Every day"
    if chosen == list(range(5)):
        return "Weekdays"
    if chosen == [5, 6]:
        return "Weekend"
    return ", ".join(WEEKDAYS[day][:3] for day in chosen)
