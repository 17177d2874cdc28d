"""Making several neighbouring segments into one, and putting it in their place.

The two halves are apart because the first may take minutes and needs no lock: documents that are
deleted meanwhile are carried over when the merged segment takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sparsearch.errors import IndexCorruptError
from sparsearch.index.build import NewSegment, merge_segments
from sparsearch.index.counted import Weighting
from sparsearch.index.filters import Mask
from sparsearch.index.segment import Segment
from sparsearch.storage import SegmentFiles, SegmentRecord, StoredSegment

__all__ = ["Merged", "merge", "put_in_place", "write_segment"]


@dataclass(frozen=True)
class Merged:
    """Segments made into one that is written but not committed.

    Parameters
    ----------
    replaced : tuple of StoredSegment
        The segments it takes the place of, neighbours in this order.
    deleted : tuple of (ndarray of bool or None)
        For each of them, the documents that were deleted when it was made, and left out.
    record : SegmentRecord or None
        None if no document was left.
    """

    replaced: tuple[StoredSegment, ...]
    deleted: tuple[Mask | None, ...]
    record: SegmentRecord | None


def write_segment(
    files: SegmentFiles, new: NewSegment, deleted: Mask | None = None
) -> SegmentRecord:
    """Write a new segment's files; it is not part of the index until a commit names it."""
    stored = files.write(new.arrays, new.attributes)
    return SegmentRecord(stored, int(str(new.attributes["documents"])), deleted)


def merge(
    files: SegmentFiles,
    segments: Sequence[Segment],
    deleted: Sequence[Mask | None],
    weighting: Weighting,
    threads: int,
) -> Merged:
    """Write one segment of the documents of several that are not deleted.

    Sources are checked, and learned vectors merged, by so many `threads`.

    Raises
    ------
    IndexCorruptError
        If one of them is damaged: the damage must not get a checksum of its own.
    StorageUnavailableError
        On a full disk; nothing is left behind.
    """
    with ThreadPoolExecutor(threads) as pool:
        for problems in pool.map(files.verify, [segment.stored for segment in segments]):
            for problem in problems:
                raise IndexCorruptError(f"{problem}; restore it from a backup")
    new = merge_segments(list(zip(segments, deleted, strict=True)), weighting, threads)
    record = write_segment(files, new) if new.attributes["documents"] else None
    return Merged(tuple(segment.stored for segment in segments), tuple(deleted), record)


def put_in_place(records: Sequence[SegmentRecord], merged: Merged) -> list[SegmentRecord] | None:
    """Return the records with the merged segment in the place of those it was made of.

    None if these do not stand there any more, because another writer merged some of them.
    """
    stored = [record.stored for record in records]
    if merged.replaced[0] not in stored:
        return None
    start = stored.index(merged.replaced[0])
    stop = start + len(merged.replaced)
    if tuple(stored[start:stop]) != merged.replaced:
        return None
    new: list[SegmentRecord] = []
    if merged.record is not None:
        deleted = np.concatenate(
            [
                _deleted_since(record, before)
                for record, before in zip(records[start:stop], merged.deleted, strict=True)
            ]
        )
        mask = deleted if deleted.any() else None
        new = [SegmentRecord(merged.record.stored, merged.record.documents, mask)]
    return [*records[:start], *new, *records[stop:]]


def _deleted_since(record: SegmentRecord, before: Mask | None) -> Mask:
    """Return, for the documents of a segment that were merged, which are deleted by now."""
    now = np.zeros(record.documents, np.bool_) if record.deleted is None else record.deleted
    return now if before is None else now[~before]
