"""`distrl eval`: what is evaluated, with which config, and what is refused; the playing itself is made short."""

from __future__ import annotations

import json

import numpy as np
import pytest

from distrl import build
from distrl import evaluate_source as module
from distrl.checkpoint import Checkpoints
from distrl.config import RunConfig
from distrl.config_file import load_config, parse_config, to_yaml
from distrl.errors import CheckpointError, ConfigError, PolicyError, RunFolderError, TaskError
from distrl.evaluate import Evaluation
from distrl.evaluate_source import evaluate_source, find_source, weakest
from distrl.policy.base import Policy
from distrl.policy.tiny.create import create_tiny_policy
from distrl.rundir import RunFolder
from distrl.types import Decision


@pytest.fixture(scope="module")
def tiny() -> Policy:
    return create_tiny_policy(["turn", "on", "Wi-Fi"], seed=0)


@pytest.fixture(scope="module")
def config(tiny, tmp_path_factory) -> RunConfig:
    """Two templates, and a start from a saved policy."""
    start = tmp_path_factory.mktemp("start")
    tiny.save(start)
    templates = ["settings.wifi", "settings.bluetooth"]
    settings = {"policy": {"path": str(start)}, "tasks": {"templates": templates}, "evaluation": {"num_devices": 2}}
    return parse_config(settings)


@pytest.fixture
def run(tmp_path, config):
    path = tmp_path / "run"
    RunFolder.create(path, to_yaml(config)).close()
    return path


class Wifi:
    """Opens nothing and says done: success only where that is enough."""

    version = 0

    def act(self, inputs, *, temperature):
        return [Decision("done", np.array([1], np.int32), np.zeros(1, np.float32), 0, 1.0) for _ in inputs]


def ask(source, **wish):
    defaults = {"splits": ["held_out_params"], "episodes": 4, "config": None, "overrides": None, "which": "best"}
    return evaluate_source(source, **{**defaults, "dry_run": False, **wish})


def found(source, **wish):
    return find_source(source, **{"config": None, "overrides": None, "which": "best", **wish})


def save_checkpoint(run, policy, step=7):
    state = {"progress": {"trained_s": 12.5}}
    return Checkpoints(run / "checkpoints").save(step, tensors={"policy": policy.state()}, state=state)


def test_a_run_gives_its_best_policy_or_its_latest_checkpoint(run, tiny, config):
    tiny.save(run / "best")
    save_checkpoint(run, tiny, 6)
    path = save_checkpoint(run, tiny, 7)
    best, latest = found(run), found(run, which="latest")
    assert (best.policy, best.checkpoint, best.run) == (run / "best", None, run)
    assert (latest.policy, latest.checkpoint, latest.run) == (None, path, run)
    assert best.config == latest.config == config
    assert found(run, overrides=["seed=5"]).config.seed == 5


def test_a_checkpoint_and_a_policy_take_the_config_of_the_run_around_them(run, tiny, config):
    tiny.save(run / "best")
    for source in (save_checkpoint(run, tiny), run / "best"):
        assert found(source).config == config
        assert found(source).run is None  # Only a run folder is written to.


def test_a_policy_folder_takes_its_recipe_or_the_given_config(tmp_path, tiny, config):
    folder, other = tmp_path / "warm", tmp_path / "other.yaml"
    tiny.save(folder)
    other.write_text("seed: 9\n")
    with pytest.raises(ConfigError, match="say how it acts with --config"):
        found(folder)
    assert found(folder, config=other).config.seed == 9
    (folder / "recipe.yaml").write_text(to_yaml(config))
    assert found(folder).config == config
    assert found(folder, config=other).config == load_config(other)


