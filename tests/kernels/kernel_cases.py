"""Random posting lists, and the exhaustive search the kernel is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparsearch.kernels import exact, reference
from sparsearch.kernels.lists import plane_maxima, split_codes
from sparsearch.kernels.places import pack_rows
from sparsearch.kernels.topk import LAST_DOCUMENT


@dataclass
class Lists:
    """Posting lists of one segment; those in `dense` are given as dense rows, too."""

    postings: list[tuple[np.ndarray, np.ndarray]]
    n_rows: int
    allowed: np.ndarray = field(default_factory=lambda: np.empty(0, np.bool_))
    dense: tuple[int, ...] = ()

    @property
    def dtype(self) -> type:
        """As an index of 8 or of 12 bits would have it."""
        largest = max((int(codes.max(initial=0)) for _, codes in self.postings), default=0)
        return np.uint8 if largest < 256 else np.uint16

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sizes = [len(rows) for rows, _ in self.postings]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rows = np.concatenate([np.empty(0), *(rows for rows, _ in self.postings)])
        codes = np.concatenate([np.empty(0), *(codes for _, codes in self.postings)])
        return offsets, rows.astype(np.uint32), codes.astype(self.dtype)

    def for_kernel(self) -> tuple[Any, ...]:
        offsets, rows, codes = self.arrays
        max_codes = np.array([codes.max(initial=0) for _, codes in self.postings], self.dtype)
        dense_codes = np.zeros((len(self.dense), self.n_rows), self.dtype)
        for at, term in enumerate(self.dense):
            dense_codes[at, self.postings[term][0]] = self.postings[term][1]
        dense_lists = np.array(self.dense, np.int64)
        planes = split_codes(dense_codes)
        dense = (dense_lists, planes, plane_maxima(planes[: len(dense_lists)]))
        return places(offsets, rows, self.n_rows), codes, max_codes, *dense

    def mask(self) -> np.ndarray:
        return self.allowed if len(self.allowed) else np.ones(self.n_rows, np.bool_)


def places(offsets: np.ndarray, rows: np.ndarray, n_rows: int) -> tuple[np.ndarray, ...]:
    """Return the documents of posting lists as kernels take them."""
    packed = pack_rows(offsets, rows, n_rows)
    names = ("places", "long_lists", "window_starts", "long_before", "windows")
    return offsets, *(packed[name] for name in names)


Query = list[tuple[int, int]]
"""Pairs of list number (-1: not in the segment) and multiplier."""


def random_lists(rng: np.random.Generator, n_rows: int, sizes: list[int], max_code: int) -> Lists:
    postings = []
    for size in sizes:
        rows = np.sort(rng.choice(n_rows, min(size, n_rows), replace=False))
        postings.append((rows, rng.integers(1, max_code + 1, len(rows))))
    return Lists(postings, n_rows)


def packed_queries(queries: list[Query], n_lists: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return queries as kernels take them; a list that is not there counts as absent."""
    offsets = np.concatenate([[0], np.cumsum([len(query) for query in queries])]).astype(np.int64)
    pairs: Any = [pair for query in queries for pair in query]
    located, multipliers = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    return offsets, np.where(located < n_lists, located, -1), multipliers


def search(
    segments: list[Lists], queries: list[Query], k: int, above: int = 0
) -> list[list[tuple[int, int]]]:
    """Return each query's (document, score) pairs by the kernel, segment after segment."""
    keys = np.empty((len(queries), 2 * k), np.int64)
    sizes = np.zeros(len(queries), np.int64)
    tops = (keys, sizes, np.full(len(queries), above, np.int64))
    base = 0
    for segment in segments:
        exact.search_segment(
            segment.for_kernel(),
            segment.allowed,
            segment.n_rows,
            base,
            packed_queries(queries, len(segment.postings)),
            tops,
            0,
            len(queries),
        )
        base += segment.n_rows
    best = [np.sort(keys[i, : sizes[i]])[::-1][:k] for i in range(len(queries))]
    return [
        [(LAST_DOCUMENT - (key & LAST_DOCUMENT), key >> 32) for key in row.tolist()] for row in best
    ]


def search_exhaustively(
    segments: list[Lists], queries: list[Query], k: int
) -> list[list[tuple[int, int]]]:
    """Return the same by the NumPy twin: every segment's best, merged."""
    results = []
    for query in queries:
        found: list[tuple[int, int]] = []
        base = 0
        for segment in segments:
            located = np.array([t if t < len(segment.postings) else -1 for t, _ in query], np.int64)
            multipliers = np.array([m for _, m in query], np.int64)
            rows, scores = reference.search_segment(
                segment.arrays, segment.mask(), located, multipliers, k
            )
            found += zip((rows + base).tolist(), scores.tolist(), strict=True)
            base += segment.n_rows
        results.append(sorted(found, key=lambda entry: (-entry[1], entry[0]))[:k])
    return results
