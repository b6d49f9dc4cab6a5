"""The trajectory's invariants and its codec."""

from __future__ import annotations

import dataclasses
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import decision, elements, frame, observation, plain, step, task, trajectory

from distrl.errors import TrajectoryError
from distrl.trajectory import check, decode, encode, frame_hashes
from distrl.types import Action, ActionKind, Ending, Frame, Observation

ABORTED = {"ending": Ending.ABORTED, "success": False}


def there_and_back(original):
    encoded = encode(original)
    return decode(encoded.record, lambda name: Frame(encoded.frames[name].pixels.copy()))


def steps_with(**changes):
    return {"steps": (step(0), step(1, **{"reward": 1.0, **changes}))}


def test_a_trajectory_comes_back_equal_in_every_field_and_type():
    original = trajectory()
    assert plain(there_and_back(original)) == plain(original)


def test_an_invalid_step_a_swipe_and_an_observation_without_a_tree_come_back_equal():
    original = trajectory(
        steps=(
            step(0, action=None, invalid="unparsable", penalties=(("invalid", -1.0),), history=()),
            step(1, observation=Observation(frame(1), None)),
            step(2, observation=Observation(frame(2), ())),
            step(3, action=Action(ActionKind.SWIPE, touch=(0.5, 0.8), lift=(0.5, 0.2)), reward=1.0),
        )
    )
    assert plain(there_and_back(original)) == plain(original)


def test_an_aborted_episode_without_steps_comes_back_equal():
    original = trajectory(steps=(), final_observation=None, fault="lost", side_effects=("a.b",), **ABORTED)
    assert plain(there_and_back(original)) == plain(original)


@settings(max_examples=60, deadline=None)
@given(
    # Lone surrogates, and two that would join to one emoji if they went through JSON escapes.
    text=st.text(st.characters(exclude_categories=())) | st.just("\ud83d\ude00 \udc00\"'\\\n\0$(rm -rf /)`😀"),
    logs=st.lists(st.floats(max_value=0, width=32, allow_infinity=False, allow_nan=False), min_size=1, max_size=5),
)
def test_any_text_and_any_float32_log_probability_comes_back_exactly(text, logs):
    ids = np.arange(len(logs), dtype=np.int32)
    written = decision(text=text, token_ids=ids, log_probs=np.array(logs, np.float32))
    shown = observation(0, elements=(dataclasses.replace(elements()[0], text=text),), app=text)
    original = trajectory(
        task=task(instruction=text, params={text: [text, 0.1, None]}),
        steps=(
            step(0, observation=shown, history=(text,), decision=written),
            step(1, action=Action(ActionKind.TYPE, text=text), reward=1.0),
        ),
    )
    assert plain(there_and_back(original)) == plain(original)


def test_every_element_flag_comes_back_on_its_own():
    flags = [field.name for field in dataclasses.fields(elements()[0]) if field.type == "bool"]
    assert len(flags) == 9
    for flag in flags:
        changed = dataclasses.replace(elements()[0], **{name: False for name in flags if name != flag}, **{flag: True})
        original = trajectory(final_observation=observation(2, elements=(changed,)))
        assert there_and_back(original).final_observation.elements == (changed,)


def test_steps_of_different_lengths_keep_their_own_tokens():
    one = decision(token_ids=np.array([7], np.int32), log_probs=np.array([-7], np.float32))
    two = decision(token_ids=np.array([8, 9], np.int32), log_probs=np.array([-8, -9], np.float32))
    back = there_and_back(trajectory(steps=(step(0, decision=one), step(1, decision=two, reward=1.0))))
    assert [s.decision.token_ids.tolist() for s in back.steps] == [[7], [8, 9]]
    assert [s.decision.log_probs.tolist() for s in back.steps] == [[-7], [-8, -9]]


