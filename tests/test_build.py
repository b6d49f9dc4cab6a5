"""What is built from the settings, where it is more than passing them on."""

import pytest

from distrl.build import build_replay, build_workers
from distrl.config_file import parse_config


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
