"""`distrl report`: what a run reached and where its time went, as pictures, a page, numbers, and a few lines here.

run/report/  report.md    report.json    success.png    episode.png

It reads what any run leaves behind, finished or not, also while the run goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from distrl.durable import write_durably
from distrl.errors import INVALID_KINDS, RunFolderError
from distrl.report_data import Measured, RunData, as_json, read_run, versions_and_machine
from distrl.report_figures import draw_episode, draw_success

FILES = ("report.md", "report.json", "success.png", "episode.png")
STATES = {
    "device": "device acts, shows and is judged",
    "policy": "policy decides",
    "policy_wait": "waiting for the policy",
    "resetting": "setting tasks up",
    "waiting_for_task": "waiting for a task",
    "outbox_full": "waiting for the disk",
    "recovering": "recovering",
}
"""What phones spend time on: the metric `phones/<state>_s` -> in words."""


def write_report(run: Path, *, dry_run: bool = False) -> None:
    """Writes `run/report/` and prints a summary.

    Raises:
        RunFolderError: it is no run folder, nothing has happened in it yet, or it cannot be written.
    """
    data = read_run(run)
    folder = run / "report"
    if dry_run:
        files = [name for name in FILES if name != "episode.png" or data.episode is not None]
        typer.echo("would write " + ", ".join(str(folder / name) for name in files))
        return
    numbers = report_numbers(data)
    try:
        folder.mkdir(exist_ok=True)
        draw_success(data, folder / "success.png")
        if data.episode is not None:
            title = f"{data.episode_title} · {data.episode.task.template}"
            draw_episode(data.episode, folder / "episode.png", title=title)
        write_durably(folder / "report.json", (json.dumps(numbers, indent=2) + "\n").encode())
        write_durably(folder / "report.md", markdown(data, numbers).encode())
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written ({error}): free space, or check its permissions") from error
    print_summary(data, numbers)
    typer.echo(f"report: {folder / 'report.md'}")


def report_numbers(data: RunData) -> dict[str, Any]:
    """Everything in the report as JSON values; what is unknown is null or missing."""
    last, means = data.last, data.means
    versions, machine = versions_and_machine()
    before_after = {
        split: {when: as_json(found) for when in ("before", "after") if (found := data.at(when, split)) is not None}
        for split in data.splits
    }
    return {
        "run": str(data.path),
        "config_sha256": data.config_hash,
        "missing": list(data.missing),
        "splits": before_after,
        "curve": [as_json(measured) for measured in data.held_out_curve()],
        "later_evaluations": [as_json(e) for e in data.evaluations if e.when == "eval"],
        "training": {
            "minutes": _divided(last.get("progress/trained_s"), 60),
            "wall_clock_minutes": data.elapsed_s / 60,
            "updates": last.get("step", 0),
            "episodes": last.get("progress/episodes"),
            "recent_success": last.get("progress/recent_success"),
            "non_finite_updates": last.get("learner/non_finite_updates", 0),
        },
        "phone_time_shares": phone_time_shares(last),
        "policy_age_versions": {name: means.get(f"age/{name}") for name in ("mean", "max")},
        "replay": {name.removeprefix("replay/"): v for name, v in last.items() if name.startswith("replay/")},
        "priority_spread": {name: means.get(f"priority/{name}_spread") for name in ("td", "ratio", "entropy")},
        "invalid_actions": _counts(last, "worker/invalid_"),
        "steps": last.get("worker/steps"),
        "aborted_episodes": {"all": last.get("worker/aborted", 0), **_counts(last, "worker/fault_")},
        "peak_memory_mb": last.get("process/peak_rss_mb"),
        "versions": versions,
        "machine_of_this_report": machine,
    }


def phone_time_shares(row: dict[str, Any]) -> dict[str, float]:
    """What share of all phones' time each state took; {} when none was measured."""
    seconds = {
        name.removeprefix("phones/").removesuffix("_s"): float(value)
        for name, value in row.items()
        if name.startswith("phones/") and name.endswith("_s") and value is not None
    }
    total = sum(seconds.values())
    ordered = sorted(seconds, key=lambda state: (-seconds[state], state))
    return {state: seconds[state] / total for state in ordered} if total > 0 else {}


def markdown(data: RunData, numbers: dict[str, Any]) -> str:
    """The report as a page."""
    training, machine = numbers["training"], numbers["machine_of_this_report"]
    lines = [f"# Report of {data.path.name}", ""]
    if data.missing:
        lines += ["Missing:", "", *(f"- {what}" for what in data.missing), ""]
    lines += ["![Success](success.png)", "", "## Before and after", "", *_before_after_table(data), ""]
    if data.episode is not None:
        lines += [f"![One episode, step by step: {_plain(data.episode.task.instruction)}](episode.png)", ""]
    later = numbers["later_evaluations"]
    if later:
        lines += ["## Measured later", "", *_later_table(data), ""]
    lines += ["## Training", "", *_table(("", ""), _training_rows(numbers)), ""]
    shares = numbers["phone_time_shares"]
    if shares:
        rows = [(STATES.get(state, state), f"{share:.1%}") for state, share in shares.items()]
        lines += ["## Where the phones' time went", "", *_table(("state", "share"), rows), ""]
    lines += ["## Replay and priorities", "", *_table(("", ""), _replay_rows(numbers)), ""]
    lines += ["## What went wrong", "", *_table(("", "count"), _trouble_rows(numbers)), ""]
    if data.splits:
        lines += ["## By template", "", *_template_table(data), ""]
    lines += [
        "## Made with",
        "",
        *_table(("", ""), [(name, version) for name, version in numbers["versions"].items()]),
        "",
        f"Config sha256 {data.config_hash}. This report was made on {machine['cores']} cores with "
        f"{machine['memory_gib']} GiB of memory, {machine['platform']}.",
        f"Training took {_number(training['minutes'], ' minutes')}.",
        "",
    ]
    return "\n".join(lines)


