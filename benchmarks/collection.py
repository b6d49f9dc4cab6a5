"""Compares asynchronous with synchronous collection: the same phones, tasks, policy and learner, in exact virtual time.

    python benchmarks/collection.py [--json PATH] [--quick] [--update-s 10] [--policy-s 0.25]

32 simulated phones with the unscaled `emulator` latencies are driven by the real `Worker`, `BatchedPolicy`, `Pacer`,
`RoundGate` and `Replay`. The clock is virtual: hours of phone time pass exactly and cost only the drawing, and how busy
this machine is changes nothing. Three things are simulated:

policy server   one batch at a time, `--policy-s` per batch whatever its size; it takes who is ready when it is free
learner         `--update-s` per update on 32 trajectories; takes what arrived between two, as `TrainingLoop` does
disk            takes no time

Episodes are of realistic lengths: half follow an oracle to success, half wander until the step budget (`actors.py`).
Both modes play the same tasks. Asynchronous collection is measured until the last of them arrives, while no phone
has run out of tasks; synchronous collection over whole rounds, updates included.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import reporting
from actors import NamedTasks, OracleActor

from distrl.actions import CODECS
from distrl.config import FaultsConfig, PenaltiesConfig, WorkersConfig
from distrl.device.sim.clock import VirtualClockLoop
from distrl.device.sim.device import SimDevice
from distrl.device.sim.faults import FaultPlan
from distrl.device.sim.latency import latency_profile
from distrl.device.sim.tasks.suite import SimSuite
from distrl.judge import StateJudge
from distrl.metrics import Metrics
from distrl.pacing import Pacer, RoundGate
from distrl.replay import Replay
from distrl.replay_records import ReplayRecord, ReplaySettings
from distrl.types import Trajectory
from distrl.worker import BatchedPolicy, Worker

T = TypeVar("T")
TARGET_RATIO = 2.4
TARGET_BUSY = 0.95
TARGET_POLICY_WAIT = 0.10
FAULTS = FaultsConfig(
    hang=0.0005, crash=0.001, offline=0.0005, blank_frame=0.002, stale_frame=0.002, lost_tap=0.005, slow_reset=0.01
)
"""The rates of configs/emulator.yaml."""
BUSY_STATES = ("acting and observing", "judging", "policy", "resetting", "recovering")
"""A device call or a policy call of the phone's own is in progress; all else is waiting."""


@dataclass(frozen=True)
class Fleet:
    """What both modes share. Seconds are the phones' own, unscaled."""

    num_devices: int = 32
    rounds: int = 40
    """Episodes per phone in all."""
    policy_s: float = 0.25
    update_s: float = 10.0
    expert_share: float = 0.5
    max_policy_age: int = 64
    inbox_capacity: int = 64
    faulty: bool = False
    seed: int = 0

    @property
    def num_episodes(self) -> int:
        return self.num_devices * self.rounds


class PolicyServer:
    """Stands where `BatchedPolicy` expects an executor: a job takes `batch_s` of the loop's time."""

    def __init__(self, batch_s: float) -> None:
        self.batch_s = batch_s


class ServedClockLoop(VirtualClockLoop):
    """The virtual clock, with jobs of a `PolicyServer` that take virtual time instead of none."""

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        if not isinstance(executor, PolicyServer):
            return super().run_in_executor(executor, func, *args)
        answer: asyncio.Future[T] = self.create_future()

        def decide() -> None:
            if not answer.cancelled():
                answer.set_result(func(*args))

        self.call_later(executor.batch_s, decide)
        return answer


