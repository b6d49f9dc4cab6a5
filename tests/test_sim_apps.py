"""The simulated phone's apps, driven through what their views offer, and checked on the state they leave."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from distrl.device.sim.app import App, launch
from distrl.device.sim.apps.browser import BrowserApp
from distrl.device.sim.apps.clock import ClockApp, days_text, whole_number
from distrl.device.sim.apps.contacts import ContactsApp
from distrl.device.sim.apps.messages import MessagesApp
from distrl.device.sim.apps.notes import NotesApp
from distrl.device.sim.apps.settings import SettingsApp
from distrl.device.sim.apps.shop import ShopApp, parse_cents
from distrl.device.sim.apps.sites import resolve
from distrl.device.sim.state import Alarm, CartLine, Contact, Message, Note, Product, SystemState, Thread, dump, load
from distrl.device.sim.ui import Node, Screen
from distrl.device.sim.words import ACCENTS, COLORS, NOTE_COLORS, pool, pool_names
from distrl.device.sim.world import make_world
from distrl.errors import TaskError
from distrl.types import SPLITS

APPS: dict[str, App] = {
    app.package: app
    for app in (SettingsApp(), ContactsApp(), MessagesApp(), ClockApp(), NotesApp(), BrowserApp(), ShopApp())
}

HARD_TEXT = 'Say "hi" \\ it\'s 5 < 6 & 🙂\nsecond line'


def _walk(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk([side for side in (node.leading, node.trailing) if side is not None])
        yield from _walk(node.children)


def _reachable(screen: Screen) -> list[Node]:
    """What can be touched: a dialog hides all that lies below it."""
    if screen.dialog is not None:
        return list(_walk([*screen.dialog.content, *screen.dialog.buttons]))
    places = [*screen.actions, screen.header, screen.body, screen.footer, screen.fab]
    return list(_walk([place for place in places if place is not None]))


class Driver:
    """Touches the nodes of the front app's view the way the phone does, with handlers made anew for each touch."""

    def __init__(self, state: SystemState, package: str) -> None:
        self.state = state
        launch(state, package)

    def screen(self) -> Screen:
        app = APPS[self.state.app]
        app.page(self.state)
        before = dump(self.state)
        screen = app.view(self.state)
        assert dump(self.state) == before, "a view must not change the state"
        return screen

    def nodes(self) -> list[Node]:
        return _reachable(self.screen())

    def find(self, label: str) -> Node:
        found = [
            node for node in self.nodes() if label in (node.text, node.description, node.key) and node.kind != "field"
        ]
        found.sort(key=lambda node: node.on_tap is None and node.on_slide is None)
        assert found, f"no {label!r} among {self.labels()}"
        return found[0]

    def labels(self) -> list[str]:
        return [node.text or node.description for node in self.nodes() if node.text or node.description]

    def sees(self, label: str) -> bool:
        return any(label in (f"{node.text}|{node.secondary}|{node.description}") for node in self.nodes())

    def tap(self, label: str) -> None:
        node = self.find(label)
        if not node.enabled:
            return
        if node.on_tap is None:  # The card around it takes the touch.
            node = next(n for n in self.nodes() if n.on_tap is not None and node in list(_walk(n.children)))
        assert node.on_tap is not None
        node.on_tap()

    def hold(self, label: str) -> None:
        node = self.find(label)
        assert node.on_long_press is not None
        node.on_long_press()

    def slide(self, label: str, value: float) -> None:
        node = self.find(label)
        assert node.on_slide is not None
        node.on_slide(value)

    def field(self, name: str) -> Node:
        return next(node for node in self.nodes() if node.kind == "field" and name in (node.key, node.hint))

    def type(self, name: str, content: str) -> None:
        node = self.field(name)
        assert node.on_text is not None
        node.on_text(content)

    def enter(self, name: str) -> None:
        node = self.field(name)
        assert node.on_enter is not None
        node.on_enter()

    def swatch(self, color: str) -> None:
        node = next(n for n in self.nodes() if n.kind == "swatch" and n.background == color)
        assert node.on_tap is not None
        assert not node.description
        assert not node.text
        node.on_tap()

    def back(self) -> None:
        screen = self.screen()
        if screen.dialog is not None:
            assert screen.dialog.on_dismiss is not None
            screen.dialog.on_dismiss()
        elif screen.on_back is not None:
            screen.on_back()
        else:
            APPS[self.state.app].pop(self.state)


