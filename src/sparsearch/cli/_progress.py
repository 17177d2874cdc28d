"""A progress bar on standard error, for terminals only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

__all__ = ["Progress", "steps"]

_T = TypeVar("_T")
_EVERY = 256


class Progress:
    """Shows how far the reading of documents got; use as a context manager.

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
            TextColumn("{task.fields[count]:,} documents"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(label, total=total, count=0)

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
        """Yield the items, moving the bar."""
        for item in items:
            yield item
            self.advance()

    def advance(self, count: int = 1) -> None:
        """Count items that are done."""
        before, self.count = self.count, self.count + count
        if before // _EVERY != self.count // _EVERY:
            self._bar.update(self._task, completed=self._position(), count=self.count)


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
