"""How benchmarks tell their results: which machine, a table for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def processor() -> str:
    """The processor's name, where the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> dict[str, Any]:
    """What the numbers were made on."""
    return {"processor": processor(), "num_cpus": os.cpu_count(), "python": platform.python_version()}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark has."""
    parser.add_argument("--json", type=Path, help="write the results here, with the machine they were made on")
    parser.add_argument("--quick", action="store_true", help="a few seconds: shows that it works, not how fast it is")


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints one table; numbers to the right."""
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def verdict(value: float, target: float, *, at_least: bool) -> str:
    """The target and whether it is met."""
    is_met = value >= target if at_least else value <= target
    return f"{'>=' if at_least else '<='} {target:g}: {'met' if is_met else 'missed'}"


def write(path: Path | None, benchmark: str, *, quick: bool, settings: dict[str, Any], results: Any) -> None:
    """Writes the JSON where one is wanted."""
    if path is None:
        return
    content = {
        "benchmark": benchmark,
        "quick": quick,
        "machine": machine(),
        "settings": settings,
        "results": results,
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
