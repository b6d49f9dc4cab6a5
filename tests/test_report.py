"""The report of a run: right numbers, readable pictures, and what is missing said by name."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from trajectories import decision, observation, step, trajectory

from distrl.config import RunConfig
from distrl.config_file import to_yaml
from distrl.device.sim.tasks.demonstrations import run_oracle
from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import RunFolderError
from distrl.evaluate import Evaluation
from distrl.metrics import JsonLinesSink, Metrics
from distrl.picture import TOUCH, draw_touch, in_words, write_text
from distrl.report import markdown, phone_time_shares, print_summary, report_numbers, write_report
from distrl.report_data import read_run
from distrl.report_figures import PER_ROW, SCREEN_PX, strip
from distrl.rundir import RunFolder
from distrl.store import Store
from distrl.types import Action, ActionKind, Element, Ending, Frame, Observation, Step, Trajectory

SUITE = SimSuite()


def evaluated(successes, episodes=40, *, split="held_out_params", version=0, **changes):
    half = episodes // 2
    by_template = {"clock.timer": (min(successes, half), half), "notes.pin": (max(successes - half, 0), half)}
    fields = {"num_aborted": 0, "mean_steps": 4.25, "by_template": by_template, "num_side_effects": 1}
    return Evaluation(split, version, episodes, successes, **{**fields, **changes})


def note(run, evaluation, when, trained_s):
    with (run / "evaluations.jsonl").open("a") as lines:
        lines.write(json.dumps({**evaluation.to_json(), "when": when, "trained_s": trained_s}) + "\n")


def write_rows(run, *, num_rows=4, first_step=10):
    times = iter(range(1_700_000_000, 1_700_001_000, 60))
    metrics = Metrics([JsonLinesSink(run / "metrics.jsonl")], wall_clock=lambda: float(next(times)))
    for number in range(num_rows):
        metrics.gauge("progress/trained_s", 60.0 * (number + 1))
        metrics.gauge("progress/episodes", 150.0 * (number + 1))
        metrics.gauge("progress/recent_success", 0.2 * (number + 1))
        metrics.gauge("process/peak_rss_mb", 812.0 + number)
        metrics.count("phones/device_s", 6.0)
        metrics.count("phones/policy_s", 3.0)
        metrics.count("phones/outbox_full_s", 1.0)
        metrics.count("worker/steps", 100)
        metrics.count("worker/invalid_off_screen", 2)
        metrics.count("worker/aborted", 1)
        metrics.count("worker/fault_hung", 1)
        row = {"age/mean": 2.0 * number, "age/max": 9.0, "priority/td_spread": 0.5, "replay/uses_mean": 1.5}
        metrics.write(first_step * (number + 1), row)
    metrics.close()


def demonstrated(template, split, name, *, seed=0):
    """An oracle's episode as an evaluation would have stored it."""
    task = SUITE.make_task(template, split=split, seed=seed)
    steps = run_oracle(SUITE, task)
    taken = tuple(
        Step(s.observation, (), decision(text=f"step {n}"), s.action, float(n == len(steps) - 1))
        for n, s in enumerate(steps)
    )
    return Trajectory(
        name, task, taken, steps[-1].observation, Ending.TERMINATED, True, "evaluator", "phone", 1.7e9, 1.0
    )


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "quick"
    RunFolder.create(path, to_yaml(RunConfig())).close()
    return path


@pytest.fixture
def finished(run):
    write_rows(run)
    note(run, evaluated(10), "before", 0.0)
    note(run, evaluated(4, split="held_out_app", mean_steps=6.0), "before", 0.0)
    note(run, evaluated(20, version=20), "during", 100.0)
    note(run, evaluated(36, version=40), "after", 240.0)
    note(run, evaluated(8, split="held_out_app", version=40), "after", 240.0)
    with Store(run / "evaluation.sqlite", max_frame_bytes=2**30) as store:
        for name, template, split in (
            ("before/a", "contacts.add", "held_out_params"),
            ("after/short", "settings.wifi", "held_out_params"),
            ("after/good", "clock.timer", "held_out_params"),
            ("after/train", "contacts.add", "train"),
        ):
            store.add(demonstrated(template, split, name))
    return run