@pytest.fixture
def state() -> SystemState:
    state = SystemState()
    state.contacts = [
        Contact(1, "Anna", "Keller", "5550001", "anna@mail.example"),
        Contact(2, "Ben", "Keller", "5550002"),
    ]
    state.threads = [
        Thread(10, "5550001", [Message("5550001", "Hello there", 400)], unread=True),
        Thread(11, "5559999", [Message("", "Old one", -10)]),
    ]
    state.alarms = [Alarm(20, 7, 30, on=False, label="Work")]
    state.note_folders = ["Work", "Travel"]
    state.notes = [Note(30, "Shopping list", "milk, eggs"), Note(31, "Ideas", "a boat", folder="Work", pinned=True)]
    colors = [COLORS["red"], COLORS["blue"], COLORS["green"]]
    state.products = [
        Product(40, "Red mug", "Tavrin", "Home", 1250, 4.6, colors, "mug"),
        Product(41, "Tall lamp", "Brumel", "Office", 3990, 3.4, colors, "lamp"),
        Product(42, "Soft hat", "Tavrin", "Clothes", 900, 4.1, colors, "hat"),
    ]
    return state


# --- worlds and words ---


@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_and_a_split_give_one_world_that_survives_json(split):
    for seed in range(25):
        world = make_world(random.Random(seed), split=split)
        assert dump(world) == dump(make_world(random.Random(seed), split=split))
        assert load(dump(world)) == world
    assert dump(make_world(random.Random(1), split=split)) != dump(make_world(random.Random(2), split=split))


def test_worlds_have_the_promised_sizes_and_unique_ids():
    for seed in range(40):
        world = make_world(random.Random(seed))
        assert 8 <= len(world.contacts) <= 14
        assert 3 <= len(world.threads) <= 6
        assert 2 <= len(world.alarms) <= 4
        assert 3 <= len(world.notes) <= 6
        assert len(world.products) == 24
        assert len({p.name for p in world.products}) == 24
        assert len({c.phone for c in world.contacts}) == len(world.contacts)
        assert len({(a.hour, a.minute) for a in world.alarms}) == len(world.alarms)
        assert all(0 <= a.hour < 24 and 0 <= a.minute < 60 for a in world.alarms)
        assert all(m.minute < world.clock_minute for t in world.threads for m in t.messages)
        assert all(p.price_cents > 0 and 0 <= p.rating <= 5 for p in world.products)
        entries = [*world.contacts, *world.threads, *world.alarms, *world.notes, *world.products]
        assert len({entry.id for entry in entries}) == len(entries)


def test_held_out_words_never_appear_in_training_worlds():
    train = "".join(dump(make_world(random.Random(seed))).decode() for seed in range(60))
    for name in pool_names():
        assert not set(pool(name, "train")) & set(pool(name, "held_out_params")), name
        for entry in pool(name, "held_out_params"):
            assert not re.search(rf"\b{re.escape(entry)}\b", train), (name, entry)


def test_held_out_worlds_use_no_training_names():
    held_out = "".join(dump(make_world(random.Random(seed), split="held_out_params")).decode() for seed in range(30))
    for name in ("first_names", "last_names", "brands", "note_titles", "message_texts", "headlines", "books"):
        for entry in pool(name, "train"):
            assert not re.search(rf"\b{re.escape(entry)}\b", held_out), (name, entry)
    assert pool("brands", "held_out_app") == pool("brands", "train")


def test_an_unknown_pool_is_named_in_the_error():
    with pytest.raises(TaskError, match=r"'first_name'.*first_names"):
        pool("first_name")


def test_the_vocabulary_stays_moderate():
    words = {
        word.strip(".,?!'").lower()
        for split in ("train", "held_out_params")
        for name in pool_names()
        for entry in pool(name, split)
        for word in entry.split()
    }
    assert 500 < len(words) < 1300


