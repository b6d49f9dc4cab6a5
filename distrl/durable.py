"""Writing that is whole or absent: aside, fsync, rename, fsync the folder. Weights, checkpoints and run folders use it.

After a crash or a power cut, a path written here holds either the old content or the new, never a part.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ASIDE_PREFIX = ".aside-"
"""Names starting with this are unfinished writes; whoever owns the folder may delete them."""


def write_durably(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step that survives a crash; raises `OSError` and leaves the old file."""
    aside = path.with_name(f"{ASIDE_PREFIX}{os.getpid()}-{path.name}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def folder_appearing_whole(path: Path) -> Iterator[Path]:
    """Yields a folder to fill; it becomes `path` when the block ends well and is deleted when it raises.

    Every file in it reaches the disk before the rename. `path` must not exist.
    """
    aside = path.with_name(f"{ASIDE_PREFIX}{os.getpid()}-{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        for file in sorted(aside.iterdir()):
            _sync(file, os.O_RDONLY)
        sync_folder(aside)
        aside.rename(path)
    except BaseException:  # Also on Ctrl-C: half a folder is of no use to anybody.
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_folder(path.parent)


def delete_unfinished(folder: Path) -> None:
    """Deletes what killed writers left behind in `folder`; only its one owner may call it."""
    for leftover in folder.glob(f"{ASIDE_PREFIX}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes renames and new names in `folder` survive a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
