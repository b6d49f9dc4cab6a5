"""When an episode may start: the one place where workers and learner hold each other's speed.

Pacer       async: bounds the age of steps at consumption by holding back new episodes, never by dropping old ones
RoundGate   sync baseline: a round of episodes, then updates, then the next round
OpenGate    nothing to wait for: evaluations
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


class Signal:
    """Lets coroutines of one event loop wait for a condition that another thread makes true."""

    def __init__(self) -> None:
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = set()
        self._lock = threading.Lock()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once `condition()` holds; it is tried now and after each `notify`."""
        loop = asyncio.get_running_loop()
        while True:
            waiter = (loop, loop.create_future())
            with self._lock:
                self._waiters.add(waiter)  # Before the look, so that no notification falls between look and wait.
            try:
                if condition():
                    return
                await waiter[1]
            finally:
                with self._lock:
                    self._waiters.discard(waiter)

    def notify(self) -> None:
        """Has every waiter look again; callable from any thread."""
        with self._lock:
            waiters, self._waiters = self._waiters, set()
        for loop, future in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class OpenGate:
    """Never holds anything back."""

    async def may_start(self, device_rounds: int, num_running: Callable[[], int]) -> None:
        """Returns at once."""

    def leave(self, device_rounds: int) -> None:
        """Nobody counts the devices here."""


class Pacer:
    """Keeps the age of a step at its first consumption under `max_policy_age` versions.

    An update trains on `batch_size` trajectories and makes one version; each trajectory brings `replay_ratio` of
    training with it. An episode that starts now waits behind what is `owed` to the trajectories already there, what
    the `delivered` ones will bring, and the `running` ones, which finish first. So it is consumed about
    `(owed + replay_ratio * (delivered + running)) / batch_size` versions later, and it may start while

        owed + replay_ratio * (delivered + running) < batch_size * max_policy_age

    While the learner waits for data nothing is owed, so the two never wait for each other. Holding an episode back
    costs idle phones; dropping a finished one would cost the slow, hard tasks most.
    """

    def __init__(self, *, batch_size: int, max_policy_age: int, replay_ratio: float = 1.0) -> None:
        self.capacity = batch_size * max_policy_age
        self._replay_ratio = replay_ratio
        self._owed = 0.0
        self._num_delivered = 0
        self._closed = False
        self._lock = threading.Lock()
        self._signal = Signal()

    async def may_start(self, device_rounds: int, num_running: Callable[[], int]) -> None:
        """Returns once one more episode may start beside the `num_running()` that were started and not delivered."""
        await self._signal.until(lambda: self._has_room(num_running()))

    def delivered(self) -> None:
        """Counts one finished episode on its way to the learner; the worker calls it."""
        with self._lock:
            self._num_delivered += 1

    def set_owed(self, num_trajectories: float, *, num_delivered: int) -> None:
        """The learner's own count: training due (`Replay.num_owed`), and trajectories that it has not taken in yet."""
        with self._lock:
            self._owed, self._num_delivered = num_trajectories, num_delivered
        self._signal.notify()

    def leave(self, device_rounds: int) -> None:
        """A quarantined device runs nothing, so there is nothing to count down."""

    def close(self) -> None:
        """Lets every waiter go, for an orderly stop."""
        with self._lock:
            self._closed = True
        self._signal.notify()

    def _has_room(self, num_running: int) -> bool:
        with self._lock:
            ahead = self._owed + self._replay_ratio * (self._num_delivered + num_running)
            return self._closed or ahead < self.capacity


class RoundGate:
    """A barrier between episodes and updates: nobody starts round r+1 before the learner has opened it."""

    def __init__(self, num_devices: int) -> None:
        self._num_devices = num_devices
        self._num_expected = num_devices
        self._open_round = 0
        self._num_admitted = 0
        self._closed = False
        self._lock = threading.Lock()
        self._signal = Signal()

    async def may_start(self, device_rounds: int, num_running: Callable[[], int]) -> None:
        """Returns once round `device_rounds`, the device's next, is open."""
        await self._signal.until(lambda: self._closed or device_rounds <= self._open_round)

    def admitted(self) -> None:
        """Counts one episode of the open round; the learner calls it when it has taken the episode in."""
        with self._lock:
            self._num_admitted += 1

    def leave(self, device_rounds: int) -> None:
        """A device that was quarantined after `device_rounds` episodes is no longer waited for.

        The episode that it aborted in the open round is delivered like any other, and stays expected.
        """
        with self._lock:
            self._num_devices -= 1
            if device_rounds <= self._open_round:
                self._num_expected -= 1

    def round_is_complete(self) -> bool:
        """Whether the learner has every device's episode of the open round."""
        with self._lock:
            return self._num_admitted >= self._num_expected

    def open_next(self) -> None:
        """Lets the next round start; the learner calls it after its updates."""
        with self._lock:
            self._open_round += 1
            self._num_admitted = 0
            self._num_expected = self._num_devices
        self._signal.notify()

    def close(self) -> None:
        """Lets every waiter go, for an orderly stop."""
        with self._lock:
            self._closed = True
        self._signal.notify()
