"""A whole run in one process: the default, and the reference for how the parts fit together.

    main thread         TrainingLoop: inbox -> replay -> learner -> weights, checkpoints
    worker thread       an event loop with every phone; the policy that acts has a thread of its own
    evaluator thread    now and then plays fixed tasks with a published version

What is shared is thread-safe by itself: store, inbox, weights, task stream, gate, metrics. A part that dies stops
the run with its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import FrameType

import torch

from distrl.batch import TrainingCache, TrainingTrajectory, prepare
from distrl.build import (
    build_codec,
    build_devices,
    build_evaluation_setup,
    build_policy,
    build_replay,
    build_suite,
    build_task_stream,
    build_workers,
)
from distrl.checkpoint import Checkpoint, Checkpoints
from distrl.config import RunConfig
from distrl.config_file import to_yaml
from distrl.display import Display, Glance
from distrl.errors import CheckpointError, PartStoppedError
from distrl.inbox import Inbox
from distrl.judge import StateJudge
from distrl.learner import Learner, Update
from distrl.loop import MismatchWatch, Progress, TrainingLoop
from distrl.metrics import JsonLinesSink, Metrics, TensorBoardSink
from distrl.pacing import Pacer, RoundGate
from distrl.run_evaluations import RunEvaluations
from distrl.run_state import RunParts, refuse_another_config, restore_run, save_run
from distrl.rundir import RunFolder
from distrl.store import Store
from distrl.tasks import TaskSuite
from distrl.types import Ending, Trajectory
from distrl.weights import MemoryWeights
from distrl.worker import BatchedPolicy, Worker
from distrl.worker_thread import WorkerThread

GLANCE_PERIOD_S = 0.5
"""Seconds between refreshes of the display."""
METRICS_PERIOD_S = 2.0
"""Least seconds between rows of metrics.jsonl; the last update always has one."""
RECENT_EPISODES = 200
"""Training episodes that the displayed success is taken over."""
CANCEL_TIMEOUT_S = 10.0
"""How long a run that failed waits for its phones to be freed."""


class LocalRun:
    """Everything a run consists of, wired once.

    The policy that acts starts from the weights of the one that is trained, and follows it through `MemoryWeights`.
    """

    def __init__(self, config: RunConfig, folder: RunFolder, display: Display, *, attempt: int) -> None:
        self.config = config
        self.folder = folder
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
        self.gate = _build_gate(config)
        self.progress = Progress()
        self.was_stopped = False
        """Whether somebody asked the run to end before its time."""
        self.evaluations = RunEvaluations(
            config,
            suite=self.suite,
            setup=build_evaluation_setup(config, self.suite),
            policy=self.policy.copy(seed=0),
            folder=folder,
            metrics=self.metrics,
            say=display.say,
        )
        self._display = display
        self._attempt = attempt
        self._parts = RunParts(self.learner, self.replay, self.tasks, self.metrics)
        self._recent: deque[bool] = deque(maxlen=RECENT_EPISODES)
        self._last_glance_s = self._last_row_s = 0.0
        self._last_row_version = -1
        self._last_update: Update | None = None
        self._acting = self.policy.copy(seed=config.seed + 1 + 1_000_003 * attempt)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._actor = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._worker = WorkerThread(self._make_worker(session=str(attempt)))

    def train(self) -> None:
        """Trains to the end; evaluates before, meanwhile and after; leaves a checkpoint when it ends or a part dies.

        Raises:
            PartStoppedError: a part died; the run can be resumed.
        """
        loop = self._make_loop()
        if not self.evaluations.done:
            self._evaluate_splits("before")
        self.evaluations.start(self.weights.fetch)
        try:
            for episode_id in self.store.ids_after(self.progress.last_admitted):  # Acknowledged after the checkpoint.
                loop.admit(self.store.get(episode_id))
            self._worker.start()
            loop.run(self)
            self._drain(loop)
            self.evaluations.close(finish=not self.was_stopped, at_s=self.progress.trained_s)
        except PartStoppedError:
            with contextlib.suppress(CheckpointError):  # The disk may be what died; the checkpoint before is whole.
                self.save_checkpoint()
            raise
        finally:
            self._end_threads()
        if self._last_update is not None and self._last_row_version < self.learner.version:
            self._write_row(self._last_update)
        self.save_checkpoint()
        if not self.was_stopped:
            self.policy.save(self.folder.path / "final")
            self._evaluate_splits("after")

    def request_stop(self) -> None:
        """Ends the run in good order at the next opportunity: Ctrl-C."""
        self.was_stopped = True

    def say(self, message: str) -> None:
        """Tells whoever watches."""
        self._display.say(message)

    def close(self) -> None:
        """Frees files; calling it twice is harmless."""
        self._end_threads()
        self.metrics.close()
        self.store.close()

    # Hooks of the training loop

    def should_stop(self) -> bool:
        """Whether to end; also the loop's heartbeat: parts are checked and the display refreshed."""
        self._worker.check()
        self.evaluations.collect(self.progress.trained_s)
        now = time.monotonic()
        if now - self._last_glance_s >= GLANCE_PERIOD_S:
            self._last_glance_s = now
            self._display.show(self._glance())
        return self.was_stopped

    def after_update(self, update: Update) -> None:
        """Rows of metrics, evaluations and checkpoints, each when it is due."""
        self._last_update = update
        now = time.monotonic()
        if now - self._last_row_s >= METRICS_PERIOD_S:
            self._last_row_s = now
            self._write_row(update)
        self.evaluations.updated(self.learner.version)
        if self.learner.version % self.config.checkpoint.every_updates == 0:
            self.save_checkpoint()

    # Checkpoints

    def save_checkpoint(self) -> None:
        """Writes the whole state, unless this version was saved already."""
        save_run(
            self.checkpoints,
            self._parts,
            progress=self.progress,
            evaluations=self.evaluations.done,
            attempt=self._attempt,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on where a checkpoint was taken: model, optimizer, replay, task order, counters, random state."""
        self.progress, evaluations = restore_run(checkpoint, self._parts)
        self.evaluations.restore(evaluations)
        self._acting.load_state(self.policy.state(), version=self.learner.version)

    # Parts

    def _make_loop(self) -> TrainingLoop:
        watch = MismatchWatch(self.learner, lambda: self.policy.copy(seed=0), self.config.learner.mismatch_check_every)
        return TrainingLoop(
            self.config,
            learner=self.learner,
            replay=self.replay,
            cache=self.cache,
            inbox=self.inbox,
            weights=self.weights,
            tasks=self.tasks,
            gate=self.gate,
            metrics=self.metrics,
            watch=watch,
            progress=self.progress,
        )

    def _make_worker(self, *, session: str) -> Worker:
        config, workers = self.config, build_workers(self.config)
        return Worker(
            "w0",
            build_devices(config, self.suite, workers.num_devices, prefix="phone-"),
            judge=StateJudge(),
            codec=build_codec(config),
            policy=BatchedPolicy(
                self._acting,
                temperature=config.policy.temperature,
                max_batch=workers.max_batch,
                batch_wait_s=workers.batch_wait_s,
                metrics=self.metrics,
                refresh=self._refresh,
                executor=self._actor,
            ),
            tasks=self.tasks,
            gate=self.gate,
            deliver=self._deliver,
            metrics=self.metrics,
            config=workers,
            penalties=config.algorithm.penalties,
            history_length=config.policy.history_length,
            session=session,
        )

    async def _deliver(self, trajectory: Trajectory) -> None:
        """On disk first, then in the inbox: what the learner sees is never lost."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self.store.add, trajectory)
        await self.inbox.put(trajectory)
        if isinstance(self.gate, Pacer):
            self.gate.delivered()
        if trajectory.ending is not Ending.ABORTED:
            self._recent.append(trajectory.success)

    def _refresh(self) -> None:
        """Loads newer weights into the acting policy, between two of its batches."""
        if self.weights.latest() > self._acting.version:
            with self.metrics.timer("weights/load_s"):
                published = self.weights.fetch()
                self._acting.load_state(published.state, version=published.version)

    def _load(self, trajectory_id: str) -> TrainingTrajectory | None:
        if not self.store.has_frames(trajectory_id):
            return None
        return prepare(self.store.get(trajectory_id), self.policy, self.config.policy.history_length)

    def _max_horizon(self) -> int:
        templates = self.suite.splits()["train"]
        return max(self.suite.make_task(name, split="train", seed=0).max_steps for name in templates)

    def _drain(self, loop: TrainingLoop) -> None:
        """Lets running episodes end and takes them in, so that the last checkpoint knows them."""
        self._worker.stop()
        self.gate.close()
        while self._worker.is_alive() or self.inbox.depth:
            for trajectory in self.inbox.drain(timeout_s=0.05):
                loop.admit(trajectory)
        self._worker.check()

    def _end_threads(self) -> None:
        """Ends what still runs; after a run that went well nothing does."""
        self.gate.close()
        self.inbox.close()
        self._worker.cancel(CANCEL_TIMEOUT_S)
        self.evaluations.close(finish=False, at_s=self.progress.trained_s)
        self._writer.shutdown(wait=True)
        self._actor.shutdown(wait=True)

    def _evaluate_splits(self, when: str) -> None:
        self.evaluations.play_splits(
            self.policy.state(), self.learner.version, when=when, attempt=self._attempt, at_s=self.progress.trained_s
        )

    # Numbers

    def _write_row(self, update: Update) -> None:
        self._last_row_version = self.learner.version
        self.metrics.gauge("progress/trained_s", self.progress.trained_s)
        self.metrics.gauge("progress/episodes", self.progress.num_episodes)
        self.metrics.gauge("progress/recent_success", self._recent_success())
        self.metrics.gauge("process/peak_rss_mb", _peak_rss_mb())
        self.metrics.write(self.learner.version, {**update.stats, **self.replay.stats(), **self.inbox.stats()})

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
            held_out=tuple(e.success for e in self.evaluations.done if e.split == split and e.num_episodes),
            policy_age=self._last_update.stats["age/mean"] if self._last_update else 0.0,
            replay_fill=len(self.replay) / self.config.replay.capacity,
            num_aborted=int(counters.get("worker/aborted", 0)),
            num_phones=self.config.workers.num_devices,
            num_quarantined=sum(status.state == "quarantined" for status in self._worker.worker.statuses),
        )


