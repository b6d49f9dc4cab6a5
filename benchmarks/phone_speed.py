"""Measures the simulated phone on one core: steps with screenshot and UI tree, resets, snapshot, restore and fork.

    python benchmarks/phone_speed.py [--json PATH] [--quick]

Oracles play training tasks, each with a world of its own, as in training: nothing is measured on a screen that was
shown over and over. A step is an action and the look at the screen after it; the oracle's thinking is not counted, and
the check of the state is counted apart. Times are CPU time of this process.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
import reporting

from distrl.device.sim.phone import Phone
from distrl.device.sim.state import dump, load
from distrl.device.sim.tasks.hand import Hand
from distrl.device.sim.tasks.suite import SimSuite
from distrl.types import Task

TARGET_STEPS_PER_S = {(180, 400): 500.0, (540, 1200): 50.0}
TARGET_FORK_MS = 10.0
FORK_EVERY = 5
"""Steps between measurements of snapshot, restore and fork."""


@dataclass
class Timings:
    """CPU seconds of each call."""

    reset: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    check: list[float] = field(default_factory=list)
    snapshot: list[float] = field(default_factory=list)
    restore: list[float] = field(default_factory=list)
    fork: list[float] = field(default_factory=list)


def play(suite: SimSuite, task: Task, size: tuple[int, int], timings: Timings) -> None:
    """One oracle's episode."""
    clock = time.process_time
    start = clock()
    before = suite.begin(task)
    state = load(dump(before))  # Kept besides the phone: reading `phone.state` would make it build its screen again.
    phone = Phone(state, size=size)
    observation = phone.observe()
    timings.reset.append(clock() - start)
    script = suite.template(task.template).oracle(Hand(observation), task.params)
    action = next(script, None)
    while action is not None:
        start = clock()
        phone.apply(action)
        observation = phone.observe()
        stepped = clock()
        done = suite.check(task, before, state).success
        timings.check.append(clock() - stepped)
        timings.step.append(stepped - start)
        if len(timings.step) % FORK_EVERY == 1:
            measure_copies(phone, timings)
        if done:
            return
        try:
            action = script.send(observation)
        except StopIteration:
            action = None


def measure_copies(phone: Phone, timings: Timings) -> None:
    clock = time.process_time
    times = [clock()]
    snapshot = phone.snapshot()
    times.append(clock())
    twin = phone.fork()
    times.append(clock())
    twin.restore(snapshot)
    times.append(clock())
    for calls, seconds in zip((timings.snapshot, timings.fork, timings.restore), np.diff(times), strict=True):
        calls.append(float(seconds))


def measure(size: tuple[int, int], num_episodes: int) -> dict[str, float]:
    """Plays `num_episodes`, each template in its turn."""
    suite, timings = SimSuite(), Timings()
    names = suite.splits()["train"]
    for number in range(num_episodes):
        play(suite, suite.make_task(names[number % len(names)], split="train", seed=10_000 + number), size, timings)
    results = {
        "width": size[0],
        "height": size[1],
        "episodes": num_episodes,
        "steps": len(timings.step),
        "steps_per_s": len(timings.step) / sum(timings.step),
        "steps_per_s_with_check": len(timings.step) / (sum(timings.step) + sum(timings.check)),
        "steps_per_s_with_check_and_reset": len(timings.step)
        / (sum(timings.step) + sum(timings.check) + sum(timings.reset)),
    }
    for name, times in vars(timings).items():
        results[f"{name}_ms_p50"] = 1e3 * float(np.median(times))
        results[f"{name}_ms_p99"] = 1e3 * float(np.quantile(times, 0.99))
    return results


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Times the simulated phone on one core.")
    reporting.add_options(parser)
    parser.add_argument("--episodes", type=int, default=600, help="episodes at 180x400; a quarter of them at 540x1200")
    options = parser.parse_args(arguments)
    episodes = 24 if options.quick else options.episodes
    results = [measure((180, 400), episodes), measure((540, 1200), max(1, episodes // 4))]
    rows = []
    for name in (name for name in results[0] if name not in ("width", "height")):
        target = ""
        if name == "steps_per_s":
            targets = zip(results, TARGET_STEPS_PER_S.values(), strict=True)
            target = ", ".join(reporting.verdict(row[name], goal, at_least=True) for row, goal in targets)
        elif name == "fork_ms_p99":
            target = reporting.verdict(max(row[name] for row in results), TARGET_FORK_MS, at_least=False)
        rows.append((name, *(f"{row[name]:,.2f}" for row in results), target))
    reporting.show("Simulated phone, one core", ("", "180x400", "540x1200", "target"), rows)
    reporting.write(options.json, "phone_speed", quick=options.quick, settings={"episodes": episodes}, results=results)


if __name__ == "__main__":
    main()