def test_a_latest_checkpoint_is_played_with_its_weights_and_noted_in_the_run(run, tiny, monkeypatch, capsys):
    weights = tiny.state()
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    weights[name] = weights[name] + 0.25
    Checkpoints(run / "checkpoints").save(7, tensors={"policy": weights}, state={"progress": {"trained_s": 12.5}})
    played = []

    def short(policy, version, split, tasks, setup):
        played.append((policy, version, split, len(tasks)))
        return Evaluation(split, version, 4, 3, 0, 2.5, {"settings.wifi": (1, 2), "settings.bluetooth": (2, 2)}), []

    monkeypatch.setattr(module, "evaluate", short)
    (result,) = ask(run, which="latest")
    ((policy, *rest),) = played
    assert rest == [7, "held_out_params", 4]
    assert (policy.state()[name] == weights[name]).all()
    (line,) = (run / "evaluations.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["when"], record["trained_s"], record["checkpoint"]) == ("eval", 12.5, "latest")
    assert record["num_successes"] == result.num_successes
    shown = capsys.readouterr().out
    assert "held_out_params      75.0%  [30.1%, 95.4%]  3 of 4 episodes, 2.5 steps" in shown
    assert "settings.wifi                1 of 2" in shown
    assert "settings.bluetooth" not in shown


def test_a_policy_is_really_played_and_nothing_is_written_beside_a_run(tmp_path, tiny, config, monkeypatch, capsys):
    folder = tmp_path / "warm"
    tiny.save(folder)
    (folder / "recipe.yaml").write_text(to_yaml(config))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    monkeypatch.setattr(build, "build_policy", lambda config, path: Wifi())
    (result,) = ask(folder)
    assert (result.num_episodes, result.num_successes, result.mean_steps) == (4, 0, 1.0)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert "0.0%" in capsys.readouterr().out


def test_the_version_of_a_kept_policy_is_that_of_its_evaluation(run, tiny, monkeypatch):
    tiny.save(run / "best")
    (run / "best" / "evaluation.json").write_text('{"policy_version": 40}')
    versions = []

    def short(policy, version, split, tasks, setup):
        versions.append(version)
        return Evaluation(split, version, 0, 0, 4, float("nan"), {}), []

    monkeypatch.setattr(module, "evaluate", short)
    ask(run)
    (run / "best" / "evaluation.json").write_text("{")
    ask(run)
    assert versions == [40, 0]


def test_what_cannot_be_evaluated_is_refused_with_a_remedy(run, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    for path, what in ((tmp_path / "none", "is not there"), (tmp_path, "none of these"), (tmp_path / "file", "a file")):
        with pytest.raises(PolicyError, match=rf"{what}: check the path"):
            ask(path)
    with pytest.raises(RunFolderError, match=r"no best policy.*--checkpoint latest"):
        ask(run)
    with pytest.raises(RunFolderError, match="no checkpoint yet"):
        ask(run, which="latest")
    with pytest.raises(ConfigError, match="best or latest; got 'worst'"):
        ask(run, which="worst")
    with pytest.raises(TaskError, match="'tarin' is no split"):
        ask(run, splits=["tarin"])


def test_damaged_weights_are_refused_by_name(run, tiny):
    path = save_checkpoint(run, tiny)
    weights = path / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + bytes(8)[:7] + b"\x01")
    with pytest.raises(CheckpointError, match="sha256"):
        ask(run, which="latest")
    tiny.save(run / "best")
    (run / "best" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(PolicyError, match="cannot be loaded"):
        ask(run)
    other = Checkpoints(run / "checkpoints").save(8, tensors={"heads": {}})
    with pytest.raises(CheckpointError, match="holds no policy, only heads"):
        ask(other)


def test_splits_without_tasks_are_named(run, tiny, monkeypatch, capsys):
    tiny.save(run / "best")
    with pytest.raises(TaskError, match="none of the splits held_out_app has tasks"):
        ask(run, splits=["held_out_app"], overrides=["tasks.levels=[1]"])
    assert "no tasks" in capsys.readouterr().out


def test_a_dry_run_loads_and_writes_nothing(run, tiny, capsys):
    tiny.save(run / "best")
    (run / "best" / "model.safetensors").write_bytes(b"never read")
    assert ask(run, splits=None, dry_run=True) == []
    shown = capsys.readouterr().out
    assert shown.startswith("would evaluate")
    assert all(split in shown for split in RunConfig().evaluation.final_splits)
    assert not (run / "evaluations.jsonl").exists()


def test_the_weakest_templates_come_first_and_perfect_ones_not_at_all():
    by_template = {"a": (1, 2), "b": (0, 3), "c": (4, 4), "d": (1, 4), "e": (2, 4)}
    result = Evaluation("train", 1, 17, 8, 0, 3.0, by_template)
    assert [name for name, _ in weakest(result)] == ["b", "d", "a", "e"]
