"""A progress bar on standard error, for terminals only."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from sparsearch.cli._console import human_time

__all__ = ["Progress", "steps"]

_T = TypeVar("_T")
_WORK_SECONDS = 0.02
_SHOWN_SECONDS = 0.5
_SAMPLES = 20


class Progress:
    """Shows how far work on documents got, how fast, and what is left; use as a context manager.

    Parameters
    ----------
    label : str
        What is being done.
    total : int, optional
        What `position` grows to. Without it there is no bar, only a count.
    position : callable, optional
        Returns how far the reading got, such as bytes of a file; by default `count`.

    Attributes
    ----------
    count : int
        Items that are done.
    """

    def __init__(
        self, label: str, total: int | None = None, position: Callable[[], int] | None = None
    ) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        self.count = 0
        self._position = position or (lambda: self.count)
        measured = [BarColumn(), TaskProgressColumn()] if total else []
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *measured,
            TextColumn("{task.fields[count]:,} documents{task.fields[pace]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._total = total
        self._task = self._bar.add_task(label, total=total, count=0, pace="")
        self._samples = deque([(time.perf_counter(), 0, self._position())], _SAMPLES)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def watch(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yield the items, moving the bar.

        Who takes them gathers a batch and then works on it. The bar moves after the work, so that
        it shows what is done and the pace is that of the work.
        """
        for item in items:
            given = time.perf_counter()
            yield item
            self.count += 1
            now = time.perf_counter()
            if now - given > _WORK_SECONDS or now - self._samples[-1][0] > _SHOWN_SECONDS:
                self._show(now)

    def advance(self, count: int = 1) -> None:
        """Count items that are done."""
        self.count += count
        now = time.perf_counter()
        if now - self._samples[-1][0] > _SHOWN_SECONDS:
            self._show(now)

    def _show(self, now: float) -> None:
        position = self._position()
        self._samples.append((now, self.count, position))
        pace = self._pace(*self._samples[0])
        self._bar.update(self._task, completed=position, count=self.count, pace=pace)

    def _pace(self, since: float, count: int, position: int) -> str:
        """Return the rate from a sample to the latest one, and the time that is left at it."""
        now, count_now, position_now = self._samples[-1]
        pace = f", {(count_now - count) / (now - since):,.0f} per second"
        if self._total and position_now > position:
            left = (self._total - position_now) * (now - since) / (position_now - position)
            pace += f", {human_time(left)} left"
        return pace


@contextmanager
def steps(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many steps of some work are done; yield what to call with that and with all."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    task = bar.add_task(label, total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)
