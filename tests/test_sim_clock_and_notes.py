"""Clock and notes: driven through their views, checked on the state they leave."""

from __future__ import annotations

import pytest
from sim_driver import HARD_TEXT, Driver, small_state

from distrl.device.sim.apps.clock import days_text, whole_number
from distrl.device.sim.state import Note, SystemState, dump, load
from distrl.device.sim.words import NOTE_COLORS


@pytest.fixture
def state() -> SystemState:
    return small_state()


# --- clock ---


def test_an_alarm_is_added_with_time_days_and_label(state):
    driver = Driver(state, "clock")
    driver.tap("Add alarm")
    driver.type("hour", "6")
    driver.type("minute", "05")
    driver.tap("Minute up")
    driver.tap("Mon")
    driver.tap("Sun")
    driver.tap("Tue")
    driver.tap("Tue")
    driver.type("Label", "Run")
    assert len(state.alarms) == 1
    driver.tap("Save")
    alarm = state.alarms[-1]
    assert (alarm.hour, alarm.minute, alarm.days, alarm.label, alarm.on) == (6, 6, [0, 6], "Run", True)
    assert driver.sees("06:06")


def test_choosers_wrap_around(state):
    driver = Driver(state, "clock")
    driver.tap("Add alarm")
    driver.tap("Minute down")
    driver.type("hour", "23")
    driver.tap("Hour up")
    driver.tap("Save")
    assert (state.alarms[-1].hour, state.alarms[-1].minute) == (0, 59)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("hour", "24", "The hour goes from 0 to 23"),
        ("hour", "", "The hour goes from 0 to 23"),
        ("minute", "60", "The minutes go from 0 to 59"),
        ("minute", "1a", "The minutes go from 0 to 59"),
    ],
)
def test_impossible_alarm_times_are_refused(state, name, content, error):
    driver = Driver(state, "clock")
    driver.tap("Add alarm")
    driver.type(name, content)
    driver.tap("Save")
    assert driver.sees(error)
    assert len(state.alarms) == 1


def test_an_alarm_is_switched_edited_and_deleted(state):
    driver = Driver(state, "clock")
    driver.tap("Alarm 07:30 on")
    assert state.alarms[0].on
    driver.tap("Alarm 07:30 on")
    assert not state.alarms[0].on
    driver.tap("07:30")
    driver.type("minute", "45")
    driver.tap("Save")
    assert (state.alarms[0].id, state.alarms[0].minute, state.alarms[0].label) == (20, 45, "Work")
    driver.tap("07:45")
    driver.tap("Delete alarm")
    driver.tap("Cancel")
    driver.tap("Delete alarm")
    driver.tap("Delete")
    assert state.alarms == []


def test_the_timer_takes_presets_and_minutes(state):
    driver = Driver(state, "clock")
    driver.tap("Timer")
    assert not driver.find("Start").enabled
    driver.tap("10 min")
    driver.tap("Start")
    assert (state.timer.total_s, state.timer.running) == (600, True)
    driver.tap("Pause")
    assert not state.timer.running
    driver.type("minutes", "1000")
    driver.tap("Set")
    assert driver.sees("Enter 1 to 999 minutes")
    driver.type("minutes", "42")
    driver.enter("minutes")
    assert state.timer.total_s == 42 * 60
    driver.tap("Reset")
    assert (state.timer.total_s, state.timer.running) == (0, False)


def test_the_stopwatch_starts_laps_stops_and_resets(state):
    driver = Driver(state, "clock")
    driver.tap("Stopwatch")
    driver.tap("Start")
    driver.tap("Lap")
    driver.tap("Lap")
    driver.tap("Stop")
    assert (state.stopwatch.running, state.stopwatch.laps) == (False, 2)
    assert state.stopwatch.elapsed_s > 0
    driver.tap("Reset")
    assert (state.stopwatch.elapsed_s, state.stopwatch.laps) == (0, 0)


def test_days_are_named_and_numbers_are_read_strictly():
    assert [days_text(days) for days in ([], [0, 1, 2, 3, 4], [6, 5], list(range(7)), [2, 0])] == [
        "Once",
        "Weekdays",
        "Weekend",
        "Every day",
        "Mon, Wed",
    ]
    assert [whole_number(t) for t in (" 07 ", "0", "-1", "1.5", "", "²", "12345")] == [
        7,
        0,
        None,
        None,
        None,
        None,
        None,
    ]


# --- notes ---


def test_a_note_is_written_coloured_pinned_and_filed(state):
    driver = Driver(state, "notes")
    driver.tap("New note")
    driver.type("Title", "Plan 🙂")
    driver.type("Note", HARD_TEXT)
    driver.swatch(NOTE_COLORS["blue"])
    driver.tap("Pin")
    driver.tap("Folder: None")
    driver.tap("Travel")
    assert len(state.notes) == 2
    driver.tap("Save")
    note = state.notes[-1]
    assert (note.title, note.body, note.color, note.pinned, note.folder) == (
        "Plan 🙂",
        HARD_TEXT,
        NOTE_COLORS["blue"],
        True,
        "Travel",
    )
    assert load(dump(state)) == state


def test_notes_are_searched_filtered_edited_and_deleted(state):
    driver = Driver(state, "notes")
    driver.type("query", "milk")
    assert "Shopping list" in driver.labels()
    assert "Ideas" not in driver.labels()
    driver.type("query", "")
    driver.tap("folder_Work")
    assert "Shopping list" not in driver.labels()
    driver.tap("All")
    driver.tap("Shopping list")
    driver.type("body", "milk, eggs, tea")
    driver.back()
    assert state.notes[0].body == "milk, eggs"
    driver.tap("Shopping list")
    driver.type("body", "milk, eggs, tea")
    driver.tap("Save")
    assert (state.notes[0].id, state.notes[0].body) == (30, "milk, eggs, tea")
    driver.tap("Ideas")
    driver.tap("Delete")
    driver.tap("Cancel")
    driver.tap("Delete")
    driver.tap("Delete")
    assert [n.title for n in state.notes] == ["Shopping list"]


def test_an_empty_note_is_refused_and_pinned_notes_come_first(state):
    driver = Driver(state, "notes")
    state.notes += [Note(32, "Newest"), Note(29, "Oldest", pinned=True)]
    cards = [node.key for node in driver.nodes() if node.kind == "card"]
    assert cards == ["note_31", "note_29", "note_32", "note_30"]
    driver.tap("New note")
    driver.type("Title", "   ")
    driver.tap("Save")
    assert driver.sees("An empty note is not saved")
    assert len(state.notes) == 4
