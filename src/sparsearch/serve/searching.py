"""Searching in threads: as many at once as there are cores, a bounded number waiting.

The kernels hold no interpreter lock, so that one process uses all cores. Handing something to a
thread and back takes about as long as a search, and so does all else that a call does once; so
what waits and is alike is handed over together.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sparsearch.serve.errors import ServiceError

__all__ = ["SearchPool"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_TOGETHER = 32
"""Handed over at once; who is first among them waits for the last."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    item: Any
    work: Callable[[Sequence[Any]], Sequence[Any]]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a job: a result, or the error that is not None."""

    job: _Job
    result: Any
    error: Exception | None


class SearchPool:
    """Runs functions in threads, first come, first served.

    Parameters
    ----------
    threads : int or None
        By default, one a core.
    waiting : int
        How many may wait for a thread.
    seconds : float
        How long one may wait.
    """

    def __init__(self, threads: int | None, waiting: int, seconds: float) -> None:
        self.threads = threads or os.cpu_count() or 1
        self._most = self.threads + waiting
        self._seconds = seconds
        self._executor = ThreadPoolExecutor(self.threads, "sparsearch-search")
        self._guard = threading.Lock()
        self._groups: dict[Hashable, deque[_Job]] = {}
        self._busy = 0
        self.pending = 0

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Return what a function returns.

        Raises
        ------
        ServiceError
            503 if too much waits already, or this waited too long.
        """
        return await self.run_together(object(), None, lambda _: [function()])

    async def run_together(
        self, group: Hashable, item: _Item, work: Callable[[Sequence[_Item]], Sequence[_Result]]
    ) -> _Result:
        """Return what a function makes of an item.

        Parameters
        ----------
        group : hashable
            Items of a group that wait at the same time may be given to one call.
        item : object
        work : callable
            Returns one result an item. If it fails, each item is given to a call of its own, so
            that only the one at fault fails.

        Raises
        ------
        ServiceError
            As `run`.
        """
        if self.pending >= self._most:
            reason = "too many searches wait; try again later"
            raise ServiceError(503, "search_queue_full", reason, retry_after=1)
        loop = asyncio.get_running_loop()
        job = _Job(item, work, loop.create_future())
        self.pending += 1
        with self._guard:
            self._groups.setdefault(group, deque()).append(job)
            has_idle_thread = self._busy < self.threads
            self._busy += has_idle_thread
        if has_idle_thread:
            self._executor.submit(self._work, loop)
        timer = loop.call_later(self._seconds, self._expire, group, job)
        try:
            return cast(_Result, await job.answer)
        finally:
            timer.cancel()
            if job.answer.cancelled() and self._withdraw(group, job):
                self.pending -= 1

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._executor.shutdown(wait=True)

    def _expire(self, group: Hashable, job: _Job) -> None:
        """Refuse a job that still waits: who asked has probably given up, and others wait."""
        if self._withdraw(group, job):
            reason = f"no thread was free within {self._seconds:g} s; try again later"
            error = ServiceError(503, "search_timeout", reason, retry_after=2)
            self._deliver([_Outcome(job, None, error)])

    def _withdraw(self, group: Hashable, job: _Job) -> bool:
        """Take a job from those that wait; return whether it was among them."""
        with self._guard:
            waiting = self._groups.get(group, deque())
            if job not in waiting:
                return False
            waiting.remove(job)
            if not waiting:
                del self._groups[group]
            return True

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work in a thread until nothing waits."""
        while jobs := self._take():
            for outcomes in _work_on(jobs):
                with suppress(RuntimeError):  # the loop has ended, and who asked with it
                    loop.call_soon_threadsafe(self._deliver, outcomes)

    def _take(self) -> list[_Job]:
        """Return a thread's share of the jobs of the group that waits longest."""
        with self._guard:
            group = next(iter(self._groups), None)
            if group is None:
                self._busy -= 1
                return []
            waiting = self._groups.pop(group)
            share = min(_MOST_TOGETHER, -(-len(waiting) // self.threads))
            jobs = [waiting.popleft() for _ in range(share)]
            if waiting:
                self._groups[group] = waiting  # behind the others
            return jobs

    def _deliver(self, outcomes: Sequence[_Outcome]) -> None:
        self.pending -= len(outcomes)
        for outcome in outcomes:
            answer = outcome.job.answer
            if answer.done():  # who asked is gone
                continue
            if outcome.error is None:
                answer.set_result(outcome.result)
            else:
                answer.set_exception(outcome.error)


def _work_on(jobs: Sequence[_Job]) -> Iterator[list[_Outcome]]:
    """Work on jobs of one group together or, if that fails, on each alone."""
    outcomes: list[_Outcome] = []
    try:
        results = jobs[0].work([job.item for job in jobs])
        outcomes = [_Outcome(job, result, None) for job, result in zip(jobs, results, strict=True)]
    except Exception as error:
        if len(jobs) == 1:
            outcomes = [_Outcome(jobs[0], None, error)]
    if outcomes:
        yield outcomes
        return
    for job in jobs:  # each is delivered before the next, so that their answers do not pile up
        yield from _work_on([job])
