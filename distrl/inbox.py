"""The bounded queue between a worker's event loop and the learner's thread.

    store.add(trajectory)            first: what is in the inbox is already on disk
    await inbox.put(trajectory)      the worker, on its event loop; waits while the inbox is full
    inbox.drain(timeout_s)           the learner, on its own thread

An inbox that dies with its process loses nothing: a resumed run reads the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from distrl.errors import PartStoppedError
from distrl.types import Trajectory


@dataclass(eq=False)
class _Waiter:
    """A put that found the inbox full: its trajectory, and how to wake it."""

    trajectory: Trajectory
    loop: asyncio.AbstractEventLoop
    accepted: asyncio.Future[bool]


class Inbox:
    """Hands finished episodes from event loops to one learner thread, first in, first out.

    Holds `capacity` trajectories; further puts wait in line, without blocking their event loop, until `drain` makes
    room. Raises `ValueError` for a capacity below 1.
    """

    def __init__(self, capacity: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        if capacity < 1:
            raise ValueError(f"an inbox must hold at least 1 trajectory; got a capacity of {capacity}")
        self._capacity = capacity
        self._clock = clock
        self._changed = threading.Condition()
        self._held: deque[Trajectory] = deque()
        self._waiters: deque[_Waiter] = deque()
        self._closed = False
        self._num_put = self._num_drained = self._num_waits = 0
        self._put_wait_s = self._drain_wait_s = 0.0

    async def put(self, trajectory: Trajectory) -> None:
        """Returns once the inbox holds `trajectory`; the caller has already stored it.

        Waits while the inbox is full; `drain` unblocks it. Cancelled while it waits, it leaves the line. Raises
        `PartStoppedError` when the inbox is closed, also while waiting.
        """
        with self._changed:
            if self._closed:
                raise _closed()
            if len(self._held) < self._capacity:
                self._hold(trajectory)
                return
            loop = asyncio.get_running_loop()
            waiter = _Waiter(trajectory, loop, loop.create_future())
            self._waiters.append(waiter)
            self._num_waits += 1
        started_s = self._clock()
        try:
            accepted = await waiter.accepted
        finally:
            with self._changed:
                self._put_wait_s += self._clock() - started_s
                with contextlib.suppress(ValueError):  # Still in line only when cancelled.
                    self._waiters.remove(waiter)
        if not accepted:
            raise _closed()

    def drain(self, timeout_s: float) -> list[Trajectory]:
        """Returns everything the inbox holds, oldest first, and lets those in line move up.

        Waits up to `timeout_s` seconds for the first trajectory; `put` or `close` unblocks it. [] means that time was
        up or the inbox is closed; what a closed inbox still holds is returned first.
        """
        with self._changed:
            started_s = self._clock()
            self._changed.wait_for(lambda: self._held or self._closed, timeout=timeout_s)
            self._drain_wait_s += self._clock() - started_s
            drained = list(self._held)
            self._held.clear()
            self._num_drained += len(drained)
            while self._waiters and len(self._held) < self._capacity:
                waiter = self._waiters.popleft()
                self._hold(waiter.trajectory)
                _wake(waiter, accepted=True)
            return drained

    def close(self) -> None:
        """Refuses further puts and wakes everyone who waits; calling it twice is harmless."""
        with self._changed:
            self._closed = True
            while self._waiters:
                _wake(self._waiters.popleft(), accepted=False)
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._changed:
            return self._closed

    @property
    def depth(self) -> int:
        """Trajectories held now, those in line not counted."""
        with self._changed:
            return len(self._held)

    def stats(self) -> dict[str, float]:
        """For the metrics: present depth and line, totals of trajectories, waits and seconds waited by each side."""
        with self._changed:
            return {
                "inbox/depth": len(self._held),
                "inbox/in_line": len(self._waiters),
                "inbox/put": self._num_put,
                "inbox/drained": self._num_drained,
                "inbox/put_waits": self._num_waits,
                "inbox/put_wait_s": self._put_wait_s,
                "inbox/drain_wait_s": self._drain_wait_s,
            }

    def _hold(self, trajectory: Trajectory) -> None:
        self._held.append(trajectory)
        self._num_put += 1
        self._changed.notify_all()


def _wake(waiter: _Waiter, *, accepted: bool) -> None:
    def resolve() -> None:
        if not waiter.accepted.done():  # Cancelled in the meantime.
            waiter.accepted.set_result(accepted)

    with contextlib.suppress(RuntimeError):  # Its event loop has ended, and nobody waits any more.
        waiter.loop.call_soon_threadsafe(resolve)


def _closed() -> PartStoppedError:
    return PartStoppedError("inbox", "it was closed while trajectories still arrived; they are in the store")
