"""Vectors on their way into an index, batch by batch: from outside, or made ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.index.documents import Record, check_vectors
from sparsearch.vectors import SparseVectors, VectorBatch

__all__ = ["AheadFeed", "Given", "VectorFeed", "given_batches"]

Given = tuple[Sequence[str], SparseVectors, Sequence[Mapping[str, Any]] | None]
"""Ids, one vector each and, where there are any, the fields to store with each."""


def given_batches(batches: Iterable[VectorBatch]) -> Iterator[Given]:
    """Yield what `VectorFeed` takes of batches of vectors.

    Raises
    ------
    InvalidInputError
        When there are no batches, or something is none.
    """
    if not isinstance(batches, Iterable):
        raise InvalidInputError(f"batches are {shorten(batches)}, not a sequence of VectorBatch")
    for batch in batches:
        if not isinstance(batch, VectorBatch):
            raise InvalidInputError(f"{shorten(batch)} is no VectorBatch")
        yield batch.ids, batch.vectors, _documents(batch)


class VectorFeed:
    """Records one by one, and then their vectors in portions of any size.

    Parameters
    ----------
    batches : iterable of Given
        Held one at a time, apart from what was not asked for yet.
    translate : callable
        From the vectors of a batch, and whether it is the first, to the same in the index's terms.
    """

    def __init__(
        self,
        batches: Iterable[Given],
        translate: Callable[[SparseVectors, bool], SparseVectors],
    ) -> None:
        self._batches = batches
        self._translate = translate
        self._waiting: deque[SparseVectors] = deque()

    def records(self) -> Iterator[Record]:
        """Yield the documents, a batch checked before any of it is given.

        Raises
        ------
        InvalidInputError, InvalidVectorError, InvalidDocumentError
            See `check_vectors`; positions are counted from the first batch.
        VocabularyMismatchError
            When the index is of another kind.
        """
        start = 0
        for ids, vectors, documents in self._batches:
            records = check_vectors(ids, vectors, documents, start)
            self._waiting.append(self._translate(vectors, start == 0))
            yield from records
            start += len(records)

    def vectors(self, records: Sequence[Record]) -> SparseVectors:
        """Return the vectors of the records that come next."""
        wanted = len(records)
        taken: list[SparseVectors] = []
        while wanted > 0:
            batch = self._waiting.popleft()
            if len(batch) > wanted:
                self._waiting.appendleft(batch[wanted:])
                batch = batch[:wanted]
            taken.append(batch)
            wanted -= len(batch)
        return taken[0] if len(taken) == 1 else SparseVectors.concatenate(taken)


class AheadFeed:
    """The vectors of documents whose model ran before.

    Parameters
    ----------
    ahead : SparseVectors
        What the model made, one row a document.
    complete : callable
        From records, and what the model made of them, to their vectors.
    """

    def __init__(
        self,
        ahead: SparseVectors,
        complete: Callable[[Sequence[Record], SparseVectors], SparseVectors],
    ) -> None:
        self._ahead = ahead
        self._complete = complete
        self._start = 0

    def vectors(self, records: Sequence[Record]) -> SparseVectors:
        """Return the vectors of the records that come next.

        Raises
        ------
        InvalidInputError
            When there are more records than rows.
        """
        stop = self._start + len(records)
        if stop > len(self._ahead):
            reason = f"ahead has {len(self._ahead):,} rows and there are more documents or passages"
            raise InvalidInputError(f"{reason}; give what encode_ahead made of all of them")
        part = self._ahead[self._start : stop]
        self._start = stop
        return self._complete(records, part)

    def finish(self) -> None:
        """Make sure that all rows were taken.

        Raises
        ------
        InvalidInputError
            When they were not: they were made of other documents.
        """
        left = len(self._ahead) - self._start
        if left:
            reason = (
                f"ahead had {left:,} rows more than there were documents, so it was made of others"
            )
            raise InvalidInputError(f"{reason}; delete what was added and add it without ahead")


def _documents(batch: VectorBatch) -> list[Mapping[str, Any]]:
    return [
        {**metadata, **({"text": contents} if contents else {})}
        for contents, metadata in zip(batch.contents, batch.metadata, strict=True)
    ]
