"""How much sooner an asynchronous run succeeds as often as a synchronous one does at its end.

    python benchmarks/time_to_success.py --minutes 4

Same fleet (configs/emulator.yaml and configs/sync.yaml: 32 phones as slow and unreliable as emulators, at a tenth of
their time), equal warm starts, same seed, same time; one after the other. Compared is success on held-out parameters
while training.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from learning import run_seed
from reporting import add_options, show, verdict, write

from distrl.report_data import RunData

TARGET = 3.0
EVALUATE_EVERY = {"emulator": 75, "sync": 16}
"""Updates between evaluations: some twenty seconds in either mode."""


def time_to(run: RunData, success: float) -> float | None:
    """Seconds of training until an evaluation first reaches `success`; None when none does."""
    reached = [m.trained_s for m in run.held_out_curve() if m.success >= success and m.trained_s is not None]
    return min(reached, default=None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0, help="training time of each run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/time-to-success"))
    parser.add_argument("--set", action="append", default=[], help="an override for both runs, key=value")
    add_options(parser)
    options = parser.parse_args(arguments)
    minutes = 0.3 if options.quick else options.minutes
    runs: dict[str, RunData] = {}
    for name, every in EVALUATE_EVERY.items():
        sets = [f"learner.max_minutes={minutes}", f"evaluation.every_updates={every}", *options.set]
        if options.quick:
            sets += ["evaluation.num_episodes=20", "evaluation.final_episodes=0"]
        runs[name] = run_seed(Path(f"configs/{name}.yaml"), options.seed, options.out / name, sets)
    curves = {name: [(m.trained_s, m.success) for m in run.held_out_curve()] for name, run in runs.items()}
    final = curves["sync"][-1][1]
    sync_s, async_s = time_to(runs["sync"], final), time_to(runs["emulator"], final)
    ratio = sync_s / max(async_s, 1.0) if sync_s is not None and async_s is not None else None
    rows = [
        (
            name,
            f"{run.last.get('progress/episodes', 0):.0f}",
            f"{curves[name][0][1]:.1%}",
            f"{curves[name][-1][1]:.1%}",
            "-" if (seconds := time_to(run, final)) is None else f"{seconds:.0f} s",
        )
        for name, run in runs.items()
    ]
    title = f"{minutes:g} minutes each; time to {final:.1%}, the synchronous run's last evaluation"
    show(title, ("config", "episodes", "first", "last", "time"), rows)
    aim = "-" if ratio is None else verdict(ratio, TARGET, at_least=True)
    show("Synchronous over asynchronous", ("measured", "target"), [("-" if ratio is None else f"{ratio:.2f}", aim)])
    results: dict[str, Any] = {"curves": curves, "sync_s": sync_s, "async_s": async_s, "ratio": ratio}
    settings = {"minutes": minutes, "seed": options.seed, "overrides": options.set}
    write(options.json, "time_to_success", quick=options.quick, settings=settings, results=results)


if __name__ == "__main__":
    main()
