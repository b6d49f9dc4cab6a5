"""`distrl eval`: success of a run, a checkpoint or a policy folder on fixed tasks.

run folder          its config.yaml; `--checkpoint best` is RUN/best, `latest` the newest checkpoint
checkpoint folder   step-..., with the config of the run it lies in
policy folder       what `policy.save` wrote; `recipe.yaml` in it, the run around it, or --config say how it acts
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from distrl.checkpoint import Checkpoint, Checkpoints, load
from distrl.config import RunConfig
from distrl.config_file import load_config
from distrl.errors import CheckpointError, ConfigError, PolicyError, RunFolderError, TaskError
from distrl.evaluate import Evaluation, evaluate
from distrl.rundir import RunFolder
from distrl.types import SPLITS, Split

if TYPE_CHECKING:
    from distrl.policy.base import Policy

NUM_WEAKEST = 8
"""Templates listed below each split."""


@dataclass(frozen=True)
class Source:
    """What is evaluated: a saved policy, or a checkpoint of one."""

    config: RunConfig
    policy: Path | None
    """Folder of a saved policy; None for a checkpoint."""
    checkpoint: Path | None = None
    run: Path | None = None
    """Run folder that the result is noted in."""

    @property
    def name(self) -> str:
        """The folder that is loaded."""
        return str(self.policy or self.checkpoint)


def evaluate_source(
    source: Path,
    *,
    splits: list[str] | None,
    episodes: int,
    config: Path | None,
    overrides: list[str] | None,
    which: str,
    dry_run: bool,
) -> list[Evaluation]:
    """Prints success per split with its interval and the weakest templates; a run folder notes it in evaluations.jsonl.

    Raises:
        RunFolderError, CheckpointError, PolicyError: the source is missing, damaged, or something else.
        ConfigError: no config for it, or a wrong one.
        TaskError: an unknown split, or one without tasks.
    """
    unknown = [name for name in splits or () if name not in SPLITS]
    if unknown:
        raise TaskError(f"{unknown[0]!r} is no split; there are: {', '.join(SPLITS)}")
    found = find_source(source, config=config, overrides=overrides, which=which)
    wanted = cast("tuple[Split, ...]", tuple(dict.fromkeys(splits or found.config.evaluation.final_splits)))
    if dry_run:
        typer.echo(f"would evaluate {found.name} on {episodes} episodes of each of: {', '.join(wanted)}")
        return []
    from distrl.build import build_evaluation_setup, build_suite
    from distrl.tasks import fixed_tasks

    policy, trained_s = _load_policy(found)
    suite = build_suite(found.config)
    setup = build_evaluation_setup(found.config, suite)
    typer.echo(f"{found.name}, version {policy.version}")
    results = []
    for split in wanted:
        tasks = fixed_tasks(suite, split, num_tasks=episodes)
        if not tasks:
            typer.echo(f"{split:<18}  no tasks")
            continue
        result, _ = evaluate(policy, policy.version, split, tasks, setup)
        _print(result)
        if found.run is not None:
            _note(found.run, result, which=which, trained_s=trained_s)
        results.append(result)
    if not results:
        raise TaskError(f"none of the splits {', '.join(wanted)} has tasks in this config; choose another with --split")
    return results


def find_source(source: Path, *, config: Path | None, overrides: list[str] | None, which: str) -> Source:
    """Tells the kinds of sources apart and finds the config of each; loads no weights. Raises as `evaluate_source`."""
    if which not in ("best", "latest"):
        raise ConfigError(f"--checkpoint is best or latest; got {which!r}")
    if (source / "run.json").exists():
        with RunFolder.open(source, resume=False) as run:
            resolved = load_config(config or run.config_path, overrides)
            policy, checkpoint = _of_run(run, which)
        return Source(resolved, policy, checkpoint, source)
    if (source / "manifest.json").exists():
        return Source(_config(config, overrides, source, _run_of(source.parent.parent)), None, source)
    if (source / "config.json").exists():
        recipe = source / "recipe.yaml"
        return Source(_config(config, overrides, source, recipe if recipe.exists() else _run_of(source.parent)), source)
    what = "is a file" if source.is_file() else "holds none of these" if source.is_dir() else "is not there"
    raise PolicyError(
        f"a run folder (with run.json), a checkpoint (manifest.json) or a policy folder (config.json) is evaluated; "
        f"{source} {what}: check the path"
    )


def _of_run(run: RunFolder, which: str) -> tuple[Path | None, Path | None]:
    """The policy folder or the checkpoint folder of a run."""
    if which == "best":
        if not (run.path / "best" / "config.json").exists():
            raise RunFolderError(
                f"{run.path} has no best policy: none was kept before an evaluation during training; use "
                "--checkpoint latest"
            )
        return run.path / "best", None
    latest = Checkpoints(run.checkpoints_path).latest()
    if latest is None:
        raise RunFolderError(f"{run.path} has no checkpoint yet: train for longer, or use --checkpoint best")
    return None, latest


def _run_of(folder: Path) -> Path | None:
    return folder / "config.yaml" if (folder / "run.json").exists() and (folder / "config.yaml").exists() else None


def _config(given: Path | None, overrides: list[str] | None, source: Path, beside: Path | None) -> RunConfig:
    path = given or beside
    if path is None:
        raise ConfigError(
            f"{source} lies in no run folder and has no recipe.yaml; say how it acts with --config CONFIG"
        )
    return load_config(path, overrides)


def _load_policy(source: Source) -> tuple[Policy, float | None]:
    """The policy, and the seconds it was trained for where that is known."""
    from distrl.build import build_policy

    if source.policy is not None:
        policy = build_policy(source.config, source.policy)
        record = _evaluation_beside(source.policy)
        policy.version = int(record.get("policy_version", 0))
        return policy, None
    assert source.checkpoint is not None
    checkpoint: Checkpoint = load(source.checkpoint)
    if "policy" not in checkpoint.tensors:
        raise CheckpointError(f"{source.checkpoint} holds no policy, only {', '.join(checkpoint.tensors)}: use another")
    policy = build_policy(source.config)
    policy.load_state(checkpoint.tensors["policy"], version=checkpoint.step)
    seconds = checkpoint.state.get("progress", {}).get("trained_s")
    return policy, None if seconds is None else float(seconds)


def _evaluation_beside(policy: Path) -> dict[str, Any]:
    """What a run wrote when it kept this policy; {} for any other."""
    try:
        record = json.loads((policy / "evaluation.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _print(result: Evaluation) -> None:
    low, high = result.interval
    steps = f"{result.mean_steps:.1f} steps" if result.num_episodes else "nothing could be judged"
    aborted = f", {result.num_aborted} aborted" if result.num_aborted else ""
    typer.echo(
        f"{result.split:<18}  {result.success:6.1%}  [{low:.1%}, {high:.1%}]  "
        f"{result.num_successes} of {result.num_episodes} episodes, {steps}{aborted}"
    )
    for template, (successes, played) in weakest(result):
        typer.echo(f"    {template:<28} {successes} of {played}")


def weakest(result: Evaluation) -> list[tuple[str, tuple[int, int]]]:
    """The templates with the lowest success, worst first; those without a failure are left out."""
    failing = [(name, counts) for name, counts in result.by_template.items() if counts[0] < counts[1]]
    return sorted(failing, key=lambda item: (item[1][0] / item[1][1], item[0]))[:NUM_WEAKEST]


def _note(run: Path, result: Evaluation, *, which: str, trained_s: float | None) -> None:
    record = {**result.to_json(), "when": "eval", "trained_s": trained_s, "checkpoint": which}
    try:
        with (run / "evaluations.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
    except OSError as error:
        raise RunFolderError(f"{run} cannot be written ({error}): the numbers above were not noted there") from error
