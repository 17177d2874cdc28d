"""The arrays of a new segment, from encoded documents or from other segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.encoders import Saturation
from sparsearch.index.columns import ColumnBuilder, pack_columns
from sparsearch.index.layered import (
    choose_scales,
    code_vectors,
    layered_arrays,
    merge_vectors,
)
from sparsearch.index.segment import LENGTHS, Segment, hash_ids, pack_strings
from sparsearch.kernels.invert import merge_lists, transpose
from sparsearch.kernels.lists import split_codes, window_starts
from sparsearch.storage import Blob, release_pages
from sparsearch.vectors import SparseVectors

__all__ = ["NewSegment", "Weighting", "build_segment", "merge_segments"]

Array = npt.NDArray[Any]
_CHUNK = 1 << 21
_COPY_BYTES = 1 << 24
_IDS = ("id_bytes", "id_offsets")
_PAYLOADS = ("payload", "payload_offsets")
_DENSE_SHARE = 8
"""A list that holds at least one in so many documents is stored as a dense row as well. Adding such
a row takes about as long as adding a list of a tenth of the documents."""


@dataclass(frozen=True)
class Weighting:
    """How document weights become codes.

    Parameters
    ----------
    max_code : int
        Largest code.
    saturation : Saturation or None
        For encoders whose document vectors are term counts.
    average_length : float
        Average document length, for saturation.
    """

    max_code: int
    saturation: Saturation | None = None
    average_length: float = 0.0

    @property
    def code_dtype(self) -> type[np.unsignedinteger[Any]]:
        """Smallest dtype that holds the codes."""
        return np.uint8 if self.max_code < 2**8 else np.uint16


@dataclass(frozen=True)
class NewSegment:
    """Arrays and attributes of a segment about to be written."""

    arrays: dict[str, Array | Blob]
    attributes: dict[str, object]


@dataclass(frozen=True)
class _Lists:
    """Posting lists: the terms that have one, where each starts, its documents and values.

    Values are term counts; those of terms below the first counted one are final weights.
    """

    terms: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint32]
    values: Array

    def counted(self, saturation: Saturation) -> int:
        """Return the first posting whose value is a count."""
        return int(self.offsets[np.searchsorted(self.terms, saturation.first_term)])


@dataclass(frozen=True)
class _Strings:
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
        postings = _counted_arrays(SparseVectors.concatenate(vectors), weighting)
    payload, payload_offsets = pack_strings(payloads)
    documents: dict[str, Array | Blob] = {"payload": payload, "payload_offsets": payload_offsets}
    return _assemble(
        _id_arrays(pack_strings([i.encode() for i in ids]), hash_ids(ids)),
        documents,
        columns,
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
    columns = ColumnBuilder()
    for segment, new_rows in zip(segments, moves, strict=True):
        for name, column in segment.columns.items():
            columns.add_column(name, column, new_rows)
    live = [np.flatnonzero(new_rows >= 0) for new_rows in moves]
    total = sum(map(len, live))
    if weighting.saturation is None:
        coded = merge_vectors(segments, live, weighting.max_code, threads)
        postings = layered_arrays(coded, threads)
    else:
        lengths = np.concatenate(
            [segment.arrays[LENGTHS][rows] for segment, rows in zip(segments, live, strict=True)]
        )
        lists = _merge_lists(segments, moves, weighting.saturation)
        postings = _posting_arrays(lists, total, lengths, weighting)
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
    columns: ColumnBuilder,
    postings: Mapping[str, Array],
    weighting: Weighting,
) -> NewSegment:
    column_arrays, layout = pack_columns(columns.build())
    arrays: dict[str, Array | Blob] = {**postings, **ids, **documents, **column_arrays}
    attributes: dict[str, object] = {"documents": len(ids["id_rows"]), "columns": layout}
    if weighting.saturation is not None:
        attributes["average_length"] = weighting.average_length
    return NewSegment(arrays, attributes)


def _counted_arrays(vectors: SparseVectors, weighting: Weighting) -> dict[str, Array]:
    """Return the posting arrays of documents whose vectors hold term counts."""
    saturation = weighting.saturation
    assert saturation is not None
    terms, local_terms = _renumber(vectors.term_ids)
    rows = np.empty(vectors.nnz, np.uint32)
    values = vectors.weights if saturation.first_term else _as_counts(vectors.weights)
    offsets, values = transpose(vectors.offsets, local_terms, values, len(terms), rows)
    lists = _Lists(terms, offsets, rows, values)
    lengths = saturation.lengths(vectors).astype(np.uint32)
    return _posting_arrays(lists, len(vectors), lengths, weighting)


def _renumber(
    term_ids: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the distinct terms in order, and each entry's number among them."""
    if len(term_ids) == 0:
        return np.empty(0, np.uint32), np.empty(0, np.uint32)
    largest = int(term_ids.max())
    if largest > 8 * len(term_ids) + 1_000_000:
        # A table over so sparse a range of ids would take more memory than sorting does.
        terms, local = np.unique(term_ids, return_inverse=True)
        return np.asarray(terms), local.astype(np.uint32)
    present = np.zeros(largest + 1, np.bool_)
    present[term_ids] = True
    numbers = np.cumsum(present, dtype=np.uint32) - np.uint32(1)
    return np.flatnonzero(present).astype(np.uint32), numbers[term_ids]


