"""Runs a worker's event loop in a thread of its own, and hands over what ended it."""

from __future__ import annotations

import asyncio
import threading

from distrl.errors import PartStoppedError
from distrl.worker import Worker


class WorkerThread:
    """A worker in a thread: the training loop starts it, looks after it with `check`, and ends it.

    `stop` ends it in good order, `cancel` at once. An error of any part of the worker ends the thread and is raised by
    `check` in the thread that supervises.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._error: BaseException | None = None
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"worker {worker.name}", daemon=True)

    def start(self) -> None:
        """Starts the event loop."""
        self._thread.start()

    def check(self) -> None:
        """Raises `PartStoppedError`, naming the worker, when a part of it died or no phone is left."""
        if self._thread.is_alive() or self._thread.ident is None:
            return
        if self._error is not None:
            error, self._error = self._error, None  # Raised once.
            self._stopping = True
            raise PartStoppedError(self._part, f"{type(error).__name__}: {error}") from error
        if not self._stopping:
            raise PartStoppedError(
                self._part,
                "every phone is quarantined; see worker/fault_* in metrics.jsonl, mend the phones, then resume the run",
            )

    def stop(self) -> None:
        """Lets running episodes end; returns at once."""
        self._stopping = True
        self.worker.stop()

    def cancel(self, timeout_s: float) -> None:
        """Ends it without waiting for running episodes; they are lost, what was delivered is not."""
        self.stop()
        if self._loop is not None and self._task is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self.join(timeout_s)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Waits for its end."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def _part(self) -> str:
        return f"worker {self.worker.name}"

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            return
        except BaseExceptionGroup as group:  # The supervisor of this thread: handed over by `check`.
            self._error = _first_cause(group)
        except Exception as error:  # noqa: BLE001 - as above.
            self._error = error

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        await self.worker.run()


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
