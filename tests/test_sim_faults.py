from collections import Counter

import numpy as np
import pytest

from distrl.config import FaultsConfig
from distrl.device.sim.faults import FAULT_KINDS, FaultInjector, FaultPlan, Injection, is_blank
from distrl.errors import ConfigError
from distrl.types import Frame

SIZE = (180, 400)


def test_injections_are_found_by_episode_and_step_and_happen_once():
    injector = FaultInjector(
        FaultPlan(script=(Injection("hang", episode=1, step=2), Injection("crash", step=1))), seed=0
    )
    seen = []
    for episode in range(3):
        assert injector.draw("reset") is None
        for step in range(4):
            assert injector.draw("observe") is None
            seen.append((episode, step, injector.draw("act")))
    assert [entry for entry in seen if entry[2]] == [(0, 1, "crash"), (1, 2, "hang")]


def test_a_fault_meant_for_the_last_screen_of_an_episode_never_reaches_the_next():
    injector = FaultInjector(FaultPlan(blank_frame=1.0), seed=0)
    assert [injector.draw(call) for call in ("reset", "act", "reset", "observe", "act", "observe")] == [
        *(None,) * 5,
        "blank_frame",
    ]


def test_drawn_faults_come_at_their_rates_and_on_the_calls_they_can_happen_to():
    rates = {"hang": 0.02, "crash": 0.04, "offline": 0.02, "blank_frame": 0.05, "stale_frame": 0.06, "lost_tap": 0.07}
    injector = FaultInjector(FaultPlan(**rates, slow_reset=0.3), seed=1)
    found: Counter[tuple[str, str]] = Counter()
    num_episodes, num_steps = 2_000, 10
    for _ in range(num_episodes):
        found["reset", injector.draw("reset") or ""] += 1
        found["observe", injector.draw("observe") or ""] += 1
        for _ in range(num_steps):
            found["act", injector.draw("act") or ""] += 1
            found["observe", injector.draw("observe") or ""] += 1
    for kind, rate in rates.items():
        per_step = (found["act", kind] + found["observe", kind]) / (num_episodes * num_steps)
        assert per_step == pytest.approx(rate, rel=0.15), kind
    for kind in ("hang", "crash", "offline"):
        assert found["act", kind] / (found["act", kind] + found["observe", kind]) == pytest.approx(0.5, abs=0.1)
        assert found["reset", kind] / num_episodes == pytest.approx(rates[kind], abs=0.01)
    assert found["reset", "slow_reset"] / num_episodes == pytest.approx(0.3, abs=0.04)
    assert found["act", "blank_frame"] == found["act", "stale_frame"] == found["observe", "lost_tap"] == 0


def test_the_same_seed_draws_the_same_faults():
    def faults(seed):
        injector = FaultInjector(FaultPlan(hang=0.2, lost_tap=0.2, stale_frame=0.2), seed=seed)
        return [injector.draw(call) for call in ("reset", *("observe", "act") * 50)]

    assert faults(1) == faults(1)
    assert faults(1) != faults(2)


def test_a_fault_plan_has_the_names_and_defaults_of_the_config():
    assert FaultPlan(**FaultsConfig().model_dump()) == FaultPlan()
    assert set(FaultsConfig.model_fields) == set(FAULT_KINDS)


def test_impossible_fault_plans_are_refused():
    with pytest.raises(ConfigError, match=r"rate of hang.*1\.5"):
        FaultPlan(hang=1.5)
    with pytest.raises(ConfigError, match=r"per step add up to 1\.2"):
        FaultPlan(hang=0.6, lost_tap=0.6)
    with pytest.raises(ConfigError, match="only happen to `observe`"):
        Injection("blank_frame", call="act")
    with pytest.raises(ConfigError, match="unknown fault"):
        Injection("explode")


def test_blank_means_one_colour_everywhere():
    width, height = SIZE
    for level in (0, 255, 17):
        assert is_blank(Frame(np.full((height, width, 3), level, np.uint8)))
    tinted = np.full((height, width, 3), (20, 30, 40), np.uint8)
    assert is_blank(Frame(tinted))
    dotted = tinted.copy()
    dotted[201, 97] = 0  # Off the coarse grid.
    assert not is_blank(Frame(dotted))
