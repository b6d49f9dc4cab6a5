"""The formats that families of models write: round trips at odd screen sizes, sloppy texts, refusals by kind."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrl.actions import CODECS, AndroidWorldCodec, MobileUseCodec, PixelBudget, UiTarsCodec
from distrl.errors import ActionError, ConfigError
from distrl.types import Action, ActionKind, Element, Frame, Observation

SIZES = [(540, 1200), (180, 400), (1080, 2400), (1081, 2399), (333, 777), (57, 1201), (1200, 541)]
SHARE = st.floats(0, 1)
POINT = st.tuples(SHARE, SHARE)
POINTING = ["mobile_use", "mobile_use_999", "ui_tars"]


def screen(width=540, height=1200, *, focused=False, elements=True):
    frame = Frame(np.zeros((height, width, 3), np.uint8))
    shown = (
        Element(0, "ScrollView", (0, 0, width, height), scrollable=True),
        Element(1, "Button", (10, 20, 60, 40), text="Save", clickable=True),
        Element(2, "EditText", (10, 100, 50, 130), editable=True, focused=focused),
    )
    return Observation(frame, shown if elements else ())


def model_size(name, observation):
    codec = CODECS[name]
    if name == "mobile_use_999":
        return 999, 999
    return codec.budget.resized(*observation.frame.size)


@pytest.mark.parametrize("name", POINTING)
@pytest.mark.parametrize("size", SIZES)
@given(touch=POINT, lift=POINT, kind=st.sampled_from([ActionKind.TAP, ActionKind.LONG_PRESS, ActionKind.SWIPE]))
def test_touches_come_back_within_one_pixel_of_what_the_model_sees(name, size, touch, lift, kind):
    seen = screen(*size)
    action = Action(kind, touch=touch, lift=lift if kind is ActionKind.SWIPE else None)
    back = CODECS[name].decode(CODECS[name].encode(action, seen), seen)
    assert back.kind is kind
    points = [(touch, back.touch)] + ([(lift, back.lift)] if kind is ActionKind.SWIPE else [])
    for before, after in points:
        for axis, side in enumerate(model_size(name, seen)):
            assert abs(after[axis] - before[axis]) * side <= 0.5 + 1e-6


def test_each_family_has_its_own_coordinates():
    """The classic silent bug: the same point, three ways to write it. 540x1200 is resized to 532x1204."""
    tap = Action(ActionKind.TAP, touch=(0.5, 0.25))
    assert '"coordinate": [266, 301]' in MobileUseCodec().encode(tap, screen())
    assert '"coordinate": [500, 250]' in MobileUseCodec(budget=None).encode(tap, screen())
    assert UiTarsCodec().encode(tap, screen()) == "Action: click(point='<point>266 301</point>')"
    assert AndroidWorldCodec().encode(tap, screen(elements=False)) == '{"action_type": "click", "x": 270, "y": 300}'


@pytest.mark.parametrize(
    ("size", "budget", "resized"),
    [
        ((540, 1200), PixelBudget(), (532, 1204)),
        ((180, 400), PixelBudget(), (168, 392)),
        ((10, 10), PixelBudget(), (56, 56)),
        ((1080, 2400), PixelBudget(max_pixels=602_112), (504, 1148)),
        ((28, 28), PixelBudget(min_pixels=0), (28, 28)),
        ((1920, 1080), PixelBudget(factor=32), (1920, 1088)),
    ],
)
def test_images_are_resized_as_the_family_does(size, budget, resized):
    assert budget.resized(*size) == resized


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([28, 32]), st.integers(10_000, 2_000_000))
def test_a_resized_image_keeps_to_its_budget(width, height, factor, max_pixels):
    budget = PixelBudget(factor=factor, min_pixels=4 * factor**2, max_pixels=max_pixels)
    if max(width, height) > 200 * min(width, height):
        with pytest.raises(ValueError, match="200 to 1"):
            budget.resized(width, height)
        return
    columns, rows = budget.resized(width, height)
    assert columns % factor == rows % factor == 0
    assert min(columns, rows) >= factor
    if columns > factor and rows > factor:
        assert columns * rows <= max_pixels
    assert columns * rows >= budget.min_pixels or min(columns, rows) == factor


@pytest.mark.parametrize("bad", [{"factor": 0}, {"min_pixels": 5000, "max_pixels": 4000}, {"max_pixels": 100}])
def test_an_impossible_budget_is_refused(bad):
    with pytest.raises(ConfigError, match="pixel budget"):
        PixelBudget(**bad)


@pytest.mark.parametrize(
    ("name", "text", "action"),
    [
        ("mobile_use_999", '{"action": "click", "coordinate": [999, 0]}', Action(ActionKind.TAP, touch=(1.0, 0.0))),
        ("mobile_use_999", 'Sure!\n```json\n{"name": "mobile_use", "arguments": {"action": "type", "text": "a"}}\n```',
         Action(ActionKind.TYPE, text="a")),
        ("mobile_use_999", 'I see {a menu}. <tool_call>{"name": "mobile_use", "arguments": {"action": "system_button", '
         '"button": "back"}}</tool_call> done', Action(ActionKind.BACK)),
        ("mobile_use_999", '{"arguments": {"action": "click", "coordinate": ["0", "999"]}}',
         Action(ActionKind.TAP, touch=(0.0, 1.0))),
        ("mobile_use_999", '{"action": "key", "text": "enter"}', Action(ActionKind.ENTER)),
        ("mobile_use_999", '{"action": "terminate", "status": "failure"}', Action(ActionKind.IMPOSSIBLE)),
        ("ui_tars", "Thought: Action: is a word.\nAction: press_back()", Action(ActionKind.BACK)),
        ("ui_tars", "press_home()", Action(ActionKind.HOME)),
        ("ui_tars", "```\nAction: finished(content='It\\'s done (really).')\n```", Action(ActionKind.COMPLETE)),
        ("ui_tars", "Action: type(content='a) b\nc')", Action(ActionKind.TYPE, text="a) b\nc")),
        ("ui_tars", "Action: click(start_box='(0,0)')", Action(ActionKind.TAP, touch=(0.0, 0.0))),
        ("ui_tars", "Action: click(start_box='<|box_start|>(0,0,532,1204)<|box_end|>')",
         Action(ActionKind.TAP, touch=(0.5, 0.5))),
        ("ui_tars", "Action: call_user()", Action(ActionKind.IMPOSSIBLE)),
        ("android_world", 'Reason: ...\nAction: {"action_type": "navigate_home"}', Action(ActionKind.HOME)),
        ("android_world", '{"action_type": "click", "index": "1"}',
         Action(ActionKind.TAP, touch=(35 / 540, 30 / 1200))),
        ("android_world", '{"action_type": "input_text", "text": "x, {y}"}', Action(ActionKind.TYPE, text="x, {y}")),
        ("android_world", '{"action_type": "status", "goal_status": "infeasible"}', Action(ActionKind.IMPOSSIBLE)),
    ],
)  # fmt: skip
def test_sloppy_texts_are_understood(name, text, action):
    assert CODECS[name].decode(text, screen()) == action


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("mobile_use", "", "unparsable"),
        ("mobile_use", "click 5 5", "unparsable"),
        ("mobile_use", '{"action": "click"}', "unparsable"),
        ("mobile_use", '{"action": "click", "coordinate": [1]}', "unparsable"),
        ("mobile_use", '{"action": "click", "coordinate": [NaN, 1]}', "unparsable"),
        ("mobile_use", '{"action": "click", "coordinate": [true, 1]}', "unparsable"),
        ("mobile_use", '{"action": "click", "coordinate": [533, 5]}', "off_screen"),
        ("mobile_use_999", '{"action": "click", "coordinate": [1000, 5]}', "off_screen"),
        ("mobile_use", '{"action": "swipe", "coordinate": [1, 1]}', "unparsable"),
        ("mobile_use", '{"action": "type", "text": ""}', "empty_text"),
        ("mobile_use", '{"action": "type", "text": 7}', "unparsable"),
        ("mobile_use", '{"action": "system_button", "button": "Menu"}', "unknown_key"),
        ("mobile_use", '{"action": "key", "text": "volume_up"}', "unknown_key"),
        ("mobile_use", '{"action": "wait", "time": 2}', "unknown_action"),
        ("mobile_use", '{"action": ["click"]}', "unknown_action"),
        ("mobile_use", '{"action": "terminate"}', "unparsable"),
        ("mobile_use", '{"action": "terminate", "status": ["success"]}', "unparsable"),
        ("android_world", '{"action_type": {}}', "unknown_action"),
        ("android_world", '{"action_type": "scroll", "direction": ["up"]}', "unparsable"),
        ("ui_tars", "Thought: I am lost.", "unparsable"),
        ("ui_tars", "Action: click(point='<point>5</point>')", "unparsable"),
        ("ui_tars", "Action: click(point='<point>5 9999</point>')", "off_screen"),
        ("ui_tars", "Action: type(content='')", "empty_text"),
        ("ui_tars", "Action: scroll(point='<point>5 5</point>', direction='sideways')", "unparsable"),
        ("ui_tars", "Action: open_app(app_name='Clock')", "unknown_action"),
        ("ui_tars", "Action: click(point='<point>5 5</point>'", "unparsable"),
        ("android_world", '{"action_type": "click", "index": 3}', "unknown_element"),
        ("android_world", '{"action_type": "click", "index": 0.5}', "unknown_element"),
        ("android_world", '{"action_type": "click", "x": 541, "y": 5}', "off_screen"),
        ("android_world", '{"action_type": "click"}', "unparsable"),
        ("android_world", '{"action_type": "input_text", "text": "a", "index": 2}', "unknown_element"),
        ("android_world", '{"action_type": "input_text", "text": ""}', "empty_text"),
        ("android_world", '{"action_type": "scroll", "direction": "in"}', "unparsable"),
        ("android_world", '{"action_type": "wait"}', "unknown_action"),
        ("android_world", '{"action_type": "status", "goal_status": "maybe"}', "unparsable"),
    ],
)
def test_what_is_no_action_is_invalid_by_kind_and_never_a_wait(name, text, kind):
    with pytest.raises(ActionError) as caught:
        CODECS[name].decode(text, screen())
    assert caught.value.kind == kind


@pytest.mark.parametrize("name", ["mobile_use", "ui_tars", "android_world"])
@given(
    wrapped=st.sampled_from(['{"action": %s}', '{"action_type": "click", "x": %s}', "Action: click(point=%s)", "%s"]),
    text=st.text(max_size=30),
)
def test_half_right_garbage_is_an_action_or_an_action_error_and_nothing_else(name, wrapped, text):
    for filling in (text, json.dumps(text)):
        try:
            assert isinstance(CODECS[name].decode(wrapped % filling, screen()), Action)
        except ActionError as error:
            assert error.kind


def test_nothing_that_is_read_is_run():
    with pytest.raises(ActionError):
        UiTarsCodec().decode("Action: click(point=__import__('os').system('true'))", screen())


def test_typing_into_a_named_field_needs_its_focus():
    text = '{"action_type": "input_text", "text": "milk", "index": 2}'
    assert AndroidWorldCodec().decode(text, screen(focused=True)) == Action(ActionKind.TYPE, text="milk")


def test_android_world_names_elements_where_there_are_any():
    tap = Action(ActionKind.TAP, touch=(35 / 540, 30 / 1200))
    assert AndroidWorldCodec().encode(tap, screen()) == '{"action_type": "click", "index": 1}'


@pytest.mark.parametrize("direction", ["up", "down", "left", "right"])
def test_a_scroll_moves_the_view_and_a_swipe_the_finger(direction):
    def moved(text, name="android_world"):
        action = CODECS[name].decode(text, screen())
        return tuple(round(math.copysign(math.ceil(abs(d)), d)) for d in np.subtract(action.lift, action.touch))

    view = {"down": (0, 1), "up": (0, -1), "right": (1, 0), "left": (-1, 0)}[direction]
    against = tuple(-part for part in view)
    assert moved(f'{{"action_type": "scroll", "direction": "{direction}"}}') == against
    assert moved(f'{{"action_type": "swipe", "direction": "{direction}"}}') == view
    assert moved(f"scroll(point='<point>266 602</point>', direction='{direction}')", "ui_tars") == against
    action = CODECS["android_world"].decode(f'{{"action_type": "scroll", "direction": "{direction}"}}', screen())
    assert json.loads(CODECS["android_world"].encode(action, screen()))["direction"] == direction


def test_a_scroll_of_an_element_stays_inside_it():
    action = AndroidWorldCodec().decode('{"action_type": "scroll", "direction": "down", "index": 2}', screen())
    for x, y in (action.touch, action.lift):
        assert 10 <= x * 540 < 50
        assert 100 <= y * 1200 < 130


def test_a_line_break_alone_is_ui_tars_enter_key():
    assert (
        UiTarsCodec().decode(UiTarsCodec().encode(Action(ActionKind.ENTER), screen()), screen()).kind
        is ActionKind.ENTER
    )
    with pytest.raises(ActionError, match="enter key"):
        UiTarsCodec().encode(Action(ActionKind.TYPE, text="\n"), screen())
