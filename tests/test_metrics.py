"""Metrics: totals, values and times by name, and the lines they are written as."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distrl.errors import PartStoppedError
from distrl.metrics import WINDOW, JsonLinesSink, Metrics, TensorBoardSink, read_rows


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_totals_add_up_gauges_hold_the_last_value_and_both_appear_by_name():
    metrics = Metrics()
    metrics.count("worker/episodes")
    metrics.count("worker/episodes", 2)
    metrics.gauge("inbox/depth", 9)
    metrics.gauge("inbox/depth", 4)
    assert metrics.snapshot() == {"worker/episodes": 3, "inbox/depth": 4}


def test_a_distribution_gives_nearest_rank_percentiles_mean_and_count():
    metrics = Metrics()
    for value in reversed(range(1, 201)):
        metrics.observe("replay/age", value)
    assert metrics.snapshot() == {
        "replay/age/p50": 100,
        "replay/age/p99": 198,
        "replay/age/mean": 100.5,
        "replay/age/count": 200,
    }
    one = Metrics()
    one.observe("a/b", 7.0)
    assert one.snapshot() == {"a/b/p50": 7, "a/b/p99": 7, "a/b/mean": 7, "a/b/count": 1}


def test_percentiles_are_over_the_newest_values_in_bounded_memory_and_the_mean_over_all():
    metrics = Metrics()
    for value in [1000.0] * 100 + [1.0] * (WINDOW - 1) + [2.0]:
        metrics.observe("a/b", value)
    snapshot = metrics.snapshot()
    assert (snapshot["a/b/p50"], snapshot["a/b/p99"], snapshot["a/b/count"]) == (1, 1, WINDOW + 100)
    assert snapshot["a/b/mean"] == (100_000 + WINDOW + 1) / (WINDOW + 100)
    assert len(metrics._distributions["a/b"].recent) == WINDOW


def test_a_timer_counts_seconds_also_when_its_block_raises():
    times = iter([10.0, 10.5, 20.0, 21.5])
    metrics = Metrics(clock=lambda: next(times))
    with metrics.timer("worker/policy_wait_s"):
        pass
    with pytest.raises(KeyError), metrics.timer("worker/policy_wait_s"):
        raise KeyError
    assert metrics.snapshot()["worker/policy_wait_s/mean"] == 1.0
    assert metrics.snapshot()["worker/policy_wait_s/count"] == 2


def test_nothing_is_lost_when_many_threads_count():
    metrics = Metrics()

    def work():
        for _ in range(2000):
            metrics.count("a/n")
            metrics.observe("a/t", 1.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        metrics.snapshot()
    for thread in threads:
        thread.join()
    snapshot = metrics.snapshot()
    assert (snapshot["a/n"], snapshot["a/t/count"]) == (16_000, 16_000)


@pytest.mark.parametrize("name", ["episodes", "Worker/x", "worker/", "/x", "worker/a b", "worker//x", "worker/x\n", ""])
def test_a_name_that_is_not_part_slash_name_is_refused(name):
    metrics = Metrics()
    for use in (metrics.count, lambda n: metrics.gauge(n, 1), lambda n: metrics.observe(n, 1)):
        with pytest.raises(ValueError, match="named part/name"):
            use(name)
    with pytest.raises(ValueError, match="named part/name"):
        metrics.write(1, {name: 1.0})
    with pytest.raises(ValueError, match="named part/name"):
        metrics.restore_counters({name: 1.0})


def test_a_row_is_the_snapshot_overlaid_by_the_given_values_one_line_each_flushed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics([JsonLinesSink(path)], wall_clock=lambda: 1.7e9)
    metrics.count("worker/episodes")
    metrics.gauge("learner/loss", 5.0)
    metrics.write(1, {"learner/loss": 0.25, "eval/success/clock.add_alarm": 1})
    metrics.write(1)
    assert lines(path) == [  # Not closed yet.
        {
            "step": 1,
            "time": 1.7e9,
            "attempt": 0,
            "eval/success/clock.add_alarm": 1,
            "learner/loss": 0.25,
            "worker/episodes": 1,
        },
        {"step": 1, "time": 1.7e9, "attempt": 0, "learner/loss": 5.0, "worker/episodes": 1},
    ]
    metrics.close()


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics([JsonLinesSink(path)])
    metrics.write(0, {"a/nan": math.nan, "a/inf": math.inf, "a/minus": -math.inf, "a/none": None, "a/fine": 0.5})
    row = lines(path)[0]
    assert (row["a/nan"], row["a/inf"], row["a/minus"], row["a/none"], row["a/fine"]) == (None, None, None, None, 0.5)
    with pytest.raises(ValueError, match="a/text must be a number"):
        metrics.write(1, {"a/text": "x"})
    metrics.close()


def test_steps_do_not_fall_within_a_run(tmp_path):
    metrics = Metrics([JsonLinesSink(tmp_path / "metrics.jsonl")])
    metrics.write(5)
    with pytest.raises(ValueError, match="got step 4 after 5"):
        metrics.write(4)
    metrics.close()


def write_attempt(path, steps, value):
    metrics = Metrics([JsonLinesSink(path)])
    for step in steps:
        metrics.write(step, {"a/value": value})
    metrics.close()


def test_a_resumed_run_appends_and_reads_back_as_one_without_what_was_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_rows(path) == []
    write_attempt(path, [1, 2, 3, 4, 5], 0)
    before = path.read_bytes()
    write_attempt(path, [4, 5, 6], 1)  # Resumed from the checkpoint of step 3.
    write_attempt(path, [6, 6, 7], 2)
    assert path.read_bytes().startswith(before)
    assert [(row["step"], row["a/value"]) for row in read_rows(path)] == [
        *((1, 0), (2, 0), (3, 0)),
        *((4, 1), (5, 1)),
        *((6, 2), (6, 2), (7, 2)),
    ]


def test_a_line_cut_off_by_a_kill_is_left_out_and_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_attempt(path, [1, 2], 0)
    path.write_bytes(path.read_bytes()[:-9])
    write_attempt(path, [2, 3], 1)
    assert [(row["step"], row["a/value"]) for row in read_rows(path)] == [(1, 0), (2, 1), (3, 1)]


def test_totals_go_on_after_a_resume():
    metrics = Metrics()
    metrics.count("worker/episodes", 5)
    resumed = Metrics()
    resumed.restore_counters(metrics.counters())
    resumed.count("worker/episodes")
    assert resumed.snapshot() == {"worker/episodes": 6}


def test_a_disk_that_refuses_stops_the_part_by_name(tmp_path):
    with pytest.raises(PartStoppedError, match=r"metrics stopped: cannot write .*free space"):
        JsonLinesSink(tmp_path / "none" / "metrics.jsonl")
    sink = JsonLinesSink(tmp_path / "metrics.jsonl")
    sink.close()
    with (
        Path("/dev/full").open("wb", buffering=0) as sink._file,
        pytest.raises(PartStoppedError, match="No space left"),
    ):
        Metrics([sink]).write(0)


def test_tensorboard_reads_back_what_was_written(tmp_path):
    metrics = Metrics([TensorBoardSink(tmp_path)], wall_clock=lambda: 1.7e9)
    metrics.write(3, {"learner/loss": 0.5, "learner/bad": math.nan})
    metrics.write(4, {"learner/loss": 0.25})
    metrics.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["scalars"] == ["learner/loss"]
    assert [(event.step, event.value) for event in events.Scalars("learner/loss")] == [(3, 0.5), (4, 0.25)]
