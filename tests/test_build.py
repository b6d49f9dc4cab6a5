"""What is built from the settings, where it is more than passing them on."""

import pytest
from training import SIZES

from distrl.build import build_policy, build_replay, build_workers
from distrl.config_file import parse_config
from distrl.errors import PolicyError
from distrl.policy.tiny.create import create_tiny_policy


@pytest.mark.parametrize(
    ("device", "scale"),
    [
        ({"kind": "sim", "latency": "emulator", "latency_scale": 0.01}, 0.01),
        ({"kind": "sim", "latency": "stream", "latency_scale": 2.0}, 2.0),
        ({"kind": "sim", "latency": "emulator", "latency_scale": 0.0}, 1.0),
        ({"kind": "sim", "latency": "instant", "latency_scale": 0.01}, 1.0),
        ({"kind": "browser"}, 1.0),
    ],
)
def test_deadlines_and_pauses_are_in_the_time_of_the_phones(device, scale):
    config = parse_config({"device": device})
    workers = build_workers(config)
    given, built = config.workers.deadlines.model_dump(), workers.deadlines.model_dump()
    assert built == pytest.approx({name: seconds * scale for name, seconds in given.items()})
    assert workers.recovery_backoff_s == pytest.approx(config.workers.recovery_backoff_s * scale)
    assert workers.num_devices == config.workers.num_devices


@pytest.mark.parametrize(
    ("name", "prioritised", "share"), [("a_ride", True, 0.25), ("digirl", False, 0.0), ("filtered_bc", False, 0.0)]
)
def test_the_baselines_choose_for_themselves_from_uniform_draws(name, prioritised, share):
    settings = build_replay(parse_config({"algorithm": {"name": name}})).settings
    assert (settings.prioritised, settings.success_share) == (prioritised, share)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"screenshot": False}, "policy.screenshot=true"),
        ({"ui_tree": False, "actions": "aitw"}, "policy.ui_tree=true"),
        ({"actions": "pixel"}, "policy.actions=element"),
    ],
)
def test_a_policy_that_was_made_to_see_or_say_something_else_is_refused(settings, named, tmp_path):
    create_tiny_policy(["Open"], action_format="element", **SIZES).save(tmp_path)
    assert build_policy(parse_config({"policy": {"path": str(tmp_path)}})).hidden_size
    with pytest.raises(PolicyError, match=named):
        build_policy(parse_config({"policy": {"path": str(tmp_path), **settings}}))


def test_a_policy_without_a_grammar_may_be_used_with_any_format(tmp_path):
    create_tiny_policy(["Open"], **SIZES).save(tmp_path)
    assert build_policy(parse_config({"policy": {"path": str(tmp_path), "actions": "pixel"}})).hidden_size


@pytest.mark.parametrize(("actions", "grammar"), [("element", "element"), ("pixel", "pixel"), ("aitw", None)])
def test_a_new_policy_has_the_grammar_of_its_format(actions, grammar):
    policy = build_policy(parse_config({"policy": {"actions": actions}}))
    assert policy.model.config.action_format == grammar