def _as_counts(weights: Array) -> Array:
    """Return term counts in the smallest unsigned dtype that holds them."""
    if weights.dtype.kind == "u":
        return weights
    largest = float(weights.max()) if len(weights) else 0.0
    dtype = np.uint8 if largest < 2**8 else np.uint16 if largest < 2**16 else np.uint32
    return weights.astype(dtype)


def _posting_arrays(
    lists: _Lists,
    n_documents: int,
    lengths: npt.NDArray[np.uint32],
    weighting: Weighting,
) -> dict[str, Array]:
    """Turn term counts into weights and these into codes; keep counts and lengths beside them."""
    saturation = weighting.saturation
    assert saturation is not None
    codes = np.empty(len(lists.rows), weighting.code_dtype)
    scales = np.empty(len(lists.terms), np.float32)
    max_codes = np.empty(len(lists.terms), weighting.code_dtype)
    for first, last in _chunks(lists.offsets):
        part = slice(lists.offsets[first], lists.offsets[last])
        starts = lists.offsets[first:last] - part.start
        weights = _saturated(lists, part, lengths, weighting)
        scales[first:last] = choose_scales(np.maximum.reduceat(weights, starts), weighting.max_code)
        counts = np.diff(lists.offsets[first : last + 1])
        steps = np.repeat(np.float32(1) / scales[first:last], counts)
        codes[part] = np.clip(np.floor(weights * steps), 1, weighting.max_code)
        max_codes[first:last] = np.maximum.reduceat(codes[part], starts)
    dense_lists = np.flatnonzero(np.diff(lists.offsets) * _DENSE_SHARE >= n_documents)
    long_lists, starts = window_starts(lists.offsets, lists.rows, n_documents)
    return {
        "terms": lists.terms,
        "offsets": lists.offsets,
        "rows": lists.rows,
        "codes": codes,
        "scales": scales,
        "max_codes": max_codes,
        "dense_lists": dense_lists,
        "planes": _planes(lists, codes, dense_lists, n_documents),
        "long_lists": long_lists,
        "window_starts": starts,
        "counts": _as_counts(lists.values[lists.counted(saturation) :]),
        LENGTHS: lengths,
    }


def _saturated(
    lists: _Lists, part: slice, lengths: npt.NDArray[np.uint32], weighting: Weighting
) -> Array:
    """Return the final weights of a range of postings, the counts among them saturated."""
    saturation = weighting.saturation
    assert saturation is not None
    first = min(max(lists.counted(saturation), part.start), part.stop)
    counted = slice(first, part.stop)
    long = lengths[lists.rows[counted]]
    weights = saturation.weights(lists.values[counted], long, weighting.average_length)
    return np.concatenate([lists.values[part.start : first], weights])


