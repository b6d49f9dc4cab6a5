"""A whole run in one process: what it leaves, how it is stopped, resumed and refused, and what ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from training import SIZES

from distrl import local
from distrl.checkpoint import Checkpoints
from distrl.config_file import parse_config, to_yaml
from distrl.display import Display
from distrl.errors import CheckpointError, PartStoppedError, RunFolderError, StoreFullError
from distrl.metrics import read_rows
from distrl.policy.hf import HuggingFacePolicy
from distrl.policy.tiny.create import create_tiny_policy
from distrl.rundir import RunFolder
from distrl.store import Store
from distrl.types import Ending


@pytest.fixture(scope="module")
def policy_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    create_tiny_policy(["Turn", "on", "off", "Wi", "Fi"], max_action_tokens=4, **SIZES).save(folder)
    return folder


@pytest.fixture
def configure(policy_folder):
    def configure(**parts):
        def part(name, **defaults):
            return {**defaults, **parts.pop(name, {})}

        raw = {
            "device": part("device", kind="sim", screen=(90, 200)),
            "tasks": part("tasks", templates=("settings.wifi", "settings.bluetooth")),
            "policy": part("policy", path=str(policy_folder), max_action_tokens=4),
            "workers": part("workers", num_devices=3, inbox_capacity=4),
            "replay": part("replay", capacity=64, min_trajectories=2),
            "learner": part("learner", num_updates=3, batch_size=2, warmup_updates=0, critic_warmup_updates=0),
            "evaluation": part(
                "evaluation",
                every_updates=1,
                num_episodes=2,
                final_episodes=2,
                final_splits=("held_out_params",),
                num_devices=2,
            ),
            "checkpoint": part("checkpoint", every_updates=2),
        }
        return parse_config({**raw, **parts})

    return configure


class Quiet(Display):
    """Keeps what it is told; calls `at` before it shows anything."""

    def __init__(self):
        self.said, self.glances = [], []

    def show(self, glance):
        self.glances.append(glance)

    def say(self, message):
        self.said.append(message)

    def close(self):
        pass


def train(config, folder, **changes):
    return local.train(config, folder, display=Quiet(), **changes)


def stop_at(version, monkeypatch):
    """Asks the run to stop once it has made so many updates, as Ctrl-C does."""
    after_update = local.LocalRun.after_update

    def asking(self, update):
        after_update(self, update)
        if self.learner.version == version:
            self.request_stop()

    monkeypatch.setattr(local.LocalRun, "after_update", asking)


def checkpoint_state(folder, step):
    return json.loads((folder / "checkpoints" / f"step-{step:010d}" / "state.json").read_text())


def test_a_run_leaves_checkpoints_metrics_evaluations_policies_and_every_episode(configure, tmp_path):
    folder = tmp_path / "run"
    run = train(configure(), folder)
    assert run.learner.version == 3
    assert not run.was_stopped
    assert sorted(path.name for path in (folder / "checkpoints").glob("step-*")) == [
        "step-0000000002",
        "step-0000000003",
    ]
    rows = read_rows(folder / "metrics.jsonl")
    assert rows[-1]["step"] == 3
    assert rows[-1]["worker/episodes"] >= 2
    assert list((folder / "tensorboard").glob("events.*"))
    records = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    before, *during, after = records
    assert (before["when"], {record["when"] for record in during}, after["when"]) == ("before", {"during"}, "after")
    assert (records[0]["policy_version"], records[-1]["policy_version"]) == (0, 3)
    for name in ("best", "final"):
        assert HuggingFacePolicy.load(folder / name, max_action_tokens=4).hidden_size == SIZES["hidden_size"]
    assert json.loads((folder / "best" / "evaluation.json").read_text())["policy_version"] > 0
    final = HuggingFacePolicy.load(folder / "final", max_action_tokens=4).state()
    assert all(bool((final[name] == tensor).all()) for name, tensor in run.policy.state().items())
    with Store(folder / "episodes.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        ids = store.ids()
    assert run.progress.num_episodes == len(ids)  # Every finished episode is stored and was taken in.
    assert run.progress.last_admitted == ids[-1]
    with Store(folder / "evaluation.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        assert sorted(name.split("/")[0] for name in store.ids()) == ["after", "after", "before", "before"]
    RunFolder.open(folder).close()  # Nobody holds it any more.


def test_a_stopped_run_leaves_a_checkpoint_and_goes_on_where_it_stood(configure, tmp_path, monkeypatch):
    folder, config = (
        tmp_path / "run",
        configure(learner={"num_updates": 4, "batch_size": 2}, checkpoint={"every_updates": 50}),
    )
    with monkeypatch.context() as patched:
        stop_at(2, patched)
        stopped = train(config, folder)
    assert stopped.was_stopped
    assert stopped.learner.version == 2
    assert not (folder / "final").exists()
    state = checkpoint_state(folder, 2)
    assert state["progress"]["num_episodes"] == stopped.progress.num_episodes
    resumed = train(config, folder, resume=True)
    assert resumed.learner.version == 4
    assert resumed.progress.num_episodes > stopped.progress.num_episodes
    with Store(folder / "episodes.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        ids = store.ids()
    assert len(ids) == resumed.progress.num_episodes
    assert {name.split(".")[1] for name in ids} == {"0", "1"}  # Each attempt names its own episodes.
    records = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert [record["when"] for record in records if record["when"] != "during"] == ["before", "after"]
    assert [row["step"] for row in read_rows(folder / "metrics.jsonl")] == sorted(
        {row["step"] for row in read_rows(folder / "metrics.jsonl")}
    )


def test_episodes_acknowledged_after_the_checkpoint_are_taken_in_on_resume(configure, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    config = configure(
        learner={"num_updates": 2, "batch_size": 2}, evaluation={"every_updates": 0, "final_episodes": 0}
    )
    first = train(config, folder)
    with Store(folder / "episodes.sqlite", max_frame_bytes=2**30) as store:
        known = store.ids()
        for number in range(2):
            store.add(replace(store.get(known[number]), id=f"late-{number}"))
    admitted = []
    admit = local.TrainingLoop.admit
    monkeypatch.setattr(local.TrainingLoop, "admit", lambda self, t: (admitted.append(t.id), admit(self, t))[1])
    longer = config.model_copy(update={"learner": config.learner.model_copy(update={"num_updates": 3})})
    resumed = train(longer, folder, resume=True)
    known_to_checkpoint = checkpoint_state(folder, 2)["progress"]["num_episodes"]
    assert admitted[: len(known) - known_to_checkpoint + 2] == [*known[known_to_checkpoint:], "late-0", "late-1"]
    with Store(folder / "episodes.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        assert resumed.progress.num_episodes == len(store.ids()) > first.progress.num_episodes
    assert len(set(admitted)) == len(admitted)


def test_other_settings_on_resume_are_refused_by_name_and_how_long_may_change(configure, tmp_path):
    folder, quick = tmp_path / "run", {"every_updates": 0, "final_episodes": 0}
    train(configure(evaluation=quick, learner={"num_updates": 1, "batch_size": 2}), folder)
    other = configure(
        evaluation=quick, learner={"num_updates": 1, "batch_size": 3}, replay={"alpha": 0.7, "min_trajectories": 2}
    )
    with pytest.raises(CheckpointError) as refused:
        train(other, folder, resume=True)
    assert "learner.batch_size was 2 and is 3" in str(refused.value)
    assert "replay.alpha was 0.5 and is 0.7" in str(refused.value)
    assert str(folder / "config.yaml") in str(refused.value)


def test_a_run_folder_that_is_in_use_or_holds_a_run_is_refused(configure, tmp_path):
    folder = tmp_path / "run"
    with RunFolder.create(folder, "seed: 0\n"), pytest.raises(RunFolderError, match="in use by process"):
        train(configure(), folder)
    with pytest.raises(RunFolderError, match="--resume"):
        train(configure(), folder)
    with pytest.raises(RunFolderError, match=r"a run folder holds a run\.json"):
        train(configure(), tmp_path / "elsewhere", resume=True)


def test_a_resume_without_a_checkpoint_is_refused(configure, tmp_path):
    config, folder = configure(), tmp_path / "run"
    RunFolder.create(folder, to_yaml(config)).close()
    with pytest.raises(CheckpointError):
        train(config, folder, resume=True)


def test_a_full_disk_stops_the_run_by_name_and_loses_nothing_acknowledged(configure, tmp_path, monkeypatch):
    folder, config = tmp_path / "run", configure(learner={"num_updates": 50, "batch_size": 2})
    add, acknowledged = Store.add, []

    def until_full(self, trajectory):
        if self.path.name == "episodes.sqlite":
            if len(acknowledged) == 6:
                raise StoreFullError("no space left on the disk; free some")
            acknowledged.append(trajectory.id)
        return add(self, trajectory)

    monkeypatch.setattr(Store, "add", until_full)
    with pytest.raises(PartStoppedError, match="worker w0 stopped: StoreFullError: no space left on the disk"):
        train(config, folder)
    monkeypatch.undo()
    with Store(folder / "episodes.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        assert store.ids() == acknowledged
    stop_at(4, monkeypatch)
    resumed = train(config, folder, resume=True)  # The checkpoint that it left, and then the store.
    assert resumed.progress.num_episodes >= 6


def test_a_worker_that_crashes_stops_the_run_by_name(configure, tmp_path, monkeypatch):
    def broken(self, inputs, **settings):
        raise MemoryError("no room for the batch")

    config = configure(evaluation={"every_updates": 0, "final_episodes": 0})
    monkeypatch.setattr(HuggingFacePolicy, "act", broken)
    with pytest.raises(PartStoppedError, match="worker w0 stopped: MemoryError: no room for the batch"):
        train(config, tmp_path / "run")


def test_a_run_whose_phones_are_all_quarantined_stops_by_name(configure, tmp_path):
    config = configure(
        device={"kind": "sim", "screen": (90, 200), "faults": {"crash": 1.0}},
        workers={"num_devices": 2, "recovery_backoff_s": 0.0},
        evaluation={"every_updates": 0, "final_episodes": 0},
    )
    with pytest.raises(PartStoppedError, match="worker w0 stopped: every phone is quarantined"):
        train(config, tmp_path / "run")
    with Store(tmp_path / "run" / "episodes.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        assert {summary.ending for summary in store.query()} == {Ending.ABORTED}


def test_an_evaluation_that_dies_stops_the_run_by_name(configure, tmp_path, monkeypatch):
    def broken(*unused, **settings):
        raise RuntimeError("planted")

    config = configure(
        learner={"num_updates": 10_000, "batch_size": 2}, evaluation={"every_updates": 1, "final_episodes": 0}
    )
    monkeypatch.setattr("distrl.run_evaluations.evaluate", broken)
    with pytest.raises(PartStoppedError, match="evaluator stopped: RuntimeError: planted"):
        train(config, tmp_path / "run")


def test_faults_of_phones_are_no_failures_of_the_agent(configure, tmp_path):
    config = configure(
        device={"kind": "sim", "screen": (90, 200), "faults": {"crash": 0.3}},
        workers={"num_devices": 3, "recovery_backoff_s": 0.0, "max_recoveries": 20},
        evaluation={"every_updates": 0, "final_episodes": 0},
        learner={"num_updates": 6, "batch_size": 2},
    )
    run = train(config, tmp_path / "run")
    counters = run.metrics.counters()
    assert counters["worker/fault_lost"] == counters["worker/aborted"] > 0
    assert counters["replay/aborted"] == counters["worker/aborted"]
    assert run.progress.num_episodes == counters["worker/episodes"] - counters["worker/aborted"]


def test_in_sync_mode_every_phone_plays_as_often_as_the_others(configure, tmp_path):
    config = configure(
        algorithm={"mode": "sync"},
        evaluation={"every_updates": 0, "final_episodes": 0},
        replay={"capacity": 64, "min_trajectories": 3},
        learner={"num_updates": 6, "batch_size": 2},
    )
    folder = tmp_path / "run"
    train(config, folder)
    with Store(folder / "episodes.sqlite", max_frame_bytes=2**30, read_only=True) as store:
        played = [summary.device for summary in store.query()]
    rounds = [sorted(played[i : i + 3]) for i in range(0, len(played), 3)]
    assert len(rounds) >= 2
    assert all(round_ == ["phone-0", "phone-1", "phone-2"] for round_ in rounds)


def test_control_c_ends_a_real_process_in_good_order(configure, tmp_path):
    """The whole program in a process of its own: a checkpoint is left, and it says how to go on."""
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    config.write_text(to_yaml(configure(learner={"num_updates": 10**6}, evaluation={"final_episodes": 0})))
    command = [sys.executable, "-m", "distrl", "train", str(config), "--run-dir", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = [next(line for line in process.stdout if "update" in line)]  # Its display: the loop is running.
        process.send_signal(signal.SIGINT)
        said += list(process.stdout)
        assert process.wait(timeout=60) == 0, said
    assert any("stopping" in line for line in said)
    assert "--resume" in said[-1]
    assert Checkpoints(run / "checkpoints").load().state["attempt"] == 0
    with RunFolder.open(run):  # Its lock is free.
        pass
