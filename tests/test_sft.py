"""Cloning demonstrations: what becomes a step, what is left out, and that the recipe makes the same policy again."""

from __future__ import annotations

import json

import pytest
import torch
from training import SIZES, config, tiny_policy

from distrl.build import build_suite
from distrl.config_file import load_config, parse_config
from distrl.device.fake import FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.errors import StoreError, TaskError
from distrl.policy.hf import HuggingFacePolicy
from distrl.policy.tiny.create import create_tiny_policy
from distrl.sft import DEMO_SEED_BASE, _as_steps, _epochs, clone, clone_demonstrations, demonstrations
from distrl.types import Action, ActionKind, PolicyInput

TEMPLATES = ("settings.wifi", "launcher.open_app")


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "new"
    create_tiny_policy(["Turn", "on", "off", "Wi", "Fi", "Open"], max_action_tokens=8, **SIZES).save(folder)
    return parse_config(
        {
            "device": {"kind": "sim", "screen": (90, 200)},
            "tasks": {"templates": TEMPLATES},
            "policy": {"path": str(folder), "max_action_tokens": 8},
            "sft": {"demos_per_template": 2, "epochs": 2, "batch_steps": 4, "detour_rate": 0.0},
        }
    )


def screen():
    async def main():
        device = FakeDevice()
        await device.reset(fake_task(), deadline_s=1.0)
        return await device.observe(deadline_s=1.0)

    return run_virtual(main())


TAP = Action(ActionKind.TAP, touch=(0.5, 0.75))
BACK = Action(ActionKind.BACK)


def test_mistakes_stay_in_the_history_and_are_not_cloned():
    shown = screen()
    steps = _as_steps("Tap.", [(shown, TAP, False), (shown, BACK, True), (shown, TAP, False)], config())
    assert [step.text for step in steps] == ["tap 1", "tap 1"]
    assert [step.policy_input.history for step in steps] == [(), ("tap 1", "back")]
    assert {step.policy_input.instruction for step in steps} == {"Tap."}


def test_the_history_is_bounded_as_when_acting():
    shown = screen()
    steps = _as_steps(
        "Tap.", [(shown, TAP, False), (shown, BACK, False), (shown, TAP, False), (shown, BACK, False)], config()
    )
    assert steps[-1].policy_input.history == ("back", "tap 1")
    none = parse_config({"policy": {"history_length": 0}})
    assert all(step.policy_input.history == () for step in _as_steps("Tap.", [(shown, TAP, False)] * 3, none))


def test_a_touch_that_the_format_cannot_say_ends_the_demonstration_there():
    shown = screen()
    nowhere = Action(ActionKind.TAP, touch=(0.5, 0.3))  # Between the two elements.
    steps = _as_steps("Tap.", [(shown, TAP, False), (shown, nowhere, False), (shown, TAP, False)], config())
    assert [step.text for step in steps] == ["tap 1"]


def test_demonstrations_are_training_tasks_that_no_evaluation_uses(small):
    suite = build_suite(small)
    made = []
    make_task = suite.make_task
    suite.make_task = lambda name, *, split, seed: (
        made.append((name, split, seed)),
        make_task(name, split=split, seed=seed),
    )[1]
    episodes = list(demonstrations(small, suite))
    assert [name for name, _, _ in made] == [name for name in suite.splits()["train"] for _ in range(2)]
    assert all(split == "train" and seed >= DEMO_SEED_BASE for _, split, seed in made)
    assert len({seed for _, _, seed in made}) == len(made)
    assert all(episode for episode in episodes)


def test_every_epoch_shows_every_step_once_in_another_order():
    batches = _epochs(10, 4, seed=1)
    epochs = [[next(batches) for _ in range(3)] for _ in range(3)]
    flat = [[i for batch in epoch for i in batch] for epoch in epochs]
    assert all(sorted(epoch) == list(range(10)) for epoch in flat)
    assert flat[0] != flat[1]


def test_cloning_lowers_the_loss_and_the_policy_then_says_what_was_shown():
    policy, shown = tiny_policy(), screen()
    encoded = [policy.encode(PolicyInput("Tap 1 times.", shown), policy.decision_for("home"))] * 8
    before = float(policy.supervised_loss(policy.collate(encoded)).detach())
    run = parse_config({"sft": {"epochs": 30, "batch_steps": 8, "learning_rate": 0.01}})
    said = []
    num_updates, loss = clone(policy, encoded, run, say=said.append)
    assert num_updates == 30
    assert loss < before / 4
    assert policy.act([PolicyInput("Tap 1 times.", shown)], temperature=0.0)[0].text == "home"
    assert len(said) == 5


def test_nothing_to_clone_is_refused_with_the_remedy():
    with pytest.raises(TaskError, match=r"raise sft\.demos_per_template"):
        clone(tiny_policy(), [], parse_config({}), say=lambda line: None)


def test_missing_recorded_demonstrations_are_named_with_the_remedy(small, tmp_path):
    with pytest.raises(StoreError, match="distrl phone --record"):
        clone_demonstrations(small, tmp_path / "out", recorded=[tmp_path / "none.sqlite"])


def test_the_saved_policy_comes_with_the_recipe_that_makes_it_again(small, tmp_path):
    first = clone_demonstrations(small, tmp_path / "a")
    recipe = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert (recipe["command"], recipe["seed"], recipe["num_demonstrations"]) == ("distrl sft", 0, 4)
    again = clone_demonstrations(load_config(tmp_path / "a" / "recipe.yaml"), tmp_path / "b")
    assert first == again
    states = [HuggingFacePolicy.load(tmp_path / name, max_action_tokens=8).state() for name in ("a", "b")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
