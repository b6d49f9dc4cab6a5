"""A whole run in one process: the default, and the reference for how the parts fit together.

    main thread         TrainingLoop: inbox -> replay -> learner -> weights, checkpoints
    worker thread       an event loop with every phone; the policy that acts has a thread of its own
    evaluator thread    now and then plays fixed tasks with a published version

What is shared is thread-safe by itself: store, inbox, weights, task stream, gate, metrics. A part that dies stops
the run with its name.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from distrl.batch import TrainingCache, prepare
from distrl.build import (
    build_codec,
    build_devices,
    build_evaluation_setup,
    build_policy,
    build_replay,
    build_suite,
    build_task_stream,
)
from distrl.checkpoint import Checkpoint, Checkpoints, flatten_optimizer_state, unflatten_optimizer_state
from distrl.config import RunConfig
from distrl.config_file import load_config, to_yaml
from distrl.display import Display, Glance
from distrl.durable import write_durably
from distrl.errors import CheckpointError, PartStoppedError
from distrl.evaluate import BackgroundEvaluator, Evaluation, evaluate
from distrl.inbox import Inbox
from distrl.judge import StateJudge
from distrl.learner import Learner, Update
from distrl.loop import MismatchWatch, Progress, TrainingLoop
from distrl.metrics import JsonLinesSink, Metrics, TensorBoardSink
from distrl.pacing import Pacer, RoundGate
from distrl.policy.base import Policy
from distrl.random_state import capture_random_state, restore_random_state
from distrl.replay_records import ReplayRecord
from distrl.rundir import RunFolder
from distrl.store import Store
from distrl.tasks import TaskSuite, fixed_tasks
from distrl.types import Split, Trajectory
from distrl.weights import MemoryWeights
from distrl.worker import BatchedPolicy, Worker

GLANCE_PERIOD_S = 0.5
"""Seconds between refreshes of the display."""
METRICS_PERIOD_S = 2.0
"""Least seconds between rows of metrics.jsonl."""
RECENT_EPISODES = 200
"""Training episodes that the displayed success is taken over."""


def default_run_dir(config_path: Path) -> Path:
    """runs/<name of the config>-<date>-<time>."""
    return Path("runs") / f"{config_path.stem}-{datetime.now():%Y%m%d-%H%M%S}"


class WorkerThread:
    """Runs a worker's event loop in a thread; `check` raises what it raised."""

    def __init__(self, make: Callable[[], Worker]) -> None:
        self.worker = make()
        self._error: BaseException | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Starts the event loop."""
        self._thread.start()

    def check(self) -> None:
        """Raises `PartStoppedError` when the worker has ended by itself."""
        if self._thread.is_alive() or self._stopping or self._thread.ident is None:
            return
        if self._error is not None:
            raise PartStoppedError("worker", f"{type(self._error).__name__}: {self._error}") from self._error
        raise PartStoppedError(
            "worker", "every phone is quarantined; see phones/quarantined and fault_* in the metrics"
        )

    def stop(self) -> None:
        """Lets running episodes end; returns at once."""
        self._stopping = True
        self.worker.stop()

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Waits for its end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self.worker.run())
        except BaseExceptionGroup as group:  # The supervisor of this thread: handed over by `check`.
            self._error = _first_cause(group)
        except Exception as error:  # noqa: BLE001 - as above.
            self._error = error


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class LocalRun:
    """Everything a run consists of, wired once.

    `play_policy` and `train_policy` start from equal weights; the first follows the second through `MemoryWeights`.
    """

    def __init__(self, config: RunConfig, folder: RunFolder, display: Display, *, attempt: int) -> None:
        self.config = config
        self.folder = folder
        self.display = display
        self.suite: TaskSuite = build_suite(config)
        self.metrics = Metrics([JsonLinesSink(folder.metrics_path), TensorBoardSink(folder.tensorboard_path)])
        self.store = Store(
            folder.episodes_path,
            max_frame_bytes=config.store.max_frames_mb * 2**20,
            cache_bytes=config.store.cache_mb * 2**20,
            metrics=self.metrics,
        )
        self.inbox = Inbox(config.workers.inbox_capacity)
        self.weights = MemoryWeights()
        self.tasks = build_task_stream(config, self.suite)
        self.checkpoints = Checkpoints(folder.checkpoints_path, keep_last=config.checkpoint.keep_last)
        self.replay = build_replay(config)
        self.policy = build_policy(config)
        self.learner = Learner(self.policy, config, max_horizon=self._max_horizon())
        self.cache = TrainingCache(config.learner.encoding_cache_mb * 2**20, self._load)
        self.gate: Pacer | RoundGate
        if config.algorithm.mode == "sync":
            self.gate = RoundGate(config.workers.num_devices)
        else:
            self.gate = Pacer(batch_size=config.learner.batch_size, max_policy_age=config.learner.max_policy_age)
        self.progress = Progress()
        self.evaluations: list[Evaluation] = []
        self._recent: list[bool] = []
        self._stop_wanted = False
        self._last_glance_s = self._last_row_s = 0.0
        self._last_update: Update | None = None
        self._acting = self._copy_of_policy(seed=config.seed + 1 + 1_000_003 * attempt)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._actor = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._evaluator: BackgroundEvaluator | None = None
        self._setup = build_evaluation_setup(config, self.suite)
        self._thread = WorkerThread(lambda: self._make_worker(str(attempt)))
        self._attempt = attempt
        self._started_s = time.monotonic()

    # The run

    def train(self) -> None:
        """Trains to the end; evaluates before, meanwhile and after; leaves a checkpoint however it ends."""
        loop = TrainingLoop(
            self.config,
            learner=self.learner,
            replay=self.replay,
            cache=self.cache,
            inbox=self.inbox,
            weights=self.weights,
            tasks=self.tasks,
            gate=self.gate,
            metrics=self.metrics,
            watch=MismatchWatch(
                self.learner,
                lambda: self._copy_of_policy(seed=0),
                self.config.learner.mismatch_check_every,
            ),
            progress=self.progress,
        )
        if not self.evaluations:
            self._evaluate_splits("before")
        if self.config.evaluation.every_updates:
            self._evaluator = BackgroundEvaluator(self._evaluate_version)
        self._loop = loop
        try:
            self._recover_unconsumed(loop)
            self._thread.start()
            loop.run(self)
            self._drain(loop)
        finally:
            self._thread.stop()
            self.gate.close()
            if self._evaluator is not None:
                for evaluation in self._evaluator.close(finish=False):
                    self._note_evaluation(evaluation)
            self._writer.shutdown(wait=True)
            self._actor.shutdown(wait=True)
        self.save_checkpoint()
        if not self._stop_wanted:
            self.policy.save(self.folder.path / "final")
            self._evaluate_splits("after")

    def request_stop(self) -> None:
        """Ends the run in good order at the next opportunity: Ctrl-C."""
        self._stop_wanted = True

    def close(self) -> None:
        """Frees files; calling it twice is harmless."""
        self.metrics.close()
        self.store.close()

    # Hooks of the training loop

    def should_stop(self) -> bool:
        """Whether to end; also the loop's heartbeat: parts are checked and the display refreshed."""
        self._thread.check()
        if self._evaluator is not None:
            for evaluation in self._evaluator.take_results():
                self._note_evaluation(evaluation)
        now = time.monotonic()
        if now - self._last_glance_s >= GLANCE_PERIOD_S:
            self._last_glance_s = now
            self.display.show(self._glance())
        return self._stop_wanted

    def after_update(self, update: Update) -> None:
        """Rows of metrics, evaluations and checkpoints, each when it is due."""
        self._last_update = update
        version = self.learner.version
        now = time.monotonic()
        if now - self._last_row_s >= METRICS_PERIOD_S:
            self._last_row_s = now
            self._write_row(update)
        every = self.config.evaluation.every_updates
        if self._evaluator is not None and version % every == 0:
            self._evaluator.request(version)
        if version % self.config.checkpoint.every_updates == 0:
            self.save_checkpoint()

    # Checkpoints

    def save_checkpoint(self) -> None:
        """Writes the whole state, unless this version was saved already."""
        if self.learner.version in self.checkpoints.steps():
            return
        learner = self.learner.state()
        optimizer, structure = flatten_optimizer_state(learner["optimizer"])
        arrays, replay = _split_arrays(self.replay.state_dict())
        state = {
            "learner": {"version": learner["version"], "scale": learner["scale"], "optimizer": structure},
            "replay": replay,
            "tasks": self.tasks.state_dict(),
            "progress": vars(self.progress),
            "counters": self.metrics.counters(),
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "random": capture_random_state(),
            "attempt": self._attempt,
        }
        groups = {"policy": learner["policy"], "heads": learner["heads"], "optimizer": optimizer}
        if learner["proximal"]:
            groups["proximal"] = learner["proximal"]
        with self.metrics.timer("checkpoint/save_s"):
            self.checkpoints.save(self.learner.version, tensors=groups, arrays=arrays, state=state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where a checkpoint was taken: model, optimizer, replay, task order, counters, random state."""
        state = checkpoint.state
        optimizer = unflatten_optimizer_state(checkpoint.tensors["optimizer"], state["learner"]["optimizer"])
        self.learner.load_state(
            {
                "policy": checkpoint.tensors["policy"],
                "heads": checkpoint.tensors["heads"],
                "proximal": checkpoint.tensors.get("proximal", {}),
                "optimizer": optimizer,
                "scale": state["learner"]["scale"],
                "version": state["learner"]["version"],
            }
        )
        self.replay.load_state_dict(_join_arrays(checkpoint.arrays, state["replay"]))
        self.tasks.load_state_dict(state["tasks"])
        self.progress = Progress(**state["progress"])
        self.metrics.restore_counters(state["counters"])
        self.evaluations = [_evaluation_from_json(record) for record in state["evaluations"]]
        restore_random_state(state["random"])
        self._acting.load_state(self.policy.state(), version=self.learner.version)

    def _recover_unconsumed(self, loop: TrainingLoop) -> None:
        """Admits what was acknowledged after the checkpoint: it is in the store, and in no replay."""
        for episode_id in self.store.ids_after(self.progress.last_admitted):
            loop.admit(self.store.get(episode_id))

    # Parts

    def _make_worker(self, session: str) -> Worker:
        config = self.config
        return Worker(
            "w0",
            build_devices(config, self.suite, config.workers.num_devices, prefix="phone-"),
            judge=StateJudge(),
            codec=build_codec(config),
            policy=BatchedPolicy(
                self._acting,
                temperature=config.policy.temperature,
                max_batch=config.workers.max_batch,
                metrics=self.metrics,
                refresh=self._refresh,
                executor=self._actor,
            ),
            tasks=self.tasks,
            gate=self.gate,
            deliver=self._deliver,
            metrics=self.metrics,
            config=config.workers,
            penalties=config.algorithm.penalties,
            history_length=config.policy.history_length,
            session=session,
        )

    async def _deliver(self, trajectory: Trajectory) -> None:
        """On disk first, then in the inbox: what the learner sees is never lost."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self.store.add, trajectory)
        self.gate.delivered()
        self._recent.append(trajectory.success)
        del self._recent[:-RECENT_EPISODES]
        await self.inbox.put(trajectory)

    def _refresh(self) -> None:
        """Loads newer weights into the acting policy, between two of its batches."""
        latest = self.weights.latest()
        if latest > self._acting.version:
            with self.metrics.timer("weights/load_s"):
                published = self.weights.fetch()
                self._acting.load_state(published.state, version=published.version)

    def _load(self, trajectory_id: str) -> Any:
        return prepare(self.store.get(trajectory_id), self.policy, self.config.policy.history_length)

    def _copy_of_policy(self, *, seed: int) -> Policy:
        copy = self.policy.copy(seed=seed)
        copy.load_state(self.policy.state(), version=self.learner.version)
        return copy

    def _max_horizon(self) -> int:
        splits = self.suite.splits()
        return max(self.suite.make_task(name, split="train", seed=0).max_steps for name in splits["train"])

    def _drain(self, loop: TrainingLoop) -> None:
        """Lets running episodes end and takes them in, so that the last checkpoint knows them."""
        self._thread.stop()
        self.gate.close()
        while self._thread.is_alive() or self.inbox.depth:
            for trajectory in self.inbox.drain(timeout_s=0.05):
                loop.admit(trajectory)
        self._thread.join(1.0)

    # Evaluation

    def _evaluate_version(self, version: int) -> Evaluation:
        """Plays the fixed tasks with the newest published version; runs in the evaluator's thread."""
        published = self.weights.fetch()
        policy = self._copy_of_policy_for(published.state, published.version)
        split = self.config.evaluation.split
        tasks = fixed_tasks(self.suite, split, num_tasks=self.config.evaluation.num_episodes)
        with self.metrics.timer("evaluation/run_s"):
            result, _ = evaluate(policy, published.version, split, tasks, self._setup)
        self._keep_if_best(policy, result)
        return result

    def _copy_of_policy_for(self, state: Any, version: int) -> Policy:
        policy = self.policy.copy(seed=0)
        policy.load_state(state, version=version)
        return policy

    def _keep_if_best(self, policy: Policy, result: Evaluation) -> None:
        """Keeps the best policy by the periodic evaluation, ready to be loaded by anything."""
        best = [e.success for e in self.evaluations if e.split == result.split and e.policy_version > 0]
        if not best or result.success > max(best):
            policy.save(self.folder.path / "best")
            write_durably(self.folder.path / "best" / "evaluation.json", json.dumps(result.to_json()).encode())

    def _evaluate_splits(self, when: str) -> None:
        """Success on every configured split, before and after training."""
        num_episodes = self.config.evaluation.final_episodes
        for split in self.config.evaluation.final_splits if num_episodes else ():
            tasks = fixed_tasks(self.suite, split, num_tasks=num_episodes)
            if not tasks:
                continue
            policy = self._copy_of_policy_for(self.policy.state(), self.learner.version)
            result, episodes = evaluate(policy, self.learner.version, split, tasks, self._setup)
            self._note_evaluation(result, when=when)
            self._keep_episodes(episodes, split, when)

    def _keep_episodes(self, episodes: list[Trajectory], split: Split, when: str) -> None:
        """Keeps one episode per template beside the training episodes, for the report."""
        path = self.folder.path / "evaluation.sqlite"
        seen: set[str] = set()
        with Store(path, max_frame_bytes=512 * 2**20) as store:
            for episode in episodes:
                if episode.task.template not in seen:
                    seen.add(episode.task.template)
                    store.add(_renamed(episode, f"{when}/{split}/{self._attempt}/{episode.task.id}"))

    def _note_evaluation(self, result: Evaluation, when: str = "during") -> None:
        self.evaluations.append(result)
        record = {**result.to_json(), "when": when, "trained_s": self.progress.trained_s}
        with (self.folder.path / "evaluations.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        low, high = result.interval
        self.metrics.gauge(f"evaluation/{result.split}", result.success)
        self.display.say(
            f"{when}: {result.success:6.1%} [{low:.1%}, {high:.1%}] success on {result.num_episodes} episodes of "
            f"{result.split} (version {result.policy_version})"
        )

    # Numbers

    def _write_row(self, update: Update) -> None:
        self.metrics.gauge("progress/trained_s", self.progress.trained_s)
        self.metrics.gauge("progress/episodes", self.progress.num_episodes)
        self.metrics.gauge("progress/recent_success", self._recent_success())
        row = {**update.stats, **{f"replay/{k.removeprefix('replay/')}": v for k, v in self.replay.stats().items()}}
        self.metrics.write(self.learner.version, row)

    def _recent_success(self) -> float:
        recent = list(self._recent)
        return sum(recent) / len(recent) if recent else 0.0

    def _glance(self) -> Glance:
        elapsed = max(self.progress.trained_s, 1e-9)
        limit = self.config.learner.max_minutes
        done = self.learner.version / self.config.learner.num_updates
        counters = self.metrics.counters()
        split = self.config.evaluation.split
        return Glance(
            fraction_done=max(done, elapsed / (limit * 60) if limit else 0.0),
            elapsed_s=elapsed,
            version=self.learner.version,
            num_episodes=self.progress.num_episodes,
            episodes_per_s=self.progress.num_episodes / elapsed,
            updates_per_s=self.learner.version / elapsed,
            recent_success=self._recent_success(),
            held_out=tuple(e.success for e in self.evaluations if e.split == split),
            policy_age=self._last_update.stats["age/mean"] if self._last_update else 0.0,
            replay_fill=len(self.replay) / self.config.replay.capacity,
            num_aborted=int(counters.get("worker/aborted", 0)),
            num_phones=self.config.workers.num_devices,
            num_quarantined=int(counters.get("phones/quarantined", 0)),
        )


def train(config: RunConfig, run_dir: Path, *, resume: bool = False, display: Display | None = None) -> LocalRun:
    """Runs `config` in `run_dir` to its end; returns the run, closed, for its numbers.

    Raises:
        RunFolderError: the folder is in use, of another version, or holds a run and `resume` is not set.
        CheckpointError: there is nothing to resume from, or it is damaged.
        PartStoppedError: a part died.
    """
    display = display or Display(str(run_dir))
    folder = RunFolder.open(run_dir) if resume else RunFolder.create(run_dir, to_yaml(config))
    with folder:
        checkpoint = None
        if resume:
            _refuse_another_config(config, folder)
            checkpoints = Checkpoints(folder.checkpoints_path, keep_last=config.checkpoint.keep_last)
            checkpoint = checkpoints.load()
        attempt = checkpoint.state["attempt"] + 1 if checkpoint else 0
        run = LocalRun(config, folder, display, attempt=attempt)
        try:
            if checkpoint is not None:
                run.restore(checkpoint)
            with _stopping_on_signals(run):
                run.train()
        finally:
            run.close()
            display.close()
    return run


def train_with_display(config: RunConfig, run_dir: Path, *, resume: bool) -> None:
    """`distrl train`: trains, showing progress, and says where everything is."""
    display = Display(f"DistRL {run_dir}")
    run = train(config, run_dir, resume=resume, display=display)
    if run._stop_wanted:  # noqa: SLF001
        display.say(f"stopped; go on with: distrl train CONFIG --run-dir {run_dir} --resume")
    else:
        display.say(f"done: {run_dir} (distrl report {run_dir})")


@contextmanager
def _stopping_on_signals(run: LocalRun) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run in good order; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        run.request_stop()
        run.display.say("stopping: running episodes end, a checkpoint is written (once more ends at once)")
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_another_config(config: RunConfig, folder: RunFolder) -> None:
    """A resumed run keeps its meaning: only how long it goes on may change."""
    before = load_config(folder.config_path).model_dump(mode="json")
    now = config.model_dump(mode="json")
    for settings in (before, now):
        for key in ("num_updates", "max_minutes"):
            settings["learner"].pop(key)
    differing = [key for key in now if before[key] != now[key]]
    if differing:
        raise CheckpointError(
            f"the run in {folder.path} was made with other settings under {', '.join(differing)}; resume it with "
            f"{folder.config_path}, or start a new run"
        )


def _renamed(trajectory: Trajectory, name: str) -> Trajectory:
    from dataclasses import replace

    return replace(trajectory, id=name)


def _split_arrays(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """numpy arrays apart from JSON values."""
    import numpy as np

    arrays = {f"replay.{key}": value for key, value in state.items() if isinstance(value, np.ndarray)}
    return arrays, {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}


def _join_arrays(arrays: Any, state: Any) -> dict[str, Any]:
    joined = dict(state)
    joined.update({key.removeprefix("replay."): value for key, value in arrays.items() if key.startswith("replay.")})
    return joined


def _evaluation_from_json(record: dict[str, Any]) -> Evaluation:
    fields = {key: record[key] for key in Evaluation.__dataclass_fields__}
    fields["by_template"] = {name: (k, n) for name, (k, n) in fields["by_template"].items()}
    return Evaluation(**fields)


__all__ = ["LocalRun", "ReplayRecord", "default_run_dir", "train", "train_with_display"]
