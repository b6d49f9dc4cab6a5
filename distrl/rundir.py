"""The folder of one run: who may write it, which format it has, and where everything in it lies.

run/   run.json         format, written last when the folder is made
       config.yaml      the resolved config
       lock             held by the process that trains
       metrics.jsonl    tensorboard/    episodes.sqlite    checkpoints/    report/
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from distrl.durable import write_durably
from distrl.errors import RunFolderError

FORMAT = 1
"""Written into run.json; a folder of another format is refused by name."""

_MARKER, _CONFIG, _LOCK = "run.json", "config.yaml", "lock"


class RunFolder:
    """One run's folder; made by `create` or `open`, given back by `close` or a `with` block.

    A folder opened for writing is locked against every other process of this machine and, where the file system
    passes locks on, of others. The kernel gives the lock back when its process dies, however it dies.
    """

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, path: Path, resolved_config: str) -> RunFolder:
        """Makes and locks a new run folder that holds `resolved_config`.

        Raises `RunFolderError` when the path is in use, already holds something, or cannot be written.
        """
        path = Path(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _acquire(path)
        except OSError as error:
            raise RunFolderError(
                f"a run needs a folder it can write, {path} is none ({error}): name another with --run-dir"
            ) from error
        try:
            if (path / _MARKER).exists():
                raise RunFolderError(
                    f"a new run needs an empty folder, {path} holds a run: add --resume to continue it, or name "
                    "another with --run-dir"
                )
            if any(found.name != _LOCK for found in path.iterdir()):
                raise RunFolderError(
                    f"a new run needs an empty folder, {path} holds other files: name another with --run-dir"
                )
            write_durably(path / _CONFIG, resolved_config.encode("utf-8"))
            write_durably(path / _MARKER, json.dumps({"format": FORMAT}).encode())
        except OSError as error:
            os.close(lock)
            raise RunFolderError(f"{path} cannot be written ({error}): free space, delete it, start again") from error
        except RunFolderError:
            os.close(lock)
            raise
        return cls(path, lock)

    @classmethod
    def open(cls, path: Path, *, resume: bool = True) -> RunFolder:
        """Opens a run folder: to go on with the run and locked, or without `resume` only to read it, at any time.

        Raises `RunFolderError` when it is in use, of another format, or no run folder.
        """
        path = Path(path)
        try:
            found = json.loads((path / _MARKER).read_bytes())["format"]
        except (FileNotFoundError, NotADirectoryError):
            raise RunFolderError(
                f"a run folder holds a {_MARKER}, {path} does not: check the path, or start a new run there"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{path / _MARKER} must name a format, it is damaged ({error!r}): write "
                f'{{"format": {FORMAT}}} into it if this version of distrl made the run'
            ) from error
        if found != FORMAT:
            raise RunFolderError(
                f"a run folder must have format {FORMAT}, {path} has {found!r}: use the version of distrl that made "
                "it, or start a new run"
            )
        if not resume:
            return cls(path, None)
        try:
            return cls(path, _acquire(path))
        except OSError as error:
            raise RunFolderError(f"{path} cannot be locked ({error}): check its permissions") from error

    def close(self) -> None:
        """Gives the lock back; calling it twice is harmless."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def config_path(self) -> Path:
        """The resolved config."""
        return self.path / _CONFIG

    @property
    def metrics_path(self) -> Path:
        """One JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard_path(self) -> Path:
        """Folder of TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def episodes_path(self) -> Path:
        """The episode store."""
        return self.path / "episodes.sqlite"

    @property
    def checkpoints_path(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def report_path(self) -> Path:
        """Folder of the report."""
        return self.path / "report"


def _acquire(path: Path) -> int:
    """Locks the folder and writes our process id, for the message that others get."""
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise RunFolderError(
            f"one process may use a run folder, {path} is in use by process {holder}: wait for it, stop it, or name "
            "another with --run-dir"
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
