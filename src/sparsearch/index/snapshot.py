"""A frozen view of one generation of an index: what a reader searches until it refreshes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sparsearch.errors import FilterError, IndexCorruptError, shorten
from sparsearch.index.allowed import (
    Allowed,
    KnownFilters,
    filter_key,
    refuse_incomparable,
    segment_mask,
)
from sparsearch.index.documents import Document, decode_payload
from sparsearch.index.filters import Filter, Mask, parse_filter
from sparsearch.index.id_column import ID_FIELD
from sparsearch.index.segment import Segment, hash_ids
from sparsearch.storage import Catalog, CatalogState, SegmentFiles
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Snapshot"]

_FEW_DOCUMENTS = 2048
"""So many documents are scored one by one as fast as candidates are found among a million."""

_FEW_SHARE = 64
"""A document scored by itself takes as long as so many in an exact search of all."""

_OPEN_ATTEMPTS = 20
_NAMED_FIELDS = 20
"""Fields that the error for an unknown one names at most."""


@dataclass(frozen=True)
class Snapshot:
    """Segments and deletions of one generation.

    A document is known by its *number*: its place in insertion order, deleted ones counted.

    Parameters
    ----------
    generation : int
    segments : tuple of Segment
    deleted : tuple of (ndarray of bool or None)
        Per segment.
    vocabulary_size : int
        Terms committed at that generation.
    former_fields : frozenset of str
        Metadata fields that documents of earlier generations had. A filter may name them: whether
        the last document of a kind is there must not decide between an answer and an error.
    """

    generation: int
    segments: tuple[Segment, ...]
    deleted: tuple[npt.NDArray[np.bool_] | None, ...]
    vocabulary_size: int
    former_fields: frozenset[str] = frozenset()

    @classmethod
    def open(cls, catalog: Catalog, files: SegmentFiles, known: Sequence[Segment] = ()) -> Snapshot:
        """Open the last committed generation; segments that are already open are used again.

        Raises
        ------
        IndexCorruptError
            If a segment is missing or damaged.
        """
        cached = {segment.stored.uid: segment for segment in known}
        for attempt in range(_OPEN_ATTEMPTS):
            state = catalog.state()
            try:
                return cls._from_state(state, files, cached)
            except (FileNotFoundError, IndexCorruptError) as error:
                # A writer may have merged segments away since the state was read; then the
                # generation moved on, and the newer state is whole.
                last_attempt = attempt == _OPEN_ATTEMPTS - 1
                if catalog.generation() == state.generation or last_attempt:
                    if isinstance(error, IndexCorruptError):
                        raise
                    reason = f"{files.folder}: a segment is missing ({error}); restore a backup"
                    raise IndexCorruptError(reason) from error
        raise AssertionError("unreachable")

    @classmethod
    def _from_state(
        cls, state: CatalogState, files: SegmentFiles, known: Mapping[str, Segment]
    ) -> Snapshot:
        segments = tuple(
            known.get(record.stored.uid) or Segment.open(files, record.stored)
            for record in state.segments
        )
        deleted = tuple(record.deleted for record in state.segments)
        return cls(state.generation, segments, deleted, state.vocabulary_size, state.fields)

    @cached_property
    def bases(self) -> list[int]:
        """Number of the first document of each segment, and one more than the last's."""
        counts = [segment.n_documents for segment in self.segments]
        return [0, *np.cumsum(counts, dtype=np.int64).tolist()]

    @property
    def n_documents(self) -> int:
        """Documents in the segments, deleted ones included until they are merged away."""
        return self.bases[-1]

    @cached_property
    def n_live(self) -> int:
        """Documents that can be found."""
        return self.n_documents - sum(int(d.sum()) for d in self.deleted if d is not None)

    @cached_property
    def has_forward_index(self) -> bool:
        """Whether all segments can be searched approximately."""
        return all(segment.has_forward_index for segment in self.segments)

    @cached_property
    def n_postings(self) -> int:
        """Postings in the segments, those of deleted documents included."""
        return sum(segment.n_postings for segment in self.segments)

    @cached_property
    def total_length(self) -> int:
        """Sum of the lengths of the documents that can be found."""
        return sum(
            segment.live_length(deleted)
            for segment, deleted in zip(self.segments, self.deleted, strict=True)
        )

    @property
    def average_length(self) -> float:
        """Mean length of the documents that can be found; 0 if there are none."""
        return self.total_length / self.n_live if self.n_live else 0.0

    def document_frequencies(self, term_ids: npt.NDArray[np.uint32], /) -> npt.NDArray[np.int64]:
        """Return in how many documents each term stands, deleted ones included."""
        counts = np.zeros(len(term_ids), dtype=np.int64)
        for segment in self.segments:
            counts += segment.document_frequencies(term_ids)
        return counts

    @cached_property
    def fields(self) -> list[str]:
        """Names of the metadata fields that can be filtered on, sorted."""
        return sorted({name for segment in self.segments for name in segment.columns})

    @cached_property
    def n_terms(self) -> int:
        """Distinct terms that stand in a document, deleted ones included."""
        lists = [np.empty(0, np.uint32), *(s.arrays["terms"] for s in self.segments)]
        return len(np.unique(np.concatenate(lists)))

    def allowed(self, expression: object = None, *, may_lack_fields: bool = False) -> Allowed:
        """Return which documents may be returned, given a filter expression or None.

        Raises
        ------
        FilterError
            If the filter is malformed or, unless `may_lack_fields`, names a field that no document
            has.
        """
        if expression is None:
            return self._live
        key = filter_key(expression)
        found = None if key is None else self._known_filters[key]
        if found is None:
            condition = parse_filter(expression)
            try:
                self._check_fields(condition)
            except FilterError:
                if may_lack_fields:
                    return self._allowed(condition)  # not kept: others are to be told
                raise
            found = self._allowed(condition)
            if key is not None:
                self._known_filters.keep(key, found)
        return found

    @cached_property
    def _live(self) -> Allowed:
        return self._allowed(None)

    @cached_property
    def _known_filters(self) -> KnownFilters:
        return KnownFilters()

    def knows(self, field: str) -> bool:
        """Whether a document has, or had, a value of a metadata field."""
        return field in self.former_fields or field in self.fields

    def unknown_field(self, name: str) -> FilterError:
        """Return the error for a field that no document has, or had, a value of."""
        known = ", ".join(self.fields[:_NAMED_FIELDS]) or "none"
        if len(self.fields) > _NAMED_FIELDS:
            known += f" and {len(self.fields) - _NAMED_FIELDS:,} more"
        reason = f"no document has a field {shorten(name)} that can be filtered on"
        return FilterError(f"{reason}; known are: {known}")

    def _check_fields(self, condition: Filter) -> None:
        """Refuse what can only be a mistake, and would pass for "nothing found"."""
        if self.n_documents == 0:
            return
        unknown = sorted(name for name in condition.fields - {ID_FIELD} if not self.knows(name))
        if unknown:
            raise self.unknown_field(unknown[0])
        refuse_incomparable(condition, self.segments)

    def _allowed(self, condition: Filter | None) -> Allowed:
        masks = [
            segment_mask(segment, deleted, condition)
            for segment, deleted in zip(self.segments, self.deleted, strict=True)
        ]
        return self.allowing(masks)

    def allowing(self, masks: Sequence[Mask]) -> Allowed:
        """Return the documents of masks, one a segment, as searches take them."""
        count = sum(
            int(mask.sum()) if mask.size else segment.n_documents
            for segment, mask in zip(self.segments, masks, strict=True)
        )
        few = None
        if count <= min(_FEW_DOCUMENTS, self.n_documents // _FEW_SHARE):
            few = self._numbers(masks)
        return Allowed(tuple(masks), few)

    def matching(self, expression: object = None) -> npt.NDArray[np.int64]:
        """Return the numbers of the live documents, or of those that meet a filter, ascending.

        Raises as `allowed`.
        """
        return self._numbers(self.allowed(expression).masks)

    def _numbers(self, masks: Sequence[Mask]) -> npt.NDArray[np.int64]:
        rows = [
            np.flatnonzero(mask) if mask.size else np.arange(segment.n_documents)
            for segment, mask in zip(self.segments, masks, strict=True)
        ]
        parts = [base + part for base, part in zip(self.bases, rows, strict=False)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def find(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the number of the live document with each id, -1 where there is none."""
        numbers = np.full(len(ids), -1, dtype=np.int64)
        if not self.segments:
            return numbers
        hashes = hash_ids(ids)
        for i, segment in enumerate(self.segments):
            rows = segment.rows_of(ids, hashes)
            deleted = self.deleted[i]
            if deleted is not None:
                rows = np.where((rows >= 0) & ~deleted[rows], rows, -1)
            numbers = np.where(rows >= 0, rows + self.bases[i], numbers)
        return numbers

    def owners(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the place of each document's segment among all of them."""
        places: npt.NDArray[np.int64] = np.searchsorted(self.bases, numbers, side="right") - 1
        return places

    def locate(self, number: int) -> tuple[Segment, int]:
        """Return the segment and row of a document number."""
        at = bisect_right(self.bases, number) - 1
        return self.segments[at], number - self.bases[at]

    def id(self, number: int) -> str:
        """Return the id of a document."""
        segment, row = self.locate(number)
        return segment.id(row)

    def document(self, number: int) -> Document:
        """Return a document's stored fields."""
        return decode_payload(self.id(number), self.payload(number))

    def payload(self, number: int) -> bytes:
        """Return a document's stored fields, as JSON."""
        segment, row = self.locate(number)
        return segment.payload(row)

    def vectors(
        self, numbers: npt.NDArray[np.int64], vocabulary: Vocabulary | None
    ) -> SparseVectors:
        """Return the stored vectors of documents given by ascending numbers."""
        batches = [SparseVectors([0], [], [], vocabulary)]
        for base, segment in zip(self.bases, self.segments, strict=False):
            inside = (numbers >= base) & (numbers < base + segment.n_documents)
            if inside.any():
                batches.append(segment.vectors(numbers[inside] - base, vocabulary))
        return SparseVectors.concatenate(batches)
