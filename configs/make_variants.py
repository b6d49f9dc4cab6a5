"""Writes the configs that are another one with a few settings changed: `python configs/make_variants.py`.

An ablation compares only what it means to compare as long as everything else stays equal; written from one source, it
does. `tests/test_docs.py` fails when a variant is out of date.
"""

from __future__ import annotations

import copy
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
WIDTH = 116


@dataclass(frozen=True)
class Variant:
    """One generated file."""

    name: str
    base: str
    """The file it is made from."""
    purpose: str
    changes: dict[str, Any]
    """Nested settings; laid over the base."""


EMULATORS: dict[str, Any] = {
    "device": {
        "kind": "sim",
        "latency": "emulator",
        "latency_scale": 0.1,
        "faults": {
            "hang": 0.0005,
            "crash": 0.001,
            "offline": 0.0005,
            "blank_frame": 0.002,
            "stale_frame": 0.002,
            "lost_tap": 0.005,
            "slow_reset": 0.01,
        },
    },
    "workers": {"num_devices": 32},
    "replay": {"min_trajectories": 32},
}
VARIANTS = (
    Variant(
        "emulator",
        "quickstart",
        "32 phones as slow and as unreliable as emulators driven over adb, at a tenth of their time: the `emulator` "
        "latency profile, and faults at small rates. Deadlines shrink with it. For looking at throughput, "
        "stragglers and recovery; sync.yaml is its partner.",
        EMULATORS,
    ),
    Variant(
        "sync",
        "emulator",
        "The synchronous baseline on the fleet and budget of emulator.yaml: every phone finishes its episode before "
        "the next updates, so that the slowest phone sets the pace.",
        {"algorithm": {"mode": "sync"}},
    ),
    Variant(
        "digirl",
        "quickstart",
        "The DigiRL baseline: of uniformly drawn trajectories the top share by `outcome - V_traj`, and of these the "
        "steps with a positive one-step advantage, are cloned. Same phones, store, replay and budget "
        "as the quickstart.",
        {"algorithm": {"name": "digirl"}},
    ),
    Variant(
        "filtered_bc",
        "quickstart",
        "The filtered behaviour cloning baseline: of uniformly drawn trajectories the top share by return is cloned. "
        "Same phones, store, replay and budget as the quickstart.",
        {"algorithm": {"name": "filtered_bc"}},
    ),
    Variant(
        "uniform_replay",
        "quickstart",
        "Ablation: trajectories are drawn uniformly instead of by priority (DPER off).",
        {"replay": {"prioritised": False, "balance_templates": False}},
    ),
    Variant(
        "vtrace",
        "quickstart",
        "Ablation: V-trace in place of Retrace for advantages and value targets.",
        {"algorithm": {"returns": "vtrace"}},
    ),
    Variant(
        "no_screenshot",
        "quickstart",
        "Ablation: the policy sees the UI tree and no pixels, so tasks marked `pixels` in docs/tasks.md cannot be told "
        "apart. It needs a warm start of its own:\n"
        "  distrl sft configs/no_screenshot.yaml --set policy.path=tiny --out runs/warm-start-no-screenshot",
        {"policy": {"path": "runs/warm-start-no-screenshot", "screenshot": False}},
    ),
    Variant(
        "pixels",
        "quickstart",
        "Pixels only: no UI tree, and actions that name points on the screen (0-999). Much harder than the default, "
        "and slower per step: the whole screenshot is read at 144x320. It needs a warm start of its own:\n"
        "  distrl sft configs/pixels.yaml --set policy.path=tiny --out runs/warm-start-pixels",
        {"policy": {"path": "runs/warm-start-pixels", "ui_tree": False, "actions": "pixel"}},
    ),
)


def overlaid(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, group by group."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = overlaid(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def header(variant: Variant) -> str:
    """The comment on top: what the file is for, and how it differs."""
    lines = [
        part
        for line in variant.purpose.splitlines()
        for part in textwrap.wrap(line, WIDTH, initial_indent="  " * line.startswith(" "), break_on_hyphens=False)
    ]
    differences = ", ".join(flat(variant.changes))
    lines += ["", *textwrap.wrap(f"Differs from {variant.base}.yaml in: {differences}.", WIDTH, break_on_hyphens=False)]
    lines += ["Written by configs/make_variants.py: change that, or its base, and run it again."]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def flat(settings: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of nested settings."""
    names: list[str] = []
    for key, value in settings.items():
        names += flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names


def texts() -> dict[str, str]:
    """File name -> content, from the bases as they are now."""
    settings: dict[str, dict[str, Any]] = {}
    written = {}
    for variant in VARIANTS:
        if variant.base not in settings:
            settings[variant.base] = yaml.safe_load((FOLDER / f"{variant.base}.yaml").read_text("utf-8")) or {}
        settings[variant.name] = overlaid(settings[variant.base], variant.changes)
        body = yaml.safe_dump(settings[variant.name], sort_keys=False, allow_unicode=True, width=WIDTH)
        written[f"{variant.name}.yaml"] = header(variant) + body
    return written


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