def test_what_repeats_is_written_once_and_a_frame_is_loaded_once():
    steps = (*(step(0, observation=observation(5)) for _ in range(9)), step(0, reward=1.0))
    encoded = encode(trajectory(steps=steps, final_observation=observation(5)))
    document = json.loads(zlib.decompress(encoded.record))
    assert (len(document["observations"]), len(document["element_lists"]), len(document["elements"])) == (2, 1, 3)
    loaded = []
    decode(encoded.record, lambda name: loaded.append(name) or encoded.frames[name])
    assert sorted(loaded) == sorted(encoded.frames) == sorted(frame_hashes(encoded.record))
    assert len(loaded) == 2


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("id must not be empty", {"id": ""}),
        ("worker must be valid Unicode", {"worker": "w\ud800"}),
        ("task.template must not be empty", {"task": task(template="")}),
        ("task.split must be one of", {"task": task(split="test")}),
        ("task.params must be JSON values", {"task": task(params={"days": ("mon",)})}),
        ("task.params must be JSON values", {"task": task(params={1: "x"})}),
        ("task.params must be JSON values", {"task": task(params={"x": float("nan")})}),
        ("task.params must be JSON values", {"task": task(params={"x": {1, 2}})}),
        ("a fault must be named exactly when", ABORTED),
        ("a fault must be named exactly when", {"fault": "lost"}),
        ("success must end as terminated", {"ending": Ending.TRUNCATED}),
        ("success must have no side effects", {"side_effects": ("notes.3",)}),
        ("must have a step", {"steps": (), "success": False}),
        ("at most task.max_steps=1 steps, it has 2", {"task": task(max_steps=1)}),
        ("must have a final observation", {
            "steps": (step(0),), "ending": Ending.TRUNCATED, "success": False, "final_observation": None}),
        ("must be rewarded at its last step", {"success": False}),
        ("must be rewarded at its last step", {"steps": (step(0, reward=1.0), step(1))}),
        ("duration_s must be finite", {"duration_s": float("inf")}),
        ("reset_s must be finite and at least 0", {"reset_s": -1.0}),
        ("reward must be finite", {"steps": (step(0, reward=float("nan")), step(1, reward=1.0))}),
        ("penalty 'invalid' must be at most 0, it is 0.5", steps_with(penalties=(("invalid", 0.5),))),
        ("must have an action or an invalid kind", steps_with(action=None)),
        ("must have an action or an invalid kind", steps_with(invalid="unparsable")),
        ("invalid must be one of", steps_with(action=None, invalid="silly")),
        ("a point must be inside", steps_with(action=Action(ActionKind.TAP, touch=(0.5, 1.2)))),
        ("token_ids must be int32", steps_with(decision=decision(token_ids=np.zeros(3, np.int64)))),
        ("with A >= 1", steps_with(decision=decision(token_ids=np.zeros(0, np.int32)))),
        ("log_probs must be float32 [3]", steps_with(decision=decision(log_probs=np.zeros(2, np.float32)))),
        ("token_ids must be at least 0", steps_with(decision=decision(token_ids=np.array([1, -1, 2], np.int32)))),
        ("finite and at most 0", steps_with(decision=decision(log_probs=np.array([0, 0, 0.1], np.float32)))),
        ("finite and at most 0", steps_with(decision=decision(log_probs=np.array([0, 0, np.nan], np.float32)))),
        ("finite and at most 0", steps_with(decision=decision(log_probs=np.array([0, 0, -np.inf], np.float32)))),
        ("policy_version must be at least 0", steps_with(decision=decision(policy_version=-1))),
        ("temperature must be finite", steps_with(decision=decision(temperature=float("nan")))),
        ("a frame must be uint8 [H, W, 3]", {
            "final_observation": Observation(Frame(np.zeros((4, 4), np.uint8)), None)}),
        ("element 0 must have index 0, it has 2", {"final_observation": observation(2, elements=elements()[2:])}),
        ("must lie inside the 18x40 frame", {"final_observation": observation(
            2, elements=(dataclasses.replace(elements()[0], bounds=(0, 0, 19, 10)),))}),
    ],
)  # fmt: skip
def test_a_broken_invariant_is_refused_by_name(rule, changes):
    with pytest.raises(TrajectoryError) as caught:
        encode(trajectory(**changes))
    assert rule in str(caught.value)
    assert repr(changes.get("id", "w0-1")) in str(caught.value)


def test_a_log_probability_a_rounding_above_zero_is_accepted():
    check(trajectory(**steps_with(decision=decision(log_probs=np.array([0, 5e-4, -1], np.float32)))))


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_a_damaged_record_is_refused_by_name(cut):
    record = encode(trajectory()).record
    with pytest.raises(TrajectoryError, match="record must be whole"):
        decode(record[:cut], lambda name: frame(0))


@pytest.mark.parametrize("key", ["observations", "elements", "token_ids", "task", "final"])
def test_a_record_that_lacks_a_part_is_refused_by_name(key):
    document = json.loads(zlib.decompress(encode(trajectory()).record))
    del document[key]
    with pytest.raises(TrajectoryError, match="record must be whole"):
        decode(zlib.compress(json.dumps(document).encode()), lambda name: frame(0))


def test_a_record_whose_tokens_do_not_fill_its_steps_is_refused():
    document = json.loads(zlib.decompress(encode(trajectory()).record))
    document["token_ids"][0] = [3, 4]
    with pytest.raises(TrajectoryError, match="6 values for steps of 7 tokens"):
        decode(zlib.compress(json.dumps(document).encode()), lambda name: frame(0))


def test_a_record_of_another_format_is_refused_with_both_formats():
    document = {**json.loads(zlib.decompress(encode(trajectory()).record)), "format": 99}
    with pytest.raises(TrajectoryError, match="must have format 1, this one has 99"):
        decode(zlib.compress(json.dumps(document).encode()), lambda name: frame(0))
