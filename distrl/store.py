"""Every episode on disk the moment it ends: one SQLite file, frames once by content hash and bounded in bytes.

    worker thread -> Store.add -> acknowledged;     learner thread -> Store.get / query

`add` returns after the commit is synced, so what it acknowledged survives a killed process and, as far as the disk
keeps its promises, a power cut. When frames exceed `max_frame_bytes`, those of the oldest episodes are dropped;
the episodes' records and metadata stay.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from distrl.episodes import (
    EVERY_EPISODE,
    SUMMARY_COLUMNS,
    EpisodeFilter,
    EpisodeSummary,
    StoreCounts,
    summary_of,
    where,
)
from distrl.errors import StoreError, StoreFullError, TrajectoryError
from distrl.frames import FrameCache, pack, unpack
from distrl.metrics import Metrics
from distrl.trajectory import EncodedTrajectory, decode, encode
from distrl.types import Frame, Trajectory

__all__ = ["EpisodeFilter", "EpisodeSummary", "Store", "StoreCounts"]

FORMAT = 1
"""Kept in the file's `user_version`; a file of another format is refused by name."""

_APPLICATION_ID = 0x44_52_4C_53  # "DRLS", in the file's header.

# The pixels have a table of their own: marking a frame as used again must not rewrite them.
_SCHEMA = """
CREATE TABLE episodes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, template TEXT NOT NULL,
    split TEXT NOT NULL, level INTEGER NOT NULL, success INTEGER NOT NULL, ending TEXT NOT NULL, fault TEXT,
    worker TEXT NOT NULL, device TEXT NOT NULL, policy_version INTEGER NOT NULL, num_steps INTEGER NOT NULL,
    started_at REAL NOT NULL, duration_s REAL NOT NULL, record BLOB NOT NULL);
CREATE TABLE frames (
    key INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, last_sequence INTEGER NOT NULL, num_bytes INTEGER NOT NULL);
CREATE INDEX frames_by_age ON frames (last_sequence);
CREATE TABLE pixels (key INTEGER PRIMARY KEY, height INTEGER NOT NULL, width INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE dropped (only_row INTEGER PRIMARY KEY CHECK (only_row = 0), through_sequence INTEGER NOT NULL);
INSERT INTO dropped VALUES (0, 0);
"""