@pytest.mark.parametrize("package", APPS)
def test_every_first_page_has_a_title_and_unique_keys(package):
    for seed in range(5):
        driver = Driver(make_world(random.Random(seed)), package)
        screen = driver.screen()
        assert screen.title
        keys = [node.key for node in driver.nodes() if node.key]
        assert len(keys) == len(set(keys))


# --- settings ---


@pytest.mark.parametrize(
    ("section", "label", "name"),
    [
        ("Network", "Wi-Fi", "wifi"),
        ("Network", "Mobile data", "mobile_data"),
        ("Network", "Airplane mode", "airplane"),
        ("Network", "Bluetooth", "bluetooth"),
        ("Display", "Dark theme", "dark_theme"),
        ("Sound", "Do not disturb", "do_not_disturb"),
        ("Apps", "Use location", "location"),
        ("Battery", "Battery saver", "battery_saver"),
        ("System", "24-hour time", "time_format_24h"),
    ],
)
def test_each_switch_flips_its_setting_and_back(state, section, label, name):
    driver = Driver(state, "settings")
    before = getattr(state.settings, name)
    driver.tap(section)
    driver.tap(label)
    assert getattr(state.settings, name) is not before
    assert driver.find(label).checked is not before
    driver.tap(label)
    assert getattr(state.settings, name) is before


def test_airplane_mode_greys_the_radios(state):
    driver = Driver(state, "settings")
    driver.tap("Network")
    driver.tap("Airplane mode")
    for label in ("Wi-Fi", "Mobile data", "Bluetooth", "Wi-Fi network"):
        assert not driver.find(label).enabled
    driver.tap("Airplane mode")
    assert driver.find("Wi-Fi").enabled


def test_sliders_clip_and_round_what_they_set(state):
    driver = Driver(state, "settings")
    driver.tap("Sound")
    for label, name in (
        ("Media volume", "volume_media"),
        ("Ring volume", "volume_ring"),
        ("Alarm volume", "volume_alarm"),
    ):
        driver.slide(label, 0.256)
        assert getattr(state.settings, name) == 0.26
        driver.slide(label, 1.7)
        assert getattr(state.settings, name) == 1.0


def test_sheets_choose_font_timeout_and_language(state):
    driver = Driver(state, "settings")
    driver.tap("Display")
    driver.tap("Screen timeout")
    driver.tap("5 minutes")
    driver.tap("Font size")
    driver.tap("Large")
    driver.back()
    driver.tap("System")
    driver.tap("Language")
    driver.back()
    assert driver.screen().dialog is None
    driver.tap("Language")
    driver.tap("Svenska")
    assert (state.settings.screen_timeout_s, state.settings.font_scale) == (300, 1.15)
    assert state.settings.language == "Svenska"


def test_accent_is_chosen_by_colour_alone_and_permissions_keep_their_order(state):
    driver = Driver(state, "settings")
    driver.tap("Display")
    driver.swatch(ACCENTS["orange"])
    assert state.settings.accent == ACCENTS["orange"]
    driver.back()
    driver.tap("Apps")
    driver.tap("Browser")
    driver.tap("Microphone")
    driver.tap("Location")
    assert state.settings.permissions["browser"] == ["Location", "Microphone"]
    driver.tap("Microphone")
    assert state.settings.permissions["browser"] == ["Location"]


def test_wifi_network_and_device_name_are_saved_only_on_request(state):
    driver = Driver(state, "settings")
    driver.tap("Network")
    driver.tap("Wi-Fi network")
    driver.tap("Cafe Corner")
    assert state.settings.wifi_network == "Cafe Corner"
    driver.back()
    driver.tap("System")
    driver.tap("Device name")
    driver.tap("Clear device name")
    driver.tap("Save")
    assert state.settings.device_name == "My phone"
    driver.type("Device name", "  Anna's phone ")
    assert state.settings.device_name == "My phone"
    driver.tap("Save")
    assert state.settings.device_name == "Anna's phone"