def _before_after_table(data: RunData) -> list[str]:
    rows = [
        (
            split,
            *(_success(found) if (found := data.at(when, split)) else "not measured" for when in ("before", "after")),
            *(_steps(data.at(when, split)) for when in ("before", "after")),
        )
        for split in data.splits
    ]
    head = ("split", "before", "after", "steps before", "steps after")
    return _table(head, rows) if rows else ["Not measured."]


def _later_table(data: RunData) -> list[str]:
    rows = [(e.split, f"{e.policy_version}", _success(e), _steps(e)) for e in data.evaluations if e.when == "eval"]
    return _table(("split", "version", "success", "steps"), rows)


def _template_table(data: RunData) -> list[str]:
    rows = []
    for split in data.splits:
        before, after = data.at("before", split), data.at("after", split)
        names = sorted({*(before.by_template if before else ()), *(after.by_template if after else ())})
        for name in names:
            cells = (_of_template(found, name) for found in (before, after))
            rows.append((name, split, *cells))
    return _table(("template", "split", "before", "after"), rows)


def _of_template(measured: Measured | None, name: str) -> str:
    if measured is None or name not in measured.by_template:
        return "-"
    successes, episodes = measured.by_template[name]
    return f"{successes} of {episodes}"


def _training_rows(numbers: dict[str, Any]) -> list[tuple[str, ...]]:
    training, age = numbers["training"], numbers["policy_age_versions"]
    return [
        ("training", _number(training["minutes"], " minutes")),
        ("wall clock", _number(training["wall_clock_minutes"], " minutes")),
        ("updates", _number(training["updates"])),
        ("episodes", _number(training["episodes"])),
        ("success of the last training episodes", _share(training["recent_success"])),
        ("policy age, mean", _number(age["mean"], " versions")),
        ("policy age, largest in a batch (mean)", _number(age["max"], " versions")),
        ("peak memory", _number(numbers["peak_memory_mb"], " MiB")),
    ]


def _replay_rows(numbers: dict[str, Any]) -> list[tuple[str, ...]]:
    replay, spread = numbers["replay"], numbers["priority_spread"]
    named = {
        "size": "trajectories held",
        "successes": "of them successes",
        "replay_ratio": "times each step was trained on",
        "uses_mean": "uses of a trajectory, mean",
        "age_mean": "age, versions, mean",
        "priority_mean": "priority, mean",
        "priority_std": "priority, standard deviation",
    }
    rows: list[tuple[str, ...]] = [(words, _number(replay.get(name))) for name, words in named.items()]
    rows += [(f"spread of the {name} term of priorities", _number(spread[name])) for name in spread]
    return rows


def _trouble_rows(numbers: dict[str, Any]) -> list[tuple[str, ...]]:
    invalid, aborted = numbers["invalid_actions"], numbers["aborted_episodes"]
    rows: list[tuple[str, ...]] = [(f"invalid actions: {kind}", f"{invalid.get(kind, 0):g}") for kind in INVALID_KINDS]
    steps = numbers["steps"]
    if steps:
        rows.append(("invalid actions, share of all steps", f"{sum(invalid.values()) / steps:.1%}"))
    rows.append(("aborted episodes", f"{aborted['all']:g}"))
    rows += [(f"aborted: {fault}", f"{count:g}") for fault, count in aborted.items() if fault != "all"]
    rows.append(("non-finite updates skipped", f"{numbers['training']['non_finite_updates']:g}"))
    return rows


def print_summary(data: RunData, numbers: dict[str, Any], console: Console | None = None) -> None:
    """Prints success before and after, and what an operator looks at first; readable without colours."""
    console = console or Console(highlight=False)
    console.print(f"Run {data.path.name}", style="bold", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("split", "before", "after", "episodes", "steps"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("episodes", "steps") else "left")
    for split in data.splits:
        found = [data.at(when, split) for when in ("before", "after")]
        cells = [_with_interval(measured) if measured else "-" for measured in found]
        newest = found[1] or found[0]
        table.add_row(split, *cells, f"{newest.num_episodes}" if newest else "-", _steps(newest))
    if data.splits:
        console.print(table)
        console.print()
    rows = [*_training_rows(numbers)]
    shares = numbers["phone_time_shares"]
    if shares:
        rows.append(("phones' time", ", ".join(f"{STATES.get(s, s)} {v:.0%}" for s, v in list(shares.items())[:3])))
    facts = Table.grid(padding=(0, 2))
    for left, right in rows:
        facts.add_row(left, right)
    console.print(facts)
    for what in data.missing:
        console.print(f"missing: {what}", markup=False, soft_wrap=True)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|"]
    return lines + [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]


def _plain(text: str) -> str:
    """Text that means nothing to Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text.replace("\n", " "))


def _success(measured: Measured) -> str:
    return f"{_with_interval(measured)} of {measured.num_episodes}"


def _with_interval(measured: Measured) -> str:
    if not measured.num_episodes:
        return "nothing judged"
    low, high = measured.interval
    return f"{measured.success:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def _steps(measured: Measured | None) -> str:
    return "-" if measured is None or measured.mean_steps is None else f"{measured.mean_steps:.1f}"


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}{unit}" if abs(value) >= 100 or value == math.floor(value) else f"{value:.3g}{unit}"


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1%}"


def _divided(value: float | None, by: float) -> float | None:
    return None if value is None else value / by


def _counts(row: dict[str, Any], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
