"""The benchmarks run, write what they found, and measure what they say: time shares, barriers, fixed policy times."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def benchmark_named():
    """Imports one of the scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(FOLDER), *sys.path])
        yield importlib.import_module


@pytest.fixture(scope="module")
def collection(benchmark_named):
    return benchmark_named("collection")


@pytest.fixture(scope="module")
def small(collection):
    return collection.Fleet(num_devices=4, rounds=3, policy_s=0.25, update_s=10.0)


@pytest.fixture(scope="module")
def compared(collection, small):
    return collection.compare(small)


def test_learning_compares_before_and_after_over_seeds_and_reads_finished_ones_again(
    benchmark_named, tmp_path, capsys, monkeypatch
):
    learning, path = benchmark_named("learning"), tmp_path / "results.json"
    monkeypatch.chdir(FOLDER.parent)
    templates = "tasks.templates=[clock.open_tab,launcher.open_app]"
    arguments = ["--quick", "--seeds", "0", "--out", str(tmp_path), "--set", templates, "--json", str(path)]
    learning.main(arguments)
    shown = capsys.readouterr().out
    assert "held_out_params" in shown
    assert "aim" in shown
    found = json.loads(path.read_text())["results"]
    assert len(found["splits"]["held_out_params"]["after"]) == 1
    monkeypatch.setattr(learning.subprocess, "run", None)  # A finished seed is not run again.
    learning.main(arguments)
    assert json.loads(path.read_text())["results"] == found


def test_the_time_to_a_success_is_that_of_the_first_evaluation_that_reaches_it(benchmark_named):
    script = benchmark_named("time_to_success")
    points = [(0.0, 0.4), (20.0, 0.6), (40.0, 0.55), (60.0, 0.7)]
    run = SimpleNamespace(
        held_out_curve=lambda: [SimpleNamespace(trained_s=at_s, success=success) for at_s, success in points]
    )
    assert [script.time_to(run, success) for success in (0.4, 0.5, 0.6, 0.65, 0.8)] == [0.0, 20.0, 20.0, 60.0, None]


def test_intervals_over_seeds_are_student_s(benchmark_named):
    learning = benchmark_named("learning")
    assert learning.mean_and_interval([0.9, 0.92, 0.94]) == "92.0% ± 5.0%"  # 4.303 * 0.02 / 3 ** 0.5
    assert learning.mean_and_interval([0.9]) == "90.0%"


@pytest.mark.parametrize("name", ["phone_speed", "collection", "fleet"])
def test_a_quick_run_shows_a_table_and_writes_its_json(name, benchmark_named, tmp_path, capsys):
    path = tmp_path / "results.json"
    benchmark_named(name).main(["--quick", "--json", str(path)])
    written = json.loads(path.read_text("utf-8"))
    assert (written["benchmark"], written["quick"]) == (name, True)
    assert written["machine"]["num_cpus"] == os.cpu_count()
    assert written["results"]
    assert "target" in capsys.readouterr().out


def test_the_phone_benchmark_measures_every_call_at_both_sizes(benchmark_named):
    phone_speed = benchmark_named("phone_speed")
    found = phone_speed.measure((180, 400), 3)
    assert found["steps"] >= 3
    assert found["steps_per_s"] > found["steps_per_s_with_check"] > found["steps_per_s_with_check_and_reset"] > 0
    assert all(found[f"{call}_ms_p50"] > 0 for call in ("reset", "step", "check", "snapshot", "restore", "fork"))
    assert set(phone_speed.TARGET_STEPS_PER_S) == {(180, 400), (540, 1200)}


def test_all_of_the_phones_time_is_accounted_for(compared):
    for mode in ("async", "sync"):
        shares = compared[mode]["shares"]
        assert sum(shares.values()) == pytest.approx(1.0)
        assert all(share >= -1e-9 for share in shares.values())
    # Synchronous phones are all at the barrier when the clock stops: nothing is left that has begun.
    assert compared["sync"]["shares"]["begun and not ended when the clock stopped"] == pytest.approx(0.0, abs=1e-3)


def test_only_synchronous_phones_wait_at_the_barrier(compared, small):
    barrier = "waiting for a task or at the barrier"
    assert compared["async"]["shares"][barrier] == 0.0
    assert compared["sync"]["shares"][barrier] > 0.1
    assert compared["sync"]["updates"] >= small.rounds
    assert compared["ratio"] > 1.0


def test_synchronous_phones_wait_for_each_update(collection, small):
    slow = collection.run(collection.replace(small, update_s=5_000.0), "sync")
    fast = collection.run(collection.replace(small, update_s=0.0), "sync")
    updates_s = 3600 * (slow["virtual_hours"] - fast["virtual_hours"])
    # The two runs do not play the same episodes, which take minutes; updates of more than an hour stand out.
    assert updates_s == pytest.approx(5_000.0 * slow["updates"], rel=0.1)


def test_both_modes_collect_the_same_number_of_episodes(compared, small):
    assert {compared[mode]["episodes"] for mode in ("async", "sync")} == {small.num_episodes}


def test_a_batch_of_decisions_takes_exactly_its_virtual_time(collection, small):
    found = collection.run(small, "sync")
    steps = found["steps_per_episode"] * found["episodes"]
    phones_s = small.num_devices * 3600 * found["virtual_hours"]
    assert found["shares"]["policy"] * phones_s == pytest.approx(steps * small.policy_s)


def test_collection_is_the_same_each_time_on_any_machine(collection, small, compared):
    assert collection.run(small, "async") == compared["async"]


def test_faults_abort_episodes_and_cost_recoveries(collection, small, monkeypatch):
    monkeypatch.setattr(collection, "FAULTS", collection.FaultsConfig(crash=0.1))
    found = collection.run(collection.replace(small, faulty=True), "async")
    assert found["aborted"] > 0
    assert found["shares"]["recovering"] > 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not let a process choose its cores")
def test_the_fleet_benchmark_runs_on_one_core_and_gives_the_others_back(benchmark_named, monkeypatch):
    fleet, seen, before = benchmark_named("fleet"), [], os.sched_getaffinity(0)

    async def look(*unused):
        seen.append(os.sched_getaffinity(0))
        return {}

    monkeypatch.setattr(fleet, "drive", look)
    fleet.measure(fleet.Setting())
    assert [len(cores) for cores in seen] == [1]
    assert os.sched_getaffinity(0) == before


def test_the_lag_of_the_start_is_left_out(benchmark_named):
    fleet = benchmark_named("fleet")
    lags = [(100.0, 9.0), (100.5, 9.0), *((101.0 + 0.1 * i, 0.01) for i in range(200))]
    totals = {"phones/device_s": 90.0, "phones/policy_wait_s": 10.0}
    snapshot = {"policy/batch_size/mean": 2.0, "policy/batch_size/count": 3.0}
    setting = fleet.Setting(num_devices=2, warm_up_s=1.0)
    found = fleet.summarise(setting, lags, totals, snapshot, 100.0, 5.0)
    assert found["lag_ms_p99"] == pytest.approx(10.0)
    assert found["lag_ms_max"] == pytest.approx(10.0)
    assert (found["busy"], found["counted"], found["busy_at_least"]) == pytest.approx((0.9, 0.5, 0.45))
    assert (found["decisions"], found["core_used"]) == pytest.approx((6.0, 0.05))
