"""`distrl tasks`: the templates, an example of each, and a contact sheet of how each is done."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import typer
from PIL import Image, ImageDraw

from distrl.device.sim.tasks.demonstrations import run_oracle
from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import TaskError
from distrl.picture import draw_touch, write_text
from distrl.tasks import read_task_set
from distrl.types import SPLITS, Split, Task

COLUMNS = 10
TILE = (216, 480)
"""Size of one phone on the contact sheet, pixels."""
CAPTION_PX, GAP_PX, HEADING_PX = 84, 20, 54
TITLES = {
    "train": "Trained on",
    "held_out_params": "Trained on, with other words and numbers",
    "held_out_templates": "Held-out templates: kinds of task never trained on",
    "held_out_app": "Held-out app: an app never trained on",
}
INK, SOFT, PAPER = (28, 30, 38), (84, 89, 103), (238, 240, 245)


def list_tasks(*, sheet: Path | None, split: str, file: Path | None, dry_run: bool) -> None:
    """Prints one line per template; writes a contact sheet where asked to.

    Raises:
        TaskError: the split is unknown, the task-set file has bad lines, or the sheet cannot be written.
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
    split_width = max(len(task.split) for task in tasks)
    for task in tasks:
        pixels = "pixels" if suite.template(task.template).needs_pixels else "      "
        typer.echo(
            f"{task.template:<{width}}  {task.split:<{split_width}}  level {task.level}  {pixels}  {task.instruction}"
        )
    typer.echo(f"{len(tasks)} templates")
    if sheet is not None and dry_run:
        typer.echo(f"would write {sheet}")
    elif sheet is not None:
        _write(contact_sheet(suite, tasks), sheet)
        typer.echo(f"wrote {sheet}")


def contact_sheet(suite: SimSuite, tasks: list[Task]) -> Image.Image:
    """Each task at its last step, with the touch that completes it; the instruction below."""
    groups = [(split, [task for task in tasks if task.split == split]) for split in SPLITS]
    groups = [(split, found) for split, found in groups if found]
    columns = min(COLUMNS, max(len(found) for _, found in groups))
    cell = (TILE[0] + GAP_PX, TILE[1] + CAPTION_PX + GAP_PX)
    num_rows = sum(-(-len(found) // columns) for _, found in groups)
    size = (columns * cell[0] + GAP_PX, num_rows * cell[1] + len(groups) * HEADING_PX + GAP_PX)
    page = Image.new("RGB", size, PAPER)
    top = GAP_PX
    for split, found in groups:
        write_text(page, (GAP_PX, top), TITLES[split], px=24, room_px=size[0], bold=True, fill=INK)
        top += HEADING_PX
        for number, task in enumerate(found):
            row, column = divmod(number, columns)
            _paste_task(page, (GAP_PX + column * cell[0], top + row * cell[1]), suite, task)
        top += -(-len(found) // columns) * cell[1]
    return page


def _paste_task(page: Image.Image, at: tuple[int, int], suite: SimSuite, task: Task) -> None:
    last = run_oracle(suite, task, size=TILE)[-1]
    screen = Image.fromarray(last.observation.frame.pixels)
    draw_touch(screen, last.action)
    page.paste(screen, at)
    left, top = at
    ImageDraw.Draw(page).rectangle((left - 1, top - 1, left + TILE[0], top + TILE[1]), outline=(198, 202, 212))
    top += TILE[1] + 6
    top += write_text(page, (left, top), task.template, px=14, room_px=TILE[0], bold=True, fill=INK)
    write_text(page, (left, top), task.instruction, px=13, room_px=TILE[0], max_lines=3, fill=SOFT)


def _write(page: Image.Image, path: Path) -> None:
    try:
        page.save(path)
    except (OSError, ValueError) as error:
        raise TaskError(
            f"cannot write the contact sheet {path} ({error}); name a .png file in a folder there is"
        ) from None
