"""What the demo's learning is worth: several seeds of a warm start and a run, means and intervals over seeds.

    python benchmarks/learning.py          three seeds of configs/quickstart.yaml: over half an hour
    python benchmarks/learning.py --config configs/sync.yaml --out runs/sync

Each seed has a warm start, tasks and sampling of its own. Finished seeds in --out are read and not run again.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reporting import add_options, show, verdict, write

from distrl.report_data import Measured, RunData, read_run

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Two-sided 95 % quantiles of Student's t, by number of seeds."""
QUICK = (
    "learner.max_minutes=0.2",
    "evaluation.final_episodes=20",
    "evaluation.every_updates=10",
    "evaluation.num_episodes=20",
)


def run_seed(config: Path, seed: int, out: Path, overrides: list[str]) -> RunData:
    """One warm start and one run, as `scripts/demo` makes them, in processes of their own."""
    warm_start, run = out / f"warm-start-{seed}", out / f"seed-{seed}"
    sets = [argument for override in [f"seed={seed}", *overrides] for argument in ("--set", override)]
    distrl = [sys.executable, "-m", "distrl"]
    if not (run / "final").is_dir():
        subprocess.run(
            [*distrl, "sft", str(config), "--out", str(warm_start), *sets, "--set", "policy.path=tiny"], check=True
        )
        subprocess.run(
            [*distrl, "train", str(config), "--run-dir", str(run), *sets, "--set", f"policy.path={warm_start}"],
            check=True,
        )
    return read_run(run)


def mean_and_interval(values: list[float]) -> str:
    """Mean over seeds, and the half-width of its 95 % interval."""
    mean = statistics.fmean(values)
    if len(values) not in T_95:
        return f"{mean:.1%}"
    half = T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.1%} ± {half:.1%}"


def shares(runs: list[RunData], when: str, split: str) -> list[float]:
    """Success of each seed before or after training."""
    return [measured.success for run in runs if (measured := run.at(when, split)) is not None]


def below_best(run: RunData) -> float:
    """How far the last evaluation of the curve lies below its best, as a share."""
    curve = run.held_out_curve()
    return max(measured.success for measured in curve) - curve[-1].success


def as_record(measured: Measured) -> dict[str, Any]:
    """One evaluation, for the JSON."""
    return {
        "when": measured.when,
        "split": measured.split,
        "version": measured.policy_version,
        "success": measured.success,
        "num_episodes": measured.num_episodes,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/quickstart.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="where warm starts and runs go")
    parser.add_argument("--set", action="append", default=[], help="an override for both commands, key=value")
    add_options(parser)
    options = parser.parse_args(arguments)
    overrides = [*options.set, *(QUICK if options.quick else ())]
    runs = [run_seed(options.config, seed, options.out, overrides) for seed in options.seeds]
    rows = []
    results: dict[str, Any] = {"splits": {}, "seeds": {}}
    for split in dict.fromkeys(m.split for run in runs for m in run.evaluations):
        before, after = shares(runs, "before", split), shares(runs, "after", split)
        if before and after:
            rows.append((split, mean_and_interval(before), mean_and_interval(after), *(f"{x:.1%}" for x in after)))
            results["splits"][split] = {"before": before, "after": after}
    show(
        f"{options.config}, {len(runs)} seeds",
        ("split", "before", "after", *(f"seed {s}" for s in options.seeds)),
        rows,
    )
    drops, peaks = [below_best(run) for run in runs], [run.last["process/peak_rss_mb"] for run in runs]
    held_out = results["splits"].get("held_out_params", {"before": [math.nan], "after": [math.nan]})
    start, end = statistics.fmean(held_out["before"]), statistics.fmean(held_out["after"])
    show(
        "Against the aims",
        ("", "measured", "aim"),
        [
            (
                "warm start, held-out parameters",
                f"{start:.1%}",
                f"20 % to 50 %: {'met' if 0.2 <= start <= 0.5 else 'missed'}",
            ),
            ("after, held-out parameters", f"{end:.1%}", verdict(100 * end, 90, at_least=True)),
            (
                "last evaluation below the best, worst seed",
                f"{max(drops):.1%}",
                verdict(100 * max(drops), 3, at_least=False),
            ),
            ("peak memory, MiB, worst seed", f"{max(peaks):.0f}", verdict(max(peaks), 2048, at_least=False)),
        ],
    )
    for seed, run, drop, peak in zip(options.seeds, runs, drops, peaks, strict=True):
        results["seeds"][seed] = {
            "evaluations": [as_record(m) for m in run.evaluations],
            "below_best": drop,
            "peak_rss_mb": peak,
        }
    settings = {"config": str(options.config), "seeds": options.seeds, "overrides": overrides}
    write(options.json, "learning", quick=options.quick, settings=settings, results=results)


if __name__ == "__main__":
    main()
