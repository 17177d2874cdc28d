"""Plain NumPy twins of the kernels: short, slow, and what the kernels are tested against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.kernels.places import WINDOW

__all__ = [
    "above_in_block",
    "find_terms",
    "guess_threshold",
    "merge_lists",
    "postings_of",
    "score_all",
    "search_segment",
    "transpose",
    "unpack_rows",
]

Array = npt.NDArray[Any]


def transpose(
    offsets: Array, columns: Array, values: Array, n_columns: int
) -> tuple[Array, Array, Array]:
    """Twin of `kernels.invert.transpose`; the rows are returned, in second place."""
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.argsort(columns, kind="stable")
    counts = np.bincount(columns, minlength=n_columns)
    return np.concatenate([[0], np.cumsum(counts)]), rows[order], values[order]


def merge_lists(
    segments: list[tuple[Array, Array, Array, Array, Array]], n_terms: int
) -> tuple[Array, Array, Array]:
    """Twin of repeated calls of `kernels.invert.merge_lists`.

    Each segment is ``(targets, offsets, rows, values, new_rows)``.
    """
    all_terms, all_rows, all_values = [], [], []
    for targets, offsets, rows, values, new_rows in segments:
        live = new_rows[rows] >= 0
        all_terms.append(np.repeat(targets, np.diff(offsets))[live])
        all_rows.append(new_rows[rows][live])
        all_values.append(values[live])
    terms = np.concatenate(all_terms)
    order = np.argsort(terms, kind="stable")
    counts = np.bincount(terms, minlength=n_terms)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return offsets, np.concatenate(all_rows)[order], np.concatenate(all_values)[order]


def unpack_rows(places: tuple[Array, ...]) -> Array:
    """Twin of `kernels.places.unpack_rows`, of all lists one after the other."""
    offsets, own, long_lists, window_starts, _, windows = places
    numbers = np.empty(len(own), np.int64)
    is_long = np.isin(np.arange(len(offsets) - 1), long_lists)
    counts: Array = np.diff(window_starts.astype(np.int64), axis=1)
    sizes: Array = np.diff(offsets)
    every_window = np.tile(np.arange(counts.shape[1]), len(counts))
    numbers[np.repeat(is_long, sizes)] = np.repeat(every_window, counts.ravel())
    numbers[np.repeat(~is_long, sizes)] = windows
    return numbers * WINDOW + own


def postings_of(offsets: Array, rows: Array, wanted: Array) -> Array:
    """Twin of `kernels.lookup.postings_of`."""
    lists = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    at = np.flatnonzero(np.isin(rows, wanted))
    return np.stack([np.searchsorted(wanted, rows[at]), lists[at], at])


def above_in_block(
    sums: Array, start: int, bounds: Array, at: int, bar: int, lanes: int, n_rows: int
) -> int:
    """Twin of `kernels.intrinsics.above_in_block`, and with one row of `above_in_row`."""
    largest = sums[start : start + n_rows * lanes].reshape(n_rows, lanes).max(axis=0)
    above = largest > bar - bounds[at : at + lanes]
    return sum(1 << lane for lane in np.flatnonzero(above).tolist())


def find_terms(terms: Array, query_terms: Array) -> Array:
    """Twin of `kernels.plan.find_terms`."""
    positions = {int(term): i for i, term in enumerate(terms)}
    return np.array([positions.get(int(term), -1) for term in query_terms], dtype=np.int64)


def score_all(
    lists: tuple[Array, Array, Array], allowed: Array, located: Array, multipliers: Array
) -> Array:
    """Return every document's integer score, 0 for those that may not be returned.

    Parameters
    ----------
    lists : (offsets, rows, codes)
    allowed : ndarray of bool [documents]
    located, multipliers : ndarray of int64 [query terms]
    """
    offsets, rows, codes = lists
    scores = np.zeros(len(allowed), dtype=np.int64)
    for position, multiplier in zip(located, multipliers, strict=True):
        if position >= 0:
            part = slice(offsets[position], offsets[position + 1])
            np.add.at(scores, rows[part], multiplier * codes[part].astype(np.int64))
    scores[~allowed] = 0
    return scores


def guess_threshold(scores: Array, stretches: list[slice], rank: int) -> int:
    """Twin of `kernels.exact.guess_thresholds` for one query, from all its documents' scores."""
    sample = np.sort(np.concatenate([scores[stretch] for stretch in stretches]))[::-1]
    return int(sample[rank - 1]) - 1 if np.count_nonzero(sample > 0) >= rank else 0


def search_segment(
    lists: tuple[Array, Array, Array],
    allowed: Array,
    located: Array,
    multipliers: Array,
    k: int,
) -> tuple[Array, Array]:
    """Score every document exhaustively; return rows and integer scores of the best k.

    Parameters
    ----------
    lists, allowed, located, multipliers
        As for `score_all`.
    k : int
    """
    scores = score_all(lists, allowed, located, multipliers)
    best = np.lexsort((np.arange(len(scores)), -scores))[:k]
    best = best[scores[best] > 0]
    return best, scores[best]