def test_a_finished_run_gives_every_file_and_a_summary(finished, capsys):
    write_report(finished)
    folder = finished / "report"
    assert sorted(path.name for path in folder.iterdir()) == ["episode.png", "report.json", "report.md", "success.png"]
    for name in ("success.png", "episode.png"):
        with Image.open(folder / name) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert pixels.shape[1] > 600
        assert pixels.std() > 10  # Something is drawn.
    shown = capsys.readouterr().out
    assert "25.0% [14.2, 40.2]" in shown
    assert "90.0% [76.9, 96.0]" in shown
    assert "missing" not in shown
    assert "\x1b" not in shown


def test_the_numbers_are_those_of_the_run(finished):
    numbers = report_numbers(read_run(finished))
    params = numbers["splits"]["held_out_params"]
    assert (params["before"]["num_successes"], params["after"]["num_successes"]) == (10, 36)
    assert params["after"]["interval"] == pytest.approx([0.7694, 0.9604], abs=1e-3)  # Wilson 1927, 36 of 40.
    assert params["after"]["by_template"]["notes.pin"] == (16, 20)
    assert [point["num_successes"] for point in numbers["curve"]] == [10, 20, 36]
    assert [point["trained_s"] for point in numbers["curve"]] == [0.0, 100.0, 240.0]
    assert numbers["training"] == {
        "minutes": 4.0,
        "wall_clock_minutes": 3.0,
        "updates": 40,
        "episodes": 600.0,
        "recent_success": 0.8,
        "non_finite_updates": 0,
    }
    assert [point.num_episodes for point in read_run(finished).curve] == [150, 200, 200, 200]  # A mean of the last 200.
    assert numbers["phone_time_shares"] == pytest.approx({"device": 0.6, "policy": 0.3, "outbox_full": 0.1})
    assert numbers["policy_age_versions"] == {"mean": 3.0, "max": 9.0}  # Mean over rows of 0, 2, 4, 6.
    assert numbers["priority_spread"] == {"td": 0.5, "ratio": None, "entropy": None}
    assert numbers["replay"] == {"uses_mean": 1.5}
    assert numbers["invalid_actions"] == {"off_screen": 8}
    assert numbers["aborted_episodes"] == {"all": 4, "hung": 4}
    assert numbers["peak_memory_mb"] == 815.0
    assert numbers["machine_of_this_report"]["cores"] >= 1
    json.dumps(numbers, allow_nan=False)


def test_the_page_names_splits_templates_and_troubles(finished):
    data = read_run(finished)
    page = markdown(data, report_numbers(data))
    for words in (
        "| held\\_out\\_app | 10.0% \\[4.0, 23.1\\] of 40 | 20.0% \\[10.5, 34.8\\] of 40 | 6.0 | 4.2 |",
        "| clock.timer | held\\_out\\_params | 10 of 20 | 20 of 20 |",
        "| device acts, shows and is judged | 60.0% |",
        "| invalid actions: off\\_screen | 8 |",
        "| invalid actions, share of all steps | 2.0% |",
        "| aborted: hung | 4 |",
        "| peak memory | 815 MiB |",
        "![Success](success.png)",
    ):
        assert words in page
    assert "Missing" not in page


def test_the_episode_shown_is_held_out_from_after_training_and_of_a_good_length(finished):
    data = read_run(finished)
    assert data.episode.id == "after/good"
    assert data.episode_title == "A task never trained on, after training"
    with Store(finished / "episodes.sqlite", max_frame_bytes=2**30) as store:
        store.add(demonstrated("clock.timer", "train", "w0.0.1"))
    assert read_run(finished).episode.id == "after/good"


