"""Text <-> Action <-> pixels, for every format."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from distrl.actions import CODECS, AitwCodec, ElementCodec, PixelCodec
from distrl.errors import ActionError
from distrl.types import Action, ActionKind, Element, Frame, Observation

TEXTS = [
    "milk",
    'say "hi"',
    "a, b, c",
    "back\\slash",
    "two\nlines",
    "emoji 🎉🇩🇪",
    "$(reboot); rm -rf /",
    "'\"`",
    "\t",
    "ünïcödé",
]
WORDS = [ActionKind.BACK, ActionKind.HOME, ActionKind.ENTER, ActionKind.COMPLETE, ActionKind.IMPOSSIBLE]


def screen(width: int = 180, height: int = 400) -> Observation:
    frame = Frame(np.zeros((height, width, 3), np.uint8))
    elements = (
        Element(0, "ScrollView", (0, 0, width, height), scrollable=True),
        Element(1, "Button", (10, 20, 60, 40), text="Save", clickable=True),
        Element(2, "TextView", (10, 20, 160, 90), text="around it"),
        Element(3, "EditText", (10, 100, 170, 130), editable=True),
    )
    return Observation(frame, elements)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("text", TEXTS)
def test_typed_text_survives_every_format(name, text):
    action = Action(ActionKind.TYPE, text=text)
    written = CODECS[name].encode(action, screen())
    assert CODECS[name].decode(written, screen()) == action


@pytest.mark.parametrize("name", CODECS)
@given(text=st.text(min_size=1))
def test_any_text_survives_every_format(name, text):
    assume((name, text) != ("ui_tars", "\n"))  # That is its enter key.
    action = Action(ActionKind.TYPE, text=text)
    assert CODECS[name].decode(CODECS[name].encode(action, screen()), screen()) == action


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("kind", WORDS)
def test_words_survive_every_format(name, kind):
    assert CODECS[name].decode(CODECS[name].encode(Action(kind), screen()), screen()) == Action(kind)


@pytest.mark.parametrize("name", ["element", "pixel"])
@pytest.mark.parametrize("direction", ["up", "down", "left", "right"])
def test_scrolls_survive(name, direction):
    action = CODECS[name].decode(f"scroll {direction}", screen())
    assert CODECS[name].encode(action, screen()) == f"scroll {direction}"


def test_the_finger_moves_against_the_view():
    down = ElementCodec().decode("scroll down", screen())
    assert down.touch[1] > down.lift[1]
    right = ElementCodec().decode("scroll right", screen())
    assert right.touch[0] > right.lift[0]


def test_an_element_is_touched_in_its_centre():
    action = ElementCodec().decode("tap 1", screen())
    assert action == Action(ActionKind.TAP, touch=(35 / 180, 30 / 400))
    assert ElementCodec().decode("long_press 3", screen()).kind is ActionKind.LONG_PRESS


def test_a_touch_is_written_as_the_clickable_element_under_it():
    inside_both = Action(ActionKind.TAP, touch=(35 / 180, 30 / 400))
    assert ElementCodec().encode(inside_both, screen()) == "tap 1"
    only_around = Action(ActionKind.TAP, touch=(100 / 180, 60 / 400))
    assert ElementCodec().encode(only_around, screen()) == "tap 2"


@given(x=st.floats(0, 1, exclude_max=True), y=st.floats(0, 1, exclude_max=True))
def test_a_pixel_point_comes_back_within_half_a_cell(x, y):
    action = Action(ActionKind.TAP, touch=(x, y))
    back = PixelCodec().decode(PixelCodec().encode(action, screen()), screen())
    assert abs(back.touch[0] - x) <= 0.5 / 1000 + 1e-9
    assert abs(back.touch[1] - y) <= 0.5 / 1000 + 1e-9


def test_pixel_x_comes_first_and_aitw_y_comes_first():
    assert PixelCodec().encode(Action(ActionKind.TAP, touch=(0.25, 0.75)), screen()) == "tap 250 750"
    text = AitwCodec().encode(Action(ActionKind.TAP, touch=(0.25, 0.75)), screen())
    assert json.loads("{" + text + "}")["touch_point"] == "[0.7500, 0.2500]"


@given(
    touch=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    lift=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_aitw_gestures_come_back_within_a_tenth_of_a_pixel(touch, lift):
    swipe = Action(ActionKind.SWIPE, touch=touch, lift=lift)
    back = AitwCodec().decode(AitwCodec().encode(swipe, screen()), screen())
    assert back.touch == pytest.approx(touch, abs=6e-5)
    if back.kind is ActionKind.SWIPE:
        assert back.lift == pytest.approx(lift, abs=6e-5)
    else:
        assert np.hypot(touch[0] - lift[0], touch[1] - lift[1]) <= 0.0402


def test_aitw_reads_what_autoui_writes():
    text = (
        'Action Decision: "action_type": "DUAL_POINT", "touch_point": "[0.8, 0.5]", "lift_point": "[0.8, 0.5]", '
        '"typed_text": ""'
    )
    assert AitwCodec().decode(text, screen()) == Action(ActionKind.TAP, touch=(0.5, 0.8))


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("element", "", "unknown_action"),
        ("element", "tap", "unparsable"),
        ("element", "tap x", "unparsable"),
        ("element", "tap -1", "unparsable"),
        ("element", "tap 4", "unknown_element"),
        ("element", "tap 99999999999999999999", "unparsable"),
        ("element", "tap ٣", "unparsable"),
        ("element", "back now", "unparsable"),
        ("element", "scroll sideways", "unparsable"),
        ("element", 'type ""', "empty_text"),
        ("element", "type milk", "unparsable"),
        ("element", 'type "milk', "unparsable"),
        ("element", "type 7", "unparsable"),
        ("element", "fly 3", "unknown_action"),
        ("pixel", "tap 5", "unparsable"),
        ("pixel", "tap 5 1000", "off_screen"),
        ("pixel", "tap 0.5 0.5", "unparsable"),
        ("aitw", "garbage", "unparsable"),
        ("aitw", '"action_type": "WAIT"', "unknown_action"),
        ("aitw", '"action_type": "TYPE", "typed_text": ""', "empty_text"),
        ("aitw", '"action_type": "DUAL_POINT", "touch_point": "[1.2, 0]", "lift_point": "[0, 0]"', "off_screen"),
        ("aitw", '"action_type": "DUAL_POINT", "touch_point": "0.2", "lift_point": "[0, 0]"', "unparsable"),
    ],
)
def test_malformed_text_is_invalid_by_kind(name, text, kind):
    with pytest.raises(ActionError) as caught:
        CODECS[name].decode(text, screen())
    assert caught.value.kind == kind


@pytest.mark.parametrize("name", CODECS)
@given(text=st.text())
def test_garbage_is_an_action_or_an_action_error_and_nothing_else(name, text):
    try:
        action = CODECS[name].decode(text, screen())
    except ActionError:
        return
    assert isinstance(action, Action)


@pytest.mark.parametrize("name", CODECS)
def test_deeply_nested_garbage_is_refused_by_name(name):
    with pytest.raises(ActionError):
        CODECS[name].decode("type " + "[" * 100_000, screen())


def test_what_a_format_cannot_say_is_refused_by_name():
    with pytest.raises(ActionError):
        AitwCodec().encode(Action(ActionKind.LONG_PRESS, touch=(0.5, 0.5)), screen())
    with pytest.raises(ActionError):
        ElementCodec().encode(Action(ActionKind.TAP, touch=(0.5, 0.5)), Observation(screen().frame, None))
