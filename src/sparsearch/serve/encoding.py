"""Running an index's model over documents ahead of their commit, so that nobody else waits for it.

A commit holds the index's lock, and a model takes seconds for some hundred documents. So documents
are read by the model on a thread of their own, a few of each request in turn: a small request is
not held up by a large one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sparsearch.index import EncodedAhead, Index

__all__ = ["AheadEncoder", "is_any_reading"]

_NAME = "sparsearch-encoder"

_PORTION = 8
_PORTION_CHARACTERS = 32_000
"""Documents of a request, and characters but for the first of them, that are read before it is
another one's turn: a quarter of a second or so."""

_LAST_SECONDS = 5.0
"""How long the end waits for what is being read: a document may take minutes."""


@dataclass
class _Task:
    documents: Sequence[Mapping[str, Any]]
    finish: Callable[[EncodedAhead | None], None]
    fail: Callable[[BaseException], None]
    made: list[EncodedAhead] = field(default_factory=list)
    done: int = 0

    def portion(self) -> Sequence[Mapping[str, Any]]:
        """Return the documents that come next."""
        stop, characters = self.done, 0
        while stop < min(self.done + _PORTION, len(self.documents)):
            characters += _characters(self.documents[stop])
            if stop > self.done and characters > _PORTION_CHARACTERS:
                break
            stop += 1
        return self.documents[self.done : stop]


class AheadEncoder:
    """Encodes documents on a thread that is started when there are any.

    Parameters
    ----------
    index : Index
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._tasks: deque[_Task] = deque()
        self._current: _Task | None = None
        self._wake = threading.Condition()
        self._ended: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(
        self,
        documents: Sequence[Mapping[str, Any]],
        finish: Callable[[EncodedAhead | None], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Queue documents.

        Parameters
        ----------
        documents : sequence of mapping
            Checked.
        finish, fail : callable
            One of them is called, on the encoding thread or that which ends it: with what
            `Index.encode_ahead` makes of the documents, or with why that failed.
        """
        with self._wake:
            if self._ended is None:
                self._tasks.append(_Task(documents, finish, fail))
                if self._thread is None:
                    # Not waited for without end, so the process must be able to end without it.
                    self._thread = threading.Thread(target=self._run, name=_NAME, daemon=True)
                    self._thread.start()
                self._wake.notify_all()
                return
        fail(self._ended)

    def refuse(self, reason: BaseException) -> None:
        """Take no more documents; all but those that are being read fail for a reason."""
        with self._wake:
            self._ended = self._ended or reason
            left, self._tasks = self._tasks, deque()
            self._wake.notify_all()
        for task in left:
            task.fail(self._ended)

    def end(self, reason: BaseException) -> None:
        """Refuse documents, and end the thread after the portion at hand, if it comes to an end."""
        self.refuse(reason)
        with self._wake:
            self._wake.wait_for(lambda: self._current is None, _LAST_SECONDS)
            given_up, self._current = self._current, None
        if given_up is not None:
            given_up.fail(reason)

    def _run(self) -> None:
        while (task := self._next()) is not None:
            answer = self._step(task)
            with self._wake:
                if self._current is not task:  # given up, and answered
                    return
                if answer is None and self._ended is not None:
                    answer = partial(task.fail, self._ended)
                elif answer is None:
                    self._tasks.append(task)
                self._current = None
                self._wake.notify_all()
            if answer is not None:
                answer()

    def _next(self) -> _Task | None:
        """Return the task whose turn it is, once there is one; None at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._tasks or self._ended is not None)
            self._current = self._tasks.popleft() if self._tasks else None
            return self._current

    def _step(self, task: _Task) -> Callable[[], None] | None:
        """Encode the next portion of a task; return how to answer it, if it is over."""
        try:
            portion = task.portion()
            made = self._index.encode_ahead(portion)
            if made is not None:
                task.made.append(made)
                task.done += len(portion)
                if task.done < len(task.documents):
                    return None
            ahead = None if made is None else EncodedAhead.concatenate(task.made)
        except BaseException as error:  # the thread must outlive whatever happens
            return partial(task.fail, error)
        return partial(task.finish, ahead)


def is_any_reading() -> bool:
    """Return whether a thread has not ended: it reads what was given up."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def _characters(document: Mapping[str, Any]) -> int:
    return sum(len(document.get(name) or "") for name in ("title", "text"))
