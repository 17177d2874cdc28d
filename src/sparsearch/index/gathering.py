"""Documents between the caller and the next commit: what was accepted, and how far a source got."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsearch.index.config import IndexConfig
from sparsearch.index.documents import Record
from sparsearch.index.passages import passage_ids
from sparsearch.storage import Catalog, SourceProgress
from sparsearch.vectors import SparseVectors

__all__ = ["Accepted", "Buffer", "Progress", "batches"]


class Buffer:
    """Documents not sealed yet, and their vectors."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.payloads: list[bytes] = []
        self.metadata: list[Mapping[str, Any]] = []
        self.vectors: list[SparseVectors] = []
        self.newest: dict[str, int] = {}
        self.replaced: list[int] = []
        self.payload_bytes = 0
        self.postings = 0

    def extend(self, records: Sequence[Record], vectors: SparseVectors) -> None:
        """Take documents in, or their passages with one vector each.

        One of an id that is here already takes the other's place.
        """
        for record in records:
            parts = record.stored
            if parts[0].id in self.newest:
                self._replace(record)
            for part in parts:
                self.newest[part.id] = len(self.ids)
                self.ids.append(part.id)
                self.payloads.append(part.payload)
                self.metadata.append(part.metadata)
                self.payload_bytes += len(part.payload)
        self.vectors.append(vectors)
        self.postings += vectors.nnz

    def _replace(self, record: Record) -> None:
        """Mark what is here of an earlier document of the same id."""
        for stored_id in passage_ids(record.id) if record.passages else (record.id,):
            row = self.newest.pop(stored_id, None)
            if row is None:
                return
            self.replaced.append(row)

    def is_full(self, config: IndexConfig, most_postings: int) -> bool:
        """Whether it is time for a commit."""
        return (
            len(self.ids) >= config.portion
            or self.payload_bytes >= config.segment_bytes
            or self.postings >= most_postings
        )


@dataclass(frozen=True)
class Accepted:
    """What becomes of a batch of records.

    Parameters
    ----------
    added : sequence of Record
        To be stored.
    read : sequence of Record
        These and those left out: all before the first that is refused.
    refusal : Exception or None
        Why that one is refused.
    """

    added: Sequence[Record]
    read: Sequence[Record]
    refusal: Exception | None = None


class Progress:
    """How far a call got, and the source that its documents come from."""

    def __init__(self, catalog: Catalog, source: str | None) -> None:
        earlier = catalog.source(source) if source is not None else None
        self._source = source
        self._earlier = earlier.consumed if earlier else 0
        self._last_id = earlier.last_id if earlier else ""
        self.read = 0
        self.added = 0
        self.finished = False

    def advance(self, accepted: Accepted) -> None:
        """Count a batch."""
        self.added += len(accepted.added)
        self.read += len(accepted.read)
        if accepted.read:
            self._last_id = accepted.read[-1].id

    def to_rows(self) -> dict[str, SourceProgress]:
        """Return what a commit remembers of the source."""
        if self._source is None:
            return {}
        consumed = self._earlier + self.read
        return {self._source: SourceProgress(consumed, self._last_id, self.finished)}


def batches(
    records: Iterable[Record], size: int, most_bytes: int
) -> Iterator[tuple[list[Record], Exception | None]]:
    """Gather batches; a failure of the iterable comes with the records that preceded it.

    A batch ends where it has `size` records to store, passages where texts are cut, or
    `most_bytes` of their stored fields.
    """
    iterator = iter(records)
    while True:
        batch: list[Record] = []
        room, bytes_left = size, most_bytes
        try:
            while min(room, bytes_left) > 0 and (record := next(iterator, None)) is not None:
                batch.append(record)
                parts = record.stored
                room -= len(parts)
                for part in parts:
                    bytes_left -= len(part.payload)
        except Exception as failure:
            yield batch, failure
            return
        if not batch:
            return
        yield batch, None