class SimulatedTrainer:
    """`TrainingLoop` with an update that only takes time: the same order of taking in, updating and opening."""

    def __init__(self, fleet: Fleet, gate: Pacer | RoundGate, actor: OracleActor) -> None:
        self.replay = Replay(
            ReplaySettings(capacity=20_000, replay_ratio=1.0, min_trajectories=fleet.num_devices, max_uses=8)
        )
        self.inbox: asyncio.Queue[Trajectory] = asyncio.Queue(fleet.inbox_capacity)
        self.version = 0
        self.num_taken = 0
        self.judging_s = 0.0
        self._fleet = fleet
        self._gate = gate
        self._actor = actor

    async def run(self) -> None:
        """Until `fleet.num_episodes` were taken in; in `sync`, until the update after them."""
        while not self._is_finished():
            if not (self._may_update() or self._round_is_complete()):
                self._admit(await self.inbox.get())
            while not self.inbox.empty():
                self._admit(self.inbox.get_nowait())
            if self._may_update():
                self.replay.count_trained(self.replay.propose(self._fleet.num_devices, self.version).slots)
                await asyncio.sleep(self._fleet.update_s)
                self.version += 1
                self._actor.version = self.version
            elif isinstance(self._gate, RoundGate) and self._round_is_complete():
                self._gate.open_next()
                await asyncio.sleep(0.001)  # The phones' waits end, and are counted.
            if isinstance(self._gate, Pacer):
                self._gate.set_owed(self.replay.num_owed, num_delivered=self.inbox.qsize())

    def _is_finished(self) -> bool:
        return self.num_taken >= self._fleet.num_episodes and (
            isinstance(self._gate, Pacer) or not self._round_is_complete()
        )

    def _round_is_complete(self) -> bool:
        return isinstance(self._gate, RoundGate) and self._gate.round_is_complete()

    def _may_update(self) -> bool:
        if isinstance(self._gate, RoundGate) and not self._gate.round_is_complete():
            return False
        return self.replay.may_sample(self.version)

    def _admit(self, trajectory: Trajectory) -> None:
        self.num_taken += 1
        self.replay.admit(ReplayRecord.of(trajectory), self.version)
        self.judging_s += sum(step.timing.judge_s for step in trajectory.steps)
        if isinstance(self._gate, RoundGate):
            self._gate.admitted()


def make_worker(
    fleet: Fleet, gate: Pacer | RoundGate, metrics: Metrics
) -> tuple[Worker, OracleActor, SimulatedTrainer]:
    suite = SimSuite()
    tasks = NamedTasks(suite, seed=fleet.seed)
    actor = OracleActor(suite, tasks, expert_share=fleet.expert_share, num_devices=fleet.num_devices)
    trainer = SimulatedTrainer(fleet, gate, actor)

    async def deliver(trajectory: Trajectory) -> None:
        await trainer.inbox.put(trajectory)
        if isinstance(gate, Pacer):
            gate.delivered()

    faults = FaultPlan(**FAULTS.model_dump()) if fleet.faulty else FaultPlan()
    profile = latency_profile("emulator")
    devices = [
        SimDevice(f"phone-{number}", suite, latency=profile, faults=faults, seed=fleet.seed)
        for number in range(fleet.num_devices)
    ]
    server: Any = PolicyServer(fleet.policy_s)
    worker = Worker(
        "w0",
        devices,
        judge=StateJudge(),
        codec=CODECS["element"],
        policy=BatchedPolicy(actor, temperature=1.0, max_batch=64, metrics=metrics, executor=server),
        tasks=tasks,
        gate=gate,
        deliver=deliver,
        metrics=metrics,
        config=WorkersConfig(num_devices=fleet.num_devices),
        penalties=PenaltiesConfig(),
        history_length=1,
    )
    return worker, actor, trainer


