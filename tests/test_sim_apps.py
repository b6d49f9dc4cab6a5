"""Settings, contacts and messages: driven through their views, checked on the state they leave."""

from __future__ import annotations

import pytest
from sim_driver import HARD_TEXT, Driver, small_state

from distrl.device.sim.apps.messages import when
from distrl.device.sim.state import SystemState, dump, load
from distrl.device.sim.words import ACCENTS


@pytest.fixture
def state() -> SystemState:
    return small_state()


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


def test_messages_are_dated_by_time_weekday_or_date(state):
    minutes = [400, -1, -1440, -1441, -6 * 1440, -7 * 1440]
    assert [when(state, minute) for minute in minutes] == ["06:40", "Thu", "Thu", "Wed", "Sat", "7.3."]
