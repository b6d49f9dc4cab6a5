"""The episode store: exact, idempotent, bounded, and whole after every kind of interruption."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from trajectories import observation, plain, step, task, trajectory, with_frames

from distrl.errors import StoreError, StoreFullError, TrajectoryError
from distrl.frames import FrameCache, pack
from distrl.metrics import Metrics
from distrl.store import EpisodeFilter, Store
from distrl.types import Ending

ROOM = 1 << 30


@pytest.fixture
def path(tmp_path):
    return tmp_path / "episodes.sqlite"


def open_store(path, **changes):
    return Store(path, **{"max_frame_bytes": ROOM, **changes})


def packed_bytes(size=40):
    """Encoded size of one noise frame: equal for all seeds to within a few bytes."""
    return len(pack(with_frames("x", 0, 1, size=size).final_observation.frame))


def test_an_episode_comes_back_equal_from_a_store_opened_again(path):
    with open_store(path) as store:
        assert store.add(trajectory()) is True
    with open_store(path) as store:
        back = store.get("w0-1")
    assert plain(back) == plain(trajectory())
    assert not back.steps[0].observation.frame.pixels.flags.writeable
    assert back.steps[0].observation.frame.content_hash == trajectory().steps[0].observation.frame.content_hash


def test_adding_an_id_again_changes_nothing_and_says_so(path):
    with open_store(path) as store:
        store.add(trajectory())
        before = store.counts()
        assert store.add(trajectory(started_at=5.0, steps=(step(7, reward=1.0),))) is False
        assert store.counts() == before
        assert plain(store.get("w0-1")) == plain(trajectory())


def test_a_trajectory_that_breaks_an_invariant_is_not_stored(path):
    with open_store(path) as store:
        with pytest.raises(TrajectoryError):
            store.add(trajectory(fault="lost"))
        assert store.ids() == []


def test_a_frame_that_many_episodes_show_is_stored_once(path):
    with open_store(path) as store:
        for number in range(4):
            store.add(trajectory(f"e{number}"))
        counts = store.counts()
    assert (counts.num_episodes, counts.num_frames) == (4, 3)
    assert counts.frame_bytes == sum(len(pack(observation(seed).frame)) for seed in range(3))


def test_queries_filter_by_every_field_and_keep_the_order_of_arrival(path):
    lost = {"steps": (), "final_observation": None, "ending": Ending.ABORTED, "success": False, "fault": "lost"}
    with open_store(path) as store:
        store.add(trajectory("a", task=task(template="notes.new"), worker="w1"))
        store.add(with_frames("b", 1, 2))
        store.add(trajectory("c", device="sim-9", task=task(split="held_out_app"), **lost))
        cases = {
            (): ["a", "b", "c"],
            (("template", "notes.new"),): ["a"],
            (("split", "train"),): ["a", "b"],
            (("success", False),): ["b", "c"],
            (("success", True),): ["a"],
            (("ending", Ending.ABORTED),): ["c"],
            (("worker", "w0"),): ["b", "c"],
            (("device", "sim-9"),): ["c"],
            (("after_sequence", 1),): ["b", "c"],
            (("newest_first", True), ("limit", 2)): ["c", "b"],
        }
        for wanted, expected in cases.items():
            assert store.ids(EpisodeFilter(**dict(wanted))) == expected, wanted
        first, _, last = store.query()
        assert (first.sequence, first.success, first.num_steps, first.policy_version) == (1, True, 2, 3)
        assert (first.level, first.duration_s, first.has_frames) == (2, 12.5, True)
        assert (last.ending, last.fault, last.policy_version) == (Ending.ABORTED, "lost", -1)
        counts = store.counts()
        assert (counts.num_episodes, counts.num_steps, counts.num_successes, counts.num_aborted) == (3, 3, 1, 1)
        assert [found.id for found in store.get_many(["b", "a"])] == ["b", "a"]


def test_a_resumed_run_reads_on_after_the_last_episode_it_consumed(path):
    with open_store(path) as store:
        for name in "cab":
            store.add(trajectory(name))
        assert store.ids_after("c") == ["a", "b"]
        assert store.ids_after("b") == []
        assert store.ids_after("") == store.ids_after("unknown") == ["c", "a", "b"]


def test_the_oldest_frames_are_dropped_first_and_their_episodes_stay(path):
    with open_store(path, max_frame_bytes=int(4.5 * packed_bytes()), cache_bytes=0) as store:
        store.add(with_frames("a", 0, 1))
        store.add(with_frames("b", 2, 3))
        assert store.has_frames("a")
        store.add(with_frames("c", 4, 5))
        assert [store.has_frames(name) for name in "abc"] == [False, True, True]
        assert [summary.has_frames for summary in store.query()] == [False, True, True]
        assert store.ids(EpisodeFilter(with_frames=True)) == ["b", "c"]
        with pytest.raises(StoreError, match=r"episode 'a' were dropped .* raise store.max_frames_mb"):
            store.get("a")
        assert store.get("b").id == "b"
        counts = store.counts()
        assert (counts.num_episodes, counts.num_frames, counts.num_without_frames) == (3, 4, 1)
        assert counts.frame_bytes <= 4.5 * packed_bytes()


def test_no_more_frames_are_dropped_than_the_bound_asks_for(path):
    with open_store(path, max_frame_bytes=int(4.5 * packed_bytes())) as store:
        for number, name in enumerate("abcde"):
            store.add(with_frames(name, 2 * number, 2 * number + 1))
            assert store.ids(EpisodeFilter(with_frames=True)) == list("abcde"[max(0, number - 1) : number + 1])


def test_an_add_that_fails_at_its_last_statement_leaves_no_trace(path, monkeypatch):
    with open_store(path, max_frame_bytes=int(4.5 * packed_bytes())) as store:
        store.add(with_frames("a", 0, 1))
        before = store.counts()

        def fails(newest):
            raise sqlite3.OperationalError("disk I/O error")

        for _ in range(3):
            with monkeypatch.context() as patched, pytest.raises(StoreError, match="disk I/O error"):
                patched.setattr(store, "_drop_oldest_frames", fails)
                store.add(with_frames("b", 2, 3))
            assert (store.ids(), store.counts()) == (["a"], before)
        assert store.add(with_frames("b", 2, 3)) is True
        assert store.has_frames("a")  # The failed ones were not counted towards the bound.


def test_a_frame_that_a_newer_episode_shows_outlives_the_oldest(path):
    with open_store(path, max_frame_bytes=int(3.5 * packed_bytes()), cache_bytes=0) as store:
        store.add(with_frames("a", 0, 1))
        store.add(with_frames("b", 0, 2))
        store.add(with_frames("c", 0, 3))  # 0 is shared: only 1 has to go.
        assert [store.has_frames(name) for name in "abc"] == [False, True, True]
        assert plain(store.get("b")) == plain(with_frames("b", 0, 2))
        assert plain(store.get("c")) == plain(with_frames("c", 0, 3))


def test_the_newest_episode_keeps_its_frames_even_beyond_the_bound(path):
    with open_store(path, max_frame_bytes=1, cache_bytes=0) as store:
        store.add(with_frames("a", 0, 1))
        store.add(with_frames("b", 2, 3))
        assert [store.has_frames(name) for name in "ab"] == [False, True]
        assert plain(store.get("b")) == plain(with_frames("b", 2, 3))


def test_the_bound_holds_on_after_the_store_is_opened_again(path):
    bound = int(4.5 * packed_bytes())
    for number in range(5):
        with open_store(path, max_frame_bytes=bound, cache_bytes=0) as store:
            store.add(with_frames(f"e{number}", 2 * number, 2 * number + 1))
            assert store.counts().frame_bytes <= bound
    with open_store(path, max_frame_bytes=bound) as store:
        assert [store.has_frames(f"e{number}") for number in range(5)] == [False, False, False, True, True]


def test_space_of_dropped_frames_is_used_again(path):
    with open_store(path, max_frame_bytes=20 * packed_bytes(), cache_bytes=0) as store:
        for number in range(40):
            store.add(with_frames(f"e{number}", *range(10 * number, 10 * number + 10)))
    assert path.stat().st_size < 2 * 30 * packed_bytes()


def test_the_cache_serves_the_same_frame_again_and_stays_within_its_bytes(path):
    frames = [observation(seed).frame for seed in range(3)]
    cache = FrameCache(2 * frames[0].pixels.nbytes)
    for frame in frames[:2]:
        cache.put(frame.content_hash, frame)
    assert cache.get(frames[0].content_hash) is frames[0]  # Used last, so 1 has to go.
    cache.put(frames[2].content_hash, frames[2])
    assert [cache.get(frame.content_hash) for frame in frames] == [frames[0], None, frames[2]]
    with open_store(path) as store:
        store.add(trajectory())
        assert store.get("w0-1").steps[0].observation.frame is store.get("w0-1").steps[0].observation.frame


def test_an_unknown_id_is_an_error_that_says_how_to_list_them(path):
    with open_store(path) as store, pytest.raises(StoreError, match=r"no episode 'nobody'.*Store.ids"):
        store.get("nobody")


# --- Interruptions ---------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from trajectories import with_frames
from distrl.store import Store
store = Store(Path(sys.argv[1]), max_frame_bytes=1 << 30)
number = 0
while True:
    store.add(with_frames(f"e{number}", *range(3 * number, 3 * number + 3)))
    print(number, flush=True)
    number += 1
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(path):
    for _ in range(2):  # The second writer opens what the first left behind, and meets known ids.
        command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            acknowledged = [process.stdout.readline() for _ in range(25)]
            process.send_signal(signal.SIGKILL)
            acknowledged += process.stdout.readlines()
        assert process.returncode == -signal.SIGKILL
        numbers = [int(line) for line in acknowledged if line.endswith("\n")]
        assert numbers[:25] == list(range(25))
        with open_store(path) as store:
            assert set(store.ids()) >= {f"e{number}" for number in numbers}
            for number in numbers:
                assert plain(store.get(f"e{number}")) == plain(
                    with_frames(f"e{number}", *range(3 * number, 3 * number + 3))
                )


def copy_of(path, folder):
    """The files as a power cut would leave them: the write-ahead log not folded in."""
    folder.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, folder / file.name)
    return folder / path.name


def test_a_log_cut_off_in_mid_write_keeps_every_acknowledged_episode(path, tmp_path):
    log = path.with_name(path.name + "-wal")
    with open_store(path) as store:
        store.add(trajectory("a"))
        store.add(trajectory("b"))
        acknowledged_bytes = log.stat().st_size
        store.add(with_frames("c", 5, 6))
        written_bytes = log.stat().st_size
        for number, size in enumerate(range(acknowledged_bytes, written_bytes, 3000)):
            cut = copy_of(path, tmp_path / f"cut{number}")
            with cut.with_name(log.name).open("r+b") as file:
                file.truncate(size)
            with open_store(cut) as reopened:
                assert reopened.ids() == ["a", "b"]
                assert plain(reopened.get("b")) == plain(trajectory("b"))
                assert reopened.add(with_frames("c", 5, 6)) is True


def test_garbage_after_the_log_or_the_file_harms_nothing(path, tmp_path):
    with open_store(path) as store:
        store.add(trajectory("a"))
        dirty = copy_of(path, tmp_path / "log")
    with dirty.with_name(dirty.name + "-wal").open("ab") as file:
        file.write(b"garbage" * 1000)
    with path.open("ab") as file:
        file.write(b"garbage" * 1000)
    for damaged in (dirty, path):
        with open_store(damaged) as store:
            assert plain(store.get("a")) == plain(trajectory("a"))
            assert store.add(trajectory("b")) is True


def test_a_file_that_is_no_database_is_refused_with_a_remedy(path):
    path.write_bytes(b"this is a text, not a database" * 100)
    with pytest.raises(StoreError, match="move it away"):
        open_store(path)
    assert path.read_bytes().startswith(b"this is a text")


def test_damaged_pages_are_an_error_with_a_remedy_not_wrong_data(path):
    with open_store(path) as store:
        for number in range(20):
            store.add(with_frames(f"e{number}", 2 * number, 2 * number + 1))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="move it away"), open_store(path) as store:
        store.get("e3")


def test_a_damaged_frame_or_record_names_the_episode_to_skip(path):
    with open_store(path) as store:
        store.add(trajectory("a"))
        store.add(with_frames("b", 8, 9))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE pixels SET data = X'00112233' WHERE key = 1")
        database.execute("UPDATE episodes SET record = X'00' WHERE id = 'b'")
    database.close()
    with open_store(path) as store:
        with pytest.raises(StoreError, match=r"frame .* is damaged .* skip"):
            store.get("a")
        with pytest.raises(StoreError, match=r"'b'.*record must be whole"):
            store.get("b")


def test_another_format_and_another_database_are_refused_by_name(path, tmp_path):
    open_store(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 77")
    database.close()
    with pytest.raises(StoreError, match=r"format 1, .* has 77"):
        open_store(path)
    database = sqlite3.connect(tmp_path / "other.sqlite")
    database.execute("CREATE TABLE songs (title TEXT)")
    database.close()
    with pytest.raises(StoreError, match="no episode store"):
        open_store(tmp_path / "other.sqlite")


def test_a_missing_folder_is_an_error_that_says_what_to_check(tmp_path):
    with pytest.raises(StoreError, match="folder exists and is writable"):
        open_store(tmp_path / "nowhere" / "episodes.sqlite")


def test_a_full_disk_is_named_and_nothing_is_half_written(path):
    with open_store(path, max_file_bytes=400_000) as store:
        added = []
        with pytest.raises(StoreFullError, match=r"no space is left .* free some"):
            for number in range(1000):
                store.add(with_frames(f"e{number}", *range(5 * number, 5 * number + 5), size=60))
                added.append(f"e{number}")
        assert added
        counts = store.counts()
        assert (counts.num_episodes, counts.num_frames) == (len(added), 5 * len(added))
        with pytest.raises(StoreFullError):  # Still full; and still the same.
            store.add(with_frames("again", *range(9000, 9005), size=60))
        assert store.ids() == added
        assert store.counts() == counts
    with open_store(path) as store:  # Space was freed.
        assert store.ids() == added
        assert plain(store.get("e0")) == plain(with_frames("e0", *range(5), size=60))
        assert store.add(with_frames("more", *range(9000, 9005), size=60)) is True
        assert store.counts().frame_bytes == counts.frame_bytes + sum(
            len(pack(with_frames("x", seed, seed, size=60).final_observation.frame)) for seed in range(9000, 9005)
        )


# --- Threads and processes -------------------------------------------------------------------------------------------


def test_threads_may_write_the_same_and_other_episodes_while_others_read(path):
    metrics = Metrics()
    errors, verdicts = [], []

    def write(store, names):
        try:
            verdicts.extend((name, store.add(trajectory(name))) for name in names)
        except StoreError as error:
            errors.append(error)

    def read(store):
        try:
            for name in store.ids():
                assert plain(store.get(name)) == plain(trajectory(name))
        except (StoreError, AssertionError) as error:
            errors.append(error)

    with open_store(path, metrics=metrics, cache_bytes=0) as store:
        store.add(trajectory("first"))
        shared = [f"e{number}" for number in range(20)]
        threads = [threading.Thread(target=write, args=(store, names)) for names in (shared, shared[::-1])]
        threads += [threading.Thread(target=read, args=(store,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sorted(name for name, added in verdicts if added) == sorted(shared)
        assert sorted(name for name, added in verdicts if not added) == sorted(shared)
        assert sorted(store.ids()) == sorted(["first", *shared])
    snapshot = metrics.snapshot()
    assert (snapshot["store/episodes"], snapshot["store/duplicates"]) == (21, 20)
    assert snapshot["store/commit_s/count"] == 41


def test_a_frame_dropped_between_look_and_write_is_written_again(path, monkeypatch):
    """Another thread's add may drop a frame that this add has just seen to be there."""
    with open_store(path, max_frame_bytes=1, cache_bytes=0) as store:
        store.add(with_frames("a", 0, 1))
        look = store._unknown_frames

        def look_then_lose(encoded):
            unknown = look(encoded)
            monkeypatch.setattr(store, "_unknown_frames", look)
            store.add(with_frames("b", 2, 3))
            return unknown

        monkeypatch.setattr(store, "_unknown_frames", look_then_lose)
        store.add(with_frames("c", 0, 1))
        assert plain(store.get("c")) == plain(with_frames("c", 0, 1))


def test_a_reader_beside_the_writer_sees_new_episodes_and_cannot_write(path):
    with open_store(path) as writer, open_store(path, read_only=True) as reader:
        writer.add(trajectory("a"))
        assert plain(reader.get("a")) == plain(trajectory("a"))
        with pytest.raises(StoreError, match="read-only"):
            reader.add(trajectory("b"))
    with pytest.raises(StoreError, match="must exist to be read"):
        open_store(path.with_name("none.sqlite"), read_only=True)


def test_acknowledged_means_synced(path):
    with open_store(path) as store:
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