def test_settings_search_finds_pages_by_what_they_hold(state):
    driver = Driver(state, "settings")
    driver.type("query", "bluetooth")
    assert "Network" in driver.labels()
    assert "Sound" not in driver.labels()
    driver.tap("Clear search settings")
    assert "Sound" in driver.labels()


def test_the_time_format_reaches_other_apps(state):
    state.settings.time_format_24h = False
    assert "7:30 AM" in Driver(state, "clock").labels()
    assert [state.time_text(minute) for minute in (0, 720, 1439)] == ["12:00 AM", "12:00 PM", "11:59 PM"]


# --- contacts ---


def test_a_new_contact_takes_few_steps_and_opens_itself(state):
    driver = Driver(state, "contacts")
    driver.tap("New contact")
    assert state.focus == "first"
    driver.type("First name", "Zoë")
    driver.type("Last name", "O'Neil")
    driver.type("Phone", "555-123")
    driver.type("Email", "zoe@mail.example")
    assert len(state.contacts) == 2
    driver.tap("Save")
    contact = state.contacts[-1]
    assert (contact.name, contact.phone, contact.email) == ("Zoë O'Neil", "555-123", "zoe@mail.example")
    assert driver.sees("Zoë O'Neil")
    driver.back()
    assert driver.screen().title == "Contacts"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Phone": "123"}, "Enter a name"),
        ({"First name": "A"}, "Enter a phone number"),
        ({"First name": "A", "Phone": "12x"}, "Use digits only"),
        ({"First name": "A", "Phone": "123", "Email": "nobody"}, "An email address has an @"),
    ],
)
def test_a_bad_contact_is_not_saved_and_says_why(state, fields, message):
    driver = Driver(state, "contacts")
    driver.tap("New contact")
    for name, content in fields.items():
        driver.type(name, content)
    driver.tap("Save")
    assert driver.sees(message)
    assert len(state.contacts) == 2


def test_contacts_are_sorted_searched_starred_edited_and_deleted(state):
    driver = Driver(state, "contacts")
    names = [node.text for node in driver.nodes() if node.kind == "list_item"]
    assert names == ["Anna Keller", "Ben Keller"]
    driver.type("query", "BEN")
    assert "Anna Keller" not in driver.labels()
    driver.tap("Ben Keller")
    driver.tap("Add star")
    assert state.contacts[1].starred
    driver.tap("Edit")
    driver.type("Last name", "Adler")
    driver.back()
    assert state.contacts[1].last == "Keller"
    driver.tap("Edit")
    driver.type("Last name", "Adler")
    driver.enter("Last name")
    assert state.contacts[1].name == "Ben Adler"
    assert state.contacts[1].starred
    driver.tap("Delete")
    driver.tap("Cancel")
    assert len(state.contacts) == 2
    driver.tap("Delete")
    driver.tap("Delete")
    assert [c.name for c in state.contacts] == ["Anna Keller"]


def test_message_button_opens_the_one_conversation_with_that_number(state):
    for label, num_threads in (("Anna Keller", 2), ("Ben Keller", 3), ("Ben Keller", 3)):
        driver = Driver(state, "contacts")
        state.stacks.pop("contacts", None)
        driver.tap(label)
        driver.tap("Message")
        assert state.app == "messages"
        assert driver.screen().title == label
        assert len(state.threads) == num_threads
    assert not state.threads[0].unread


# --- messages ---


def test_sending_text_keeps_it_to_the_letter(state):
    driver = Driver(state, "messages")
    assert driver.sees("Unread")
    driver.tap("Anna Keller")
    assert not state.threads[0].unread
    assert not driver.find("Send").enabled
    driver.type("Text message", HARD_TEXT)
    driver.tap("Send")
    sent = state.threads[0].messages[-1]
    assert (sent.sender, sent.text, sent.sent, sent.minute) == ("", HARD_TEXT, True, state.clock_minute)
    assert driver.field("draft").text == ""
    assert load(dump(state)) == state
    driver.enter("draft")
    assert len(state.threads[0].messages) == 2


