"""The run folder: made once, used by one process at a time, of one format."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from distrl import rundir
from distrl.errors import RunFolderError
from distrl.rundir import RunFolder

CONFIG = "seed: 3\nname: ü\n"


def test_a_new_folder_holds_the_config_and_names_its_parts(tmp_path):
    path = tmp_path / "runs" / "one"
    with RunFolder.create(path, CONFIG) as run:
        assert run.config_path.read_text(encoding="utf-8") == CONFIG
        parts = [run.metrics_path, run.tensorboard_path, run.episodes_path, run.checkpoints_path, run.report_path]
    assert [part.relative_to(path).as_posix() for part in parts] == [
        "metrics.jsonl",
        "tensorboard",
        "episodes.sqlite",
        "checkpoints",
        "report",
    ]


def test_a_folder_in_use_names_the_process_and_can_still_be_read(tmp_path):
    with RunFolder.create(tmp_path, CONFIG):
        with pytest.raises(RunFolderError, match=rf"in use by process {os.getpid()}: wait"):
            RunFolder.open(tmp_path)
        with pytest.raises(RunFolderError, match="in use"):
            RunFolder.create(tmp_path, CONFIG)
        with RunFolder.open(tmp_path, resume=False) as reader:
            assert reader.config_path.exists()
        with pytest.raises(RunFolderError, match="in use"):  # A reader that leaves unlocks nothing.
            RunFolder.open(tmp_path)
    run = RunFolder.open(tmp_path)
    run.close()
    run.close()
    RunFolder.open(tmp_path).close()


HOLDER = """
import sys
from pathlib import Path
from distrl.rundir import RunFolder
run = RunFolder.create(Path(sys.argv[1]), "seed: 1")
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match=f"in use by process {holder.pid}"):
            RunFolder.open(tmp_path / "run")
        holder.send_signal(signal.SIGKILL)
    with RunFolder.open(tmp_path / "run") as run:
        assert run.config_path.read_text() == "seed: 1"


def test_a_folder_that_holds_something_is_not_taken_for_a_new_run(tmp_path):
    RunFolder.create(tmp_path / "old", CONFIG).close()
    with pytest.raises(RunFolderError, match="holds a run: add --resume"):
        RunFolder.create(tmp_path / "old", "seed: 4\n")
    assert (tmp_path / "old" / "config.yaml").read_text(encoding="utf-8") == CONFIG
    RunFolder.open(tmp_path / "old").close()  # And the refused one holds no lock.
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(RunFolderError, match="holds other files: name another"):
        RunFolder.create(tmp_path / "home", CONFIG)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="folder it can write"):
        RunFolder.create(tmp_path / "file", CONFIG)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    ("message", "marker"),
    [
        ("format 1, .* has 2: use the version of distrl that made it", '{"format": 2}'),
        ("it is damaged", "{"),
        ("it is damaged", "[]"),
        ("it is damaged", "{}"),
    ],
)
def test_another_format_or_a_damaged_marker_is_refused_with_a_remedy(tmp_path, resume, message, marker):
    RunFolder.create(tmp_path, CONFIG).close()
    (tmp_path / "run.json").write_text(marker)
    with pytest.raises(RunFolderError, match=message):
        RunFolder.open(tmp_path, resume=resume)


def test_a_path_that_is_no_run_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(RunFolderError, match=r"holds a run\.json, .* does not: check the path"):
            RunFolder.open(path)
    assert not (tmp_path / "lock").exists()


def test_a_full_disk_makes_no_run_folder_and_frees_the_lock(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(RunFolderError, match=r"No space left.*free space"):
        patched.setattr(rundir, "write_durably", full)
        RunFolder.create(tmp_path / "run", CONFIG)
    with pytest.raises(RunFolderError, match="does not: check"):
        RunFolder.open(tmp_path / "run")
    RunFolder.create(tmp_path / "run", CONFIG).close()
