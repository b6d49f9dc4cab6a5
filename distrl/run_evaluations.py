"""The evaluations of one run: before, meanwhile and after; what they found is kept in the run folder.

run/evaluations.jsonl    one record per evaluation: split, version, successes, interval, when
run/best/                the policy that did best in the periodic ones, with its evaluation
run/evaluation.sqlite    one episode per template and evaluation before and after, for the report
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from distrl.config import RunConfig
from distrl.durable import write_durably
from distrl.evaluate import BackgroundEvaluator, Evaluation, EvaluationSetup, evaluate
from distrl.metrics import Metrics
from distrl.policy.base import Policy
from distrl.rundir import RunFolder
from distrl.store import Store
from distrl.tasks import TaskSuite, fixed_tasks
from distrl.types import Split, Trajectory
from distrl.weights import Published

EPISODE_FRAME_BYTES = 512 * 2**20
"""Disk for the screenshots of the kept episodes."""


class RunEvaluations:
    """Plays fixed tasks with policy versions and keeps the results.

    `policy` is a copy of its own, which only the evaluator's thread uses while the background evaluator runs.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        suite: TaskSuite,
        setup: EvaluationSetup,
        policy: Policy,
        folder: RunFolder,
        metrics: Metrics,
        say: Callable[[str], None],
    ) -> None:
        self.done: list[Evaluation] = []
        self._settings = config.evaluation
        self._suite = suite
        self._setup = setup
        self._policy = policy
        self._folder = folder
        self._metrics = metrics
        self._say = say
        self._background: BackgroundEvaluator | None = None
        self._best: float | None = None

    def restore(self, done: Sequence[Evaluation]) -> None:
        """Goes on after these."""
        self.done = list(done)
        periodic = [e for e in done if e.split == self._settings.split and e.policy_version > 0 and e.num_episodes]
        self._best = max((e.success for e in periodic), default=None)

    def play_splits(self, state: Mapping[str, Tensor], version: int, *, when: str, attempt: int, at_s: float) -> None:
        """Success on every configured split, before and after training, while nothing runs in the background."""
        num_episodes = self._settings.final_episodes
        for split in self._settings.final_splits if num_episodes else ():
            tasks = fixed_tasks(self._suite, split, num_tasks=num_episodes)
            if not tasks:
                continue
            self._policy.load_state(state, version=version)
            result, episodes = evaluate(self._policy, version, split, tasks, self._setup, keep_per_template=1)
            self._note(result, when, at_s)
            self._keep_episodes(episodes, f"{when}/{split}/{attempt}")

    def start(self, fetch: Callable[[], Published]) -> None:
        """Starts the thread that plays requested versions; `fetch` gives the newest published one."""
        if self._settings.every_updates:
            self._background = BackgroundEvaluator(lambda version: self._play_newest(fetch()))

    def updated(self, version: int) -> None:
        """Asks for an evaluation when one is due."""
        if self._background is not None and version % self._settings.every_updates == 0:
            self._background.request(version)

    def collect(self, at_s: float) -> None:
        """Notes what has finished in the background; raises what an evaluation raised."""
        for result in self._background.take_results() if self._background else ():
            self._note(result, "during", at_s)

    def close(self, *, finish: bool, at_s: float) -> None:
        """Ends the background evaluator and notes its last results; with `finish` it first plays what was asked for."""
        background, self._background = self._background, None
        for result in background.close(finish=finish) if background else ():
            self._note(result, "during", at_s)

    def _play_newest(self, published: Published) -> Evaluation:
        """The periodic evaluation; runs in the evaluator's thread."""
        self._policy.load_state(published.state, version=published.version)
        split: Split = self._settings.split
        tasks = fixed_tasks(self._suite, split, num_tasks=self._settings.num_episodes)
        with self._metrics.timer("evaluation/run_s"):
            result, _ = evaluate(self._policy, published.version, split, tasks, self._setup, keep_per_template=0)
        self._keep_if_best(result)
        return result

    def _keep_if_best(self, result: Evaluation) -> None:
        if not result.num_episodes or (self._best is not None and result.success <= self._best):
            return
        self._best = result.success
        best = self._folder.path / "best"
        self._policy.save(best)
        write_durably(best / "evaluation.json", json.dumps(result.to_json()).encode())

    def _keep_episodes(self, episodes: Sequence[Trajectory], prefix: str) -> None:
        first = {episode.task.template: episode for episode in reversed(episodes)}
        with Store(self._folder.path / "evaluation.sqlite", max_frame_bytes=EPISODE_FRAME_BYTES) as store:
            for episode in first.values():
                store.add(replace(episode, id=f"{prefix}/{episode.task.id}"))

    def _note(self, result: Evaluation, when: str, at_s: float) -> None:
        self.done.append(result)
        record = {**result.to_json(), "when": when, "trained_s": at_s}
        with (self._folder.path / "evaluations.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        low, high = result.interval
        self._metrics.gauge(f"evaluation/{result.split}", result.success)
        self._say(
            f"{when}: {result.success:6.1%} [{low:.1%}, {high:.1%}] success on {result.num_episodes} episodes of "
            f"{result.split} (version {result.policy_version})"
        )
