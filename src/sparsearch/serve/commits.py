"""Committing a group of requests: together, or each alone where one is at fault.

Requests that wait at the same time have no order among them, so a group is committed kind by kind:
documents, then vectors, then deletions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    FilterError,
    IndexLockedError,
    SparsearchError,
    StorageError,
    VocabularyMismatchError,
    shorten,
)
from sparsearch.index import EncodedAhead, Index
from sparsearch.index.translate import translate
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.writes import Deletion, FilterDeletion, Put, Request
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Commits"]

_LOCK_PAUSE = 0.05

_Kind = TypeVar("_Kind")
_Requests = Sequence[tuple[Request, _Kind]]
"""Requests with their writes, all of one kind."""


class Commits:
    """Writes what is asked for to an index, and answers.

    Parameters
    ----------
    index : Index
    lock_seconds : float
        How long to wait for another process that is writing to the index.
    """

    def __init__(self, index: Index, lock_seconds: float) -> None:
        self._index = index
        self._lock_seconds = lock_seconds

    def commit(self, group: Sequence[Request]) -> None:
        """Commit a group of requests and answer them.

        Raises
        ------
        SparsearchError
            When the index cannot be written to; requests may be left unanswered.
        """
        puts = [(r, r.write) for r in group if isinstance(r.write, Put)]
        self._with_lock(self._put, [pair for pair in puts if pair[1].vectors is None])
        self._with_lock(self._put, [pair for pair in puts if pair[1].vectors is not None])
        deletions = [(r, r.write) for r in group if isinstance(r.write, (Deletion, FilterDeletion))]
        self._with_lock(self._delete, deletions)

    def _with_lock(
        self, work: Callable[[_Requests[_Kind]], None], requests: _Requests[_Kind]
    ) -> None:
        """Do some work, waiting a while if another process is writing to the index."""
        if not requests:
            return
        end = time.monotonic() + self._lock_seconds
        while (locked := self._attempt(work, requests)) is not None:
            if time.monotonic() >= end:
                for request, _ in requests:
                    request.fail(locked)
                return
            time.sleep(_LOCK_PAUSE)

    def _attempt(
        self, work: Callable[[_Requests[_Kind]], None], requests: _Requests[_Kind]
    ) -> IndexLockedError | None:
        """Do some work on the requests not answered yet; return why it cannot be done now."""
        try:
            # As one: nobody else adds an id after it was found to be free.
            with self._index.locked():
                work([pair for pair in requests if not pair[0].done.done()])
        except IndexLockedError as error:
            return error
        return None

    def _put(self, requests: _Requests[Put]) -> None:
        accepted = self._refuse_taken(requests)
        try:
            self._put_together([put for _, put in accepted])
        except (IndexLockedError, StorageError):
            raise
        except SparsearchError as error:
            if len(accepted) == 1:
                accepted[0][0].fail(_told(error, accepted[0][1]))
                return
            for request, put in accepted:  # so that only the one at fault fails
                self._put_alone(request, put)
        for request, put in accepted:
            if not request.done.done():
                request.done.set_result(len(put.documents))

    def _put_alone(self, request: Request, put: Put) -> None:
        try:
            self._put_together([put])
        except SparsearchError as error:
            request.fail(_told(error, put))

    def _refuse_taken(self, requests: _Requests[Put]) -> list[tuple[Request, Put]]:
        """Return the requests to go on with: all but those that add what is there."""
        accepted = []
        taken: set[str] = set()
        for request, put in requests:
            ids = [document["id"] for document in put.documents]
            if not put.replace:
                clash = _first_taken(self._index, ids, taken)
                if clash is not None:
                    reason = "its id is taken, by the collection or earlier in this request"
                    request.fail(DuplicateIdError(clash, ids[clash], f"{reason}; see upsert"))
                    continue
            taken.update(ids)
            accepted.append((request, put))
        return accepted

    def _put_together(self, puts: Sequence[Put]) -> None:
        """Put documents in one call. Those to be added were looked up, under the same lock."""
        documents: list[Mapping[str, Any]] = []
        batches: list[SparseVectors] = []
        aheads: list[EncodedAhead] = []
        for put in puts:
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
        self._index.add_vectors(ids, _joined(batches), documents, replace=True)

    def _delete(self, requests: _Requests[Deletion | FilterDeletion]) -> None:
        self._delete_ids([(r, write) for r, write in requests if isinstance(write, Deletion)])
        for request, write in requests:
            if isinstance(write, FilterDeletion):
                self._delete_matching(request, write.filter)

    def _delete_ids(self, requests: _Requests[Deletion]) -> None:
        gone: set[str] = set()
        accepted: list[tuple[Request, int]] = []
        for request, deletion in requests:
            ids = dict.fromkeys(deletion.ids)
            absent = [i for i in ids if i in gone or not self._index.has_document(i)]
            if absent and not deletion.missing_ok:
                reason = f"no document has the id {shorten(absent[0])}; nothing was deleted"
                request.fail(DocumentNotFoundError(reason))
                continue
            gone.update(ids.keys() - set(absent))
            accepted.append((request, len(ids) - len(absent)))
        if gone:
            self._index.delete(sorted(gone), missing_ok=True)
        for request, count in accepted:
            request.done.set_result(count)

    def _delete_matching(self, request: Request, filter: Mapping[str, Any]) -> None:
        try:
            request.done.set_result(self._index.delete_matching(filter))
        except FilterError as error:
            request.fail(error)


def _told(error: SparsearchError, put: Put) -> Exception:
    """Return an error as it is answered: that vectors given do not fit is the client's mistake.

    An encoder that cannot be used raises errors of the same kind, which may name its files.
    """
    if isinstance(error, VocabularyMismatchError) and put.vectors is not None:
        return ServiceError(422, "vocabulary_mismatch", str(error))
    return error


def _joined(batches: Sequence[SparseVectors]) -> SparseVectors:
    """Return vectors as one batch; those with terms as strings have a vocabulary each.

    Raises
    ------
    VocabularyMismatchError
        If some have terms as strings and others as ids.
    """
    if len(batches) == 1 or all(batch.vocabulary is None for batch in batches):
        return SparseVectors.concatenate(batches)
    vocabulary = Vocabulary()
    joined = []
    for batch in batches:
        if batch.vocabulary is None and batch.nnz == 0:  # of either kind
            batch = SparseVectors.from_trusted(
                batch.offsets, batch.term_ids, batch.weights, vocabulary
            )
        joined.append(translate(batch, vocabulary, grow=True))
    return SparseVectors.concatenate(joined)


def _first_taken(index: Index, ids: Sequence[str], taken: set[str]) -> int | None:
    """Return the position of the first id that the index, `taken` or an earlier one has."""
    seen: set[str] = set()
    for position, identifier in enumerate(ids):
        if identifier in taken or identifier in seen or index.has_document(identifier):
            return position
        seen.add(identifier)
    return None
