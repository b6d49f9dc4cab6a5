"""The phone as a Gymnasium environment: its contract, and what each flag means."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import distrl.gymnasium_env
from distrl.config import PenaltiesConfig, RunConfig
from distrl.errors import DeviceLostError, JudgeError, TaskError
from distrl.gymnasium_env import PhoneEnv, Unicode, element_line
from distrl.types import Element


@pytest.fixture
def make():
    made = []

    def make(*, penalties=None, faults=None, **changes):
        device = {"kind": "sim", "screen": (90, 200), "faults": faults or {}}
        env = PhoneEnv(RunConfig.model_validate({"device": device}), penalties=penalties, **changes)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def test_the_registered_phone_passes_gymnasiums_own_checks():
    env = gymnasium.make("distrl/SimPhone-v0")
    try:
        check_env(env.unwrapped, skip_render_check=False)
    finally:
        env.close()


@pytest.mark.parametrize("name", ["distrl/SimPhone-v0", "distrl/SimPhoneLarge-v0", "distrl/Browser-v0"])
def test_every_id_is_registered_and_imported_with_the_module(name):
    assert gymnasium.spec(name).entry_point == "distrl.gymnasium_env:PhoneEnv"
    assert distrl.gymnasium_env.PhoneEnv is PhoneEnv


def test_observations_are_in_the_space_and_equal_seeds_give_equal_starts(make):
    env = make(render_mode="rgb_array")
    first, info = env.reset(seed=3)
    assert env.observation_space.contains(first)
    again, info_again = env.reset(seed=3)
    assert info["task"] == info_again["task"]
    assert np.array_equal(first["screenshot"], again["screenshot"])
    assert first["ui_tree"] == again["ui_tree"]
    assert np.array_equal(env.render(), first["screenshot"])
    assert env.reset(seed=4)[1]["task"] != info["task"]


def test_the_task_can_be_named(make):
    env = make()
    template = env.reset(seed=0)[1]["task"].template
    _, info = env.reset(options={"template": template, "split": "held_out_params", "task_seed": 5})
    assert (info["task"].template, info["task"].split, info["task"].seed) == (template, "held_out_params", 5)


def test_an_unknown_split_or_template_is_refused_by_name(make):
    env = make()
    with pytest.raises(TaskError, match="split 'nowhere' has no task here; there are: train"):
        env.reset(options={"split": "nowhere"})
    with pytest.raises(TaskError, match=r"no\.such"):
        env.reset(options={"template": "no.such"})


def test_declaring_the_end_is_terminated_and_not_truncated(make):
    env = make()
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step("done")
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["success"] is False
    assert "fault" not in info


def test_the_step_budget_is_truncated_without_a_fault(make):
    env = make()
    env.reset(seed=0)
    max_steps = env.reset(seed=0)[1]["task"].max_steps
    flags = [env.step("nonsense")[2:4] for _ in range(max_steps)]
    assert flags == [(False, False)] * (max_steps - 1) + [(False, True)]


def test_a_device_fault_is_truncated_with_its_name_and_the_next_reset_recovers(make, monkeypatch):
    env = make(faults={"blank_frame": 1.0})
    first, _ = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step("home")
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["fault"] == "no_observation"
    assert np.array_equal(observation["screenshot"], first["screenshot"])
    assert env.step("home")[4]["fault"] == "lost"  # It answers nothing until it is reset.
    called = []
    recover, reset = env._device.recover, env._device.reset
    monkeypatch.setattr(env._device, "recover", lambda **given: (called.append("recover"), recover(**given))[1])
    monkeypatch.setattr(env._device, "reset", lambda task, **given: (called.append("reset"), reset(task, **given))[1])
    observation, info = env.reset(seed=1)
    assert called == ["recover", "reset"]  # After an error a device answers nothing else.
    assert env.observation_space.contains(observation)


def test_a_judge_that_cannot_answer_is_truncated_by_name_and_needs_no_recovery(make):
    env = make()
    env.reset(seed=0)

    class Out:
        async def judge(self, *unused, deadline_s):
            raise JudgeError("out")

    env._episode._judge = Out()
    assert env.step("home")[2:] == (False, True, {"fault": "judge", "success": False})
    assert env._needs_recovery is False


def test_a_phone_that_fails_its_reset_is_recovered_once_and_then_reported(make):
    env = make(faults={"crash": 1.0})
    for _ in range(2):  # The second time it is recovered first, and tried again.
        with pytest.raises(DeviceLostError, match="crashed during reset"):
            env.reset(seed=0)
    assert env._device.faults_injected["crash"] == 4
    env._device._faults._per_reset = []
    env.reset(seed=0)


def test_an_invalid_text_is_named_and_penalties_are_off_unless_asked_for(make):
    env = make()
    env.reset(seed=0)
    _, reward, _, _, info = env.step("tap 9999")
    assert (reward, info["invalid"], info["penalties"]) == (0.0, "unknown_element", {})
    strict = make(penalties=PenaltiesConfig())
    strict.reset(seed=0)
    _, reward, _, _, info = strict.step("tap 9999")
    assert (reward, info["penalties"]) == (-1.0, {"invalid": -1.0})


def test_texts_of_any_characters_are_in_the_action_space_up_to_its_length():
    space = Unicode(10, seed=0)
    assert space.contains('"; rm 🙂')
    assert not space.contains("x" * 11)
    assert not space.contains(b"bytes")
    assert space.contains(space.sample())
    assert space == Unicode(10)
    assert space != Unicode(11)


def test_an_element_is_one_line_with_its_flags():
    element = Element(7, "Button", (0, 0, 1, 1), text="Save", clickable=True, checked=True)
    assert element_line(element) == '7 Button "Save" clickable checked'


def test_closing_twice_is_harmless(make):
    env = make()
    env.close()
    env.close()
