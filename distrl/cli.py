"""The command line: the only place that reads arguments and the environment.

Commands import what they need when they run, so that `--help` and `doctor` answer at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distrl import __version__
from distrl.errors import DistrlError

if TYPE_CHECKING:
    from distrl.config import RunConfig

app = typer.Typer(
    name="distrl",
    help="Trains multimodal agents to operate phones by asynchronous, distributed, online reinforcement learning.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigArgument = Annotated[Path, typer.Argument(help="A YAML file such as configs/quickstart.yaml.", metavar="CONFIG")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides one setting; may be repeated.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Shows what would be done, and does nothing.")]


def main() -> None:
    """Runs the program; a known error is printed without a traceback and exits with 1."""
    try:
        app()
    except DistrlError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distrl {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Prints the version.")
    ] = False,
) -> None:
    pass


def _resolve(config: Path, overrides: list[str] | None, dry_run: bool) -> RunConfig:
    from distrl.config_file import load_config, to_yaml

    resolved = load_config(config, overrides)
    if dry_run:
        typer.echo(to_yaml(resolved), nl=False)
    return resolved


def _share_cores(num_parts: int) -> None:
    """Gives each of `num_parts` busy threads its share of the cores; more threads than cores only wait for one another.

    Before torch is imported, which reads it once. A value that the user set stays.
    """
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, num_cores // num_parts)))


@app.command()
def train(
    config: ConfigArgument,
    overrides: SetOption = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/<config>-<date>-<time>.", metavar="DIR")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Goes on with the run in --run-dir.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Trains by online reinforcement learning; everything lands in one run folder."""
    resolved = _resolve(config, overrides, dry_run)
    if dry_run:
        return
    _share_cores(2)  # The learner and the acting policy.
    from distrl.local import default_run_dir, train_with_display

    train_with_display(resolved, run_dir or default_run_dir(config), resume=resume)


@app.command()
def sft(
    config: ConfigArgument,
    out: Annotated[Path, typer.Option(help="Folder to write the policy to.", metavar="DIR")],
    overrides: SetOption = None,
    demos: Annotated[
        list[Path] | None, typer.Option(help="Recorded demonstrations (distrl phone) to clone too.", metavar="FILE")
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Clones demonstrations of the scripted oracles into a policy: the warm start."""
    resolved = _resolve(config, overrides, dry_run)
    if dry_run:
        return
    _share_cores(1)
    from distrl.sft import clone_demonstrations

    clone_demonstrations(resolved, out, recorded=demos or [], say=typer.echo)


@app.command(name="eval")
def evaluate(
    source: Annotated[Path, typer.Argument(help="A run folder, a checkpoint, or a policy folder.", metavar="SOURCE")],
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, held_out_params, held_out_templates or held_out_app; may be repeated."),
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes per split.")] = 256,
    config: Annotated[Path | None, typer.Option(help="Needed for a bare policy folder.", metavar="CONFIG")] = None,
    overrides: SetOption = None,
    which: Annotated[str, typer.Option("--checkpoint", help="best or latest, for a run folder.")] = "best",
    dry_run: DryRunOption = False,
) -> None:
    """Measures success on fixed tasks, with confidence intervals."""
    _share_cores(1)
    from distrl.evaluate_source import evaluate_source

    evaluate_source(
        source, splits=split, episodes=episodes, config=config, overrides=overrides, which=which, dry_run=dry_run
    )


@app.command()
def phone(
    task: Annotated[str, typer.Option(help="Template to start with; see `distrl tasks`.")] = "",
    split: Annotated[str, typer.Option(help="Split the task is drawn from.")] = "train",
    seed: Annotated[int, typer.Option(help="Which task of the template.")] = 0,
    size: Annotated[str, typer.Option(help="Screen in pixels, WIDTHxHEIGHT.")] = "540x1200",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 picks a free one.")] = 8360,
    record: Annotated[
        Path | None, typer.Option(help="File that recorded demonstrations are added to.", metavar="FILE")
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Opens a simulated phone in a local web page, to play with, try tasks on, and record demonstrations."""
    from distrl.phone_page import serve_phone

    serve_phone(template=task, split=split, seed=seed, size=size, port=port, record=record, dry_run=dry_run)


@app.command()
def tasks(
    sheet: Annotated[Path | None, typer.Option(help="Writes a contact sheet of screenshots.", metavar="PNG")] = None,
    split: Annotated[str, typer.Option(help="Only this split.")] = "",
    file: Annotated[Path | None, typer.Option(help="Checks a task-set file instead.", metavar="FILE")] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Lists the task templates, one line each, with an example instruction."""
    from distrl.task_list import list_tasks

    list_tasks(sheet=sheet, split=split, file=file, dry_run=dry_run)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    dry_run: DryRunOption = False,
) -> None:
    """Writes the report of a run: success curve, before and after, and one episode as a strip of screens."""
    from distrl.report import write_report

    write_report(run, dry_run=dry_run)


@app.command()
def doctor(dry_run: DryRunOption = False) -> None:
    """Checks this machine: Python, packages, memory, disk, browser; says what to do about each finding."""
    from distrl.doctor import examine

    if not examine(dry_run=dry_run):
        raise typer.Exit(1)
