"""An event loop whose time jumps to the next timer when nothing is ready: hours of phone time in seconds of test.

    async def episode(device, task):
        await device.reset(task, deadline_s=120.0)      # five virtual seconds, no real ones
        return asyncio.get_running_loop().time()        # exact: the sum of what was slept

    elapsed_s = run_virtual(episode(device, task))

Everything that asks the loop for time follows: `asyncio.sleep`, `asyncio.timeout`, `wait_for`, `call_later`. What asks
the machine (`time.monotonic`) does not. Work in threads takes no virtual time: while a job of `run_in_executor` or
`to_thread` is outstanding the clock stands still and the loop really waits for it. A job that itself waits for a timer
of the loop would therefore wait for ever; and threads started in other ways are not seen, so the clock may pass them.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SNAP_S: Final = 1e-9
"""The loop runs a timer this much early; less than this is rounding of `now + (when - now)`."""


class _JumpingSelector(selectors.DefaultSelector):
    """Polls for real events, and moves the clock where the ordinary one would sleep."""

    clock: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready now; without any, jumps, or waits for a thread when one is at work."""
        if self.clock.num_thread_jobs:
            wait_s = 0.0 if timeout is not None and timeout <= 0 else None
            return super().select(wait_s)
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None:
            raise RuntimeError(
                "a virtual clock has nothing to jump to: every task waits, no timer is set and no thread is at work; "
                "look for a future or an event that nobody sets"
            )
        self.clock.jump(timeout)
        return []


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time, in seconds from 0; use `run_virtual` unless the loop itself is needed."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.clock = self
        self._now_s = 0.0
        self._timers_s: list[float] = []
        self.num_thread_jobs = 0
        """Jobs of executors not done yet; the clock stands still while there are any."""
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def jump(self, wait_s: float) -> None:
        """Moves the clock on by `wait_s`: to exactly the time a timer was set for, without rounding."""
        target_s = self._now_s + wait_s
        while self._timers_s and self._timers_s[0] < target_s - _SNAP_S:
            heapq.heappop(self._timers_s)  # Cancelled, or already run.
        exact = bool(self._timers_s) and self._timers_s[0] <= target_s + _SNAP_S
        self._now_s = max(self._now_s, self._timers_s[0] if exact else target_s)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedules as asyncio does, and remembers the exact time."""
        heapq.heappush(self._timers_s, when)
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Runs `func` in a thread; the clock waits for it."""
        job: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self.num_thread_jobs += 1
        job.add_done_callback(self._thread_job_done)
        return job

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Joins the default threads; their end is real work, so the clock waits for it too."""
        self.num_thread_jobs += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self.num_thread_jobs -= 1

    def _thread_job_done(self, job: asyncio.Future[Any]) -> None:
        self.num_thread_jobs -= 1


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end on a fresh virtual clock and returns its result.

    Raises:
        RuntimeError: every task waits for something that no timer and no thread will bring.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