def _planes(
    lists: _Lists, codes: Array, dense_lists: npt.NDArray[np.int64], n_documents: int
) -> npt.NDArray[np.uint8]:
    """Return the dense rows of common terms (see `kernels.lists`), one list at a time."""
    n_dense = len(dense_lists)
    per_list = len(split_codes(np.zeros((1, 0), codes.dtype)))
    planes = np.empty((per_list * n_dense, n_documents), np.uint8)
    for i, which in enumerate(dense_lists.tolist()):
        part = slice(lists.offsets[which], lists.offsets[which + 1])
        row = np.zeros((1, n_documents), codes.dtype)
        row[0, lists.rows[part]] = codes[part]
        planes[i::n_dense] = split_codes(row)
    return planes


def _chunks(offsets: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of lists of about `_CHUNK` postings, so that temporary arrays stay small."""
    first = 0
    while first < len(offsets) - 1:
        limit = offsets[first] + _CHUNK
        last = max(int(np.searchsorted(offsets, limit, side="right")) - 1, first + 1)
        yield first, last
        first = last


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
) -> _Strings:
    """Return the strings of the live rows of several segments, one after the other."""
    lengths = [
        np.diff(segment.arrays[names[1]])[rows]
        for segment, rows in zip(segments, live, strict=True)
    ]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return _Strings(_string_chunks(segments, live, names), offsets)


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


def _merge_lists(
    segments: Sequence[Segment], moves: Sequence[npt.NDArray[np.int64]], saturation: Saturation
) -> _Lists:
    terms: npt.NDArray[np.uint32] = np.unique(
        np.concatenate([np.asarray(segment.arrays["terms"]) for segment in segments])
    )
    values = [_stored_values(segment, saturation) for segment in segments]
    counts = np.zeros(len(terms) + 1, np.int64)
    targets = [np.searchsorted(terms, segment.arrays["terms"]) for segment in segments]
    for segment, target in zip(segments, targets, strict=True):
        counts[target + 1] += np.diff(segment.arrays["offsets"])
    starts = np.cumsum(counts)
    ends = starts[:-1].copy()
    rows = np.empty(int(starts[-1]), np.uint32)
    merged = np.empty(int(starts[-1]), np.result_type(*values))
    for segment, target, new_rows, value in zip(segments, targets, moves, values, strict=True):
        arrays = segment.arrays
        merge_lists(ends, target, arrays["offsets"], arrays["rows"], value, new_rows, rows, merged)
        release_pages(arrays["rows"])
        release_pages(value)
    return _close_gaps(_Lists(terms, starts, rows, merged), ends)


def _stored_values(segment: Segment, saturation: Saturation) -> Array:
    """Return the values of a segment's postings, as `_Lists` has them."""
    counts = segment.arrays["counts"]
    if saturation.first_term == 0:
        return counts
    arrays, n_final = segment.arrays, segment.n_postings - len(counts)
    scales = np.repeat(arrays["scales"], np.diff(arrays["offsets"]))[:n_final]
    final = arrays["codes"][:n_final].astype(np.float32) * scales
    return np.concatenate([final, counts.astype(np.float32)])


def _close_gaps(lists: _Lists, ends: npt.NDArray[np.int64]) -> _Lists:
    """Drop the room that deleted documents left at the ends of lists, and empty lists."""
    sizes = ends - lists.offsets[:-1]
    if int(sizes.sum()) == len(lists.rows):
        return lists
    starts = np.repeat(lists.offsets[:-1], np.diff(lists.offsets))
    kept = np.arange(len(lists.rows)) - starts < np.repeat(sizes, np.diff(lists.offsets))
    filled = sizes > 0
    offsets = np.concatenate([[0], np.cumsum(sizes[filled])]).astype(np.int64)
    return _Lists(lists.terms[filled], offsets, lists.rows[kept], lists.values[kept])
