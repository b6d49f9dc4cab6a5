"""The simulated phone as a whole: touches, back stack, keyboard, shade, popups, launcher, the same pixels always."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.device.sim.apps import APPS
from distrl.device.sim.icons import NAMES
from distrl.device.sim.phone import Phone
from distrl.device.sim.raster import FrameCache
from distrl.device.sim.state import (
    Alarm,
    Contact,
    Message,
    Note,
    Notification,
    Page,
    Popup,
    Product,
    SystemState,
    Thread,
    dump,
)
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Element

SMALL, LARGE = (180, 400), (540, 1200)
BACK, HOME, ENTER = (Action(kind) for kind in (ActionKind.BACK, ActionKind.HOME, ActionKind.ENTER))
NASTY = 'It\'s "quoted" 🎉 $(rm -rf) \n\n\ttab \x00 \u202e العربية ' + "long" * 200


def make_state(app: str = "launcher") -> SystemState:
    return SystemState(
        app=app,
        home_apps=["messages", "clock", "notes", "shop", "browser", "settings", "contacts"],
        dock=["contacts", "messages", "browser", "settings"],
        contacts=[Contact(1, "Anna", "Berg", "555-1"), Contact(2, "Bob", "Stone", "555-2", starred=True)],
        threads=[Thread(3, "555-1", [Message("555-1", "Hi there!", 500)], unread=True)],
        alarms=[Alarm(4, 7, 30), Alarm(5, 9, 0, on=False)],
        notes=[Note(number, f"Note {number}", "Milk") for number in range(10, 30)],
        products=[Product(6, "Cloud mug", "Hearth", "Home", 1299, 4.5, ["#d04040", "#4060d0"], "mug")],
        notifications=[
            Notification(7, "messages", "Anna Berg", "Dinner tonight?"),
            Notification(8, "clock", "Alarm", "07:30 tomorrow"),
        ],
    )


def make_phone(app: str = "launcher", size: tuple[int, int] = LARGE) -> Phone:
    return Phone(make_state(app), size=size)


def names(phone: Phone) -> list[str]:
    return [element.text or element.content_description for element in phone.elements()]


def find(phone: Phone, words: str) -> Element:
    for element in phone.elements():
        if element.text.startswith(words) or element.content_description == words or element.resource_id == words:
            return element
    raise AssertionError(f"{words!r} is not among {names(phone)}")


def touch_of(phone: Phone, element: Element) -> tuple[float, float]:
    x, y = element.center
    return x / phone.size[0], y / phone.size[1]


def tap(phone: Phone, words: str) -> None:
    phone.apply(Action(ActionKind.TAP, touch=touch_of(phone, find(phone, words))))


def swipe(phone: Phone, touch: tuple[float, float], lift: tuple[float, float]) -> None:
    phone.apply(Action(ActionKind.SWIPE, touch=touch, lift=lift))


def type_text(phone: Phone, text: str) -> None:
    phone.apply(Action(ActionKind.TYPE, text=text))


def open_shade(phone: Phone) -> None:
    swipe(phone, (0.5, 0.005), (0.5, 0.5))


# Same state, same pixels


def test_the_same_state_has_the_same_pixels_on_a_second_phone_a_fork_and_after_restore() -> None:
    phone = make_phone("notes")
    first = phone.observe()
    saved = phone.snapshot()
    fork = phone.fork()
    tap(phone, "Note ")
    assert phone.observe().frame.content_hash != first.frame.content_hash
    phone.restore(saved)
    for other in (phone, fork, make_phone("notes")):
        seen = other.observe()
        assert seen.frame.content_hash == first.frame.content_hash
        assert seen.elements == first.elements
    assert first.app == "notes"


def test_pixels_come_from_drawing_and_not_only_from_the_cache() -> None:
    phone = make_phone("settings", SMALL)
    frames = [FrameCache(0).frame(phone.display_list(), SMALL, False).content_hash for _ in range(2)]
    assert frames == [phone.observe().frame.content_hash] * 2


def test_a_fork_shares_nothing_with_its_origin() -> None:
    phone = make_phone()
    fork = phone.fork()
    before = phone.snapshot()
    fork.state.contacts.clear()
    tap(fork, "Clock")
    assert phone.snapshot() == before


@pytest.mark.parametrize(
    ("app", "size", "digest"),
    [
        ("launcher", SMALL, "37d561b7b78db9e5"),
        ("launcher", LARGE, "bde5c3ba0de0ac64"),
        ("shade", SMALL, "d8632c36cbbd1dfd"),
        ("shade", LARGE, "0089aee66a5b797c"),
    ],
)
def test_the_drawing_has_not_drifted(app: str, size: tuple[int, int], digest: str) -> None:
    """A change here is a change of what every stored episode and trained model has seen."""
    phone = make_phone(size=size)
    if app == "shade":
        open_shade(phone)
    assert hashlib.sha256(phone.render().tobytes()).hexdigest()[:16] == digest


def test_a_screenshot_has_the_asked_shape_and_cannot_be_written_to() -> None:
    pixels = make_phone(size=SMALL).render()
    assert pixels.shape == (400, 180, 3)
    assert pixels.dtype == "uint8"
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 0


def test_a_change_made_through_state_shows_at_once() -> None:
    phone = make_phone()
    before = phone.render().tobytes()
    phone.state.settings.wallpaper = 3
    assert phone.render().tobytes() != before


def test_the_frame_cache_stays_within_its_bound_and_returns_the_same_frame() -> None:
    cache = FrameCache(capacity_bytes=2 * 180 * 400 * 3)
    lists = [make_phone(app, SMALL).display_list() for app in ("clock", "notes", "settings")]
    first = cache.frame(lists[0], SMALL, False)
    assert cache.frame(lists[0], SMALL, False) is first
    for marks in lists[1:]:
        cache.frame(marks, SMALL, False)
    assert cache.frame(lists[0], SMALL, False) is not first
    assert (cache.hits, cache.misses) == (1, 4)


@pytest.mark.parametrize("app", sorted(APPS))
def test_the_dark_theme_changes_the_pixels_and_not_the_tree(app: str) -> None:
    light, dark = make_phone(app), make_phone(app)
    dark.state.settings.dark_theme = True
    assert light.elements() == dark.elements()
    assert light.render().tobytes() != dark.render().tobytes()


@pytest.mark.parametrize("app", sorted(APPS))
def test_each_app_names_only_icons_that_exist(app: str) -> None:
    assert APPS[app].icon in NAMES
    make_phone(app, SMALL).render()


@settings(deadline=None, max_examples=25)
@given(st.integers(90, 900), st.integers(160, 1400), st.sampled_from(sorted(APPS)), st.sampled_from([0.85, 1.0, 1.3]))
def test_any_screen_size_draws_and_keeps_its_elements_on_the_screen(
    width: int, height: int, app: str, font: float
) -> None:
    state = make_state(app)
    state.settings.font_scale = font
    phone = Phone(state, size=(width, height))
    assert phone.render().shape == (height, width, 3)
    for element in phone.elements():
        left, top, right, bottom = element.bounds
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_a_screen_too_small_for_its_bars_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 90 x 120"):
        Phone(SystemState(), size=(10, 10))


# Touches


def test_a_tap_opens_an_app_and_home_leaves_it_as_it_was() -> None:
    phone = make_phone()
    tap(phone, "Settings")
    tap(phone, "Display")
    phone.apply(HOME)
    assert phone.state.app == "launcher"
    tap(phone, "Settings")
    assert find(phone, "Dark theme")


def test_a_swipe_without_length_is_a_tap() -> None:
    phone = make_phone()
    place = touch_of(phone, find(phone, "Clock"))
    swipe(phone, place, (place[0] + 0.004, place[1]))
    assert phone.state.app == "clock"


def test_a_point_off_the_screen_is_refused() -> None:
    phone = make_phone()
    for action in (
        Action(ActionKind.TAP, touch=(1.2, 0.5)),
        Action(ActionKind.TAP),
        Action(ActionKind.SWIPE, touch=(0.5, 0.5)),
    ):
        with pytest.raises(ActionError) as raised:
            phone.apply(action)
        assert raised.value.kind == "off_screen"


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_the_edges_of_the_screen_can_be_touched(corner: tuple[float, float]) -> None:
    make_phone(size=SMALL).apply(Action(ActionKind.TAP, touch=corner))


def test_declaring_the_end_touches_nothing() -> None:
    phone = make_phone()
    before = phone.snapshot()
    phone.apply(Action(ActionKind.COMPLETE))
    phone.apply(Action(ActionKind.IMPOSSIBLE))
    assert phone.snapshot() == before


def test_a_swipe_scrolls_by_the_fingers_travel_and_stops_at_both_ends() -> None:
    phone = make_phone("notes")
    tops = {e.text: e.bounds[1] for e in phone.elements()}
    name = [text for text in tops if text.startswith("Note ")][3]
    swipe(phone, (0.5, 0.6), (0.5, 0.5))
    assert tops[name] - find(phone, name).bounds[1] == pytest.approx(0.1 * 1200, abs=2)
    swipe(phone, (0.5, 0.3), (0.5, 0.9))
    assert {e.text: e.bounds[1] for e in phone.elements()} == tops
    for _ in range(12):
        swipe(phone, (0.5, 0.7), (0.5, 0.1))
    ending = phone.snapshot()
    swipe(phone, (0.5, 0.7), (0.5, 0.1))
    assert phone.snapshot() == ending


def test_a_scroll_offset_left_from_a_longer_list_does_not_stick() -> None:
    phone = make_phone("notes")
    for _ in range(12):
        swipe(phone, (0.5, 0.7), (0.5, 0.1))
    del phone.state.notes[8:]
    swipe(phone, (0.5, 0.4), (0.5, 0.5))
    page = APPS["notes"].page(phone.state)
    assert all(offset <= 400 for offset in page.scroll_dp.values())
    assert find(phone, "Note ")


def test_long_press_opens_an_icons_menu_and_acts_as_a_tap_elsewhere() -> None:
    phone = make_phone()
    phone.apply(Action(ActionKind.LONG_PRESS, touch=touch_of(phone, find(phone, "Clock"))))
    tap(phone, "Remove from home")
    assert "clock" not in phone.state.home_apps
    assert "Clock" not in names(phone)
    phone.apply(Action(ActionKind.LONG_PRESS, touch=touch_of(phone, find(phone, "search_bar"))))
    assert APPS["launcher"].page(phone.state).name == "drawer"


def test_the_navigation_bar_can_be_tapped() -> None:
    phone = make_phone()
    tap(phone, "Settings")
    tap(phone, "Display")
    tap(phone, "Back")
    assert find(phone, "Sound")
    tap(phone, "Home")
    assert phone.state.app == "launcher"
    tap(phone, "Clock")
    tap(phone, "Recent apps")
    assert [e.text for e in phone.elements() if e.class_name == "CardView"] == ["Clock", "Settings"]
    tap(phone, "Settings")
    assert phone.state.app == "settings"


# Keyboard and typing


def test_text_goes_to_the_focused_field_only() -> None:
    phone = make_phone("settings")
    before = phone.snapshot()
    type_text(phone, "display")
    phone.apply(ENTER)
    assert phone.snapshot() == before
    tap(phone, "Search settings")
    type_text(phone, "dis")
    type_text(phone, "play")
    assert find(phone, "display").editable
    assert "Sound, " not in " ".join(names(phone))


def test_the_keyboard_covers_content_and_takes_its_touches() -> None:
    phone = make_phone("settings", LARGE)
    rows = names(phone)
    free = phone.render()
    tap(phone, "Search settings")
    board = phone.scene.keyboard
    assert board is not None
    assert all(e.bounds[3] <= board[1] for e in phone.elements() if e.package == "settings")
    assert [e.content_description for e in phone.elements() if e.package == "inputmethod"] == ["Enter"]
    assert (phone.render()[board[1] : board[3]] != free[board[1] : board[3]]).mean() > 0.5
    assert len(names(phone)) <= len(rows) + 1
    before = phone.state.app, len(phone.state.stacks["settings"])
    phone.apply(Action(ActionKind.TAP, touch=(0.5, 0.93)))
    assert (phone.state.app, len(phone.state.stacks["settings"])) == before


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_keys_type_letters_and_rub_them_out(size: tuple[int, int]) -> None:
    from distrl.device.sim import keyboard

    phone = make_phone("settings", size)
    tap(phone, "Search settings")
    board, scale = phone.scene.keyboard, phone.scene.layout.scale
    assert board is not None
    keys = {key.name: key for key in keyboard.keys(board, scale)}
    for name in ("w", "i", "x", "backspace", "space", "7"):
        left, top, right, bottom = keys[name].rect
        phone.apply(Action(ActionKind.TAP, touch=((left + right) / 2 / size[0], (top + bottom) / 2 / size[1])))
    assert find(phone, "wi 7").editable


def test_the_enter_key_runs_the_fields_action() -> None:
    phone = make_phone()
    tap(phone, "search_bar")
    type_text(phone, "clo")
    tap(phone, "Enter")
    assert phone.state.app == "clock"


def test_a_field_below_the_keyboard_moves_into_sight_when_it_takes_the_focus() -> None:
    phone = make_phone("contacts")
    tap(phone, "Add contact") if "Add contact" in names(phone) else tap(phone, "New contact")
    for words in [e.resource_id for e in phone.elements() if e.editable]:
        phone.state.focus = ""
        tap(phone, words)
        focused = next(e for e in phone.elements() if e.focused)
        assert focused.resource_id == words
        assert phone.scene.keyboard is not None
        assert focused.bounds[3] <= phone.scene.keyboard[1]


def test_a_focus_whose_field_is_gone_closes_the_keyboard() -> None:
    phone = make_phone("clock")
    phone.state.focus = "no_such_field"
    assert phone.scene.keyboard is None
    type_text(phone, "lost")
    assert phone.state.focus == ""


@pytest.mark.parametrize("app", sorted(APPS))
def test_any_text_can_be_typed_into_any_first_field(app: str) -> None:
    phone = make_phone(app, SMALL)
    fields = [e for e in phone.elements() if e.editable]
    if not fields:
        return
    phone.apply(Action(ActionKind.TAP, touch=touch_of(phone, fields[0])))
    type_text(phone, NASTY)
    phone.observe()
    assert next(e for e in phone.elements() if e.focused).text.startswith('It\'s "quoted" 🎉 $(rm -rf)   ')
    phone.restore(phone.snapshot())
    phone.observe()


# Back


def test_back_closes_shade_keyboard_popup_and_dialog_before_it_leaves_a_page() -> None:
    phone = make_phone("settings")
    tap(phone, "Display")
    tap(phone, "Font size")
    phone.state.popups.append(Popup("update", "Update ready", "Restart?", ["Later", "Restart"]))
    open_shade(phone)
    phone.apply(BACK)
    assert not phone.state.shade_open
    assert phone.state.popups
    phone.apply(BACK)
    assert not phone.state.popups
    assert "Largest" in names(phone)
    phone.apply(BACK)
    assert "Largest" not in names(phone)
    assert "Dark theme" in names(phone)
    phone.apply(BACK)
    tap(phone, "Search settings")
    phone.apply(BACK)
    assert phone.state.focus == ""
    assert phone.state.app == "settings"
    phone.apply(BACK)
    assert phone.state.app == "launcher"
    phone.apply(BACK)
    assert phone.state.app == "launcher"


# Shade, popups, heads-up


def test_the_shade_opens_from_the_top_toggles_settings_and_closes_upwards() -> None:
    phone = make_phone("clock")
    open_shade(phone)
    for words, name in (
        ("Airplane", "airplane"),
        ("Silence", "do_not_disturb"),
        ("Dark", "dark_theme"),
        ("Wi-Fi", "wifi"),
    ):
        before = getattr(phone.state.settings, name)
        tile = next(e for e in phone.elements() if e.text == words and e.checkable)
        assert tile.checked == before
        phone.apply(Action(ActionKind.TAP, touch=touch_of(phone, tile)))
        assert getattr(phone.state.settings, name) is not before
    assert "Alarm" not in [e.text for e in phone.elements() if e.package == "clock"]
    swipe(phone, (0.5, 0.8), (0.5, 0.2))
    assert not phone.state.shade_open


def test_a_notification_opens_its_page_and_is_gone() -> None:
    phone = make_phone("clock")
    phone.state.notifications[0].page = Page("thread", {"thread": 3})
    open_shade(phone)
    tap(phone, "Anna Berg")
    assert (phone.state.app, phone.state.shade_open) == ("messages", False)
    assert phone.state.stacks["messages"][-1].name == "thread"
    assert [entry.id for entry in phone.state.notifications] == [8]


def test_notifications_are_swiped_away_one_by_one_or_cleared() -> None:
    phone = make_phone("clock")
    open_shade(phone)
    x, y = touch_of(phone, find(phone, "Anna Berg"))
    swipe(phone, (x, y), (0.98, y))
    assert [entry.id for entry in phone.state.notifications] == [8]
    tap(phone, "Clear all")
    assert phone.state.notifications == []
    assert "No notifications" in names(phone)


def test_a_permission_popup_is_modal_and_its_answer_counts() -> None:
    for answer, granted in (("Allow", ["Location"]), ("Don't allow", [])):
        phone = make_phone("notes")
        phone.state.popups.append(
            Popup("permission", "Use location?", "Notes asks.", ["Don't allow", "Allow"], "notes", "Location")
        )
        assert not [e for e in phone.elements() if e.package == "notes"]
        phone.apply(Action(ActionKind.TAP, touch=(0.5, 0.2)))
        assert phone.state.popups
        assert phone.state.stacks["notes"][-1].name == "home"
        tap(phone, answer)
        assert phone.state.popups == []
        assert phone.state.settings.permissions.get("notes", []) == granted


def test_a_heads_up_covers_the_top_until_it_is_swiped_and_stays_in_the_shade() -> None:
    phone = make_phone("clock")
    phone.state.notifications[0].heads_up = True
    card = find(phone, "Anna Berg")
    assert all(e.bounds[1] >= card.bounds[3] for e in phone.elements() if e.package == "clock")
    x, y = touch_of(phone, card)
    swipe(phone, (x, y), (0.99, y))
    assert "Clock" in names(phone)
    assert len(phone.state.notifications) == 2
    phone.state.notifications[0].heads_up = True
    phone.state.settings.do_not_disturb = True
    assert not [text for text in names(phone) if text.startswith("Anna Berg")]


def test_the_status_bar_says_what_is_on() -> None:
    phone = make_phone("clock")
    assert {"09:41", "Wi-Fi", "Mobile data", "Battery 82 %"} <= set(names(phone))
    phone.state.settings.airplane = True
    phone.state.settings.time_format_24h = False
    assert "9:41 AM" in names(phone)
    assert "Airplane mode" in names(phone)
    assert "Wi-Fi" not in names(phone)


# Launcher


def test_the_drawer_opens_upwards_lists_every_app_and_filters() -> None:
    phone = make_phone()
    swipe(phone, (0.5, 0.5), (0.5, 0.2))
    labels = {app.label for app in APPS.values() if app.package != "launcher"}
    assert labels <= set(names(phone))
    tap(phone, "Search apps")
    type_text(phone, "sh")
    assert {text for text in names(phone) if text in labels} == {"Shop"}
    type_text(phone, "zzz")
    assert "No app is called shzzz" in names(phone)


def test_home_pages_turn_sideways_and_stop_at_the_ends() -> None:
    phone = make_phone()
    phone.state.home_apps *= 2
    first = names(phone)
    swipe(phone, (0.8, 0.3), (0.2, 0.3))
    second = names(phone)
    assert second != first
    swipe(phone, (0.8, 0.3), (0.2, 0.3))
    assert names(phone) == second
    swipe(phone, (0.2, 0.3), (0.8, 0.3))
    assert names(phone) == first
    swipe(phone, (0.8, 0.3), (0.2, 0.3))
    phone.apply(HOME)
    assert names(phone) == first


def test_dock_icons_have_no_label_and_open_their_apps() -> None:
    phone = make_phone()
    dock = [e for e in phone.elements() if e.class_name == "ImageView" and e.package == "launcher"]
    assert len(dock) == 4
    assert all(e.text == "" and e.content_description == "" and e.clickable for e in dock)
    opened = []
    for element in dock:
        fork = phone.fork()
        fork.apply(Action(ActionKind.TAP, touch=touch_of(fork, element)))
        opened.append(fork.state.app)
    assert opened == ["contacts", "messages", "browser", "settings"]


# Anything may be done to it


@pytest.mark.parametrize("seed", range(4))
def test_no_sequence_of_actions_breaks_the_phone_and_each_replays_to_the_same_screen(seed: int) -> None:
    rng = random.Random(seed)
    phone, twin = make_phone(size=SMALL), make_phone(size=SMALL)
    for _ in range(120):
        clickable = [e for e in phone.elements() if e.clickable]
        kind = rng.choice(["element"] * 5 + ["tap", "long", "swipe", "swipe", "type", "enter", "back"])
        point, other = ((rng.random(), rng.random()) for _ in range(2))
        action = {
            "element": Action(ActionKind.TAP, touch=touch_of(phone, rng.choice(clickable))),
            "tap": Action(ActionKind.TAP, touch=point),
            "long": Action(ActionKind.LONG_PRESS, touch=point),
            "swipe": Action(ActionKind.SWIPE, touch=point, lift=other),
            "type": Action(ActionKind.TYPE, text=rng.choice(["7", "Anna", "'\"\n", "🎉"])),
            "enter": ENTER,
            "back": BACK,
        }[kind]
        phone.apply(action)
        twin.apply(action)
        assert len(phone.elements()) <= 45, names(phone)
    assert phone.snapshot() == twin.snapshot()
    assert phone.observe().frame.content_hash == twin.observe().frame.content_hash
    assert (
        dump(phone.state)
        == json.dumps(json.loads(dump(phone.state)), separators=(",", ":"), ensure_ascii=False).encode()
    )