async def collect(fleet: Fleet, mode: str) -> dict[str, Any]:
    """Collects the episodes in one mode; returns rates and where the time went."""
    metrics = Metrics()
    gate: Pacer | RoundGate = (
        Pacer(batch_size=fleet.num_devices, max_policy_age=fleet.max_policy_age)
        if mode == "async"
        else RoundGate(fleet.num_devices)
    )
    worker, _, trainer = make_worker(fleet, gate, metrics)
    fleet_task = asyncio.create_task(worker.run())
    training = asyncio.create_task(trainer.run())
    await asyncio.wait((fleet_task, training), return_when=asyncio.FIRST_COMPLETED)
    elapsed_s = asyncio.get_running_loop().time()
    result = summarise(fleet, trainer, metrics, elapsed_s)
    for task in (training, fleet_task):
        task.cancel()
    for outcome in await asyncio.gather(training, fleet_task, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return result


def summarise(fleet: Fleet, trainer: SimulatedTrainer, metrics: Metrics, elapsed_s: float) -> dict[str, Any]:
    totals = metrics.counters()
    spent = {state: totals.get(f"phones/{state}_s", 0.0) for state in TIMED}
    phones_s = fleet.num_devices * elapsed_s
    shares = {
        "acting and observing": spent["device"] - trainer.judging_s,
        "judging": trainer.judging_s,
        "policy": spent["policy"],
        "resetting": spent["resetting"],
        "recovering": spent["recovering"],
        "waiting for the policy": spent["policy_wait"],
        "waiting for a task or at the barrier": spent["waiting_for_task"],
        "outbox full": spent["outbox_full"],
        "begun and not ended when the clock stopped": phones_s - sum(spent.values()),
    }
    step_s = spent["device"] + spent["policy"] + spent["policy_wait"]
    return {
        "virtual_hours": elapsed_s / 3600,
        "episodes": trainer.num_taken,
        "aborted": totals.get("worker/aborted", 0.0),
        "quarantined": totals.get("phones/quarantined", 0.0),
        "steps_per_episode": totals["worker/steps"] / totals["worker/episodes"],
        "updates": trainer.version,
        "episodes_per_hour": 3600 * trainer.num_taken / elapsed_s,
        "busy": sum(shares[state] for state in BUSY_STATES) / phones_s,
        "policy_wait_share_of_step": spent["policy_wait"] / step_s,
        "step_s": step_s / totals["worker/steps"],
        "mean_policy_batch": metrics.snapshot()["policy/batch_size/mean"],
        "shares": {name: seconds / phones_s for name, seconds in shares.items()},
    }


TIMED = ("device", "policy", "policy_wait", "resetting", "waiting_for_task", "outbox_full", "recovering")
"""The states that `TimeByState` counts."""


def run(fleet: Fleet, mode: str) -> dict[str, Any]:
    """One run on its own virtual clock."""
    with asyncio.Runner(loop_factory=ServedClockLoop) as runner:
        return runner.run(collect(fleet, mode))


def compare(fleet: Fleet) -> dict[str, Any]:
    """Both modes on the same fleet."""
    by_mode = {mode: run(fleet, mode) for mode in ("async", "sync")}
    ratio = by_mode["async"]["episodes_per_hour"] / by_mode["sync"]["episodes_per_hour"]
    return {"fleet": asdict(fleet), **by_mode, "ratio": ratio}


def show(title: str, found: dict[str, Any]) -> None:
    both = (found["async"], found["sync"])
    targets = {
        "busy": reporting.verdict(both[0]["busy"], TARGET_BUSY, at_least=True),
        "policy_wait_share_of_step": reporting.verdict(
            both[0]["policy_wait_share_of_step"], TARGET_POLICY_WAIT, at_least=False
        ),
    }
    names = [name for name in both[0] if name != "shares"]
    rows = [(name, *(f"{one[name]:,.3f}" for one in both), targets.get(name, "")) for name in names]
    rows.append(
        ("async / sync", f"{found['ratio']:.2f}", "", reporting.verdict(found["ratio"], TARGET_RATIO, at_least=True))
    )
    rows += [
        (f"time: {name}", *(f"{100 * one['shares'][name]:.2f} %" for one in both), "") for name in both[0]["shares"]
    ]
    reporting.show(title, ("", "async", "sync", "target"), rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compares asynchronous with synchronous collection.")
    reporting.add_options(parser)
    parser.add_argument("--devices", type=int, default=Fleet.num_devices)
    parser.add_argument("--rounds", type=int, default=Fleet.rounds, help="episodes per phone")
    parser.add_argument("--policy-s", type=float, default=Fleet.policy_s, help="seconds per batch of decisions")
    parser.add_argument("--update-s", type=float, default=Fleet.update_s, help="seconds per update")
    options = parser.parse_args(arguments)
    fleet = Fleet(options.devices, options.rounds, options.policy_s, options.update_s)
    if options.quick:
        fleet = replace(fleet, num_devices=4, rounds=2)
    results = {"calm": compare(fleet), "with faults": compare(replace(fleet, faulty=True))}
    for name, found in results.items():
        show(f"{fleet.num_devices} phones, emulator latencies, {name}", found)
    reporting.write(options.json, "collection", quick=options.quick, settings=asdict(fleet), results=results)


if __name__ == "__main__":
    main()
