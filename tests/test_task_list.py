"""`distrl tasks`: every template on a line, and a contact sheet of how each is done."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from distrl import task_list
from distrl.device.sim.tasks.suite import SimSuite
from distrl.errors import TaskError
from distrl.picture import TOUCH
from distrl.task_list import TILE, contact_sheet, list_tasks

SUITE = SimSuite()


def listed(capsys, **wish):
    list_tasks(**{"sheet": None, "split": "", "file": None, "dry_run": False, **wish})
    return capsys.readouterr().out.splitlines()


def test_every_template_has_a_line_with_its_instruction(capsys):
    lines = listed(capsys)
    assert sorted(line.split()[0] for line in lines[:-1]) == sorted(SUITE.templates)
    assert lines[-1] == f"{len(SUITE.templates)} templates"
    task = SUITE.make_task("settings.wifi", split="train", seed=0)
    (line,) = [line for line in lines if line.startswith("settings.wifi ")]
    assert line.endswith(f"level 1          {task.instruction}")
    assert any("  pixels  " in line for line in lines)


def test_one_split_is_listed_alone_and_an_unknown_one_is_refused(capsys):
    assert len(listed(capsys, split="held_out_app")) == len(SUITE.splits()["held_out_app"]) + 1
    with pytest.raises(TaskError, match="'tain' is no split; there are: train"):
        listed(capsys, split="tain")


def test_a_task_set_file_is_checked(capsys, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("# mine\nclock.*\nsettings.wifi\n")
    bad.write_text("clock.timer\nclock.tiner\n")
    lines = listed(capsys, file=good)
    assert lines[0] == f"{good}: {len(lines) - 1} templates"
    assert lines[-1].strip() == "settings.wifi"
    with pytest.raises(TaskError, match=r"line 2: no template 'clock.tiner'; did you mean clock.timer"):
        listed(capsys, file=bad)


def test_a_contact_sheet_shows_the_touch_that_completes_each_task():
    tasks = [
        SUITE.make_task(name, split=split, seed=0)
        for name, split in (("settings.wifi", "train"), ("clock.timer", "train"), ("notes.pin", "held_out_app"))
    ]
    page = contact_sheet(SUITE, tasks)
    assert page.width > 2 * TILE[0]
    assert page.height > 2 * TILE[1]  # A row per split.
    reds = (np.asarray(page) == TOUCH).all(-1)
    halves = reds[:, : page.width // 2], reds[:, page.width // 2 :]
    assert all(half.any() for half in halves)


def test_a_sheet_is_written_only_when_it_is_no_dry_run(capsys, tmp_path, monkeypatch):
    sheet = tmp_path / "sheet.png"
    assert listed(capsys, split="held_out_app", sheet=sheet, dry_run=True)[-1] == f"would write {sheet}"
    assert not sheet.exists()
    monkeypatch.setattr(task_list, "contact_sheet", lambda suite, tasks: Image.new("RGB", (len(tasks), 9)))
    assert listed(capsys, split="held_out_app", sheet=sheet)[-1] == f"wrote {sheet}"
    with Image.open(sheet) as image:
        assert image.format == "PNG"
    for bad in (tmp_path / "none" / "sheet.png", tmp_path / "sheet.unknown"):
        with pytest.raises(TaskError, match="cannot write the contact sheet"):
            listed(capsys, split="held_out_app", sheet=bad)