@pytest.mark.parametrize(
    ("airplane", "wifi", "mobile"), [(True, True, True), (False, False, False), (True, False, False)]
)
def test_without_a_network_messages_wait_until_retried(state, airplane, wifi, mobile):
    state.settings.airplane, state.settings.wifi, state.settings.mobile_data = airplane, wifi, mobile
    driver = Driver(state, "messages")
    driver.tap("Anna Keller")
    driver.type("draft", "On my way")
    driver.tap("Send")
    message = state.threads[0].messages[-1]
    assert not message.sent
    driver.tap("Not sent. Tap to retry")
    assert not message.sent
    driver.back()
    assert driver.sees("Not sent: On my way")
    state.settings.airplane, state.settings.wifi = False, True
    driver.tap("Anna Keller")
    driver.tap("Not sent. Tap to retry")
    assert message.sent
    assert not driver.sees("Not sent")


@pytest.mark.parametrize(
    ("typed", "chosen", "number"),
    [("be", "Ben Keller", "5550002"), ("5550002", "Ben Keller", "5550002"), ("555 77", "Send to 555 77", "555 77")],
)
def test_a_new_message_goes_to_a_suggestion_or_a_number(state, typed, chosen, number):
    driver = Driver(state, "messages")
    driver.tap("New message")
    assert state.focus == "to"
    driver.type("Name or number", typed)
    driver.tap(chosen)
    driver.type("draft", "Hi")
    driver.enter("draft")
    thread = state.threads[-1]
    assert (thread.number, [m.text for m in thread.messages]) == (number, ["Hi"])
    driver.back()
    assert driver.screen().title == "Messages"


def test_enter_chooses_a_recipient_only_when_it_is_the_only_one(state):
    driver = Driver(state, "messages")
    driver.tap("New message")
    driver.type("to", "Keller")
    driver.enter("to")
    assert driver.screen().title == "New message"
    driver.type("to", "Anna")
    driver.enter("to")
    assert driver.screen().title == "Anna Keller"
    assert len(state.threads) == 2


def test_holding_a_conversation_offers_mute_unread_and_delete(state):
    driver = Driver(state, "messages")
    driver.hold("Anna Keller")
    driver.tap("Mute")
    assert state.threads[0].muted
    driver.hold("Anna Keller")
    driver.tap("Mark as read")
    assert not state.threads[0].unread
    driver.hold("5559999")
    driver.tap("Delete")
    driver.tap("Cancel")
    assert len(state.threads) == 2
    driver.hold("5559999")
    driver.tap("Delete")
    driver.tap("Delete")
    assert [t.number for t in state.threads] == ["5550001"]


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
    cards = [node.key for node in driver.nodes() if node.kind == "card"]
    assert cards == ["note_31", "note_30"]
    driver.tap("New note")
    driver.type("Title", "   ")
    driver.tap("Save")
    assert driver.sees("An empty note is not saved")
    assert len(state.notes) == 2


# --- browser ---


def _browse(state: SystemState, address: str) -> Driver:
    driver = Driver(state, "browser")
    driver.type("Search or type address", address)
    driver.enter("address")
    return driver


def test_addresses_are_told_from_searches():
    typed = ["daily.example", "https://www.Daily.example/article/1/", "tomato soup", "soup", "is 1.5 enough"]
    assert [resolve(content) for content in typed] == [
        "daily.example",
        "daily.example/article/1",
        "findit.example?q=tomato soup",
        "findit.example?q=soup",
        "findit.example?q=is 1.5 enough",
    ]


def test_a_search_leads_to_the_page_and_into_the_history():
    state = make_world(random.Random(3))
    recipe = state.web.recipes[2]
    driver = _browse(state, recipe.title)
    driver.tap(recipe.title)
    assert driver.sees(f"{recipe.minutes} minutes")
    assert all(driver.sees(ingredient) for ingredient in recipe.ingredients)
    assert state.history[-2:] == [f"findit.example?q={recipe.title}", "kitchen.example/recipe/2"]
    driver.back()
    assert driver.sees("Results for")


