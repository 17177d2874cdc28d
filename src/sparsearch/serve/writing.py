"""Writing: one thread a collection, which commits the requests that wait together at once.

What a model has to read is read before, on a thread of its own (see `encoding`). A request is
answered after the commit that holds it. Requests that wait at the same time have no
order among them, so a group is committed kind by kind: documents, then vectors, then deletions.
Writes need no key of idempotence: repeating an upsert or a deletion leaves the same state.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    FilterError,
    IndexLockedError,
    IndexReplacedError,
    SparsearchError,
    StorageError,
    shorten,
)
from sparsearch.index import EncodedAhead, Index
from sparsearch.serve.config import Limits
from sparsearch.serve.encoding import AheadEncoder
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.role import WriterRole
from sparsearch.vectors import SparseVectors

__all__ = ["Deletion", "GroupWriter", "Put", "WriterEvents"]

_log = logging.getLogger("sparsearch.serve")

_GROUP_REQUESTS = 1000
_LOCK_PAUSE = 0.05


@dataclass(frozen=True)
class Put:
    """Documents to add or, where `replace`, to put in the place of those with their ids.

    Parameters
    ----------
    documents : sequence of mapping
        Checked, with their ids.
    vectors : SparseVectors or None
        One row a document; None where the index's encoder makes them.
    replace : bool
    ahead : EncodedAhead or None
        What the encoder's model made of the documents (see `Index.encode_ahead`).
    """

    documents: Sequence[Mapping[str, Any]]
    vectors: SparseVectors | None
    replace: bool
    ahead: EncodedAhead | None = None


@dataclass(frozen=True)
class Deletion:
    """Documents to delete: by their ids, or all that meet a filter.

    Parameters
    ----------
    ids : sequence of str
        Unknown ones are refused unless `missing_ok`.
    missing_ok : bool
    filter : mapping or None
        In place of ids.
    """

    ids: Sequence[str]
    missing_ok: bool
    filter: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Request:
    write: Put | Deletion
    done: Future[int] = field(default_factory=Future)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


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
        self._encoder = AheadEncoder(index)
        self._waiting: deque[_Request] = deque()
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

    def submit(self, write: Put | Deletion, size: int) -> Future[int]:
        """Queue a write of so many bytes; the result is how many documents it added or deleted.

        Raises
        ------
        ServiceError
            429 if too much waits already, 503 if the server is about to end, 409 if another server
            writes to this index.
        IndexReplacedError
            If another index was put in the place of this one.
        """
        request = _Request(write)
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
        if isinstance(write, Put) and write.vectors is None and self._index.reads_with_model:
            self._encode(request, write)
        else:
            self._enqueue(request)
        return request.done

    def stop_encoding(self) -> None:
        """Refuse what a model has not read yet, and all writes from now on."""
        with self._wake:
            self._refusing = True
        self._encoder.end(_shutting_down())

    def close(self) -> None:
        """Commit what waits, then end the threads and let go of the role."""
        self.stop_encoding()  # what it has finished is committed
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        try:
            self._merging.close()
        except SparsearchError as error:
            _log.error("merging: %s", error)
        self._role.release()

    def _encode(self, request: _Request, put: Put) -> None:
        """Let the documents be read by the encoder's model, then enqueue them."""

        def finish(ahead: EncodedAhead | None) -> None:
            self._enqueue(replace(request, write=replace(put, ahead=ahead)))

        self._encoder.start(put.documents, finish, request.fail)

    def _enqueue(self, request: _Request) -> None:
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
                for request in group:
                    request.fail(error)
                if self._replaced and self._events.on_replaced():
                    self._end(error)
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

    def _commit(self, group: Sequence[_Request]) -> None:
        self._merge_in_background()
        start = time.perf_counter()
        kinds: dict[str, list[_Request]] = {"documents": [], "vectors": [], "deletions": []}
        for request in group:
            kinds[_kind(request.write)].append(request)
        for name, work in zip(kinds, (self._put, self._put, self._delete), strict=True):
            if kinds[name]:
                self._with_lock(work, kinds[name])
        self._events.on_commit(len(group), time.perf_counter() - start)

    def _with_lock(
        self, work: Callable[[Sequence[_Request]], None], requests: Sequence[_Request]
    ) -> None:
        """Do some work, waiting a while if another process is writing to the index."""
        end = time.monotonic() + self._limits.lock_seconds
        while (locked := self._attempt(work, requests)) is not None:
            if time.monotonic() >= end:
                for request in requests:
                    request.fail(locked)
                return
            time.sleep(_LOCK_PAUSE)

    def _attempt(
        self, work: Callable[[Sequence[_Request]], None], requests: Sequence[_Request]
    ) -> IndexLockedError | None:
        """Do some work on the requests not answered yet; return why it cannot be done now."""
        try:
            # As one: nobody else adds an id after it was found to be free.
            with self._index.locked():
                work([request for request in requests if not request.done.done()])
        except IndexLockedError as error:
            return error
        return None

    def _put(self, requests: Sequence[_Request]) -> None:
        accepted = self._refuse_taken(requests)
        try:
            self._put_together([request.write for request in accepted])
        except (IndexLockedError, StorageError):
            raise
        except SparsearchError as error:
            if len(accepted) == 1:
                accepted[0].fail(error)
                return
            for request in accepted:  # so that only the one at fault fails
                self._put_alone(request)
        for request in accepted:
            if not request.done.done():
                request.done.set_result(_count(request.write))

    def _put_alone(self, request: _Request) -> None:
        try:
            self._put_together([request.write])
        except SparsearchError as error:
            request.fail(error)

    def _refuse_taken(self, requests: Sequence[_Request]) -> list[_Request]:
        """Return the requests to go on with: all but those that add what is there."""
        accepted = []
        taken: set[str] = set()
        for request in requests:
            put = request.write
            assert isinstance(put, Put)
            ids = [document["id"] for document in put.documents]
            if not put.replace:
                clash = _first_taken(self._index, ids, taken)
                if clash is not None:
                    reason = "its id is taken, by the collection or earlier in this request"
                    request.fail(DuplicateIdError(clash, ids[clash], f"{reason}; see upsert"))
                    continue
            taken.update(ids)
            accepted.append(request)
        return accepted

    def _put_together(self, puts: Sequence[Put | Deletion]) -> None:
        """Put documents in one call. Those to be added were looked up, under the same lock."""
        documents: list[Mapping[str, Any]] = []
        batches: list[SparseVectors] = []
        aheads: list[EncodedAhead] = []
        for put in puts:
            assert isinstance(put, Put)
            documents += put.documents
            if put.vectors is not None:
                batches.append(put.vectors)
            if put.ahead is not None:
                aheads.append(put.ahead)
        if not batches:
            ahead = EncodedAhead.concatenate(aheads) if len(aheads) == len(puts) else None
            self._index.upsert(documents, ahead=ahead)
            return
        ids = [document["id"] for document in documents]
        vectors = SparseVectors.concatenate(batches)
        self._index.add_vectors(ids, vectors, documents, replace=True)

    def _delete(self, requests: Sequence[_Request]) -> None:
        gone: set[str] = set()
        accepted: list[tuple[_Request, int]] = []
        for request in requests:
            deletion = request.write
            assert isinstance(deletion, Deletion)
            if deletion.filter is not None:
                continue
            distinct = list(dict.fromkeys(deletion.ids))
            present = [i for i in distinct if i not in gone and self._index.has_document(i)]
            if len(present) < len(distinct) and not deletion.missing_ok:
                missing = next(i for i in distinct if i in gone or not self._index.has_document(i))
                reason = f"no document has the id {shorten(missing)}; nothing was deleted"
                request.fail(DocumentNotFoundError(reason))
                continue
            gone.update(present)
            accepted.append((request, len(present)))
        if gone:
            self._index.delete(sorted(gone), missing_ok=True)
        for request, count in accepted:
            request.done.set_result(count)
        for request in requests:
            if isinstance(request.write, Deletion) and request.write.filter is not None:
                self._delete_matching(request, request.write.filter)

    def _delete_matching(self, request: _Request, filter: Mapping[str, Any]) -> None:
        try:
            request.done.set_result(self._index.delete_matching(filter))
        except FilterError as error:
            request.fail(error)


def _shutting_down() -> ServiceError:
    reason = "the server is about to end; try another, or again later"
    return ServiceError(503, "shutting_down", reason, retry_after=5)


def _kind(write: Put | Deletion) -> str:
    if isinstance(write, Deletion):
        return "deletions"
    return "documents" if write.vectors is None else "vectors"


def _count(write: Put | Deletion) -> int:
    return len(write.documents) if isinstance(write, Put) else len(write.ids)


def _first_taken(index: Index, ids: Sequence[str], taken: set[str]) -> int | None:
    """Return the position of the first id that the index, `taken` or an earlier one has."""
    seen: set[str] = set()
    for position, identifier in enumerate(ids):
        if identifier in taken or identifier in seen or index.has_document(identifier):
            return position
        seen.add(identifier)
    return None
