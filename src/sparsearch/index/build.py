"""The arrays of a new segment, from encoded documents or from other segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.index.column_merge import merge_columns
from sparsearch.index.columns import Column, ColumnBuilder, pack_columns
from sparsearch.index.counted import Weighting, counted_arrays, merge_counted
from sparsearch.index.layered import code_vectors, layered_arrays, merge_vectors
from sparsearch.index.segment import Segment, hash_ids
from sparsearch.index.strings import pack_strings
from sparsearch.storage import Blob, release_pages
from sparsearch.vectors import SparseVectors

__all__ = ["NewSegment", "build_segment", "merge_segments"]

Array = npt.NDArray[Any]
_COPY_BYTES = 1 << 24
_IDS = ("id_bytes", "id_offsets")
_PAYLOADS = ("payload", "payload_offsets")


@dataclass(frozen=True)
class NewSegment:
    """Arrays and attributes of a segment about to be written."""

    arrays: dict[str, Array | Blob]
    attributes: dict[str, object]


@dataclass(frozen=True)
class _StringChunks:
    """Many strings: their bytes in chunks, read once, and where each starts and the last ends."""

    chunks: Iterator[npt.NDArray[np.uint8]]
    offsets: npt.NDArray[np.int64]


def build_segment(
    ids: Sequence[str],
    payloads: Sequence[bytes],
    metadata: Sequence[Mapping[str, Any]],
    vectors: Sequence[SparseVectors],
    weighting: Weighting,
    threads: int,
) -> NewSegment:
    """Return the arrays of a segment of new documents.

    Parameters
    ----------
    ids, payloads, metadata : sequences of the same length
    vectors : sequence of SparseVectors
        Together one row a document; weights positive.
    weighting : Weighting
    threads : int
        How many work on the posting lists, where weights are final.
    """
    columns = ColumnBuilder()
    for row, fields in enumerate(metadata):
        if fields:
            columns.add(row, fields)
    if weighting.saturation is None:
        postings = layered_arrays(code_vectors(vectors, weighting.max_code, threads), threads)
    else:
        postings = counted_arrays(SparseVectors.concatenate(vectors), weighting)
    payload, payload_offsets = pack_strings(payloads)
    documents: dict[str, Array | Blob] = {"payload": payload, "payload_offsets": payload_offsets}
    return _assemble(
        _id_arrays(pack_strings([i.encode() for i in ids]), hash_ids(ids)),
        documents,
        columns.build(),
        postings,
        weighting,
    )


def merge_segments(
    parts: Sequence[tuple[Segment, npt.NDArray[np.bool_] | None]],
    weighting: Weighting,
    threads: int,
) -> NewSegment:
    """Return the arrays of one segment that holds the live documents of several, in order.

    Parameters
    ----------
    parts : sequence of (Segment, ndarray of bool or None)
        Segments with the mask of their deleted documents.
    weighting : Weighting
        Codes are computed anew with it; this is also how a change of average length takes effect.
    threads : int
        As for `build_segment`.
    """
    moves = _new_rows(parts)
    segments = [segment for segment, _ in parts]
    columns = merge_columns(
        [(part.columns, rows) for part, rows in zip(segments, moves, strict=True)]
    )
    live = [np.flatnonzero(new_rows >= 0) for new_rows in moves]
    total = sum(map(len, live))
    if weighting.saturation is None:
        coded = merge_vectors(segments, live, weighting.max_code, threads)
        postings = layered_arrays(coded, threads)
    else:
        postings = merge_counted(segments, moves, weighting)
    ids = _merge_strings(segments, live, _IDS)
    id_bytes = np.concatenate([np.empty(0, np.uint8), *ids.chunks])
    payloads = _merge_strings(segments, live, _PAYLOADS)
    blob = Blob(int(payloads.offsets[-1]), payloads.chunks)
    return _assemble(
        _id_arrays((id_bytes, ids.offsets), _merged_hashes(segments, moves, total)),
        {"payload": blob, "payload_offsets": payloads.offsets},
        columns,
        postings,
        weighting,
    )


def _assemble(
    ids: Mapping[str, Array],
    documents: Mapping[str, Array | Blob],
    columns: Mapping[str, Column],
    postings: Mapping[str, Array],
    weighting: Weighting,
) -> NewSegment:
    column_arrays, layout = pack_columns(columns)
    arrays: dict[str, Array | Blob] = {**postings, **ids, **documents, **column_arrays}
    attributes: dict[str, object] = {"documents": len(ids["id_rows"]), "columns": layout}
    if weighting.saturation is not None:
        attributes["average_length"] = weighting.average_length
    return NewSegment(arrays, attributes)


def _id_arrays(packed: tuple[Array, Array], hashes: npt.NDArray[np.uint64]) -> dict[str, Array]:
    order = np.argsort(hashes, kind="stable")
    id_bytes, id_offsets = packed
    return {
        "id_bytes": id_bytes,
        "id_offsets": id_offsets,
        "id_hashes": hashes[order],
        "id_rows": order.astype(np.uint32),
    }


def _new_rows(
    parts: Sequence[tuple[Segment, npt.NDArray[np.bool_] | None]],
) -> list[npt.NDArray[np.int64]]:
    """Return the merged segment's row of every document of each part; -1 for deleted ones."""
    moves = []
    total = 0
    for segment, deleted in parts:
        live = np.ones(segment.n_documents, np.bool_) if deleted is None else ~deleted
        new_rows = np.where(live, np.cumsum(live) - 1 + total, -1)
        total += int(live.sum())
        moves.append(new_rows)
    return moves


