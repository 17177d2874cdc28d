"""The posting arrays of a segment whose vectors hold term counts, which BM25 saturates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.encoders import Saturation
from sparsearch.index.config import code_dtype
from sparsearch.index.layered import choose_scales, table_places
from sparsearch.index.segment import LENGTHS, Segment
from sparsearch.kernels.invert import merge_lists, transpose
from sparsearch.kernels.lists import plane_maxima, split_codes
from sparsearch.kernels.places import pack_rows
from sparsearch.storage import release_pages
from sparsearch.vectors import SparseVectors

__all__ = ["Weighting", "counted_arrays", "merge_counted"]

Array = npt.NDArray[Any]
_CHUNK = 1 << 21
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


def counted_arrays(vectors: SparseVectors, weighting: Weighting) -> dict[str, Array]:
    """Return the posting arrays of new documents.

    Parameters
    ----------
    vectors : SparseVectors
        One row a document: term counts, and weights that are final.
    weighting : Weighting
        With a saturation.
    """
    saturation = weighting.saturation
    assert saturation is not None
    terms, local_terms = _renumber(vectors.term_ids)
    rows = np.empty(vectors.nnz, np.uint32)
    values = vectors.weights if saturation.first_term else _as_counts(vectors.weights)
    offsets, values = transpose(vectors.offsets, local_terms, values, len(terms), rows)
    lists = _Lists(terms, offsets, rows, values)
    lengths = saturation.lengths(vectors).astype(np.uint32)
    return _posting_arrays(lists, len(vectors), lengths, weighting)


def merge_counted(
    segments: Sequence[Segment], moves: Sequence[npt.NDArray[np.int64]], weighting: Weighting
) -> dict[str, Array]:
    """Return the posting arrays of the live documents of several segments, in order.

    Parameters
    ----------
    segments : sequence of Segment
    moves : sequence of ndarray of int64
        The new row of every document of each; -1 for deleted ones.
    weighting : Weighting
        With a saturation.
    """
    assert weighting.saturation is not None
    lengths = np.concatenate(
        [segment.arrays[LENGTHS][new >= 0] for segment, new in zip(segments, moves, strict=True)]
    )
    lists = _merge_lists(segments, moves, weighting.saturation)
    return _posting_arrays(lists, len(lengths), lengths, weighting)


def _renumber(
    term_ids: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the distinct terms in order, and each entry's number among them."""
    terms, (places,) = table_places([term_ids])
    present = np.zeros(len(terms), np.bool_)
    present[places] = True
    numbers = np.cumsum(present, dtype=np.uint32) - np.uint32(1)
    return terms[present], numbers[places]


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
    codes = np.empty(len(lists.rows), code_dtype(weighting.max_code))
    scales = np.empty(len(lists.terms), np.float32)
    max_codes = np.empty(len(lists.terms), code_dtype(weighting.max_code))
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
    planes = _planes(lists, codes, dense_lists, n_documents)
    return {
        "terms": lists.terms,
        "offsets": lists.offsets,
        **pack_rows(lists.offsets, lists.rows, n_documents),
        "codes": codes,
        "scales": scales,
        "max_codes": max_codes,
        "dense_lists": dense_lists,
        "planes": planes,
        "maxima": plane_maxima(planes[: len(dense_lists)]),
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
        merge_lists(ends, target, segment.places, value, new_rows, rows, merged)
        for name in ("places", "windows", "window_starts"):
            release_pages(segment.arrays[name])
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
