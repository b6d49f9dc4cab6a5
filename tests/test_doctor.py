"""`distrl doctor`: each finding, its remedy, and an exit that scripts can trust."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from distrl import doctor

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def healthy(monkeypatch, tmp_path):
    """A machine on which nothing is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "CGROUP_LIMIT", tmp_path / "none")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "9.9")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**40))
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(doctor.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**22}[name])
    return monkeypatch


def test_a_healthy_machine_passes_without_advice(healthy, capsys, tmp_path):
    assert doctor.examine()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok  ") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_fails_with_what_to_run(healthy, capsys):
    healthy.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == "PIL" else object())
    assert not doctor.examine()
    shown = capsys.readouterr().out
    assert "FAIL  packages     missing: pillow" in shown
    assert "scripts/setup" in shown


def test_too_little_memory_of_the_machine_or_its_container_fails(healthy, tmp_path):
    assert doctor.memory().seen == "16.0 GiB"
    limit = tmp_path / "limit"
    healthy.setattr(doctor, "CGROUP_LIMIT", limit)
    limit.write_text("max\n")
    assert doctor.memory().ok
    limit.write_text(f"{2**30}\n")
    found = doctor.memory()
    assert (found.ok, found.seen) == (False, "1.0 GiB")
    assert "workers.num_devices" in found.remedy


def test_a_full_disk_fails(healthy):
    healthy.setattr(doctor.shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 2**29))
    assert not doctor.disk().ok
    assert doctor.disk().seen.startswith("0.5 GiB free")


def test_one_core_and_no_browser_are_notes_not_failures(healthy, capsys):
    healthy.setattr(doctor.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    healthy.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.examine()
    shown = capsys.readouterr().out
    assert "note  cores        1" in shown
    assert "note  browser      missing: chromium, chromedriver" in shown
    assert "scripts/install-browser" in shown


def test_a_folder_that_cannot_be_written_or_locked_fails(healthy, capsys):
    def refuse(file, operation):
        raise OSError("No locks available")

    healthy.setattr(doctor.fcntl, "flock", refuse)
    found = doctor.run_folder()
    assert (found.ok, found.seen) == (False, "No locks available")
    assert "--run-dir" in found.remedy
    assert not doctor.examine()


def test_a_dry_run_only_names_its_checks(healthy, capsys):
    def forbidden(path):
        raise AssertionError("a dry run looks at nothing")

    healthy.setattr(doctor.shutil, "disk_usage", forbidden)
    assert doctor.examine(dry_run=True)
    assert "run folder" in capsys.readouterr().out


def test_it_imports_nothing_heavy():
    code = (
        "import sys; from distrl.doctor import examine; examine();"
        "sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_this_machine_is_examined(capsys):
    doctor.examine()
    assert sys.version.split()[0] in capsys.readouterr().out
    assert shutil.which("chromium") is None or doctor.browser().seen
