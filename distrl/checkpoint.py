"""The whole state of a run, atomically: tensors and arrays as safetensors, everything else as JSON.

    checkpoints/step-0000000120/   policy.safetensors, ...   one file per group of tensors
                                   arrays.safetensors        numpy arrays, e.g. the replay's priorities
                                   state.json                counters, task order, random state
                                   manifest.json             sha256 of each file; written last
    checkpoints/best.json          which step scored best

A folder appears under its name only when all of it is on disk, so a crash or a full disk leaves the one before valid.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch import Tensor

from distrl.durable import delete_unfinished, folder_appearing_whole, write_durably
from distrl.errors import CheckpointError

FORMAT = 1
"""Written into each manifest; a checkpoint of another format is refused by name."""

_MANIFEST, _STATE, _ARRAYS, _BEST = "manifest.json", "state.json", "arrays.safetensors", "best.json"
_GROUP = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What was saved at one step."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    """Group, then name: `{"policy": {"encoder.weight": ...}, "optimizer": {...}}`."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""
    path: Path | None = None
    """Where it was loaded from."""


class Checkpoints:
    """Saves and finds the checkpoints of one run; keeps the newest `keep_last` and the best.

    One process at a time may save. Not thread-safe.
    """

    def __init__(self, folder: Path, *, keep_last: int = 2) -> None:
        if keep_last < 1:
            raise ValueError(f"at least the newest checkpoint must be kept; got keep_last={keep_last}")
        self._folder = Path(folder)
        self._keep_last = keep_last

    def save(
        self,
        step: int,
        *,
        tensors: Mapping[str, Mapping[str, Tensor]],
        arrays: Mapping[str, NDArray[Any]] | None = None,
        state: Mapping[str, Any] | None = None,
        score: float | None = None,
    ) -> Path:
        """Writes a checkpoint and returns its folder; with a `score` above the best so far it becomes the best.

        Args are the fields of `Checkpoint`. Raises `CheckpointError` when the step was saved before, a value is no
        JSON, or the disk refuses; what was saved before stays valid.
        """
        checkpoint = Checkpoint(step, tensors, arrays or {}, state or {})
        path = self._path(step)
        if path.exists():
            raise CheckpointError(f"a step is saved once, {path} exists: save a later step, or delete it first")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            delete_unfinished(self._folder)
            with folder_appearing_whole(path) as aside:
                _write(aside, checkpoint)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {self._folder} ({error}): free "
                f"space and resume; {self._advice(None)}"
            ) from error
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"a checkpoint's state must be JSON values, finite numbers and arrays, step {step} has "
                f"another ({error}): convert it first"
            ) from error
        if score is not None:
            self.mark_best(step, score)
        self._retain()
        return path

    def mark_best(self, step: int, score: float) -> bool:
        """Keeps `step` as the best if `score` exceeds the best so far; returns whether it does.

        Raises `CheckpointError` when that step is not there any more.
        """
        if not math.isfinite(score):
            raise CheckpointError(f"a score must be finite, that of step {step} is {score}: check the evaluation")
        if not self._path(step).is_dir():
            raise CheckpointError(f"the best checkpoint must exist, there is none of step {step}: save it first")
        best = self._best()
        if best is not None and score <= best[1]:
            return False
        try:
            write_durably(self._folder / _BEST, json.dumps({"step": step, "score": score}).encode())
        except OSError as error:
            raise CheckpointError(f"{self._folder / _BEST} could not be written ({error}): free space") from error
        self._retain()
        return True

    def steps(self) -> list[int]:
        """Steps of all checkpoints there are, in order."""
        found = (re.fullmatch(r"step-(\d+)", path.name) for path in self._folder.glob("step-*"))
        return sorted(int(match[1]) for match in found if match)

    def latest(self) -> Path | None:
        """The newest checkpoint's folder, or None; `load` verifies it."""
        steps = self.steps()
        return self._path(steps[-1]) if steps else None

    def best(self) -> Path | None:
        """The best checkpoint's folder, or None when none was scored."""
        best = self._best()
        return None if best is None else self._path(best[0])

    def best_score(self) -> float | None:
        """The score of `best()`, or None."""
        best = self._best()
        return None if best is None else best[1]

    def load(self, path: Path | None = None, *, device: str = "cpu") -> Checkpoint:
        """Reads and verifies a checkpoint, by default the newest; tensors arrive on `device`.

        Raises `CheckpointError` when there is none, or it is damaged, incomplete or of another format; the message
        names the one before it.
        """
        chosen = path or self.latest()
        if chosen is None:
            raise CheckpointError(f"there must be a checkpoint to load, {self._folder} has none: start a new run")
        return load(chosen, device=device, advice=self._advice(chosen))

    def _advice(self, avoid: Path | None) -> str:
        """Which checkpoint remains if `avoid` is of no use."""
        others = [step for step in self.steps() if self._path(step) != avoid]
        return f"the previous one is {self._path(others[-1])}" if others else "there is no previous one"

    def _best(self) -> tuple[int, float] | None:
        path = self._folder / _BEST
        try:
            content = json.loads(path.read_bytes())
            best = int(content["step"]), float(content["score"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} must name the best step, it is damaged ({error!r}): delete it; the next evaluation writes it"
            ) from error
        return best if self._path(best[0]).is_dir() else None

    def _retain(self) -> None:
        best = self._best()
        for step in self.steps()[: -self._keep_last]:
            if best is None or step != best[0]:
                shutil.rmtree(self._path(step), ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:010d}"


