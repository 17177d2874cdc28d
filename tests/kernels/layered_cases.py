"""Random segments with forward index and layered lists, and what the kernels make of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_cases import Lists, Query, random_lists

from sparsearch.index.layered import forward_index, layered_lists
from sparsearch.index.segment import row_form
from sparsearch.kernels import approximate_reference as reference
from sparsearch.kernels.approximate import (
    fit_scales,
    gather_candidates,
    keep_best,
    score_candidates,
)
from sparsearch.kernels.invert import transpose
from sparsearch.kernels.layering import LIST_WINDOW, upper_shift
from sparsearch.kernels.layers import search_layers
from sparsearch.kernels.topk import LAST_DOCUMENT

Arrays = tuple[np.ndarray, ...]
Found = list[tuple[int, int]]
"""Pairs of document and score."""

_scratch = np.zeros(LIST_WINDOW, np.int32), np.zeros(5000, np.int32)
"""The second is longer than the posting lists of any test."""


@contextmanager
def scratch() -> Iterator[Arrays]:
    """Lend what all calls share; each must leave it as it was."""
    yield _scratch
    assert not any(part.any() for part in _scratch)


@dataclass
class Segment:
    """Posting lists with forward index and layered lists, codes taken for weights."""

    lists: Lists

    @cached_property
    def entries(self) -> Arrays:
        offsets, rows, codes = self.lists.arrays
        numbers = np.empty(len(rows), np.uint16)
        starts, ordered = transpose(offsets, rows, codes, self.lists.n_rows, numbers)
        return starts, numbers, ordered

    @cached_property
    def forward(self) -> tuple[Any, ...]:
        frequencies = np.array([len(rows) for rows, _ in self.lists.postings], np.int64)
        form = row_form(len(frequencies), self.shift)
        return *forward_index(self.entries, frequencies, self.shift), form

    @cached_property
    def shift(self) -> int:
        return upper_shift(self.entries[2])

    @cached_property
    def layers(self) -> Arrays:
        ones = np.ones(len(self.lists.postings), np.float32)
        found: Arrays = layered_lists(self.entries, ones, self.shift)
        return found

    @property
    def strong_lengths(self) -> np.ndarray:
        return np.diff(self.layers[0])[: len(self.lists.postings)]

    @cached_property
    def max_codes(self) -> np.ndarray:
        return np.array([codes.max(initial=0) for _, codes in self.lists.postings], np.uint16)


@dataclass
class Collection:
    """Segments one after another, and queries in their terms."""

    segments: list[Segment]
    queries: list[Query]

    @property
    def n_documents(self) -> int:
        return sum(segment.lists.n_rows for segment in self.segments)

    def bases(self) -> list[int]:
        sizes = [segment.lists.n_rows for segment in self.segments]
        return np.cumsum([0, *sizes])[:-1].tolist()

    def in_terms_of(self, segment: Segment) -> Arrays:
        sizes = [len(query) for query in self.queries]
        pairs: Any = [pair for query in self.queries for pair in query]
        located, multipliers = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
        # A list that another segment has but this one lacks counts as absent.
        located = np.where(located < len(segment.lists.postings), located, -1)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), located, multipliers

    def gather(self, mass: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys of the candidates and how many there are, by the kernels."""
        n = len(self.queries)
        keys, sizes = np.empty((n, 2 * count), np.int64), np.zeros(n, np.int64)
        bars, scales = np.zeros(n, np.uint16), np.full(n, np.inf)
        inputs = [((s.layers, s.max_codes), self.in_terms_of(s)) for s in self.segments]
        for arrays, queries in inputs:
            fit_scales(arrays, self.n_documents, queries, mass, scales, 0, n)
        for segment, base, (arrays, queries) in zip(
            self.segments, self.bases(), inputs, strict=True
        ):
            with scratch() as lent:
                gather_candidates(
                    arrays, segment.lists.allowed, base, self.n_documents, queries, (mass, scales),
                    (keys, sizes, bars), lent, 0, n,
                )  # fmt: skip
        keep_best(keys, sizes, count)
        return keys, sizes

    def partial_scores(self, mass: float) -> list[np.ndarray]:
        """Return each query's partial scores of all documents, 0 where not allowed, by the twin."""
        chosen, scales = [], np.full(len(self.queries), np.inf)
        for segment in self.segments:
            offsets, located, multipliers = self.in_terms_of(segment)
            lengths = segment.strong_lengths
            for i, (low, high) in enumerate(itertools.pairwise(offsets)):
                numbers, weights = located[low:high], multipliers[low:high]
                picked = reference.choose_lists(
                    lengths, segment.max_codes, numbers, weights, mass, self.n_documents
                )
                chosen.append((numbers[picked], weights[picked]))
                scales[i] = min(scales[i], reference.largest_scale(weights[picked]))
        found: list[list[np.ndarray]] = [[] for _ in self.queries]
        for at, (numbers, weights) in enumerate(chosen):
            segment, i = self.segments[at // len(self.queries)], at % len(self.queries)
            lengths = segment.strong_lengths[numbers]
            factors = reference.factors(weights, lengths, scales[i])
            scores = reference.partial_scores(
                segment.layers, numbers, factors, segment.lists.n_rows
            )
            found[i].append(np.where(segment.lists.mask(), scores, 0))
        return [np.concatenate(parts) for parts in found]

    def exact_scores(self, query: int) -> np.ndarray:
        """Return a query's score of all documents, by the twin."""
        found = []
        for segment in self.segments:
            offsets, located, multipliers = self.in_terms_of(segment)
            part = slice(offsets[query], offsets[query + 1])
            found.append(reference.exact_scores(segment.entries, located[part], multipliers[part]))
        return np.concatenate(found)

    def search_exactly(self, k: int, above: int = 0) -> list[Found]:
        """Return each query's best k of all documents, by the kernel."""
        n = len(self.queries)
        keys, sizes = np.empty((n, 2 * k), np.int64), np.zeros(n, np.int64)
        tops = keys, sizes, np.full(n, above, np.int64)
        for segment, base in zip(self.segments, self.bases(), strict=True):
            with scratch() as lent:
                search_layers(
                    (segment.layers, segment.forward), segment.lists.allowed, base,
                    self.in_terms_of(segment), tops, lent, 0, n,
                )  # fmt: skip
        return [entries(np.sort(keys[i, : sizes[i]])[::-1][:k]) for i in range(n)]

    def score(self, candidates: tuple[np.ndarray, np.ndarray], k: int) -> list[Found]:
        """Return each query's best k of its candidates, by the kernel."""
        n = len(self.queries)
        keys, sizes = np.empty((n, 2 * k), np.int64), np.zeros(n, np.int64)
        tops = keys, sizes, np.zeros(n, np.int64)
        for segment, base in zip(self.segments, self.bases(), strict=True):
            with scratch() as lent:
                score_candidates(
                    segment.forward, base, candidates, self.in_terms_of(segment), tops, lent, 0, n
                )
        return [entries(np.sort(keys[i, : sizes[i]])[::-1][:k]) for i in range(n)]


def entries(keys: np.ndarray) -> Found:
    return [(LAST_DOCUMENT - (key & LAST_DOCUMENT), key >> 32) for key in keys.tolist()]


multipliers = st.one_of(st.integers(-3, 3), st.integers(-20_000, 20_000))
queries = st.lists(
    st.lists(
        st.tuples(st.integers(-1, 7), multipliers), max_size=8, unique_by=lambda pair: pair[0]
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    segments = []
    for n_rows in draw(st.lists(st.sampled_from([1, 5, 70, 1000]), min_size=1, max_size=3)):
        shares = draw(st.lists(st.sampled_from([0.0, 0.01, 0.3, 1.0]), min_size=1, max_size=8))
        sizes = [int(share * n_rows) for share in shares]
        lists = random_lists(rng, n_rows, sizes, draw(st.sampled_from([1, 3, 255, 4095])))
        if draw(st.booleans()):
            lists.allowed = rng.random(n_rows) < draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
        segments.append(Segment(lists))
    return Collection(segments, draw(queries))
