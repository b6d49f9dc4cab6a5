"""The episode loop of one worker and its devices: one event loop, many phones, none waiting for another.

phone loop (one per device)   takes a task, plays it, puts the trajectory into the outbox, recovers the phone if
                              it failed. Waits for: the pacer or the round gate (the learner unblocks them), the
                              batched policy, its own device, a full outbox.
BatchedPolicy                 takes what the phones ask, as many as are ready, decides for them in one call on
                              its own thread, with the newest weights. Waits for: requests.
delivery loop                 takes trajectories from the outbox, has each on disk, then in the inbox. Waits for:
                              the disk, a full inbox (the learner unblocks it).
lag loop                      measures how late the event loop wakes up.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from distrl.actions import ActionCodec
from distrl.config import PenaltiesConfig, WorkersConfig
from distrl.device.base import Device
from distrl.env import Episode
from distrl.errors import DeviceError, JudgeError
from distrl.judge import Judge
from distrl.metrics import Metrics
from distrl.types import Decision, Ending, Observation, PolicyInput, Step, StepTiming, Task, Trajectory

LAG_PERIOD_S = 0.05
"""How often the event loop's lag is measured."""
JUDGE_FAILURES_PER_PHONE = 5
"""Episodes in a row that the judge may fail in, per phone and once more, before the worker gives up."""


class ActingPolicy(Protocol):
    """What a worker needs of a policy."""

    def act(self, inputs: Sequence[PolicyInput], *, temperature: float) -> list[Decision]:
        """Decides for every input."""


@dataclass
class _Request:
    input: PolicyInput
    asked_at: float
    answer: asyncio.Future[tuple[Decision, float, float]]


class BatchedPolicy:
    """Gathers the decisions that devices ask for into batches, and makes them with the newest weights.

    `refresh` is called before each batch, on the policy's thread: it loads newer weights when there are any.
    Without an executor the policy runs on the event loop itself, which makes the order of events deterministic.
    """

    def __init__(
        self,
        policy: ActingPolicy,
        *,
        temperature: float,
        max_batch: int,
        metrics: Metrics,
        batch_wait_s: float = 0.0,
        refresh: Callable[[], None] = lambda: None,
        executor: Executor | None = None,
    ) -> None:
        self._policy = policy
        self._batch_wait_s = batch_wait_s
        self._temperature = temperature
        self._max_batch = max_batch
        self._metrics = metrics
        self._refresh = refresh
        self._executor = executor
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()

    async def act(self, policy_input: PolicyInput) -> tuple[Decision, float, float]:
        """Returns the decision, the seconds it waited for its batch, and the seconds the batch took."""
        answer: asyncio.Future[tuple[Decision, float, float]] = asyncio.get_running_loop().create_future()
        self._requests.put_nowait(_Request(policy_input, asyncio.get_running_loop().time(), answer))
        return await answer

    async def serve(self) -> None:
        """Answers requests until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gather()
            started = loop.time()
            inputs = [request.input for request in batch]
            if self._executor is None:
                decisions = self._decide(inputs)
            else:
                decisions = await loop.run_in_executor(self._executor, self._decide, inputs)
            took_s = loop.time() - started
            self._metrics.observe("policy/batch_size", len(batch))
            for request, decision in zip(batch, decisions, strict=True):
                if not request.answer.done():  # A phone loop that was cancelled no longer waits.
                    request.answer.set_result((decision, started - request.asked_at, took_s))

    async def _gather(self) -> list[_Request]:
        """Waits for one request, then takes what every device asks that is ready now or within `batch_wait_s`."""
        batch = [await self._requests.get()]
        if self._batch_wait_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._batch_wait_s):
                    while len(batch) < self._max_batch:
                        batch.append(await self._requests.get())
        ready = -1
        while ready != self._requests.qsize() and self._requests.qsize() < self._max_batch - 1:
            ready = self._requests.qsize()
            await asyncio.sleep(0)  # One turn of the loop: whoever can run without waiting does.
        while len(batch) < self._max_batch and not self._requests.empty():
            batch.append(self._requests.get_nowait())
        return batch

    def _decide(self, inputs: list[PolicyInput]) -> list[Decision]:
        self._refresh()
        return self._policy.act(inputs, temperature=self._temperature)


@dataclass
class PhoneStatus:
    """What one phone is doing, for displays."""

    device: str
    state: str = "idle"
    task: str = ""
    num_steps: int = 0
    failures_in_a_row: int = 0


@dataclass
class _Draft:
    """An episode being played."""

    task: Task
    steps: list[Step] = field(default_factory=list)
    observation: Observation | None = None
    ending: Ending = Ending.TRUNCATED
    success: bool = False
    fault: str | None = None
    side_effects: tuple[str, ...] = ()
    reset_s: float = 0.0


class TimeByState:
    """Adds up what the phones spend their time on, one metric per state: `phones/<state>_s`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def add(self, state: str, seconds: float) -> None:
        """Counts `seconds` of one phone's time."""
        self._metrics.count(f"phones/{state}_s", seconds)

    @contextlib.contextmanager
    def spent(self, status: PhoneStatus, state: str) -> Iterator[None]:
        """Times the block as `state`, on the event loop's clock, so that a virtual clock counts too."""
        loop = asyncio.get_running_loop()
        status.state, started = state, loop.time()
        try:
            yield
        finally:
            self.add(state, loop.time() - started)