def load(path: Path, *, device: str = "cpu", advice: str = "use another checkpoint") -> Checkpoint:
    """Reads and verifies one checkpoint folder; raises `CheckpointError` with `advice` when it cannot be used."""
    manifest = _verified_manifest(Path(path), advice)
    try:
        tensors = {name: load_tensors(path / f"{name}.safetensors", device=device) for name in manifest["groups"]}
        arrays = load_arrays(path / _ARRAYS)
        state = json.loads((path / _STATE).read_bytes())
        return Checkpoint(manifest["step"], tensors, arrays, state, Path(path))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged(path, repr(error), advice) from error


def _verified_manifest(path: Path, advice: str) -> dict[str, Any]:
    if not path.is_dir():
        raise CheckpointError(f"a checkpoint is a folder, there is none at {path}: {advice}")
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        found, files = manifest["format"], dict(manifest["files"])
        if found != FORMAT:
            raise CheckpointError(
                f"a checkpoint must have format {FORMAT}, {path} has {found!r}: load it with the version of distrl "
                "that wrote it"
            )
        for name, digest in files.items():
            if _sha256(path / name) != digest:
                raise _damaged(path, f"{name} does not match its sha256", advice)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, repr(error), advice) from error
    return dict(manifest)


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    for group, tensors in checkpoint.tensors.items():
        if not _GROUP.fullmatch(group) or f"{group}.safetensors" == _ARRAYS:
            raise ValueError(f"a group is named like `policy`, and not `arrays`; got {group!r}")
        # Copies: safetensors refuses tensors that share memory, as tied weights do.
        save_tensors({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, _file(folder, group))
    save_arrays({name: np.ascontiguousarray(array) for name, array in checkpoint.arrays.items()}, folder / _ARRAYS)
    (folder / _STATE).write_text(json.dumps(checkpoint.state, allow_nan=False), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "step": checkpoint.step,
        "groups": sorted(checkpoint.tensors),
        "files": {file.name: _sha256(file) for file in sorted(folder.iterdir())},
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _file(folder: Path, group: str) -> Path:
    return folder / f"{group}.safetensors"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(path: Path, problem: str, advice: str) -> CheckpointError:
    return CheckpointError(f"a checkpoint must be whole, {path} is damaged ({problem}): delete it; {advice}")


# --- Optimizer state -------------------------------------------------------------------------------------------------


def flatten_optimizer_state(state_dict: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits `optimizer.state_dict()` into flat tensors and a JSON structure that refers to them by name.

    Raises `CheckpointError` for a value that is neither a tensor nor JSON.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _flatten(dict(state_dict), "", tensors)


def unflatten_optimizer_state(tensors: Mapping[str, Tensor], structure: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten_optimizer_state`: what `optimizer.load_state_dict` takes."""
    try:
        restored = _unflatten(structure, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"an optimizer's structure must refer to its own tensors, this one does not ({error!r}): use another "
            "checkpoint"
        ) from error
    return dict(restored)


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Containers become one-key objects, so that tuples, lists and number keys come back as they were."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[key, _flatten(item, f"{name}.{key}".lstrip("."), tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_flatten(item, f"{name}.{number}", tensors) for number, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CheckpointError(
        f"an optimizer's state must be tensors and JSON values, {name} is a {type(value).__name__}: convert it first"
    )


def _unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, Mapping):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unflatten(item, tensors) for key, item in content}
    items = [_unflatten(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