def test_an_episode_from_after_training_is_shown_before_a_nicer_one_from_before_it(run):
    write_rows(run)
    with Store(run / "evaluation.sqlite", max_frame_bytes=2**30) as store:
        store.add(demonstrated("clock.timer", "held_out_params", "before/good"))
        store.add(demonstrated("settings.wifi", "held_out_params", "after/short"))
    with Store(run / "evaluation.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        lengths = {episode.id: episode.num_steps for episode in store.query()}
    assert lengths["after/short"] < 4 <= lengths["before/good"] <= 8
    assert read_run(run).episode.id == "after/short"


def test_the_first_evaluation_before_and_the_last_one_after_training_count(run):
    for successes in (10, 11):
        note(run, evaluated(successes), "before", 0.0)
        note(run, evaluated(successes + 20), "after", 60.0)
    data = read_run(run)
    found = [data.at(when, "held_out_params").num_successes for when in ("before", "after")]
    assert found == [10, 31]


def test_without_one_from_after_training_an_earlier_episode_says_when_it_was(run):
    write_rows(run)
    with Store(run / "evaluation.sqlite", max_frame_bytes=2**30) as store:
        store.add(demonstrated("clock.timer", "held_out_params", "before/held_out_params/0/x"))
    assert read_run(run).episode_title == "A task never trained on, before training"
    (run / "evaluation.sqlite").unlink()
    with Store(run / "episodes.sqlite", max_frame_bytes=2**30) as store:
        store.add(demonstrated("clock.timer", "train", "w0.0.1"))
        store.add(dataclasses.replace(trajectory("failed"), success=False, steps=(step(0),)))
    assert (read_run(run).episode.id, read_run(run).episode_title) == ("w0.0.1", "A training episode")


def test_a_stopped_run_is_reported_with_what_is_missing(run, capsys):
    write_rows(run, num_rows=1)
    note(run, evaluated(10), "before", 0.0)
    write_report(run)
    shown = capsys.readouterr().out
    assert "missing: success after training" in shown
    assert "--resume" in shown
    assert "missing: a strip" in shown
    assert (run / "report" / "success.png").exists()
    assert not (run / "report" / "episode.png").exists()
    assert "Missing:" in (run / "report" / "report.md").read_text()


def test_a_run_without_updates_but_with_an_evaluation_is_reported(run, capsys):
    note(run, evaluated(0, 0, mean_steps=float("nan"), by_template={}), "before", 0.0)
    write_report(run)
    write_report(run)  # Once more replaces it.
    assert "nothing judged" in capsys.readouterr().out
    numbers = json.loads((run / "report" / "report.json").read_text())
    assert numbers["splits"]["held_out_params"]["before"]["success"] is None
    assert numbers["training"]["minutes"] is None


def test_an_empty_run_and_no_run_are_refused_with_a_remedy(run, tmp_path):
    with pytest.raises(RunFolderError, match="neither yet: let the run make its first updates"):
        write_report(run)
    assert not (run / "report").exists()
    with pytest.raises(RunFolderError, match="run folder holds"):
        write_report(tmp_path)


def test_a_damaged_store_or_a_torn_line_costs_only_what_it_held(finished):
    (finished / "evaluation.sqlite").write_bytes(b"no database" * 100)
    with (finished / "evaluations.jsonl").open("a") as lines:
        lines.write('{"split": "held_out_params", "when": "aft')
    data = read_run(finished)
    assert data.episode is None
    assert len(data.evaluations) == 5
    assert any("strip" in what for what in data.missing)


def test_what_a_resumed_run_measured_again_replaces_the_first_time(run):
    write_rows(run)
    for version, successes in ((10, 11), (20, 12), (30, 13), (20, 22), (30, 23)):
        note(run, evaluated(successes, version=version), "during", version * 5.0)
    note(run, evaluated(30, version=30), "eval", None)
    data = read_run(run)
    assert [(e.policy_version, e.num_successes) for e in data.held_out_curve()] == [(10, 11), (20, 22), (30, 23)]
    assert [e["num_successes"] for e in report_numbers(data)["later_evaluations"]] == [30]


def test_a_dry_run_writes_nothing(finished, capsys):
    write_report(finished, dry_run=True)
    assert "would write" in capsys.readouterr().out
    assert not (finished / "report").exists()


def test_the_summary_fits_eighty_columns_and_shows_names_as_they_are(finished):
    data = dataclasses.replace(read_run(finished), missing=("a [bold]thing[/bold]",))
    console = Console(file=io.StringIO(), width=80, highlight=False)
    print_summary(data, report_numbers(data), console)
    shown = console.file.getvalue()
    assert "a [bold]thing[/bold]" in shown
    table = [line for line in shown.splitlines() if line.startswith("held_out")]
    assert [len(line.split("  ")) > 3 for line in table] == [True, True]


def test_shares_of_no_time_are_none():
    assert phone_time_shares({"phones/device_s": 0.0, "phones/quarantined": 3}) == {}


# Pictures


def test_the_strip_has_a_panel_per_step_and_one_for_the_end():
    episode = demonstrated("clock.timer", "held_out_params", "e")
    page = strip(episode, title="T")
    num_panels = len(episode.steps) + 1
    columns = -(-num_panels // -(-num_panels // PER_ROW))
    assert page.width >= columns * SCREEN_PX
    reds = (np.asarray(page) == TOUCH).all(-1)
    touched = [step for step in episode.steps if step.action.touch is not None]
    assert touched
    assert reds.any()
    without = dataclasses.replace(
        episode,
        steps=tuple(dataclasses.replace(s, action=Action(ActionKind.HOME)) for s in episode.steps),
    )
    assert not (np.asarray(strip(without, title="T")) == TOUCH).all(-1).any()


def test_a_long_episode_wraps_and_hostile_text_is_only_text():
    long = trajectory(
        "long",
        task=dataclasses.replace(trajectory().task, max_steps=20, instruction="x\n\u202e😀 <b>" + "word " * 80),
        steps=tuple(step(n, reward=float(n == 14), decision=decision(text="tap \x00 1" * 30)) for n in range(15)),
    )
    page = strip(long, title="T")
    assert page.width <= PER_ROW * (SCREEN_PX + 40)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action(ActionKind.TAP, touch=(0.5, 0.1)), "tap “Alarms”"),
        (Action(ActionKind.LONG_PRESS, touch=(0.3, 0.4)), "hold Switch"),
        (Action(ActionKind.TAP, touch=(0.9, 0.45)), "tap at 90%, 45%"),
        (Action(ActionKind.SWIPE, touch=(0.5, 0.8), lift=(0.5, 0.2)), "scroll down"),
        (Action(ActionKind.TYPE, text="milk"), "type “milk”"),
        (Action(ActionKind.COMPLETE), "says: done"),
        (None, "no action: garbage"),
    ],
)
def test_actions_read_as_words(action, words):
    assert in_words(action, observation(0), "garbage") == words