class Store:
    """The run's episodes in one SQLite file; opening it again after a crash finds everything acknowledged.

    Thread-safe: one connection writes, one reads, and neither waits for the other. One process at a time may write
    (`RunFolder` sees to it); others may open it with `read_only=True`.

    Args:
        path: the file; made when missing, unless `read_only`.
        max_frame_bytes: bound on encoded frames on disk.
        cache_bytes: bound on decoded frames in memory.
        max_file_bytes: bound on the whole file, beyond which `add` raises `StoreFullError`; None leaves it to the disk.
        read_only: refuses `add`; for reports beside a running writer.
        metrics: where `store/...` times and counts go.

    Raises:
        StoreError: the file is damaged, of another format, or no episode store.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_frame_bytes: int,
        cache_bytes: int = 128 << 20,
        max_file_bytes: int | None = None,
        read_only: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        self.path = Path(path)
        self._max_frame_bytes = max_frame_bytes
        self._read_only = read_only
        self._metrics = metrics or Metrics()
        self._cache = FrameCache(cache_bytes)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        if read_only and not self.path.exists():
            raise StoreError(f"an episode store must exist to be read, there is no {self.path}: check the run folder")
        with _translated(self.path):
            self._writer = self._connect(read_only=read_only)
            try:
                self._prepare(max_file_bytes)
                self._reader = self._connect(read_only=True)
            except BaseException:
                self._writer.close()
                raise

    def add(self, trajectory: Trajectory) -> bool:
        """Stores one episode and returns True once it is on disk; False when its id is already there.

        Adding an id again changes nothing, so a sender that saw no acknowledgement may send again. Compresses outside
        the lock: several threads may add at once.

        Raises:
            TrajectoryError: it breaks an invariant; nothing was stored.
            StoreFullError: no space; nothing of it was stored, everything acknowledged is safe.
            StoreError: the file cannot be written.
        """
        if self._read_only:
            raise StoreError(f"{self.path} was opened read-only: open it for writing to add episodes")
        with self._metrics.timer("store/encode_s"):
            encoded = encode(trajectory)
            packed = {name: pack(encoded.frames[name]) for name in self._unknown_frames(encoded)}
        with self._metrics.timer("store/commit_s"), self._write_lock, _translated(self.path), self._transaction():
            sequence = self._insert_episode(trajectory, encoded.record)
            if sequence is None:
                self._metrics.count("store/duplicates")
                return False
            self._insert_frames(encoded, packed, sequence)
            self._drop_oldest_frames(sequence)
        for name, frame in encoded.frames.items():
            self._cache.put(name, frame)
        self._metrics.count("store/episodes")
        return True

    def get(self, episode_id: str) -> Trajectory:
        """Returns one episode, whole; raises `StoreError` when it is unknown, or its frames were dropped."""
        with self._metrics.timer("store/get_s"):
            row = self._read("SELECT sequence, record FROM episodes WHERE id = ?", (episode_id,))
            if not row:
                raise StoreError(f"{self.path} holds no episode {episode_id!r}: list the ids with Store.ids()")
            sequence, record = row[0]
            try:
                return decode(record, lambda name: self._frame(name, episode_id, sequence))
            except TrajectoryError as error:
                raise StoreError(f"{self.path}, episode {episode_id!r}: {error}") from error

    def get_many(self, episode_ids: Iterable[str]) -> list[Trajectory]:
        """Returns episodes in the order of `episode_ids`; raises as `get` does."""
        return [self.get(episode_id) for episode_id in episode_ids]

    def has_frames(self, episode_id: str) -> bool:
        """Whether `get` can return this episode: it is known and its frames were not dropped."""
        return bool(
            self._read(
                "SELECT 1 FROM episodes WHERE id = ? AND sequence > (SELECT through_sequence FROM dropped)",
                (episode_id,),
            )
        )

    def query(self, wanted: EpisodeFilter = EVERY_EPISODE) -> list[EpisodeSummary]:
        """Summaries of the episodes that pass the filter, in order of arrival."""
        tail, values = where(wanted)
        rows = self._read(f"SELECT {SUMMARY_COLUMNS} FROM episodes {tail}", values)  # noqa: S608 (constants only)
        return [summary_of(row) for row in rows]

    def ids(self, wanted: EpisodeFilter = EVERY_EPISODE) -> list[str]:
        """Ids of the episodes that pass the filter, in order of arrival."""
        tail, values = where(wanted)
        return [row[0] for row in self._read(f"SELECT id FROM episodes {tail}", values)]  # noqa: S608

    def ids_after(self, episode_id: str) -> list[str]:
        """Ids of the episodes that arrived after this one, in order; all of them for an empty or unknown id."""
        row = self._read("SELECT sequence FROM episodes WHERE id = ?", (episode_id,))
        return self.ids(EpisodeFilter(after_sequence=row[0][0] if row else 0))

    def counts(self) -> StoreCounts:
        """How much the store holds; one pass over the metadata."""
        episodes = self._read(
            "SELECT COUNT(*), TOTAL(num_steps), TOTAL(success), TOTAL(ending = 'aborted'), "
            "TOTAL(sequence <= (SELECT through_sequence FROM dropped)) FROM episodes"
        )[0]
        frames = self._read("SELECT COUNT(*), TOTAL(num_bytes) FROM frames")[0]
        return StoreCounts(*(int(number) for number in (*episodes, *frames)))

    def close(self) -> None:
        """Folds the write-ahead log into the file and closes it; calling it twice is harmless."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    # --- Opening -----------------------------------------------------------------------------------------------------

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        return sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None, check_same_thread=False)

    def _prepare(self, max_file_bytes: int | None) -> None:
        database = self._writer
        (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if not tables and not self._read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; "
                f"PRAGMA user_version = {FORMAT}; COMMIT;"
            )
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION_ID:
            raise StoreError(f"{self.path} is a database, but no episode store: name another file")
        if found != FORMAT:
            raise StoreError(
                f"an episode store must have format {FORMAT}, {self.path} has {found}: read it with the version of "
                "distrl that wrote it, or start a new run"
            )
        if not self._read_only:
            # FULL syncs the log at each commit (0.3 ms on a solid-state disk); NORMAL would lose the last episodes
            # with the power.
            database.execute("PRAGMA synchronous = FULL")
            if max_file_bytes is not None:
                (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
                database.execute(f"PRAGMA max_page_count = {max(1, max_file_bytes // page_bytes)}")
        (self._frame_bytes,) = database.execute("SELECT CAST(TOTAL(num_bytes) AS INTEGER) FROM frames").fetchone()

    # --- Writing; all under the write lock, inside one transaction ---------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        frame_bytes = self._frame_bytes
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            self._frame_bytes = frame_bytes
            if self._writer.in_transaction:  # SQLite rolls back by itself when the disk is full.
                self._writer.execute("ROLLBACK")
            raise

    def _unknown_frames(self, encoded: EncodedTrajectory) -> list[str]:
        known = "SELECT 1 FROM frames WHERE hash = ?"
        return [name for name in encoded.frames if not self._read(known, (bytes.fromhex(name),))]

    def _insert_episode(self, trajectory: Trajectory, record: bytes) -> int | None:
        task = trajectory.task
        cursor = self._writer.execute(
            "INSERT INTO episodes (id, task, template, split, level, success, ending, fault, worker, device, "
            "policy_version, num_steps, started_at, duration_s, record) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
            "ON CONFLICT (id) DO NOTHING",
            (
                *(trajectory.id, task.id, task.template, task.split, task.level, trajectory.success),
                *(str(trajectory.ending), trajectory.fault, trajectory.worker, trajectory.device),
                *(trajectory.policy_version, len(trajectory.steps), trajectory.started_at, trajectory.duration_s),
                record,
            ),
        )
        return cursor.lastrowid if cursor.rowcount else None

    def _insert_frames(self, encoded: EncodedTrajectory, packed: Mapping[str, bytes], sequence: int) -> None:
        for name, frame in encoded.frames.items():
            key = bytes.fromhex(name)
            marked = self._writer.execute("UPDATE frames SET last_sequence = ? WHERE hash = ?", (sequence, key))
            if marked.rowcount:
                continue
            data = packed.get(name) or pack(frame)  # Dropped by another thread's add since we looked.
            inserted = self._writer.execute(
                "INSERT INTO frames (hash, last_sequence, num_bytes) VALUES (?, ?, ?)", (key, sequence, len(data))
            )
            width, height = frame.size
            self._writer.execute("INSERT INTO pixels VALUES (?, ?, ?, ?)", (inserted.lastrowid, height, width, data))
            self._frame_bytes += len(data)

    def _drop_oldest_frames(self, newest: int) -> None:
        """Drops whole episodes' frames, oldest first, until the bound holds; never those of the newest episode.

        A frame that a later episode shows too carries that episode's number, and so stays.
        """
        excess, through = self._frame_bytes - self._max_frame_bytes, 0
        if excess <= 0:
            return
        ages = self._writer.execute(
            "SELECT last_sequence, SUM(num_bytes) FROM frames WHERE last_sequence < ? "
            "GROUP BY last_sequence ORDER BY last_sequence",
            (newest,),
        )
        for age, num_bytes in ages:
            through, excess = age, excess - num_bytes
            self._frame_bytes -= num_bytes
            if excess <= 0:
                break
        ages.close()
        old = (through,)
        self._writer.execute("DELETE FROM pixels WHERE key IN (SELECT key FROM frames WHERE last_sequence <= ?)", old)
        self._writer.execute("DELETE FROM frames WHERE last_sequence <= ?", old)
        self._writer.execute("UPDATE dropped SET through_sequence = MAX(through_sequence, ?)", old)
        self._metrics.count("store/frame_drops")

    # --- Reading -----------------------------------------------------------------------------------------------------

    def _read(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._read_lock, _translated(self.path):
            return self._reader.execute(statement, values).fetchall()

    def _frame(self, name: str, episode_id: str, sequence: int) -> Frame:
        cached = self._cache.get(name)
        if cached is not None:
            return cached
        rows = self._read(
            "SELECT height, width, data FROM pixels WHERE key = (SELECT key FROM frames WHERE hash = ?)",
            (bytes.fromhex(name),),
        )
        if not rows:
            raise self._no_frame(name, episode_id, sequence)
        frame = unpack(*rows[0], name=name)
        self._cache.put(name, frame)
        return frame

    def _no_frame(self, name: str, episode_id: str, sequence: int) -> StoreError:
        ((through,),) = self._read("SELECT through_sequence FROM dropped")
        if sequence <= through:
            return StoreError(
                f"{self.path}: the frames of episode {episode_id!r} were dropped to keep all frames under "
                f"{self._max_frame_bytes} bytes: ask has_frames() first, or raise store.max_frames_mb"
            )
        return StoreError(f"{self.path}: frame {name} of episode {episode_id!r} is missing: skip this episode")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours, with the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise StoreFullError(
                f"no space is left to write {path} ({error}): free some and resume; every acknowledged episode is safe"
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreError(
                f"{path} is damaged or no episode store ({error}): move it away and resume with an empty one, or "
                f"save what is readable with `sqlite3 {path} .recover`"
            ) from error
        raise StoreError(f"{path} cannot be used ({error}): check that the folder exists and is writable") from error
