"""The posting arrays of a segment whose weights are final: a forward index and layered lists."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.index.config import code_dtype
from sparsearch.index.segment import FORWARD, LISTS, Segment, list_dtype, row_form
from sparsearch.kernels.layering import (
    LIST_WINDOW,
    count_layers,
    fill_layers,
    quantise,
    raise_largest,
    upper_shift,
)
from sparsearch.kernels.rows import (
    copy_entries,
    count_entries,
    largest_codes,
    pack_rows,
    row_limit,
)
from sparsearch.storage import release_pages
from sparsearch.vectors import SparseVectors

__all__ = [
    "CodedVectors",
    "choose_scales",
    "code_vectors",
    "layered_arrays",
    "layered_lists",
    "merge_vectors",
    "table_places",
]

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]
_TABLE_TERMS = 1_000_000
"""Terms for which a table is no matter of memory."""


@dataclass(frozen=True)
class CodedVectors:
    """Documents' vectors, their terms renumbered and their weights made codes.

    Parameters
    ----------
    terms : ndarray of uint32 [terms]
        Ascending; each stands in a document.
    scales : ndarray of float32 [terms]
        What one step of a code is worth.
    max_codes : ndarray of uint8 or uint16 [terms]
        The largest code of each.
    entries : tuple of (offsets, numbers, codes)
        What the forward index is made of (see `kernels.rows`).
    """

    terms: npt.NDArray[np.uint32]
    scales: npt.NDArray[np.float32]
    max_codes: Array
    entries: Arrays


def code_vectors(parts: Sequence[SparseVectors], max_code: int, threads: int) -> CodedVectors:
    """Quantise documents' weights to codes.

    Parameters
    ----------
    parts : sequence of SparseVectors
        The documents, in order; weights positive.
    max_code : int
        Largest code.
    threads : int
        How many do it, each a share of the parts.
    """
    terms, places_of = table_places([part.term_ids for part in parts])
    entries = list(zip(places_of, (part.weights for part in parts), strict=True))
    largest = _largest_of(entries, len(terms), threads)
    present = np.flatnonzero(largest)
    scales = choose_scales(largest[present], max_code)
    ends = np.cumsum([0, *(part.nnz for part in parts)])
    numbers = np.empty(ends[-1], list_dtype(len(present)))
    codes = np.empty(ends[-1], code_dtype(max_code))
    places = np.zeros(len(terms), numbers.dtype)
    places[present] = np.arange(len(present))

    def write(i: int) -> None:
        target = slice(ends[i], ends[i + 1])
        quantise(entries[i], places, scales, max_code, numbers[target], codes[target])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write, range(len(parts))))
    starts = [part.offsets[1:] + end for part, end in zip(parts, ends[:-1], strict=True)]
    offsets = np.concatenate([np.zeros(1, np.int64), *starts])
    max_codes = _codes_of(largest[present], scales, codes.dtype)
    return CodedVectors(terms[present], scales, max_codes, (offsets, numbers, codes))


def _largest_of(
    entries: Sequence[tuple[Array, Array]], n_terms: int, threads: int
) -> npt.NDArray[np.float32]:
    """Return the largest weight of each term, given entries' terms and weights in parts."""

    def find(share: Sequence[tuple[Array, Array]]) -> npt.NDArray[np.float32]:
        found = np.zeros(n_terms, np.float32)
        for term_ids, weights in share:
            raise_largest(term_ids, weights, found)
        return found

    shares = [entries[first::threads] for first in range(min(threads, len(entries)))]
    with ThreadPoolExecutor(threads) as pool:
        return np.asarray(np.maximum.reduce(list(pool.map(find, shares))))


def table_places(
    term_ids: Sequence[npt.NDArray[np.uint32]],
) -> tuple[npt.NDArray[np.uint32], list[npt.NDArray[np.uint32]]]:
    """Return the terms of a table, ascending, and the place in it of each entry's term.

    It is small enough to be held in memory; some of its terms may have no entry.
    """
    largest = max((int(part.max()) for part in term_ids if len(part)), default=-1)
    if largest <= sum(map(len, term_ids)) + _TABLE_TERMS:
        return np.arange(largest + 1, dtype=np.uint32), list(term_ids)
    # Tables over so sparse a range of ids would take more memory than sorting does.
    terms, places = np.unique(np.concatenate(term_ids), return_inverse=True)
    cuts = np.cumsum([len(part) for part in term_ids])[:-1]
    return terms, np.split(places.astype(np.uint32), cuts)