async def play_episode(
    episode: Episode,
    policy: BatchedPolicy,
    task: Task,
    *,
    history_length: int,
    times: TimeByState,
    status: PhoneStatus,
    worker: str,
    trajectory_id: str,
) -> Trajectory:
    """Plays one task to its end; a device or judge failure ends it as `aborted`, never as reward 0."""
    draft = _Draft(task)
    started_at, clock = time.time(), asyncio.get_running_loop().time
    started = clock()
    status.task, status.num_steps = task.instruction, 0
    try:
        with times.spent(status, "resetting"):
            draft.observation = await episode.start(task)
        draft.task, draft.reset_s = episode.task, clock() - started
        while len(draft.steps) < task.max_steps:
            if await _play_step(draft, episode, policy, history_length, times, status):
                draft.ending = Ending.TERMINATED
                break
    except DeviceError as error:
        draft.ending, draft.fault, draft.success = Ending.ABORTED, error.fault, False
    except JudgeError:
        draft.ending, draft.fault, draft.success = Ending.ABORTED, "judge", False
    return Trajectory(
        id=trajectory_id,
        task=draft.task,
        steps=tuple(draft.steps),
        final_observation=draft.observation,
        ending=draft.ending,
        success=draft.success,
        worker=worker,
        device=episode.device.name,
        started_at=started_at,
        duration_s=clock() - started,
        fault=draft.fault,
        side_effects=draft.side_effects,
        reset_s=draft.reset_s,
    )


async def _play_step(
    draft: _Draft,
    episode: Episode,
    policy: BatchedPolicy,
    history_length: int,
    times: TimeByState,
    status: PhoneStatus,
) -> bool:
    """Asks the policy once, acts once, records both; returns whether the episode is over."""
    assert draft.observation is not None
    before = draft.observation
    history = tuple(step.decision.text for step in draft.steps[-history_length:]) if history_length else ()
    status.state = "waiting for the policy"
    decision, wait_s, policy_s = await policy.act(PolicyInput(draft.task.instruction, before, history))
    times.add("policy_wait", wait_s)
    times.add("policy", policy_s)
    with times.spent(status, "device"):
        outcome = await episode.step(decision.text)
    draft.steps.append(
        Step(
            observation=before,
            history=history,
            decision=decision,
            action=outcome.action,
            reward=outcome.reward,
            penalties=outcome.penalties,
            invalid=outcome.invalid,
            timing=StepTiming(outcome.observe_s, wait_s, policy_s, outcome.act_s, outcome.judge_s),
        )
    )
    status.num_steps = len(draft.steps)
    draft.observation = outcome.observation
    draft.success = outcome.verdict.success
    draft.side_effects = outcome.verdict.side_effects
    return outcome.terminated


class TaskSource(Protocol):
    """Where tasks come from."""

    def next(self) -> Task | None:
        """The next task to play; None when there are no more."""


class Gate(Protocol):
    """Says when a phone may start its next episode."""

    async def may_start(self, device_rounds: int, num_running: Callable[[], int]) -> None:
        """Returns once a phone that has played `device_rounds` episodes may start another.

        `num_running` counts the worker's episodes that were started and are not delivered yet.
        """

    def leave(self, device_rounds: int) -> None:
        """A phone that has played `device_rounds` episodes was quarantined and will not come back."""


Deliver = Callable[[Trajectory], Awaitable[None]]
"""Has a trajectory on disk and in the inbox before it returns."""