def _peak_rss_mb() -> float:
    """The most memory this process has held so far, MiB; the kernel counts in KiB, on macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _build_gate(config: RunConfig) -> Pacer | RoundGate:
    if config.algorithm.mode == "sync":
        return RoundGate(config.workers.num_devices)
    return Pacer(
        batch_size=config.learner.batch_size,
        max_policy_age=config.learner.max_policy_age,
        replay_ratio=config.replay.replay_ratio,
    )


def default_run_dir(config_path: Path) -> Path:
    """runs/<name of the config>-<date>-<time>."""
    return Path("runs") / f"{config_path.stem}-{datetime.now():%Y%m%d-%H%M%S}"


SWITCH_INTERVAL_S = 0.0005
"""How soon a thread that waits for the interpreter gets it; with the default of 5 ms, each of the learner's many short
tensor operations would wait that long while the phones' thread computes."""


def train(config: RunConfig, run_dir: Path, *, resume: bool = False, display: Display | None = None) -> LocalRun:
    """Runs `config` in `run_dir` to its end; returns the run, closed, for its numbers.

    Raises:
        RunFolderError: the folder is in use, of another version, or holds a run and `resume` is not set.
        CheckpointError: there is nothing to resume from, it is damaged, or other settings than how long differ.
        PartStoppedError: a part died.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    _share_processors()
    _keep_freed_memory()
    with contextlib.ExitStack() as stack:
        display = display or Display(str(run_dir))
        stack.callback(display.close)
        folder = RunFolder.open(run_dir) if resume else RunFolder.create(run_dir, to_yaml(config))
        stack.enter_context(folder)
        checkpoint = None
        if resume:
            refuse_another_config(config, folder)
            checkpoint = Checkpoints(folder.checkpoints_path).load()
        run = LocalRun(config, folder, display, attempt=checkpoint.state["attempt"] + 1 if checkpoint else 0)
        stack.callback(run.close)
        if checkpoint is not None:
            run.restore(checkpoint)
        with _stopping_on_signals(run):
            run.train()
    return run


def _share_processors() -> None:
    """Half of the processors for each tensor operation: the learner, the phones and acting compute at the same time.

    With all of them for each, threads of the learner and of acting would wait for one another inside every operation.
    `OMP_NUM_THREADS` in the environment has the last word.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))


_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_KEPT_BYTES = 2**30


def _keep_freed_memory() -> None:
    """Has glibc reuse the memory of freed tensors instead of giving it back to the system and asking for it again.

    Each update frees and needs the same hundreds of megabytes; handing them to and fro cost a sixth of its time.
    """
    with contextlib.suppress(OSError, AttributeError):  # Another C library: nothing is lost but the speed.
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def train_with_display(config: RunConfig, run_dir: Path, *, resume: bool) -> None:
    """`distrl train`: trains, showing progress, and says where everything is."""
    display = Display(f"DistRL {run_dir}")
    run = train(config, run_dir, resume=resume, display=display)
    if run.was_stopped:
        display.say(f"stopped; go on with: distrl train CONFIG --run-dir {run_dir} --resume")
    else:
        display.say(f"done: {run_dir} (distrl report {run_dir})")


@contextlib.contextmanager
def _stopping_on_signals(run: LocalRun) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run in good order; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        run.request_stop()
        run.say("stopping: running episodes end, a checkpoint is written (once more ends at once)")
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
