"""Drives 256 simulated phones from one worker's event loop, in real time, on one core, and measures how it keeps up.

    python benchmarks/fleet.py [--json PATH] [--quick] [--devices 256] [--seconds 60] [--policy-ms 3]

Latencies are those of the `emulator` profile, unscaled, so the phones sleep for real; the worker, the policy's thread
and the store's thread share one core. Everything is real but the model: `OracleActor` (`actors.py`) spends
`--policy-ms` of arithmetic per decision, as much as the small policy needs. Episodes are written to a store.

`--warm-up` seconds are left out of the lag: in them all phones start at once. Busy is the share of the phones' counted
time with a device call or a policy call of their own in progress; a call is counted when it ends, so `counted` is below
1 by the calls that were still going on. `busy_at_least` takes those for waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import reporting
from actors import NamedTasks, OracleActor

from distrl.actions import CODECS
from distrl.config import PenaltiesConfig, WorkersConfig
from distrl.device.sim.device import SimDevice
from distrl.device.sim.latency import latency_profile
from distrl.device.sim.tasks.suite import SimSuite
from distrl.judge import StateJudge
from distrl.metrics import Metrics
from distrl.pacing import OpenGate
from distrl.store import Store
from distrl.types import Trajectory
from distrl.worker import BatchedPolicy, Worker

TARGET_BUSY = 0.95
TARGET_LAG_P99_S = 0.050
LAG = "worker/event_loop_lag_s"
BUSY = ("device", "policy", "resetting", "recovering")
WAITING = ("policy_wait", "waiting_for_task", "outbox_full")


class LagMetrics(Metrics):
    """Metrics that also keep every lag with the time it was seen, so that the start can be told from the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.lags: list[tuple[float, float]] = []

    def observe(self, name: str, value: float) -> None:
        """Keeps lags besides counting them."""
        super().observe(name, value)
        if name == LAG:
            self.lags.append((time.perf_counter(), value))


@dataclass(frozen=True)
class Setting:
    """One measurement."""

    num_devices: int = 256
    seconds: float = 60.0
    warm_up_s: float = 5.0
    policy_ms: float = 3.0
    latency_scale: float = 1.0
    expert_share: float = 0.5


async def drive(setting: Setting, store: Store, metrics: LagMetrics) -> dict[str, float]:
    """Drives the fleet for `setting.seconds`, then drops what is being played."""
    suite = SimSuite()
    tasks = NamedTasks(suite, seed=0)
    actor = OracleActor(
        suite,
        tasks,
        expert_share=setting.expert_share,
        num_devices=setting.num_devices,
        compute_ms=setting.policy_ms,
    )
    profile = latency_profile("emulator", scale=setting.latency_scale)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as policy_thread, ThreadPoolExecutor(1) as store_thread:

        async def deliver(trajectory: Trajectory) -> None:
            await loop.run_in_executor(store_thread, store.add, trajectory)

        worker = Worker(
            "w0",
            [SimDevice(f"phone-{number}", suite, latency=profile) for number in range(setting.num_devices)],
            judge=StateJudge(),
            codec=CODECS["element"],
            policy=BatchedPolicy(actor, temperature=1.0, max_batch=64, metrics=metrics, executor=policy_thread),
            tasks=tasks,
            gate=OpenGate(),
            deliver=deliver,
            metrics=metrics,
            config=WorkersConfig(num_devices=setting.num_devices),
            penalties=PenaltiesConfig(),
            history_length=1,
        )
        started, cpu = loop.time(), time.process_time()
        running = asyncio.create_task(worker.run())
        await asyncio.wait((running,), timeout=setting.seconds)
        elapsed_s, cpu_s = loop.time() - started, time.process_time() - cpu
        totals, snapshot = metrics.counters(), metrics.snapshot()
        running.cancel()
        (outcome,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome
    return summarise(setting, metrics.lags, totals, snapshot, elapsed_s, cpu_s)


def summarise(
    setting: Setting,
    lags: list[tuple[float, float]],
    totals: dict[str, float],
    snapshot: dict[str, float],
    elapsed_s: float,
    cpu_s: float,
) -> dict[str, float]:
    phones_s = setting.num_devices * elapsed_s
    busy_s, waiting_s = (sum(totals.get(f"phones/{state}_s", 0.0) for state in states) for states in (BUSY, WAITING))
    first = lags[0][0] + setting.warm_up_s
    steady = [lag for seen, lag in lags if seen >= first] or [lag for _, lag in lags]
    return {
        "seconds": elapsed_s,
        "episodes": totals.get("worker/episodes", 0.0),
        "decisions": snapshot["policy/batch_size/mean"] * snapshot["policy/batch_size/count"],
        "mean_policy_batch": snapshot["policy/batch_size/mean"],
        "core_used": cpu_s / elapsed_s,
        "busy": busy_s / (busy_s + waiting_s),
        "counted": (busy_s + waiting_s) / phones_s,
        "busy_at_least": busy_s / phones_s,
        **{f"{state}_share": totals.get(f"phones/{state}_s", 0.0) / phones_s for state in (*BUSY, *WAITING)},
        "lag_ms_p50": 1e3 * float(np.quantile(steady, 0.5)),
        "lag_ms_p99": 1e3 * float(np.quantile(steady, 0.99)),
        "lag_ms_max": 1e3 * max(steady),
        "lag_ms_p99_with_start": 1e3 * float(np.quantile([lag for _, lag in lags], 0.99)),
    }


def measure(setting: Setting) -> dict[str, float]:
    """One measurement on one core, where the system lets a process choose."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if cores:
        os.sched_setaffinity(0, {max(cores)})  # Threads started from here on inherit it.
    try:
        metrics = LagMetrics()
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "episodes.sqlite", max_frame_bytes=1 << 30)
            try:
                return asyncio.run(drive(setting, store, metrics))
            finally:
                store.close()
    finally:
        if cores:
            os.sched_setaffinity(0, cores)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measures one event loop that drives many phones on one core.")
    reporting.add_options(parser)
    parser.add_argument("--devices", type=int, default=Setting.num_devices)
    parser.add_argument("--seconds", type=float, default=Setting.seconds, help="how long to drive them")
    parser.add_argument("--warm-up", type=float, default=Setting.warm_up_s, help="seconds left out of the lag")
    parser.add_argument("--policy-ms", type=float, default=Setting.policy_ms, help="CPU time of a decision")
    parser.add_argument("--latency-scale", type=float, default=Setting.latency_scale)
    options = parser.parse_args(arguments)
    setting = Setting(options.devices, options.seconds, options.warm_up, options.policy_ms, options.latency_scale)
    if options.quick:
        setting = replace(setting, num_devices=8, seconds=1.5, warm_up_s=0.2, latency_scale=0.02)
    results = measure(setting)
    targets = {
        "busy": reporting.verdict(results["busy"], TARGET_BUSY, at_least=True),
        "lag_ms_p99": reporting.verdict(results["lag_ms_p99"], 1e3 * TARGET_LAG_P99_S, at_least=False),
    }
    rows = [(name, f"{value:,.3f}", targets.get(name, "")) for name, value in results.items()]
    reporting.show(f"{setting.num_devices} phones on one event loop, one core", ("", "", "target"), rows)
    reporting.write(options.json, "fleet", quick=options.quick, settings=asdict(setting), results=results)


if __name__ == "__main__":
    main()
