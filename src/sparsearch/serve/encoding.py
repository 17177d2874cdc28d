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
from typing import Any

from sparsearch.index import EncodedAhead, Index

__all__ = ["AheadEncoder"]

_PORTION = 8
"""Documents of a request read before it is another one's turn: a quarter of a second or so."""


@dataclass
class _Task:
    documents: Sequence[Mapping[str, Any]]
    finish: Callable[[EncodedAhead | None], None]
    fail: Callable[[BaseException], None]
    made: list[EncodedAhead] = field(default_factory=list)
    done: int = 0


class AheadEncoder:
    """Encodes documents on a thread that is started when there are any.

    Parameters
    ----------
    index : Index
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._tasks: deque[_Task] = deque()
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
                    self._thread = threading.Thread(target=self._run, name="sparsearch-encoder")
                    self._thread.start()
                self._wake.notify()
                return
        fail(self._ended)

    def end(self, reason: BaseException) -> None:
        """End the thread after the portion at hand; all that is not finished fails for a reason."""
        with self._wake:
            self._ended = self._ended or reason
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
        with self._wake:
            left, self._tasks = self._tasks, deque()
        for task in left:
            task.fail(self._ended)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._tasks or self._ended is not None)
                if self._ended is not None:
                    return
                task = self._tasks.popleft()
            if not self._step(task):
                with self._wake:
                    self._tasks.append(task)

    def _step(self, task: _Task) -> bool:
        """Encode the next portion of a task; return whether it is over."""
        try:
            portion = task.documents[task.done : task.done + _PORTION]
            made = self._index.encode_ahead(portion)
            if made is not None:
                task.made.append(made)
                task.done += len(portion)
                if task.done < len(task.documents):
                    return False
            ahead = None if made is None else EncodedAhead.concatenate(task.made)
        except BaseException as error:  # the thread must outlive whatever happens
            task.fail(error)
        else:
            task.finish(ahead)
        return True
