"""Searching in threads: as many at once as there are cores, a bounded number waiting.

The kernels hold no interpreter lock, so that one process uses all cores.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sparsearch.serve.errors import ServiceError

__all__ = ["SearchPool"]

_Result = TypeVar("_Result")


class SearchPool:
    """Runs functions in threads, first come, first served.

    Parameters
    ----------
    threads : int or None
        By default, one a core.
    waiting : int
        Functions that may wait for a thread.
    seconds : float
        How long one may wait.
    """

    def __init__(self, threads: int | None, waiting: int, seconds: float) -> None:
        self.threads = threads or os.cpu_count() or 1
        self._most = self.threads + waiting
        self._seconds = seconds
        self._executor = ThreadPoolExecutor(self.threads, "sparsearch-search")
        self.pending = 0

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Return what a function returns.

        Raises
        ------
        ServiceError
            503 if too many wait already, or this one waited too long.
        """
        if self.pending >= self._most:
            reason = "too many searches wait; try again later"
            raise ServiceError(503, "search_queue_full", reason, retry_after=1)
        deadline = time.monotonic() + self._seconds

        def work() -> _Result:
            if time.monotonic() > deadline:
                # Who asked has probably given up, and others wait.
                reason = f"no thread was free within {self._seconds:g} s; try again later"
                raise ServiceError(503, "search_timeout", reason, retry_after=2)
            return function()

        self.pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(self._finished)
        return await future

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._executor.shutdown(wait=True)

    def _finished(self, future: asyncio.Future[_Result]) -> None:
        self.pending -= 1
        if not future.cancelled():
            future.exception()  # who asked may be gone; it must not be reported as forgotten
