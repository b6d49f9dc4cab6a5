"""Success on fixed tasks: what is counted, what is not, and the background evaluator."""

from __future__ import annotations

import json
import math
import threading

import pytest
from playing import ScriptedPolicy

from distrl.actions import CODECS
from distrl.config import DeadlinesConfig, WorkersConfig
from distrl.device.fake import Failure, FakeDevice, fake_task
from distrl.device.sim.clock import run_virtual
from distrl.errors import DeviceLostError, PartStoppedError
from distrl.evaluate import (
    BackgroundEvaluator,
    Evaluation,
    EvaluationSetup,
    TaskList,
    evaluate,
    play_tasks,
    wilson_interval,
)
from distrl.judge import StateJudge
from distrl.metrics import Metrics


def setup(*devices):
    """An evaluator with these devices in its first round, and none that could replace them."""
    return EvaluationSetup(
        devices=lambda: list(devices),
        judge=StateJudge(),
        codec=CODECS["element"],
        workers=WorkersConfig(deadlines=DeadlinesConfig(), recovery_backoff_s=0.0),
        history_length=2,
    )


def tasks(*taps, **fields):
    return [fake_task(taps=n, seed=seed, **fields) for seed, n in enumerate(taps)]


def test_every_task_is_played_once_and_successes_are_counted_by_template():
    result, episodes = evaluate(ScriptedPolicy(), 7, "train", tasks(1, 2, 9), setup(FakeDevice("a"), FakeDevice("b")))
    assert (result.split, result.policy_version) == ("train", 7)
    assert (result.num_episodes, result.num_successes, result.num_aborted) == (3, 2, 0)
    assert result.by_template == {"fake.tap": (2, 3)}
    assert result.mean_steps == pytest.approx((1 + 2 + 5) / 3)
    assert sorted(episode.task.seed for episode in episodes) == [0, 1, 2]


def test_penalties_are_off():
    _, (episode,) = evaluate(ScriptedPolicy(lambda given: "tap 0"), 0, "train", tasks(9), setup(FakeDevice()))
    assert all(step.penalties == () for step in episode.steps)


def test_the_policy_is_greedy_unless_told_otherwise():
    seen = []

    class Policy(ScriptedPolicy):
        def act(self, inputs, *, temperature):
            seen.append(temperature)
            return super().act(inputs, temperature=temperature)

    evaluate(Policy(), 0, "train", tasks(1), setup(FakeDevice()))
    assert set(seen) == {0.0}


def test_an_aborted_task_is_played_again_and_no_failure_of_the_agent():
    device = FakeDevice(failures=(Failure("act", 0, DeviceLostError),))
    result, episodes = evaluate(ScriptedPolicy(), 0, "train", tasks(1, 1), setup(device))
    assert (result.num_episodes, result.num_successes, result.num_aborted) == (2, 2, 0)
    assert sorted(episode.task.seed for episode in episodes) == [0, 1]


def test_a_task_that_is_aborted_three_times_is_counted_as_aborted():
    device = FakeDevice(failures=tuple(Failure("act", n, DeviceLostError) for n in range(3)))
    result, _ = evaluate(ScriptedPolicy(), 0, "train", tasks(1), setup(device))
    assert (result.num_episodes, result.num_aborted) == (0, 1)


def test_tasks_that_no_phone_is_left_for_are_counted_as_aborted_not_forgotten():
    failures = (Failure("reset", 0, DeviceLostError), *(Failure("recover", n, DeviceLostError) for n in range(3)))
    played = run_virtual(play_tasks(ScriptedPolicy(), tasks(1, 1, 1), setup(FakeDevice(failures=failures))))
    assert (len(played.finished), played.num_aborted, played.num_waiting) == (0, 3, 0)


def test_an_aborted_task_is_played_again_after_the_other_phones_went_home():
    made = []

    def devices():
        failures = (Failure("reset", 0, DeviceLostError), *(Failure("recover", n, DeviceLostError) for n in range(3)))
        made.append([FakeDevice("a", failures=() if made else failures, call_s=9.0), FakeDevice("b")])
        return made[-1]

    again = EvaluationSetup(devices, StateJudge(), CODECS["element"], WorkersConfig(), 2)
    played = run_virtual(play_tasks(ScriptedPolicy(), tasks(1, 1), again, metrics=Metrics()))
    assert (len(played.finished), played.num_aborted) == (2, 0)
    assert len(made) == 2


def test_a_task_list_hands_out_each_task_once():
    todo = TaskList(tasks(1, 2))
    assert [todo.next().seed, todo.next().seed, todo.next()] == [0, 1, None]


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
        (128, 256, 0.4392, 0.5608),
    ],
)
def test_the_interval_is_wilsons(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_an_evaluation_survives_json_also_without_judged_episodes():
    whole = Evaluation("train", 3, 4, 2, 1, 2.5, {"a": (2, 4)}, num_side_effects=1)
    assert Evaluation.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False))) == whole
    assert whole.to_json()["success"] == 0.5
    empty = Evaluation("train", 3, 0, 0, 1, math.nan, {})
    record = json.loads(json.dumps(empty.to_json(), allow_nan=False))
    assert record["success"] is None
    assert math.isnan(Evaluation.from_json(record).mean_steps)


def result_of(version):
    return Evaluation("train", version, 1, 1, 0, 1.0, {})


def test_the_background_evaluator_takes_the_newest_wish_when_it_is_free():
    began, go_on, played = threading.Event(), threading.Event(), []

    def run(version):
        played.append(version)
        began.set()
        assert go_on.wait(30.0)
        return result_of(version)

    evaluator = BackgroundEvaluator(run)
    evaluator.request(1)
    assert began.wait(30.0)
    for version in (2, 3, 4):
        evaluator.request(version)
    go_on.set()
    results = evaluator.close(finish=True)
    assert played == [1, 4]
    assert [result.policy_version for result in results] == [1, 4]


def test_closing_at_once_drops_the_wish_that_has_not_begun():
    began, go_on, played = threading.Event(), threading.Event(), []

    def run(version):
        played.append(version)
        began.set()
        assert go_on.wait(30.0)
        return result_of(version)

    evaluator = BackgroundEvaluator(run)
    evaluator.request(1)
    assert began.wait(30.0)
    evaluator.request(2)
    threading.Timer(0.05, go_on.set).start()
    evaluator.close(finish=False)
    assert played == [1]


def test_an_evaluation_that_dies_stops_the_run_by_name():
    def run(version):
        raise RuntimeError("no memory")

    evaluator = BackgroundEvaluator(run)
    evaluator.request(1)
    with pytest.raises(PartStoppedError, match="evaluator stopped: RuntimeError: no memory"):
        evaluator.close(finish=True)


def test_only_the_wanted_episodes_are_kept_and_all_are_counted():
    result, episodes = evaluate(
        ScriptedPolicy(), 7, "train", tasks(1, 2, 9), setup(FakeDevice("a"), FakeDevice("b")), keep_per_template=1
    )
    assert result.num_episodes == 3
    assert len(episodes) == len({episode.task.template for episode in episodes})
