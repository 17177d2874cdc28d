"""Vectors on their way into an index, batch by batch: from outside, or made ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.index.documents import Record, check_vectors
from sparsearch.index.segment import hash_ids
from sparsearch.vectors import SparseVectors, VectorBatch

__all__ = ["AheadFeed", "EncodedAhead", "Given", "VectorFeed", "given_batches"]

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
            start += len(vectors)

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


@dataclass(frozen=True)
class EncodedAhead:
    """What a model made of documents before they are added; see `Index.encode_ahead`.

    Parameters
    ----------
    vectors : SparseVectors
        One row a document or, where texts are cut, passage.
    texts : ndarray of uint64
        A hash of the text of each.
    """

    vectors: SparseVectors
    texts: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, records: Sequence[Record], vectors: SparseVectors) -> EncodedAhead:
        """Put together what was made of records."""
        return cls(vectors, hash_ids(record.content for record in records))

    @classmethod
    def concatenate(cls, parts: Sequence[EncodedAhead]) -> EncodedAhead:
        """Return what was made of the documents of several calls, in their order."""
        vectors = SparseVectors.concatenate([part.vectors for part in parts])
        return cls(vectors, np.concatenate([part.texts for part in parts]))


class AheadFeed:
    """The vectors of documents whose model ran before.

    Parameters
    ----------
    ahead : EncodedAhead
    complete : callable
        From records, and what the model made of them, to their vectors.

    Raises
    ------
    InvalidInputError
        When it is something else.
    """

    def __init__(
        self,
        ahead: EncodedAhead,
        complete: Callable[[Sequence[Record], SparseVectors], SparseVectors],
    ) -> None:
        if not isinstance(ahead, EncodedAhead):
            reason = f"ahead is {shorten(ahead)}"
            raise InvalidInputError(f"{reason}; give what encode_ahead made of the documents")
        self._ahead = ahead
        self._complete = complete
        self._start = 0

    def vectors(self, records: Sequence[Record]) -> SparseVectors:
        """Return the vectors of the records that come next.

        Raises
        ------
        InvalidInputError
            When they are not what was encoded ahead.
        """
        stop = self._start + len(records)
        part = slice(self._start, stop)
        texts = hash_ids(record.content for record in records)
        known = self._ahead.texts[part]
        same = known == texts[: len(known)]
        if len(known) < len(texts) or not same.all():
            which = int(np.argmin(same)) if not same.all() else len(known)
            reason = f"ahead was not made of the text of document {shorten(records[which].id)}"
            raise InvalidInputError(f"{reason}; give what encode_ahead made of these documents")
        self._start = stop
        return self._complete(records, self._ahead.vectors[part])


def _documents(batch: VectorBatch) -> list[Mapping[str, Any]]:
    return [
        {**metadata, **({"text": contents} if contents else {})}
        for contents, metadata in zip(batch.contents, batch.metadata, strict=True)
    ]
