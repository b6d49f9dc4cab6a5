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

    async def may_start(self, device_rounds: int, num_running: int) -> None:
        """Returns at once."""

    def leave(self) -> None:
        """Nobody counts the devices here."""


class Pacer:
    """Keeps the age of a step at its first consumption under `max_policy_age` versions.

    An update consumes `batch_size` trajectories and makes one version. A trajectory that finishes now waits behind
    the `unconsumed` ones, and those `running` finish before an episode that starts now. So an episode that starts
    now is consumed about `(unconsumed + running) / batch_size` versions later, and it may start while

        unconsumed + running < batch_size * max_policy_age

    Holding an episode back costs idle phones; dropping a finished one would cost the slow, hard tasks most.
    """

    def __init__(self, *, batch_size: int, max_policy_age: int) -> None:
        self.capacity = batch_size * max_policy_age
        self._unconsumed = 0
        self._closed = False
        self._lock = threading.Lock()
        self._signal = Signal()

    async def may_start(self, device_rounds: int, num_running: int) -> None:
        """Returns once one more episode may start while `num_running` others run."""
        await self._signal.until(lambda: self._has_room(num_running))

    def delivered(self) -> None:
        """Counts one finished episode on its way to the learner."""
        with self._lock:
            self._unconsumed += 1

    def set_unconsumed(self, num_trajectories: int) -> None:
        """The learner's own count: trajectories delivered and never sampled yet."""
        with self._lock:
            self._unconsumed = num_trajectories
        self._signal.notify()

    def leave(self) -> None:
        """A quarantined device runs nothing, so there is nothing to count down."""

    def close(self) -> None:
        """Lets every waiter go, for an orderly stop."""
        self._closed = True
        self._signal.notify()

    def _has_room(self, num_running: int) -> bool:
        with self._lock:
            return self._closed or self._unconsumed + num_running < self.capacity


class RoundGate:
    """A barrier between episodes and updates: nobody starts round r+1 before the learner has opened it."""

    def __init__(self, num_devices: int) -> None:
        self._num_devices = num_devices
        self._open_round = 0
        self._num_delivered = 0
        self._closed = False
        self._lock = threading.Lock()
        self._signal = Signal()

    async def may_start(self, device_rounds: int, num_running: int) -> None:
        """Returns once round `device_rounds`, the device's next, is open."""
        await self._signal.until(lambda: self._closed or device_rounds <= self._open_round)

    def delivered(self) -> None:
        """Counts one finished episode of the open round."""
        with self._lock:
            self._num_delivered += 1

    def leave(self) -> None:
        """A quarantined device is no longer waited for."""
        with self._lock:
            self._num_devices -= 1

    def round_is_complete(self) -> bool:
        """Whether every device has delivered its episode of the open round."""
        with self._lock:
            return self._num_delivered >= self._num_devices

    def open_next(self) -> None:
        """Lets the next round start; the learner calls it after its updates."""
        with self._lock:
            self._open_round += 1
            self._num_delivered = 0
        self._signal.notify()

    def close(self) -> None:
        """Lets every waiter go, for an orderly stop."""
        self._closed = True
        self._signal.notify()