def test_a_touch_is_drawn_where_it_was():
    blank = Image.new("RGB", (180, 400), "white")
    draw_touch(blank, Action(ActionKind.TAP, touch=(0.25, 0.75)))
    ys, xs = np.nonzero((np.asarray(blank) != 255).any(-1))
    assert (xs.mean(), ys.mean()) == pytest.approx((45, 300), abs=1.5)
    swiped = Image.new("RGB", (180, 400), "white")
    draw_touch(swiped, Action(ActionKind.SWIPE, touch=(0.5, 0.8), lift=(0.5, 0.2)))
    ys, _ = np.nonzero((np.asarray(swiped) != 255).any(-1))
    assert (ys.min(), ys.max()) == pytest.approx((80, 325), abs=8)
    untouched = Image.new("RGB", (9, 9), "white")
    draw_touch(untouched, Action(ActionKind.TYPE, text="x"))
    assert np.asarray(untouched).min() == 255


def test_text_is_wrapped_into_its_room():
    page = Image.new("RGB", (300, 200), "white")
    height = write_text(page, (10, 10), "one two three four five six seven", px=16, room_px=100, max_lines=3)
    ys, xs = np.nonzero((np.asarray(page) != 255).any(-1))
    assert xs.max() <= 111
    assert 10 <= ys.min() < ys.max() <= 10 + height


def test_an_element_of_a_picture_without_a_tree_is_named_by_place():
    bare = Observation(Frame(np.zeros((40, 18, 3), np.uint8)), None)
    assert in_words(Action(ActionKind.TAP, touch=(0.5, 0.5)), bare) == "tap at 50%, 50%"
    labelled = dataclasses.replace(
        bare, elements=(Element(0, "ImageButton", (0, 0, 18, 40), content_description="Up"),)
    )
    assert in_words(Action(ActionKind.TAP, touch=(0.5, 0.5)), labelled) == "tap “Up”"
