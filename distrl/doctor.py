"""`distrl doctor`: what this machine can run, and what to do about what it cannot."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import typer

MIN_FREE_BYTES = 2 * 2**30
MIN_MEMORY_BYTES = 3 * 2**30
REQUIRED = (
    *("torch", "transformers", "tokenizers", "safetensors", "gymnasium", "pydantic", "numpy", "yaml", "PIL"),
    *("matplotlib", "rich", "typer", "tensorboard"),
)
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml"}
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may use, where it is less than the machine has."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""
    optional: bool = False


def examine(*, dry_run: bool = False) -> bool:
    """Prints every finding with its remedy; returns whether nothing required is missing."""
    checks: list[Callable[[], Finding]] = [python, packages, memory, disk, cores, run_folder, browser]
    if dry_run:
        typer.echo("would check: " + ", ".join(check.__name__.replace("_", " ") for check in checks))
        return True
    findings = [check() for check in checks]
    for finding in findings:
        mark = "ok  " if finding.ok else ("note" if finding.optional else "FAIL")
        typer.echo(f"{mark}  {finding.name:<12} {finding.seen}")
        if not finding.ok:
            typer.echo(f"      {'':<12} {finding.remedy}")
    return all(finding.ok or finding.optional for finding in findings)


def python() -> Finding:
    """Whether the interpreter is new enough."""
    return Finding("Python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")


def packages() -> Finding:
    """Whether everything that is imported can be found; nothing is imported for it."""
    missing = [DISTRIBUTIONS.get(name, name) for name in REQUIRED if importlib.util.find_spec(name) is None]
    versions = [
        f"{name} {metadata.version(DISTRIBUTIONS.get(name, name))}" for name in REQUIRED[:2] if name not in missing
    ]
    seen = f"missing: {', '.join(missing)}" if missing else ", ".join(versions)
    return Finding("packages", not missing, seen, "run scripts/setup, or: pip install distrl")


def memory() -> Finding:
    """Whether the quickstart fits into memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # No container, or one without a limit ("max").
        total = min(total, int(CGROUP_LIMIT.read_text()))
    remedy = "lower workers.num_devices, learner.encoding_cache_mb and store.cache_mb"
    return Finding("memory", total >= MIN_MEMORY_BYTES, f"{total / 2**30:.1f} GiB", remedy)


def disk() -> Finding:
    """Whether runs have room here."""
    free = shutil.disk_usage(Path.cwd()).free
    remedy = "free space, or lower store.max_frames_mb"
    return Finding("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free in {Path.cwd()}", remedy)


def cores() -> Finding:
    """How many cores this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Finding("cores", count >= 2, str(count), "acting and learning will share one core: expect half speed", True)


def run_folder() -> Finding:
    """Whether a run folder can be made here, with the file locks it needs."""
    try:
        with tempfile.TemporaryFile(dir=Path.cwd()) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        remedy = "start in a folder you can write, on a disk with file locks, or name one with --run-dir"
        return Finding("run folder", False, str(error), remedy)
    return Finding("run folder", True, f"{Path.cwd()} can be written")


def browser() -> Finding:
    """Whether web pages can be trained on."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    package = importlib.util.find_spec("miniwob") is not None
    missing = [name for name, path in found.items() if path is None] + ([] if package else ["miniwob"])
    seen = f"missing: {', '.join(missing)}" if missing else str(found["chromium"])
    remedy = "only for web pages: scripts/install-browser, and pip install 'distrl[miniwob]'"
    return Finding("browser", not missing, seen, remedy, True)
