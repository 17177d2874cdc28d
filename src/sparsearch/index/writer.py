"""Changing an index: gathering documents, sealing segments, deleting, merging, committing.

A `Writer` lives for one call, under the writer lock. Nothing it does is visible before a commit,
and everything since the last commit becomes visible at once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.encoders import Saturation
from sparsearch.errors import (
    DocumentNotFoundError,
    DuplicateIdError,
    StorageUnavailableError,
    shorten,
)
from sparsearch.index.build import build_segment
from sparsearch.index.config import IndexConfig
from sparsearch.index.counted import Weighting
from sparsearch.index.documents import Record
from sparsearch.index.gathering import Accepted, Buffer, Progress, batches
from sparsearch.index.merged import Merged, merge, put_in_place, write_segment
from sparsearch.index.merging import (
    GATHERED_POSTINGS,
    MAX_POSTINGS,
    OPTIMIZED_POSTINGS,
    SegmentSize,
    choose_merge,
    group_neighbours,
)
from sparsearch.index.passages import document_of, passage_id
from sparsearch.index.segment import Segment
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.terms import Terms
from sparsearch.storage import (
    Catalog,
    Changes,
    SegmentFiles,
    SegmentRecord,
    SourceProgress,
    cleaner_lock,
)
from sparsearch.vectors import SparseVectors

__all__ = [
    "BATCH_DOCUMENTS",
    "MODEL_BATCH_DOCUMENTS",
    "OnTaken",
    "Store",
    "Writer",
]

BATCH_DOCUMENTS = 4_096
"""Documents vectorized at a time."""
MODEL_BATCH_DOCUMENTS = 512
"""The same where a model takes seconds for so many: progress bars move between batches."""
_MANY_SEGMENTS = 32
"""Where merging is left to the background, a writer helps from this many segments on: each one
costs every search some microseconds."""

_LENGTH_DRIFT = 0.005
"""Relative drift of the average length at which codes are computed anew. It moves a weight by less
than a quarter of itself, 0.00125: a third of the step of an 8-bit code."""

Vectorize = Callable[[Sequence[Record]], SparseVectors]
"""From checked documents, as they come, to one vector each."""

Numbers = npt.NDArray[np.int64]

OnTaken = Callable[[DuplicateIdError], None]
"""Told of each document whose id is taken; unless it raises an error, the document is left out."""


@dataclass(frozen=True)
class Store:
    """What a writer works on.

    Parameters
    ----------
    catalog : Catalog
    files : SegmentFiles
    config : IndexConfig
    terms : Terms
    publish : callable
        Called with the new snapshot after every commit.
    merges_later : bool
        Whether somebody else merges segments, in the background.
    """

    catalog: Catalog
    files: SegmentFiles
    config: IndexConfig
    terms: Terms
    publish: Callable[[Snapshot], None]
    merges_later: bool = False


class Writer:
    """One call's changes to an index.

    Parameters
    ----------
    store : Store
    snapshot : Snapshot
        The last committed generation.

    Attributes
    ----------
    snapshot : Snapshot
        The last committed generation; moves on with every commit.
    """

    def __init__(self, store: Store, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._store = store
        self._deleted = list(snapshot.deleted)
        self._buffer = Buffer()

    def add(
        self,
        records: Iterable[Record],
        vectorize: Vectorize,
        *,
        batch: int = BATCH_DOCUMENTS,
        replace: bool = False,
        source: str | None = None,
        on_taken: OnTaken | None = None,
    ) -> int:
        """Add documents, committing whenever a segment is full and at the end.

        Parameters
        ----------
        records : iterable of Record
        vectorize : callable
        batch : int
            Documents it is given at a time.
        replace : bool
            Delete documents of the same ids instead of refusing the new ones.
        source : str, optional
            Name under which every commit remembers how many records were consumed.
        on_taken : callable, optional
            Called for documents whose ids are taken, which are left out instead of refused.

        Returns
        -------
        int
            Documents added.

        Raises
        ------
        InvalidInputError
            At the first bad document; those before it are stored.
        """
        progress = Progress(self._store.catalog, source)
        size = min(batch, self._store.config.portion)
        failure: Exception | None = None
        # What a killed run left undone: so a resumed one goes through an unbroken one's states.
        self.maintain(ignore_drift=True)
        most_bytes = self._store.config.segment_bytes
        for records_read, failure in batches(records, size, most_bytes):
            accepted = self._accept(records_read, progress.read, replace, on_taken or _refuse)
            failure = accepted.refusal or failure
            try:
                self._gather(accepted.added, vectorize, replace)
            except Exception as error:
                failure = error
                break
            progress.advance(accepted)
            if self._is_full():
                self._seal(progress)
            if failure is not None:
                break
        progress.finished = failure is None
        self._seal(progress)
        self.maintain()
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback holds this frame, and so all that was read
        return progress.added

    def delete(self, ids: Sequence[str], *, missing_ok: bool) -> int:
        """Delete documents; return how many there were.

        Raises
        ------
        DocumentNotFoundError
            If an id is unknown and ``missing_ok`` is false; then nothing is deleted.
        """
        distinct = list(dict.fromkeys(ids))
        first, numbers = self._find(distinct)
        missing = [i for i, number in zip(distinct, first, strict=True) if number < 0]
        if missing and not missing_ok:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            if self._store.config.passage_length and self.snapshot.find(missing[:1])[0] >= 0:
                more += f": that is a passage; give {shorten(document_of(missing[0]))}"
            raise DocumentNotFoundError(f"no document has the id {shorten(missing[0])}{more}")
        if len(missing) < len(distinct):
            self._mark_deleted(numbers)
            self._commit(self._records(), {})
            self.maintain()
        return len(distinct) - len(missing)

    def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Delete documents by a condition; return how many there were; raises FilterError.

        Of passages, the whole documents are deleted.
        """
        numbers = self.snapshot.matching(filter)
        count = len(numbers)
        if self._store.config.passage_length is not None:
            whole = {document_of(self.snapshot.id(number)) for number in numbers.tolist()}
            count, (_, numbers) = len(whole), self._find(sorted(whole))
        if count:
            self._mark_deleted(numbers)
            self._commit(self._records(), {})
            self.maintain()
        return count

    def remember(self, source: str, progress: SourceProgress) -> None:
        """Commit how much of a source is stored."""
        self._commit(self._records(), {source: progress})

    def forget_sources(self) -> None:
        """Commit that it is not known how much of any source is stored."""
        self._commit(self._records(), {}, forget_sources=True)

    def maintain(self, *, ignore_drift: bool = False) -> None:
        """Merge segments until the merge policy is content.

        With `ignore_drift`, codes that a drifted average length made are left for later. A full
        disk is only warned of: what was committed stays, and the next write tries again.
        """
        if self._store.merges_later and len(self.snapshot.segments) < _MANY_SEGMENTS:
            return
        try:
            while (merged := self.merge_next(ignore_drift=ignore_drift)) is not None:
                self.commit_merged(merged)
        except StorageUnavailableError as error:
            advice = "all documents are stored; merging their segments is put off"
            warnings.warn(f"{error} ({advice})", RuntimeWarning, stacklevel=2)

    def merge_next(self, *, ignore_drift: bool = False) -> Merged | None:
        """Make the next merged segment that the merge policy asks for, if any; commit nothing.

        Needs no lock, and may be called on any snapshot.
        """
        chosen = choose_merge(self._sizes(ignore_drift))
        return None if chosen is None else self._merge(*chosen)

    def commit_merged(self, merged: Merged) -> bool:
        """Put a merged segment in place; False if what it was made of is no longer there."""
        records = put_in_place(self._records(), merged)
        if records is None:
            return False
        self._commit(records, {})
        self.clean()
        return True

    def clean(self) -> None:
        """Remove files that no committed state names, unless that is another's task."""
        with cleaner_lock(self._store.catalog.folder) as mine:
            if mine:
                self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Remove them, which the caller has the right to; see `storage.cleaner_lock`."""
        self._store.catalog.check_place()
        self._store.files.remove_except(segment.stored.uid for segment in self.snapshot.segments)

    def optimize(self) -> None:
        """Merge neighbours into as few segments as may be; drop all deleted documents."""
        saturating = self._saturation is not None
        limit = MAX_POSTINGS if saturating else OPTIMIZED_POSTINGS
        for start, stop in reversed(group_neighbours(self._sizes(), limit)):
            segments = self.snapshot.segments[start:stop]
            dirty = any(deleted is not None for deleted in self._deleted[start:stop])
            if len(segments) > 1 or dirty or any(self._drift(s) > 0 for s in segments):
                self.commit_merged(self._merge(start, stop))

    def _accept(
        self, batch: Sequence[Record], start: int, replace: bool, on_taken: OnTaken
    ) -> Accepted:
        """Return what to add of a batch: those whose ids are free, or all if they replace."""
        if replace:
            return Accepted(batch, batch)
        stored = [record.stored[0].id for record in batch]
        numbers = self.snapshot.find(stored).tolist()
        added: dict[str, Record] = {}
        for i, record in enumerate(batch):
            if numbers[i] < 0 and record.id not in added and stored[i] not in self._buffer.newest:
                added[record.id] = record
                continue
            reason = "its id is taken, by the index or earlier in this call; see upsert"
            try:
                on_taken(DuplicateIdError(start + i, record.id, reason))
            except Exception as refusal:
                return Accepted(list(added.values()), batch[:i], refusal)
        return Accepted(list(added.values()), batch)

    def _gather(self, records: Sequence[Record], vectorize: Vectorize, replace: bool) -> None:
        """Put documents into the buffer."""
        if not records:
            return
        vectors = vectorize([part for record in records for part in record.stored])
        if replace:
            self._mark_deleted(self._find([record.id for record in records])[1])
        self._buffer.extend(records, vectors)

    def _is_full(self) -> bool:
        """Whether the documents gathered are enough for a segment."""
        if not self._buffer.ids:
            return False
        most_postings = GATHERED_POSTINGS if self._saturation is None else MAX_POSTINGS
        return self._buffer.is_full(self._store.config, most_postings)

    def _find(self, ids: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Return the numbers of documents and, where texts are cut, of their passages.

        Returns
        -------
        first : ndarray of int64
            Of each document, or its first passage; -1 where there is none.
        stored : ndarray of int64
            All of them, and -1 any number of times.
        """
        if self._store.config.passage_length is None:
            numbers = self.snapshot.find(ids)
            return numbers, numbers
        found: list[Numbers] = []
        start, stop, left = 1, 2, list(ids)
        while left or not found:
            asked = [passage_id(i, number) for i in left for number in range(start, stop)]
            found.append(self.snapshot.find(asked))
            has_last = found[-1][stop - start - 1 :: stop - start] >= 0
            left = list(compress(left, has_last))
            start, stop = stop, 2 * stop
        return found[0], np.concatenate(found)

    def _mark_deleted(self, numbers: Numbers) -> None:
        """Mark documents, given by number or -1, as deleted from the next commit on."""
        numbers = numbers[numbers >= 0]
        owners = self.snapshot.owners(numbers)
        for owner in np.unique(owners).tolist():
            mask = self._deleted[owner]
            n_rows = self.snapshot.segments[owner].n_documents
            # A copy: readers of the snapshot keep theirs.
            mask = np.zeros(n_rows, np.bool_) if mask is None else mask.copy()
            mask[numbers[owners == owner] - self.snapshot.bases[owner]] = True
            self._deleted[owner] = mask

    def _seal(self, progress: Progress) -> None:
        """Write the buffered documents as a segment and commit."""
        buffer, self._buffer = self._buffer, Buffer()
        if not buffer.ids and not progress.to_rows():
            return
        records = self._records()
        if buffer.ids:
            saturation = self._saturation
            counted = () if saturation is None else map(saturation.lengths, buffer.vectors)
            length = sum(int(lengths.sum()) for lengths in counted)
            new = build_segment(
                buffer.ids,
                buffer.payloads,
                buffer.metadata,
                buffer.vectors,
                self._weighting(length, len(buffer.ids)),
                self._threads,
            )
            replaced = np.zeros(len(buffer.ids), np.bool_)
            replaced[buffer.replaced] = True
            mask = replaced if buffer.replaced else None
            records.append(write_segment(self._store.files, new, mask))
        self._commit(records, progress.to_rows())
        self.maintain(ignore_drift=True)

    def _merge(self, start: int, stop: int) -> Merged:
        """Make a range of segments into one of their live documents."""
        return merge(
            self._store.files,
            self.snapshot.segments[start:stop],
            self._deleted[start:stop],
            self._weighting(),
            self._threads,
        )

    @property
    def _threads(self) -> int:
        """All cores; but one beside a service's searches, as merging in the background means."""
        return 1 if self._store.merges_later else os.cpu_count() or 1

    def _records(self) -> list[SegmentRecord]:
        return [
            SegmentRecord(segment.stored, segment.n_documents, deleted)
            for segment, deleted in zip(self.snapshot.segments, self._deleted, strict=True)
        ]

    def _commit(
        self,
        records: Sequence[SegmentRecord],
        sources: dict[str, SourceProgress],
        *,
        forget_sources: bool = False,
    ) -> None:
        vocabulary = self._store.terms.vocabulary
        known = self.snapshot.vocabulary_size
        new_terms = vocabulary.terms(known) if vocabulary is not None else []
        former = self.snapshot.former_fields
        now = former.union(self.snapshot.fields)  # may be the last time that they are seen
        fields = now if len(now) > len(former) else frozenset[str]()
        self._store.catalog.commit(Changes(records, new_terms, sources, forget_sources, fields))
        self.snapshot = Snapshot.open(
            self._store.catalog, self._store.files, self.snapshot.segments
        )
        self._deleted = list(self.snapshot.deleted)
        self._store.publish(self.snapshot)

    @property
    def _saturation(self) -> Saturation | None:
        """How counts become weights, if they do.

        Where stored weights are final, they do not: so no encoder is needed to clean up.
        """
        snapshot = self.snapshot
        is_final = len(snapshot.segments) > 0 and snapshot.has_forward_index
        return None if is_final else self._store.terms.saturation

    def _weighting(self, new_length: int = 0, new_documents: int = 0) -> Weighting:
        """Return how to weight now, given documents about to be added."""
        snapshot, config = self.snapshot, self._store.config
        documents = snapshot.n_live + new_documents
        average = (snapshot.total_length + new_length) / documents if documents else 0.0
        return Weighting(config.max_code, self._saturation, average)

    def _sizes(self, ignore_drift: bool = False) -> list[SegmentSize]:
        return [
            SegmentSize(
                segment.n_documents,
                0 if deleted is None else int(deleted.sum()),
                segment.n_postings,
                not ignore_drift and self._drift(segment) > _LENGTH_DRIFT,
            )
            for segment, deleted in zip(self.snapshot.segments, self._deleted, strict=True)
        ]

    def _drift(self, segment: Segment) -> float:
        """Return how far the average length has moved since a segment's codes were computed."""
        used, now = segment.average_length, self.snapshot.average_length
        return abs(now / used - 1.0) if used else 0.0


def _refuse(error: DuplicateIdError) -> None:
    raise error
