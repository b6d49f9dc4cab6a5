"""Measures the tiny policy on one thread: encoding a step, acting in batches, and a training step.

    python benchmarks/policy_speed.py [--json PATH]

Screens are synthetic, about 25 elements each; a short training comes first, so that actions have the lengths of a
policy that knows the grammar. Times are CPU time of this process: what a core can do when it has nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from distrl.policy.tiny.create import create_tiny_policy
from distrl.types import Element, Frame, Observation, PolicyInput

BATCH = 32
TARGETS = {"encode_ms_per_step": 0.4, "act_steps_per_s": 300.0, "train_steps_per_s": 120.0}
HEIGHT, WIDTH = 400, 180


def make_steps(words: list[str], count: int, rng: random.Random) -> list[tuple[PolicyInput, str]]:
    """Steps of three in four taps and one in four texts."""
    steps = []
    pixels = np.random.default_rng(0)
    for _ in range(count):
        labels = [" ".join(rng.sample(words, rng.randint(1, 3))) for _ in range(rng.randint(20, 30))]
        elements = tuple(
            Element(i, "TextView", (8, 13 * i, WIDTH - 8, 13 * i + 12), text=label, clickable=True)
            for i, label in enumerate(labels)
        )
        screen = Observation(Frame(pixels.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)), elements, "notes")
        index = rng.randrange(len(labels))
        text = " ".join(rng.sample(words, 3))
        if rng.random() < 0.75:
            steps.append(
                (PolicyInput(f"Open the note {labels[index]} in the list.", screen, ("tap 3",)), f"tap {index}")
            )
        else:
            steps.append((PolicyInput(f'Write "{text}" in the note.', screen, ("tap 1", "back")), f'type "{text}"'))
    return steps


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """CPU milliseconds of one call, the median of several."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def measure() -> dict[str, float]:
    rng = random.Random(0)
    words = ["".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(3)) for _ in range(1500)]
    policy = create_tiny_policy(words, seed=0)
    steps = make_steps(words, 8 * BATCH, rng)
    inputs = [step for step, _ in steps]
    encoded = [policy.encode(step, policy.decision_for(text)) for step, text in steps]
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3)

    def train() -> None:
        loss = policy.supervised_loss(policy.collate(rng.sample(encoded, BATCH)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(policy.parameters()), 1.0)
        optimizer.step()

    train_ms = median_ms(train, 80)
    # Fresh observations: the policy remembers what it has encoded of those it has seen.
    unseen = [replace(step, observation=replace(step.observation)) for step in inputs * 3]
    act_ms = median_ms(lambda: policy.act([unseen.pop() for _ in range(BATCH)], temperature=1.0), 20)
    encode_ms = median_ms(lambda: [policy.processor.encode(step) for step in inputs], 10) / len(inputs)
    return {
        "parameters": sum(parameter.numel() for parameter in policy.parameters()),
        "bytes_per_step": statistics.mean(step.nbytes for step in encoded),
        "encode_ms_per_step": encode_ms,
        "act_steps_per_s": 1e3 * BATCH / act_ms,
        "train_steps_per_s": 1e3 * BATCH / train_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the tiny policy on one thread.")
    parser.add_argument("--json", type=Path, help="write the results here, with the machine they were made on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = measure()
    for name, value in results.items():
        target = TARGETS.get(name)
        verdict = ""
        if target is not None:
            is_met = value <= target if name.endswith("ms_per_step") else value >= target
            verdict = f"  target {target:g}: {'met' if is_met else 'missed'}"
        print(f"{name:>20} {value:>14,.2f}{verdict}")
    if arguments.json:
        machine = {
            "machine": platform.machine(),
            "num_cpus": os.cpu_count(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        }
        content = {"benchmark": "policy_speed", "targets": TARGETS, "machine": machine, "results": results}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
