"""Measures one learner update's use of the replay: draw a batch, then set its priorities.

    python benchmarks/replay_sampling.py [--json PATH]

The work of the tree is put off to the next draw, so each round is timed whole: sample, then set_priorities. Fetching
and decoding trajectories is the store's part and not in here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

from distrl.replay import Replay, ReplayRecord, ReplaySettings
from distrl.types import Ending

TARGET_MS = 1.0


def fill(size: int, rng: np.random.Generator) -> Replay:
    """A full replay of `size` trajectories, one in five a success, with every cap and pool switched on."""
    replay = Replay(
        ReplaySettings(
            capacity=size,
            beta_is=0.4,
            replay_ratio=1e9,
            max_uses=1_000_000,
            max_age_versions=1_000_000,
            success_share=0.25,
            refresh_share=0.1,
        )
    )
    for index in range(size):
        replay.admit(ReplayRecord(f"bench/{index:06d}", 10, index % 5 == 0, 0, Ending.TERMINATED), 0)
    for _ in range(50):
        batch = replay.sample(max(1, size // 20), 0)
        replay.set_priorities(batch.slots, rng.uniform(0.01, 2.0, len(batch.ids)))
    return replay


def measure(size: int, batch_size: int, rounds: int) -> dict[str, float]:
    """Times `rounds` updates; milliseconds."""
    rng = np.random.default_rng(0)
    replay = fill(size, rng)
    elapsed_ms, refresh_ms, admit_ms = [], [], []
    for version in range(rounds):
        priorities = rng.uniform(0.01, 2.0, batch_size)
        started = time.perf_counter()
        batch = replay.sample(batch_size, version)
        replay.set_priorities(batch.slots, priorities)
        elapsed_ms.append(1000 * (time.perf_counter() - started))
        started = time.perf_counter()
        stale = replay.stalest(batch)
        replay.set_priorities(stale.slots, np.ones(len(stale.ids)))
        refresh_ms.append(1000 * (time.perf_counter() - started))
        started = time.perf_counter()
        replay.admit(ReplayRecord(f"bench/new/{version}", 10, version % 5 == 0, version, Ending.TERMINATED), version)
        admit_ms.append(1000 * (time.perf_counter() - started))
    return {
        "trajectories": size,
        "batch_size": batch_size,
        "rounds": rounds,
        "median_ms": float(np.median(elapsed_ms)),
        "p99_ms": float(np.quantile(elapsed_ms, 0.99)),
        "refresh_median_ms": float(np.median(refresh_ms)),
        "admit_median_ms": float(np.median(admit_ms)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Times prioritised sampling with priority update.")
    parser.add_argument("--json", type=Path, help="write the results here, with the machine they were made on")
    parser.add_argument("--rounds", type=int, default=2000, help="updates timed per size")
    arguments = parser.parse_args()
    results = [measure(size, 64, arguments.rounds) for size in (1_000, 10_000, 100_000)]
    print(f"{'trajectories':>12} {'batch':>6} {'median ms':>10} {'p99 ms':>8} {'refresh ms':>11} {'admit ms':>9}")
    for row in results:
        print(
            f"{row['trajectories']:>12,} {row['batch_size']:>6} {row['median_ms']:>10.3f} {row['p99_ms']:>8.3f} "
            f"{row['refresh_median_ms']:>11.3f} {row['admit_median_ms']:>9.3f}"
        )
    is_met = results[-1]["median_ms"] < TARGET_MS
    print(f"target: median under {TARGET_MS} ms at 100,000: {'met' if is_met else 'missed'}")
    if arguments.json:
        machine = {
            "machine": platform.machine(),
            "num_cpus": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        content = {"benchmark": "replay_sampling", "target_ms": TARGET_MS, "machine": machine, "results": results}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