def _merged_hashes(
    segments: Sequence[Segment], moves: Sequence[npt.NDArray[np.int64]], total: int
) -> npt.NDArray[np.uint64]:
    hashes = np.empty(total, np.uint64)
    for segment, new_rows in zip(segments, moves, strict=True):
        targets = new_rows[segment.arrays["id_rows"]]
        live = targets >= 0
        hashes[targets[live]] = segment.arrays["id_hashes"][live]
    return hashes


def _merge_strings(
    segments: Sequence[Segment], live: Sequence[npt.NDArray[np.int64]], names: tuple[str, str]
) -> _StringChunks:
    """Return the strings of the live rows of several segments, one after the other."""
    lengths = [
        np.diff(segment.arrays[names[1]])[rows]
        for segment, rows in zip(segments, live, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return _StringChunks(_string_chunks(segments, live, names), offsets)


def _string_chunks(
    segments: Sequence[Segment], live: Sequence[npt.NDArray[np.int64]], names: tuple[str, str]
) -> Iterator[npt.NDArray[np.uint8]]:
    for segment, rows in zip(segments, live, strict=True):
        data, offsets = (segment.arrays[name] for name in names)
        starts, stops = offsets[rows], offsets[rows + 1]
        first = 0
        while first < len(rows):
            within = np.searchsorted(stops, starts[first] + _COPY_BYTES, side="right")
            last = max(int(within), first + 1)
            for chunk in _pieces(data, starts[first:last], stops[first:last]):
                yield chunk
                release_pages(data)
            first = last


def _pieces(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the bytes of ascending ranges: as they lie or, where some are left out, gathered."""
    begin, end = int(starts[0]), int(stops[-1])
    gaps = np.flatnonzero(starts[1:] != stops[:-1])
    if len(gaps) == 0:
        for at in range(begin, end, _COPY_BYTES):
            yield data[at : min(at + _COPY_BYTES, end)]
        return
    bounds = np.column_stack([stops[gaps], starts[gaps + 1]]).ravel()
    lengths = np.diff(bounds, prepend=begin, append=end)
    is_kept = np.arange(len(lengths)) % 2 == 0
    yield data[begin:end][np.repeat(is_kept, lengths)]
