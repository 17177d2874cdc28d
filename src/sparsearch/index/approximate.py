"""Searching segments whose weights are final: approximately with an effort, or exactly.

An index of one segment takes a shorter way, `kernels.one_segment`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsearch.index.segment import Segment
from sparsearch.kernels.approximate import (
    fit_scales,
    gather_candidates,
    keep_best,
    score_candidates,
)
from sparsearch.kernels.layering import LIST_WINDOW
from sparsearch.kernels.layers import search_layers, set_thresholds
from sparsearch.kernels.topk import LAST_DOCUMENT

__all__ = [
    "EXACT",
    "LONGEST_QUERY",
    "SHORT_QUERY",
    "Effort",
    "Efforts",
    "SegmentQueries",
    "Tops",
    "approximate_keys",
    "exact_keys",
    "first_walk",
    "keep_scratch",
    "score_all",
    "take_scratch",
]

Scratch = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
Tops = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Effort:
    """How much work an approximate search may do.

    Parameters
    ----------
    mass : float
        Share of a query's mass (its weights times the largest weights of their terms) whose strong
        lists are walked; above 0, at most 1.
    candidates : int
        Documents scored in full, for the 10 best; see `candidates_for`.
    """

    mass: float
    candidates: int

    def candidates_for(self, k: int) -> int:
        """Return how many candidates to score for the best k.

        Candidates grow with the square root of k: of the next best documents, more are candidates
        already.
        """
        return max(math.ceil(self.candidates * math.sqrt(k / 10)), 2 * k, 10)


SHORT_QUERY = 16
"""Terms of the longest query that counts as short. What models that expand documents only make of
a question has about 7, what models that expand queries make of it more than 20."""

LONGEST_QUERY = 256
"""Terms of the longest query that is searched approximately: the factors of its lists add up to
`kernels.approximate`'s 257, so with more lists than that all would weigh alike or be left out."""


@dataclass(frozen=True)
class Efforts:
    """How much work an approximate search may do, by the length of the query.

    With the same effort, short queries are answered less completely than long ones. Queries of more
    than `LONGEST_QUERY` terms are searched exactly.

    Parameters
    ----------
    short, long : Effort or None
        None stands for exact search.
    """

    short: Effort | None
    long: Effort | None

    def of(self, n_terms: int) -> Effort | None:
        """Return the effort for a query of so many terms."""
        if n_terms > LONGEST_QUERY:
            return None
        return self.short if n_terms <= SHORT_QUERY else self.long


EXACT = Efforts(None, None)

_FIRST_MASS, _FIRST_MORE = 0.6, 15


def first_walk(k: int) -> tuple[float, int]:
    """Return mass and candidates of the search that gives exact search a score to beat."""
    return _FIRST_MASS, k + k // 4 + _FIRST_MORE


_kept = threading.local()


def take_scratch(n_lists: int) -> Scratch:
    """Return arrays that kernels write to and clear again (see `kernels.approximate`).

    Give them back with `keep_scratch`, unless the kernel has failed and may have left them dirty.
    """
    scratch: Scratch | None = _kept.__dict__.pop("scratch", None)
    if scratch is None or scratch[1].size < n_lists:
        return _aligned_zeros(LIST_WINDOW), np.zeros(n_lists, np.int32)
    return scratch


def _aligned_zeros(size: int) -> npt.NDArray[np.int32]:
    zeros = np.zeros(size + 16, np.int32)
    skipped = -zeros.ctypes.data % 64 // 4
    return zeros[skipped : skipped + size]


def keep_scratch(scratch: Scratch) -> None:
    """Keep cleared arrays for the next search of this thread."""
    _kept.scratch = scratch


