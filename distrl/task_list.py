"""`distrl tasks`: the templates, an example of each, and a contact sheet of how their phones start."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import typer
from PIL import Image, ImageDraw

from distrl.device.sim.phone import Phone
from distrl.device.sim.tasks.suite import SimSuite
from distrl.device.sim.text import load_font
from distrl.errors import TaskError
from distrl.tasks import read_task_set
from distrl.types import SPLITS, Split, Task

COLUMNS = 8
TILE = (216, 480)
"""Size of one phone on the contact sheet, pixels."""
CAPTION_PX = 74


def list_tasks(*, sheet: Path | None, split: str, file: Path | None, dry_run: bool) -> None:
    """Prints one line per template; writes a contact sheet where asked to.

    Raises:
        TaskError: the split is unknown, or the task-set file has bad lines.
    """
    suite = SimSuite()
    if split and split not in SPLITS:
        raise TaskError(f"{split!r} is no split; there are: {', '.join(SPLITS)}")
    if file is not None:
        names = read_task_set(file, suite.templates)
        typer.echo(f"{file}: {len(names)} templates")
        for name in names:
            typer.echo(f"  {name}")
        return
    wanted = cast("tuple[Split, ...]", (split,) if split else ("train", "held_out_templates", "held_out_app"))
    tasks = [suite.make_task(name, split=chosen, seed=0) for chosen in wanted for name in suite.splits()[chosen]]
    width = max(len(task.template) for task in tasks)
    for task in tasks:
        pixels = "pixels" if suite.template(task.template).needs_pixels else "      "
        typer.echo(f"{task.template:<{width}}  {task.split:<18}  level {task.level}  {pixels}  {task.instruction}")
    typer.echo(f"{len(tasks)} templates")
    if sheet is not None and dry_run:
        typer.echo(f"would write {sheet}")
    elif sheet is not None:
        contact_sheet(suite, tasks).save(sheet)
        typer.echo(f"wrote {sheet}")


def contact_sheet(suite: SimSuite, tasks: list[Task]) -> Image.Image:
    """The first screen of each task with its instruction below."""
    num_rows = -(-len(tasks) // COLUMNS)
    gap = 16
    cell = (TILE[0] + gap, TILE[1] + CAPTION_PX + gap)
    page = Image.new("RGB", (COLUMNS * cell[0] + gap, num_rows * cell[1] + gap), "#e9ebf1")
    pen = ImageDraw.Draw(page)
    for number, task in enumerate(tasks):
        left, top = gap + number % COLUMNS * cell[0], gap + number // COLUMNS * cell[1]
        page.paste(Image.fromarray(Phone(suite.begin(task), size=TILE).render()), (left, top))
        pen.text((left, top + TILE[1] + 5), task.template, font=load_font(12, bold=True), fill="#22252d")
        for line, words in enumerate(_wrapped(task.instruction, TILE[0])[:4]):
            pen.text((left, top + TILE[1] + 21 + 13 * line), words, font=load_font(11), fill="#4a4f5c")
    return page


def _wrapped(text: str, width_px: int) -> list[str]:
    """Lines of at most `width_px` at 11 pixels."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and load_font(11).getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
