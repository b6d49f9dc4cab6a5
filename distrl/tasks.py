"""Which task comes next: suites of templates, splits, and a seeded, resumable order with an optional curriculum."""

from __future__ import annotations

import difflib
import fnmatch
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from distrl.errors import TaskError
from distrl.types import Split, Task

SURPRISE_DECAY = 0.95
"""Memory of the running mean of |outcome - V_traj| per template: about the last twenty episodes."""


class TaskSuite(Protocol):
    """A family of task templates that one kind of device can set up and check."""

    name: str

    def splits(self) -> dict[Split, tuple[str, ...]]:
        """The names of the templates each split draws from; a split may be empty."""

    def make_task(self, template_name: str, *, split: Split, seed: int) -> Task:
        """The task that these three determine; splits never share a task."""


def fixed_tasks(suite: TaskSuite, split: Split, *, num_tasks: int) -> list[Task]:
    """The tasks of evaluations: templates in turn, seeds counting up, the same every time; none for an empty split."""
    templates = suite.splits()[split]
    if not templates:
        return []
    return [
        suite.make_task(templates[i % len(templates)], split=split, seed=i // len(templates)) for i in range(num_tasks)
    ]


def read_task_set(path: Path, known: Sequence[str]) -> tuple[str, ...]:
    """The template names in a task-set file: one per line, `#` starts a comment, `clock.*` names all that match.

    Raises:
        TaskError: the file cannot be read, or lines name no known template; every bad line is listed with its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"cannot read the task set {path}: {error}") from None
    chosen: dict[str, None] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        pattern = line.partition("#")[0].strip()
        if not pattern:
            continue
        matches = fnmatch.filter(known, pattern)
        if not matches:
            near = difflib.get_close_matches(pattern, known, n=1)
            problems.append(f"line {number}: no template {pattern!r}" + (f"; did you mean {near[0]}?" if near else ""))
        chosen.update(dict.fromkeys(matches))
    if problems:
        raise TaskError(f"task set {path}:\n" + "\n".join(f"  {problem}" for problem in problems))
    if not chosen:
        raise TaskError(f"task set {path} names no template; write one template name per line (see `distrl tasks`)")
    return tuple(chosen)


class TaskStream:
    """An endless, seeded order of training tasks; safe to call from several threads.

    `uniform` deals the templates like cards: each once per shuffled round. `surprise` draws them in proportion to
    how badly the trajectory value predicts their outcome (`outcome - V_traj`, DistRL section 5), with a floor so
    that no template starves.
    """

    def __init__(
        self,
        suite: TaskSuite,
        templates: Sequence[str],
        *,
        seed: int,
        curriculum: str = "uniform",
        floor: float = 0.3,
    ) -> None:
        if not templates:
            raise TaskError("a task stream needs at least one template")
        self._suite = suite
        self._templates = tuple(templates)
        self._random = random.Random(seed)
        self._curriculum = curriculum
        self._floor = floor
        self._round: list[str] = []
        self._surprise = dict.fromkeys(self._templates, 1.0)
        self._num_drawn = 0
        self._lock = threading.Lock()

    def next(self) -> Task:
        """The next task to play."""
        with self._lock:
            template = self._draw()
            self._num_drawn += 1
            seed = self._random.randrange(2**31)
        return self._suite.make_task(template, split="train", seed=seed)

    def report(self, template: str, surprise: float) -> None:
        """Tells the curriculum how far the outcome was from what the trajectory value said, in [0, 1]."""
        with self._lock:
            if template in self._surprise:
                old = self._surprise[template]
                self._surprise[template] = SURPRISE_DECAY * old + (1 - SURPRISE_DECAY) * abs(surprise)

    def state_dict(self) -> dict[str, Any]:
        """JSON values that `load_state_dict` goes on from."""
        with self._lock:
            version, internal, gauss = self._random.getstate()
            return {
                "random": [version, list(internal), gauss],
                "round": list(self._round),
                "surprise": dict(self._surprise),
                "num_drawn": self._num_drawn,
            }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state_dict` was taken."""
        with self._lock:
            version, internal, gauss = state["random"]
            self._random.setstate((version, tuple(internal), gauss))
            self._round = [name for name in state["round"] if name in self._templates]
            self._surprise.update({k: float(v) for k, v in state["surprise"].items() if k in self._surprise})
            self._num_drawn = int(state["num_drawn"])

    def _draw(self) -> str:
        if self._curriculum == "surprise" and self._random.random() >= self._floor:
            weights = [self._surprise[name] for name in self._templates]
            if sum(weights) > 0:
                return self._random.choices(self._templates, weights)[0]
        if not self._round:
            self._round = list(self._templates)
            self._random.shuffle(self._round)
        return self._round.pop()