def test_every_link_of_every_site_leads_somewhere():
    state = make_world(random.Random(4))
    seen, frontier = (
        set(),
        ["daily.example", "kitchen.example", "library.example", "town.example", "findit.example?q=a"],
    )
    while frontier:
        url = frontier.pop()
        if url in seen:
            continue
        seen.add(url)
        driver = _browse(state, "findit.example")
        APPS["browser"].visit(state, url)  # type: ignore[attr-defined]
        assert not driver.sees("can't be reached"), url
        assert driver.screen().title != url, url
        links = [node for node in driver.nodes() if node.kind in ("list_item", "button") and node.key != "address_bar"]
        for number in range(len(links)):
            snapshot = dump(state)
            again = [n for n in driver.nodes() if n.kind in ("list_item", "button") and n.key != "address_bar"][number]
            assert again.on_tap is not None
            again.on_tap()
            if len(state.history) > len(load(snapshot).history):
                frontier.append(state.history[-1])
            driver.state = state = load(snapshot)
    assert len(seen) > 20


@pytest.mark.parametrize(
    "address", ["nowhere.example", "daily.example/article/99", "kitchen.example/x", "findit.examples"]
)
def test_unknown_addresses_cannot_be_reached(address):
    driver = _browse(make_world(random.Random(5)), address)
    assert driver.sees("This site can't be reached")


def test_bookmarks_are_added_opened_and_removed(state):
    driver = _browse(state, "town.example")
    driver.tap("Add bookmark")
    assert [(b.title, b.url) for b in state.bookmarks] == [("Town Hall", "town.example")]
    driver.tap("More options")
    driver.tap("Bookmarks")
    driver.tap("Town Hall")
    assert state.history[-1] == "town.example"
    driver.tap("Remove bookmark")
    assert state.bookmarks == []


def test_history_lists_the_newest_first_and_is_cleared_after_a_question(state):
    driver = _browse(state, "town.example")
    driver.tap("More options")
    driver.tap("Home page")
    driver.type("address", "daily.example")
    driver.tap("Go")
    driver.tap("More options")
    driver.tap("History")
    assert [node.secondary for node in driver.nodes() if node.kind == "list_item"] == ["daily.example", "town.example"]
    driver.tap("Clear")
    driver.tap("Cancel")
    assert len(state.history) == 2
    driver.tap("Clear")
    driver.tap("Clear")
    assert state.history == []


def test_a_form_names_each_wrong_field_and_sends_only_when_all_are_right(state):
    driver = _browse(state, "library.example/card")
    driver.type("Email", "nobody")
    driver.type("Phone", "12")
    driver.tap("Submit")
    expected = ("This field is required", "Enter a valid email address", "Enter a valid phone number", "Choose one",
                "Accept the rules to go on")  # fmt: skip
    assert all(driver.sees(message) for message in expected)
    assert state.forms == []
    driver.type("Full name", 'Anna "A" Keller')
    driver.type("Email", "anna@mail.example")
    driver.type("Phone", "555 0001")
    driver.tap("Lakeside")
    driver.tap("I accept the rules")
    driver.tap("Submit")
    assert [(f.site, f.fields) for f in state.forms] == [
        (
            "library.example/card",
            {
                "name": 'Anna "A" Keller',
                "email": "anna@mail.example",
                "phone": "555 0001",
                "branch": "Lakeside",
                "terms": "yes",
            },
        )
    ]
    assert driver.sees("Thank you")


def test_optional_fields_may_stay_empty(state):
    driver = _browse(state, "town.example/report")
    driver.tap("Full bin")
    driver.type("Street", "Mill Lane")
    driver.type("Email", "a@b")
    driver.tap("Send report")
    assert state.forms[0].fields == {"kind": "Full bin", "street": "Mill Lane", "details": "", "email": "a@b"}


@pytest.mark.parametrize("package", ["browser", "shop"])
def test_offline_pages_lead_to_the_network_settings(state, package):
    driver = _browse(state, "daily.example") if package == "browser" else Driver(state, package)
    state.settings.airplane = True
    assert driver.sees("You're offline")
    driver.tap("Network settings")
    assert state.app == "settings"
    driver.tap("Airplane mode")
    launch(state, package)
    assert not driver.sees("You're offline")


