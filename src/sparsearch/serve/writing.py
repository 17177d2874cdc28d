"""Writing: one thread a collection, which commits the requests that wait together at once.

What a model has to read is read before, on a thread of its own (see `encoding`). A request is
answered after the commit that holds it (see `commits`). Writes need no key of idempotence:
repeating an upsert or a deletion leaves the same state.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from sparsearch.errors import IndexLockedError, IndexReplacedError, SparsearchError
from sparsearch.index import EncodedAhead, Index
from sparsearch.serve.commits import Commits
from sparsearch.serve.config import Limits
from sparsearch.serve.encoding import AheadEncoder
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.role import WriterRole
from sparsearch.serve.writes import Put, Request, Write

__all__ = ["GroupWriter", "WriterEvents"]

_log = logging.getLogger("sparsearch.serve")

_GROUP_REQUESTS = 1000


@dataclass(frozen=True)
class WriterEvents:
    """What a writer tells.

    Parameters
    ----------
    on_commit : callable
        Called with the number of requests of each group and the seconds it took.
    on_replaced : callable
        Called when the index's folder was replaced, and again while it is; the writer ends when it
        returns true.
    """

    on_commit: Callable[[int, float], None] = lambda requests, seconds: None
    on_replaced: Callable[[], bool] = lambda: False


class GroupWriter:
    """The writer thread of a collection; between writes it follows what other processes write.

    Parameters
    ----------
    index : Index
    role : WriterRole
    limits : Limits
    refresh_seconds : float
        How often to follow.
    events : WriterEvents, optional
    """

    def __init__(
        self,
        index: Index,
        role: WriterRole,
        limits: Limits,
        refresh_seconds: float = 1.0,
        events: WriterEvents = WriterEvents(),
    ) -> None:
        self._index = index
        self._role = role
        self._limits = limits
        self._refresh_seconds = refresh_seconds
        self._events = events
        self._commits = Commits(index, limits.lock_seconds)
        self._encoder = AheadEncoder(index)
        self._waiting: deque[Request] = deque()
        self._taken = 0
        self._bytes = 0
        self._wake = threading.Condition()
        self._refusing = False
        self._closing = False
        self._ended: BaseException | None = None
        self._replaced = False
        self._merging = ExitStack()
        self._merges = False
        role.take()
        self._thread = threading.Thread(target=self._run, name="sparsearch-writer")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that were taken and not answered yet."""
        return self._taken

    @property
    def can_write(self) -> bool:
        """Whether this server is the one that writes to the index."""
        return self._role.held

    @property
    def alive(self) -> bool:
        """Whether the thread does its work, on the index that is there."""
        return self._thread.is_alive() and not self._replaced

    def submit(self, write: Write, size: int) -> Future[int]:
        """Queue a write of so many bytes; the result is how many documents it added or deleted.

        Raises
        ------
        ServiceError
            429 if too much waits already, 503 if the server is about to end, 409 if another server
            writes to this index.
        IndexReplacedError
            If another index was put in the place of this one.
        """
        request = Request(write)
        with self._wake:
            if self._refusing:
                if self._replaced:
                    raise IndexReplacedError("another index was put in the place of this one")
                raise _shutting_down()
            full = self._taken >= self._limits.writes_waiting
            if full or (self._taken and self._bytes + size > self._limits.writes_bytes):
                reason = "too many writes wait for this collection; try again later"
                raise ServiceError(429, "write_queue_full", reason, retry_after=1)
            if not self._role.take():
                reason = (
                    "this server only reads this collection: another one writes to it, it was "
                    "started with --read-only, or it may not write to the folder"
                )
                raise ServiceError(409, "read_only", reason)
            self._taken += 1
            self._bytes += size
            request.done.add_done_callback(lambda done: self._forget(size))
        if isinstance(write, Put) and write.for_model:
            self._encode(request, write)
        else:
            self._enqueue(request)
        return request.done

    def refuse(self) -> None:
        """Refuse all writes from now on, and what no model has begun to read."""
        with self._wake:
            self._refusing = True
        self._encoder.refuse(_shutting_down())

    def stop_encoding(self) -> None:
        """Refuse what a model has not read yet, and all writes from now on."""
        self.refuse()
        self._encoder.end(_shutting_down())

    def close(self) -> None:
        """Commit what waits, then end the threads and let go of the role."""
        self.stop_encoding()  # what it has finished is committed
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._let_go()

    def _encode(self, request: Request, put: Put) -> None:
        """Let the documents be read by the encoder's model, then enqueue them."""

        def finish(ahead: EncodedAhead | None) -> None:
            self._enqueue(replace(request, write=replace(put, ahead=ahead)))

        self._encoder.start(put.documents, finish, request.fail)

    def _enqueue(self, request: Request) -> None:
        with self._wake:
            if self._ended is None:
                self._waiting.append(request)
                self._wake.notify()
                return
        request.fail(self._ended)

    def _forget(self, size: int) -> None:
        """Give a request's room in the queue to others: it is answered."""
        with self._wake:
            self._taken -= 1
            self._bytes -= size
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                # What was taken and does not wait yet is about to.
                if not self._waiting and (self._taken or not self._closing):
                    self._wake.wait(self._refresh_seconds)
                size = min(len(self._waiting), _GROUP_REQUESTS)
                group = [self._waiting.popleft() for _ in range(size)]
                if not group and self._closing and not self._taken:
                    return
            try:
                if group:
                    self._commit(group)
                else:
                    self._index.refresh()
                self._replaced = False
            except BaseException as error:  # the thread must outlive whatever happens
                self._report(error)
                while group:  # emptied, as the error's traceback holds it
                    group.pop().fail(error)
                if self._replaced and self._events.on_replaced():
                    self._end(error)
                    self._let_go()  # the index may be put back before this one is closed
                    return

    def _end(self, error: BaseException) -> None:
        """Take no more requests, and answer all that wait with an error."""
        with self._wake:
            self._refusing = True
        self._encoder.end(error)
        with self._wake:
            self._ended = error
            left, self._waiting = self._waiting, deque()
        for request in left:
            request.fail(error)

    def _let_go(self) -> None:
        """Leave writing to the index to whoever asks next."""
        self._role.release()
        try:
            self._merging.close()
        except Exception as error:  # whatever it is, the index must be closed
            _log.error("merging: %s", error, exc_info=not isinstance(error, SparsearchError))

    def _report(self, error: BaseException) -> None:
        """Log an error; but that there is another index now, only once."""
        known, self._replaced = self._replaced, isinstance(error, IndexReplacedError)
        if not (known and self._replaced):
            _log.error("writer: %s", error, exc_info=not isinstance(error, SparsearchError))

    def _merge_in_background(self) -> None:
        """From the first write on, leave merging to a thread, unless another process does it."""
        if not self._merges:
            with suppress(IndexLockedError):
                self._merging.enter_context(self._index.merging_in_background())
                self._merges = True

    def _commit(self, group: Sequence[Request]) -> None:
        self._merge_in_background()
        start = time.perf_counter()
        self._commits.commit(group)
        self._events.on_commit(len(group), time.perf_counter() - start)


def _shutting_down() -> ServiceError:
    reason = "the server is about to end; try another, or again later"
    return ServiceError(503, "shutting_down", reason, retry_after=5)
