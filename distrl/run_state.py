"""What a checkpoint of a run holds, and how a run goes on from one: the same for one process and for many.

tensors   policy, heads, optimizer, proximal
state     versions, replay with priorities, task order, progress, counters, evaluations, random state
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distrl.checkpoint import Checkpoint, Checkpoints, flatten_optimizer_state, unflatten_optimizer_state
from distrl.config import RunConfig
from distrl.config_file import load_config
from distrl.errors import CheckpointError
from distrl.evaluate import Evaluation
from distrl.learner import Learner
from distrl.loop import Progress
from distrl.metrics import Metrics
from distrl.random_state import capture_random_state, restore_random_state
from distrl.replay import Replay
from distrl.rundir import RunFolder
from distrl.tasks import TaskStream

EXTENDABLE = ("num_updates", "max_minutes")
"""Settings of the learner that a resumed run may change: how long it goes on."""


@dataclass(frozen=True)
class RunParts:
    """The parts of a run that have a state of their own."""

    learner: Learner
    replay: Replay
    tasks: TaskStream
    metrics: Metrics


def save_run(
    checkpoints: Checkpoints, parts: RunParts, *, progress: Progress, evaluations: Sequence[Evaluation], attempt: int
) -> None:
    """Writes the whole state, unless this version was saved already; raises `CheckpointError` when the disk refuses.

    Leaving out a version that is there loses nothing: what arrived since then is in the store, behind
    `progress.last_admitted`.
    """
    learner = parts.learner.state()
    if learner["version"] in checkpoints.steps():
        return
    optimizer, structure = flatten_optimizer_state(learner["optimizer"])
    groups = {"policy": learner["policy"], "heads": learner["heads"], "optimizer": optimizer}
    if learner["proximal"]:
        groups["proximal"] = learner["proximal"]
    plain = {name: learner[name] for name in ("version", "scale", "proximal_version")}
    state = {
        "learner": {**plain, "optimizer": structure},
        "replay": parts.replay.state_dict(),
        "tasks": parts.tasks.state_dict(),
        "progress": vars(progress),
        "counters": parts.metrics.counters(),
        "evaluations": [evaluation.to_json() for evaluation in evaluations],
        "random": capture_random_state(),
        "attempt": attempt,
    }
    with parts.metrics.timer("checkpoint/save_s"):
        checkpoints.save(learner["version"], tensors=groups, state=state)


def restore_run(checkpoint: Checkpoint, parts: RunParts) -> tuple[Progress, list[Evaluation]]:
    """Sets every part to where the checkpoint was taken; raises `CheckpointError` when it does not fit."""
    state, tensors = checkpoint.state, checkpoint.tensors
    learner = dict(state["learner"])
    learner["optimizer"] = unflatten_optimizer_state(tensors["optimizer"], learner["optimizer"])
    parts.learner.load_state(
        {**learner, "policy": tensors["policy"], "heads": tensors["heads"], "proximal": tensors.get("proximal", {})}
    )
    parts.replay.load_state_dict(state["replay"])
    parts.tasks.load_state_dict(state["tasks"])
    parts.metrics.restore_counters(state["counters"])
    restore_random_state(state["random"])
    return Progress(**state["progress"]), [Evaluation.from_json(record) for record in state["evaluations"]]


def refuse_another_config(config: RunConfig, folder: RunFolder) -> None:
    """Raises `CheckpointError` naming every setting that differs from the run's: a resumed run keeps its meaning.

    Only how long it goes on may change.
    """
    before = load_config(folder.config_path).model_dump(mode="json")
    now = config.model_dump(mode="json")
    for settings in (before, now):
        for key in EXTENDABLE:
            del settings["learner"][key]
    differing = _differences(before, now)
    if differing:
        raise CheckpointError(
            f"a resumed run keeps its settings (but {', '.join(f'learner.{key}' for key in EXTENDABLE)}), these of "
            f"{folder.path} differ: {'; '.join(differing)}; resume it with {folder.config_path}, or start a new run"
        )


def _differences(before: object, now: object, prefix: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        pairs = [(f"{prefix}.{name}".lstrip("."), before.get(name), now.get(name)) for name in names]
        return [line for name, old, new in pairs for line in _differences(old, new, name)]
    return [] if before == now else [f"{prefix} was {before!r} and is {now!r}"]
