"""Writes that are whole or absent, and on the disk in the order that makes them so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distrl.durable import delete_unfinished, folder_appearing_whole, write_durably


@pytest.fixture
def events(monkeypatch):
    """What reaches the disk, in order: ("sync", name) and ("rename", name)."""
    seen, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (seen.append(("sync", Path(f"/proc/self/fd/{fd}").readlink().name)), fsync(fd))
    )
    for method in ("rename", "replace"):
        original = getattr(Path, method)

        def renamed(self, target, original=original):
            seen.append(("rename", Path(target).name))
            return original(self, target)

        monkeypatch.setattr(Path, method, renamed)
    return seen


def test_a_file_is_synced_before_it_takes_its_name_and_the_folder_after(tmp_path, events):
    write_durably(tmp_path / "latest", b"7")
    aside = f".aside-{os.getpid()}-latest"
    assert events == [("sync", aside), ("rename", "latest"), ("sync", tmp_path.name)]
    assert (tmp_path / "latest").read_bytes() == b"7"


def test_a_folder_and_its_files_are_synced_before_it_takes_its_name(tmp_path, events):
    with folder_appearing_whole(tmp_path / "v1") as aside:
        (aside / "a").write_bytes(b"1")
        (aside / "b").write_bytes(b"2")
        assert not (tmp_path / "v1").exists()
    assert events == [("sync", "a"), ("sync", "b"), ("sync", aside.name), ("rename", "v1"), ("sync", tmp_path.name)]
    assert (tmp_path / "v1" / "b").read_bytes() == b"2"


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    write_durably(tmp_path / "latest", b"7")

    def fails(fd):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="no space"):
        write_durably(tmp_path / "latest", b"8")
    with pytest.raises(OSError, match="no space"), folder_appearing_whole(tmp_path / "v1") as aside:
        (aside / "a").write_bytes(b"1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"latest": b"7"}


def test_what_killed_writers_left_is_deleted_and_nothing_else(tmp_path):
    (tmp_path / ".aside-1-file").write_text("")
    (tmp_path / ".aside-1-folder").mkdir()
    (tmp_path / ".aside-1-folder" / "x").write_text("")
    (tmp_path / "kept").write_text("")
    delete_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