def layered_arrays(vectors: CodedVectors, threads: int) -> dict[str, Array]:
    """Return a segment's arrays (see `kernels.layering` and `kernels.rows`)."""
    shift = upper_shift(vectors.max_codes)
    lists = layered_lists(vectors.entries, vectors.scales, shift, threads)
    offsets, *_, weak_counts = lists
    frequencies = np.diff(offsets[: len(vectors.scales) + 1]) + weak_counts
    forward = forward_index(vectors.entries, frequencies, shift, threads)
    return {
        "terms": vectors.terms,
        "scales": vectors.scales,
        "max_codes": vectors.max_codes,
        **dict(zip(FORWARD, forward, strict=True)),
        **dict(zip(LISTS, lists, strict=True)),
    }


def forward_index(entries: Arrays, frequencies: Array, shift: int, threads: int = 1) -> Arrays:
    """Pack entries into a forward index (see `kernels.rows`).

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    frequencies : ndarray of int64 [lists]
        How many postings each list has.
    shift : int
        As `upper_shift` returns.
    threads : int
        How many do it, each a share of the documents.

    Returns
    -------
    tuple of (offsets, rows, ranks)
    """
    n_documents, n_lists = len(entries[0]) - 1, len(frequencies)
    ranks = np.empty(n_lists, np.uint32)
    ranks[np.argsort(-frequencies, kind="stable")] = np.arange(n_lists)
    form = row_form(n_lists, shift)
    cuts = np.linspace(0, n_documents, min(threads, max(n_documents, 1)) + 1).astype(int)
    # Room for the longest rows there could be: what is not written to takes no memory.
    limits = np.concatenate([[0], np.cumsum(row_limit(np.diff(entries[0]), form))])[cuts]
    rows = np.empty(limits[-1], np.uint8)
    offsets = np.zeros(n_documents + 1, np.int64)

    def pack(i: int) -> int:
        span = int(cuts[i]), int(cuts[i + 1])
        return int(pack_rows(entries, ranks, form, span, offsets[1:], rows[limits[i] :]))

    with ThreadPoolExecutor(len(cuts) - 1) as pool:
        lengths = list(pool.map(pack, range(len(cuts) - 1)))
    end, whole = 0, rows.data
    for start, length in zip(limits[:-1].tolist(), lengths, strict=True):
        whole[end : end + length] = whole[start : start + length]
        end += length
    return np.cumsum(offsets, out=offsets), rows[:end], ranks