@dataclass(frozen=True)
class SegmentQueries:
    """One segment and the queries in its terms.

    Parameters
    ----------
    segment : Segment
    allowed : ndarray of bool [documents] or [0]
        Documents that may be returned; empty when all may.
    base : int
        Number of its first document.
    queries : tuple of ndarray
        As `kernels.exact.search_segment` takes them.
    """

    segment: Segment
    allowed: npt.NDArray[np.bool_]
    base: int
    queries: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def approximate_keys(
    works: Sequence[SegmentQueries], effort: Effort, tops: Tops, start: int, stop: int
) -> None:
    """Fill the top k of queries ``start .. stop - 1`` from their best candidates.

    Parameters
    ----------
    works : sequence of SegmentQueries
        Of all segments, in order.
    effort : Effort
    tops : tuple of (keys, sizes, thresholds)
        As `kernels.layers.search_layers` takes them, empty yet.
    start, stop : int
    """
    k = tops[0].shape[1] // 2
    _score_best(works, (effort.mass, effort.candidates_for(k)), tops, start, stop)


def _score_best(
    works: Sequence[SegmentQueries], effort: tuple[float, int], tops: Tops, start: int, stop: int
) -> None:
    """Fill the top k from so many candidates, given a share of the queries' mass."""
    n_documents = sum(work.segment.n_documents for work in works)
    mass, count = effort[0], min(effort[1], n_documents)
    lists = [(work.segment.lists, work.segment.arrays["max_codes"]) for work in works]
    scratch = take_scratch(_most_lists(works))
    keys = np.empty((stop - start, 2 * count), np.int64)
    sizes = np.zeros(stop - start, np.int64)
    bars = np.zeros(stop - start, np.uint16)
    scales = np.full(stop - start, np.inf)
    for work, own in zip(works, lists, strict=True):
        fit_scales(own, n_documents, work.queries, mass, scales, start, stop)
    for work, own in zip(works, lists, strict=True):
        gather_candidates(
            own, work.allowed, work.base, n_documents, work.queries, (mass, scales),
            (keys, sizes, bars), scratch, start, stop,
        )  # fmt: skip
    keep_scratch(scratch)
    keep_best(keys, sizes, count)
    _score(works, (keys, sizes), tops, start, stop)


def exact_keys(works: Sequence[SegmentQueries], tops: Tops, start: int, stop: int) -> None:
    """Fill the top k of queries ``start .. stop - 1``, exactly.

    Parameters
    ----------
    works, tops, start, stop
        As for `approximate_keys`.
    """
    k = tops[0].shape[1] // 2
    _score_best(works, first_walk(k), tops, start, stop)
    set_thresholds(tops)
    scratch = take_scratch(_most_lists(works))
    for work in works:
        segment = work.segment
        layers = segment.lists, segment.forward
        search_layers(layers, work.allowed, work.base, work.queries, tops, scratch, start, stop)
    keep_scratch(scratch)


def score_all(
    works: Sequence[SegmentQueries], numbers: npt.NDArray[np.int64], k: int, start: int, stop: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Score given documents; return for each query the keys of the best k and some more.

    Parameters
    ----------
    works : sequence of SegmentQueries
    numbers : ndarray of int64
    k, start, stop : int
    """
    candidates = np.tile(LAST_DOCUMENT - numbers, (stop - start, 1))
    counts = np.full(stop - start, len(numbers), np.int64)
    keys = np.empty((stop - start, 2 * k), np.int64)
    sizes = np.zeros(stop - start, np.int64)
    thresholds = np.zeros(stop - start, np.int64)
    _score(works, (candidates, counts), (keys, sizes, thresholds), start, stop)
    return keys, sizes


def _score(
    works: Sequence[SegmentQueries],
    candidates: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    tops: Tops,
    start: int,
    stop: int,
) -> None:
    scratch = take_scratch(_most_lists(works))
    for work in works:
        score_candidates(
            work.segment.forward, work.base, candidates, work.queries, tops, scratch, start, stop
        )
    keep_scratch(scratch)


def _most_lists(works: Sequence[SegmentQueries]) -> int:
    return max(work.segment.n_lists for work in works)