class Worker:
    """Drives a fleet of devices until it is stopped or every device is quarantined.

    `session` tells the attempts of one run apart (a resume is a new one), so that trajectory ids never repeat.
    """

    def __init__(
        self,
        name: str,
        devices: Sequence[Device],
        *,
        judge: Judge,
        codec: ActionCodec,
        policy: BatchedPolicy,
        tasks: TaskSource,
        gate: Gate,
        deliver: Deliver,
        metrics: Metrics,
        config: WorkersConfig,
        penalties: PenaltiesConfig | None,
        history_length: int,
        session: str = "0",
    ) -> None:
        self.name = name
        self.statuses = [PhoneStatus(device.name) for device in devices]
        self._devices = list(devices)
        self._judge = judge
        self._codec = codec
        self._policy = policy
        self._tasks = tasks
        self._gate = gate
        self._deliver = deliver
        self._metrics = metrics
        self._config = config
        self._penalties = penalties
        self._history_length = history_length
        self._times = TimeByState(metrics)
        self._outbox: asyncio.Queue[Trajectory] = asyncio.Queue(maxsize=max(2 * len(self._devices), 4))
        self._num_undelivered = 0
        self._judge_failures_in_a_row = 0
        self._ids = (f"{name}.{session}.{number:07d}" for number in itertools.count())
        self._stopping = False

    def stop(self) -> None:
        """Lets running episodes end and starts no new one."""
        self._stopping = True

    async def run(self) -> None:
        """Runs until stopped; returns once every finished episode has been delivered, and closes the devices.

        Raises:
            Whatever a part of it raised: a worker with a dead part does not limp on.
        """
        try:
            async with asyncio.TaskGroup() as service:
                background = [service.create_task(part()) for part in (self._policy.serve, self._send, self._watch_lag)]
                async with asyncio.TaskGroup() as fleet:
                    for device, status in zip(self._devices, self.statuses, strict=True):
                        fleet.create_task(self._drive(device, status))
                await self._outbox.join()
                for part in background:
                    part.cancel()
        finally:
            await asyncio.gather(*(device.close() for device in self._devices))

    async def _drive(self, device: Device, status: PhoneStatus) -> None:
        """One phone's life: task, episode, delivery, and recovery when it failed."""
        episode = Episode(device, self._judge, self._codec, self._config.deadlines, self._penalties)
        num_played = 0
        was_recovered = False
        while True:
            with self._times.spent(status, "waiting_for_task"):
                await self._gate.may_start(num_played, lambda: self._num_undelivered)
            task = None if self._stopping else self._tasks.next()
            if task is None:
                break
            self._num_undelivered += 1
            trajectory = await play_episode(
                episode,
                self._policy,
                task,
                history_length=self._history_length,
                times=self._times,
                status=status,
                worker=self.name,
                trajectory_id=next(self._ids),
            )
            num_played += 1
            self._count(trajectory)
            self._refuse_a_dead_judge(trajectory)
            with self._times.spent(status, "outbox_full"):
                await self._outbox.put(trajectory)
            phone_failed = trajectory.ending is Ending.ABORTED and trajectory.fault != "judge"
            if not phone_failed or trajectory.steps:
                status.failures_in_a_row = 0
            elif was_recovered:  # It came back and failed before its first step: that recovery failed too.
                status.failures_in_a_row += 1
            was_recovered = phone_failed
            if phone_failed and not await self._recover(device, status):
                self._gate.leave(num_played)
                return
        status.state = "stopped"

    def _refuse_a_dead_judge(self, trajectory: Trajectory) -> None:
        """Raises `JudgeError` when no episode could be judged for long: phones would play for nothing for ever."""
        if trajectory.ending is not Ending.ABORTED:
            self._judge_failures_in_a_row = 0
        elif trajectory.fault == "judge":
            self._judge_failures_in_a_row += 1
        limit = JUDGE_FAILURES_PER_PHONE * (len(self._devices) + 1)
        if self._judge_failures_in_a_row >= limit:
            raise JudgeError(f"the judge failed in {limit} episodes in a row on {self.name}: repair it, then resume")

    async def _recover(self, device: Device, status: PhoneStatus) -> bool:
        """Brings a failed phone back, with growing pauses; False when it is quarantined for good."""
        with self._times.spent(status, "recovering"):
            while status.failures_in_a_row < self._config.max_recoveries and not self._stopping:
                if status.failures_in_a_row:
                    await asyncio.sleep(self._config.recovery_backoff_s * 2 ** (status.failures_in_a_row - 1))
                self._metrics.count("phones/recoveries")
                try:
                    await device.recover(deadline_s=self._config.deadlines.recover_s)
                except DeviceError:
                    status.failures_in_a_row += 1
                else:
                    return True
        if self._stopping:
            status.state = "stopped"
            return False
        status.state = "quarantined"
        await device.close()
        self._metrics.count("phones/quarantined")
        return False

    async def _send(self) -> None:
        """Delivers in the order of finishing; phones go on meanwhile."""
        while True:
            trajectory = await self._outbox.get()
            await self._deliver(trajectory)
            self._num_undelivered -= 1
            self._outbox.task_done()

    async def _watch_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD_S
            await asyncio.sleep(LAG_PERIOD_S)
            self._metrics.observe("worker/event_loop_lag_s", max(loop.time() - due, 0.0))

    def _count(self, trajectory: Trajectory) -> None:
        self._metrics.count("worker/episodes")
        self._metrics.count("worker/steps", len(trajectory.steps))
        self._metrics.count(f"worker/{trajectory.ending.value}")
        if trajectory.fault:
            self._metrics.count(f"worker/fault_{trajectory.fault}")
        for step in trajectory.steps:
            if step.invalid:
                self._metrics.count(f"worker/invalid_{step.invalid}")
            for name, value in step.penalties:
                self._metrics.count(f"worker/penalty_{name}", -value)