def layered_lists(entries: Arrays, scales: Array, shift: int, threads: int = 1) -> Arrays:
    """Sort postings by term, strong and weak ones apart (see `kernels.layering`).

    Parameters
    ----------
    entries : tuple of (offsets, numbers, codes)
    scales : ndarray of float32 [lists]
        What one step of a code is worth.
    shift : int
        As `upper_shift` returns.
    threads : int
        How many do it, each a share of the windows.

    Returns
    -------
    tuple
        The layered lists.
    """
    n_documents, n_lists = len(entries[0]) - 1, len(scales)
    n_windows = -(-n_documents // LIST_WINDOW)
    cuts = np.linspace(0, n_windows, min(threads, max(n_windows, 1)) + 1).astype(int).tolist()
    shares = list(pairwise(cuts))
    thresholds = np.empty(n_documents, np.float64)
    postings = np.empty((2 * n_lists, n_windows), np.uint32)
    leading = np.empty((n_lists, n_windows), np.uint32)
    layering = scales, thresholds, shift

    with ThreadPoolExecutor(len(shares)) as pool:

        def count(windows: tuple[int, int]) -> Array:
            tops = np.zeros(2 * n_lists, np.uint8)
            count_layers(entries, layering, windows, (postings, leading), tops)
            return tops

        tops = np.maximum.reduce(list(pool.map(count, shares)))
        offsets, starts, weak_counts = _lay_out(postings, leading)
        n_strong = offsets[n_lists]
        places, codes = np.empty(n_strong, np.uint16), np.empty(n_strong, np.uint8)
        weak = np.empty(offsets[-1] - n_strong, np.uint8)
        lists = offsets, places, codes, starts, tops, weak, weak_counts
        list(pool.map(lambda own: fill_layers(entries, layering, own, postings, lists), shares))
    return lists


def _lay_out(postings: Array, leading: Array) -> Arrays:
    """Return where layered lists and their windows start, and how many postings weak ones have.

    Parameters
    ----------
    postings, leading : ndarray of uint32
        As `count_layers` leaves them. The second, which many rare terms make large, becomes the
        sizes of weak lists' windows.
    """
    n_lists, n_windows = leading.shape
    weak = postings[n_lists:]
    weak_counts = weak.sum(axis=1, dtype=np.uint32)
    sizes = leading
    sizes += weak
    wide = sizes.sum(axis=1, dtype=np.int64) >= 2 * weak_counts.astype(np.int64)
    np.multiply(weak, 2, out=sizes, where=wide[:, None])
    starts = np.zeros((2 * n_lists, n_windows + 1), np.uint32)
    np.cumsum(postings[:n_lists], axis=1, dtype=np.uint32, out=starts[:n_lists, 1:])
    np.cumsum(sizes, axis=1, dtype=np.uint32, out=starts[n_lists:, 1:])
    offsets = np.concatenate([[0], np.cumsum(starts[:, -1], dtype=np.int64)])
    return offsets, starts, weak_counts


def choose_scales(largest: Array, max_code: int) -> npt.NDArray[np.float32]:
    """Return for each list the smallest power of two of which no weight is `max_code` + 1 times.

    Weights are rounded down to whole steps. Rounding down to a power of two and then to a larger
    one gives the same as rounding down to the larger one at once, so the codes do not depend on how
    documents were spread over segments, or how often these were merged.
    """
    _, exponents = np.frexp(largest.astype(np.float64))
    # The smallest normal float32 is 2**-126; weights below it count as one step.
    exponents = np.clip(exponents - max_code.bit_length(), -126, 127)
    return np.asarray(np.ldexp(1.0, exponents), dtype=np.float32)


def merge_vectors(
    segments: Sequence[Segment], live: Sequence[npt.NDArray[np.int64]], max_code: int, threads: int
) -> CodedVectors:
    """Return the vectors of the live documents of several segments, in order.

    Parameters
    ----------
    segments : sequence of Segment
    live : sequence of ndarray of int64
        Rows of the documents to keep, ascending.
    max_code : int
        Largest code.
    threads : int
        How many copy, each a segment at a time.
    """
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(_largest_weights, segments, live))
        terms, largest = _merge_terms(segments, found)
        scales = choose_scales(largest, max_code)
        forwards = (segment.forward for segment in segments)
        counts = list(pool.map(count_entries, forwards, live))
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        numbers = np.empty(int(offsets[-1]), list_dtype(len(terms)))
        codes = np.empty(len(numbers), code_dtype(max_code))
        ends = np.cumsum([0, *(int(count.sum()) for count in counts)])

        def copy(i: int) -> None:
            segment, part = segments[i], slice(ends[i], ends[i + 1])
            # Of terms that no live document has, whatever comes out is not looked at.
            places = np.minimum(np.searchsorted(terms, segment.arrays["terms"]), len(terms) - 1)
            steps = _exponents(scales[places]) - _exponents(segment.arrays["scales"])
            order = segment.lists_by_rank
            places, steps = places.astype(numbers.dtype)[order], steps[order]
            copy_entries(segment.forward, live[i], places, steps, numbers[part], codes[part])
            release_pages(segment.forward[1])

        if len(terms):
            list(pool.map(copy, range(len(segments))))
    max_codes = _codes_of(largest, scales, codes.dtype)
    return CodedVectors(terms, scales, max_codes, (offsets, numbers, codes))


def _largest_weights(segment: Segment, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the largest weight that documents have of each of a segment's terms, 0 for none."""
    codes, scales = segment.arrays["max_codes"], segment.arrays["scales"]
    if len(rows) < segment.n_documents:
        codes = largest_codes(segment.forward, rows)[segment.arrays["forward_ranks"]]
    return np.asarray(codes * scales, np.float32)


def _merge_terms(
    segments: Sequence[Segment], largest: Sequence[npt.NDArray[np.float32]]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Return the terms that live documents have, ascending, and the largest weight of each."""
    given = np.concatenate([np.asarray(segment.arrays["terms"]) for segment in segments])
    terms, places = np.unique(given, return_inverse=True)
    weights = np.zeros(len(terms), np.float32)
    np.maximum.at(weights, places, np.concatenate(largest))
    return terms[weights > 0], weights[weights > 0]


def _codes_of(largest: Array, scales: Array, dtype: npt.DTypeLike) -> Array:
    """Return the largest code of each list, given its largest weight."""
    return np.maximum(largest / scales, 1).astype(dtype)


def _exponents(scales: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return np.frexp(scales)[1].astype(np.int64)