# --- shop ---


def test_the_catalogue_is_searched_filtered_and_sorted(state):
    driver = Driver(state, "shop")

    def shown() -> list[str]:
        return [node.text for node in driver.nodes() if node.kind == "list_item"]

    driver.tap("Sort")
    driver.tap("Price: low to high")
    assert shown() == ["Soft hat", "Red mug", "Tall lamp"]
    driver.tap("Sort")
    driver.tap("Best rated")
    assert shown() == ["Red mug", "Soft hat", "Tall lamp"]
    driver.tap("Filter")
    driver.tap("Tavrin")
    driver.type("Maximum price", "9")
    driver.tap("Apply")
    assert shown() == ["Soft hat"]
    driver.tap("Filter")
    driver.tap("Clear")
    driver.tap("4.5+")
    driver.tap("Apply")
    assert shown() == ["Red mug"]
    driver.tap("Filter")
    driver.tap("4.5+")
    driver.tap("Office")
    driver.tap("Apply")
    assert shown() == ["Tall lamp"]
    driver.tap("Filter")
    driver.type("max_price", "cheap")
    driver.tap("Apply")
    assert driver.sees("Enter a price")
    driver.back()
    driver.type("query", "tavrin")
    assert driver.sees("No products found")


def test_a_product_goes_into_the_cart_in_the_chosen_colour_and_number(state):
    driver = Driver(state, "shop")
    driver.tap("Red mug")
    driver.swatch(COLORS["blue"])
    driver.tap("Decrease quantity")
    driver.tap("Increase quantity")
    driver.tap("Increase quantity")
    driver.tap("Add to favourites")
    driver.tap("Add to cart")
    assert state.cart == [CartLine(40, COLORS["blue"], 3)]
    assert driver.sees("Added to cart")
    driver.tap("Add to cart")
    assert state.cart == [CartLine(40, COLORS["blue"], 4)]
    driver.swatch(COLORS["green"])
    driver.tap("Add to cart")
    assert len(state.cart) == 2
    assert state.favourites == [40]
    driver.tap("Remove from favourites")
    assert state.favourites == []


def test_an_order_takes_address_and_payment_and_empties_the_cart(state):
    state.cart = [CartLine(40, COLORS["red"], 2), CartLine(42, COLORS["blue"])]
    driver = Driver(state, "shop")
    driver.tap("Cart")
    assert driver.find("total").text == "$34.00"
    driver.tap("Increase Soft hat")
    driver.tap("Decrease Red mug")
    assert driver.find("total").text == "$30.50"
    driver.tap("Checkout")
    driver.tap("Place order")
    assert driver.sees("Enter an address")
    driver.type("Address", "5 Oak Street")
    driver.tap("Place order")
    assert driver.sees("Choose how to pay")
    driver.tap("Gift card")
    assert state.orders == []
    driver.tap("Place order")
    (order,) = state.orders
    assert (order.address, order.payment, order.total_cents) == ("5 Oak Street", "Gift card", 3050)
    assert order.lines == [CartLine(40, COLORS["red"], 1), CartLine(42, COLORS["blue"], 2)]
    assert state.cart == []
    assert driver.sees("Order placed")
    driver.tap("Continue shopping")
    driver.tap("Orders")
    assert driver.sees("1 × Red mug")


def test_a_line_is_removed_and_an_empty_cart_cannot_be_bought(state):
    state.cart = [CartLine(40, COLORS["red"]), CartLine(40, COLORS["blue"])]
    driver = Driver(state, "shop")
    driver.tap("Cart")
    driver.tap("Remove Red mug")
    assert state.cart == [CartLine(40, COLORS["blue"])]
    driver.tap("Remove Red mug")
    assert driver.sees("Your cart is empty")
    assert not driver.find("Checkout").enabled


def test_typed_prices_are_read_in_cents():
    assert [parse_cents(t) for t in ("40", "12.5", "$3.99", "0", "")] == [4000, 1250, 399, 0, None]
    assert [parse_cents(t) for t in ("-1", "1.234", "ten", "1.x", ".5")] == [None] * 5
