"""Candidates are the best by partial score, and each is scored exactly."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import Lists, Query, random_lists

from sparsearch.kernels import approximate_reference as reference
from sparsearch.kernels.approximate import (
    fit_scales,
    gather_candidates,
    keep_best,
    score_candidates,
    search_one,
)
from sparsearch.kernels.forward import (
    STRONG_WINDOW,
    strong_lists,
    strong_shift,
)
from sparsearch.kernels.invert import transpose
from sparsearch.kernels.topk import LAST_DOCUMENT

Arrays = tuple[np.ndarray, ...]
Found = list[tuple[int, int]]
"""Pairs of document and score."""


@dataclass
class Segment:
    """Posting lists with the arrays of approximate search, codes taken for weights."""

    lists: Lists

    @cached_property
    def forward(self) -> Arrays:
        offsets, rows, codes = self.lists.arrays
        numbers = np.empty(len(rows), np.uint16)
        starts, ordered = transpose(offsets, rows, codes, self.lists.n_rows, numbers)
        return starts, numbers, ordered

    @cached_property
    def strong(self) -> Arrays:
        ones = np.ones(len(self.lists.postings), np.float32)
        found: Arrays = strong_lists(self.forward, ones, strong_shift(self.forward[2]))
        return found

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
        inputs = [((s.strong, s.max_codes), self.in_terms_of(s)) for s in self.segments]
        for arrays, queries in inputs:
            fit_scales(arrays, self.n_documents, queries, mass, scales, 0, n)
        for segment, base, (arrays, queries) in zip(
            self.segments, self.bases(), inputs, strict=True
        ):
            gather_candidates(
                arrays, segment.lists.allowed, base, self.n_documents, queries, (mass, scales),
                (keys, sizes, bars), 0, n,
            )  # fmt: skip
        keep_best(keys, sizes, count)
        return keys, sizes

    def partial_scores(self, mass: float) -> list[np.ndarray]:
        """Return each query's partial scores of all documents, 0 where not allowed, by the twin."""
        chosen, scales = [], np.full(len(self.queries), np.inf)
        for segment in self.segments:
            offsets, located, multipliers = self.in_terms_of(segment)
            lengths = np.diff(segment.strong[0])
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
            lengths = np.diff(segment.strong[0])[numbers]
            factors = reference.factors(weights, lengths, scales[i])
            scores = reference.partial_scores(
                segment.strong, numbers, factors, segment.lists.n_rows
            )
            found[i].append(np.where(segment.lists.mask(), scores, 0))
        return [np.concatenate(parts) for parts in found]

    def exact_scores(self, query: int) -> np.ndarray:
        """Return a query's score of all documents, by the twin."""
        found = []
        for segment in self.segments:
            offsets, located, multipliers = self.in_terms_of(segment)
            part = slice(offsets[query], offsets[query + 1])
            found.append(reference.exact_scores(segment.forward, located[part], multipliers[part]))
        return np.concatenate(found)

    def score(self, candidates: tuple[np.ndarray, np.ndarray], k: int) -> list[Found]:
        """Return each query's best k of its candidates, by the kernel."""
        n = len(self.queries)
        keys, sizes = np.empty((n, 2 * k), np.int64), np.zeros(n, np.int64)
        tops = keys, sizes, np.zeros(n, np.int64)
        for segment, base in zip(self.segments, self.bases(), strict=True):
            score_candidates(
                segment.forward, base, len(segment.lists.postings), candidates,
                self.in_terms_of(segment), tops, 0, n,
            )  # fmt: skip
        return [entries(np.sort(keys[i, : sizes[i]])[::-1][:k]) for i in range(n)]


def entries(keys: np.ndarray) -> Found:
    return [(LAST_DOCUMENT - (key & LAST_DOCUMENT), key >> 32) for key in keys.tolist()]


def assert_best_candidates(collection: Collection, mass: float, count: int) -> list[int]:
    """Compare the candidates with the twin's; return how many each query lacks."""
    keys, sizes = collection.gather(mass, count)
    missing = []
    for row, size, partial in zip(
        keys, sizes.tolist(), collection.partial_scores(mass), strict=True
    ):
        found = entries(row[:size])
        assert partial.max(initial=0) <= 65535
        assert all(score == partial[document] > 0 for document, score in found)
        assert len({document for document, _ in found}) == size
        # Those kept are the best; which of equal ones are is left open.
        best = np.sort(partial)[::-1][:size].tolist()
        assert sorted((score for _, score in found), reverse=True) == best
        missing.append(min(count, int((partial > 0).sum())) - size)
    return missing


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


@given(
    collections(),
    st.sampled_from([0.01, 0.5, 0.9, 1.0]),
    st.sampled_from([1, 2, 10, 100, 5000]),
)
@settings(max_examples=70)
def test_candidates_are_the_best_by_partial_score(
    collection: Collection, mass: float, count: int
) -> None:
    assert not any(assert_best_candidates(collection, mass, count))


@given(collections(), st.sampled_from([1, 2, 10, 2000]), st.integers(0, 2**32))
@settings(max_examples=70)
def test_candidates_are_scored_exactly(collection: Collection, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = collection.n_documents
    sizes = rng.integers(0, min(total, 300) + 1, len(collection.queries))
    keys = np.zeros((len(sizes), 300), np.int64)
    expected = []
    for i, size in enumerate(sizes.tolist()):
        documents = rng.choice(total, size, replace=False)
        keys[i, :size] = (rng.integers(1, 2**16, size) << 32) | (LAST_DOCUMENT - documents)
        scores = collection.exact_scores(i)[documents].tolist()
        found = [pair for pair in zip(documents.tolist(), scores, strict=True) if pair[1] > 0]
        expected.append(sorted(found, key=lambda pair: (-pair[1], pair[0]))[:k])
    assert collection.score((keys, sizes), k) == expected


@given(
    collections(), st.sampled_from([0.3, 1.0]), st.sampled_from([1, 50]), st.sampled_from([1, 20])
)
@settings(max_examples=50)
def test_one_segment_in_one_call(collection: Collection, mass: float, count: int, k: int) -> None:
    segment = collection.segments[0]
    alone = Collection([segment], collection.queries)
    n = len(alone.queries)
    keys, sizes = np.empty((n, 2 * k), np.int64), np.zeros(n, np.int64)
    search_one(
        (segment.strong, segment.max_codes), segment.forward, segment.lists.allowed,
        alone.in_terms_of(segment), (mass, count), (keys, sizes, np.zeros(n, np.int64)), 0, n,
    )  # fmt: skip
    found = [entries(np.sort(keys[i, : sizes[i]])[::-1][:k]) for i in range(n)]
    assert found == alone.score(alone.gather(mass, count), k)


@pytest.mark.parametrize("windows", [2, 3, 4, 5, 17, 25])
@pytest.mark.parametrize("count", [10, 400])
def test_many_windows(windows: int, count: int) -> None:
    """Of few windows all are searched in order, of more some are first, as a sample."""
    rng = np.random.default_rng(windows)
    n_rows = windows * STRONG_WINDOW - 100
    sizes = [int(n_rows / (2 + 3 * i) ** 1.5) + 1 for i in range(12)]
    large = Segment(random_lists(rng, n_rows, sizes, 4095))
    small = Segment(random_lists(rng, 3000, [300] * 12, 4095))
    query = [(term, int(5 * (1 + term) ** 2)) for term in range(12)]
    for segments in ([large], [large, small], [small, large]):
        for mass in (0.4, 1.0):
            missing = assert_best_candidates(Collection(segments, [query]), mass, count)
            # A sample may set too high a bar for a few.
            assert missing[0] <= (count // 5 if windows > 3 else 0)
    large.lists.allowed = rng.random(n_rows) < 0.3
    assert assert_best_candidates(Collection([large], [query]), 0.7, count)[0] <= count // 5


@pytest.mark.parametrize("windows", [1, 2, 3, 4])
def test_documents_at_the_edges_of_windows(windows: int) -> None:
    first = STRONG_WINDOW * np.arange(windows)
    rows = np.sort(np.concatenate([first, first + STRONG_WINDOW - 1]))
    lists = Lists([(rows, np.arange(1, len(rows) + 1))], windows * STRONG_WINDOW)
    collection = Collection([Segment(lists), Segment(lists)], [[(0, 1)]])
    for count in (1, 2, 100):
        assert assert_best_candidates(collection, 1.0, count) == [0]


def test_a_sample_of_nothing_hides_nothing() -> None:
    """All documents of a query stand where no sample is taken, or all where one is."""
    for window in (0, 1, 4):
        rows = window * STRONG_WINDOW + np.arange(0, STRONG_WINDOW, 4)
        postings = [(rows, 1 + np.arange(len(rows)) % 255)]
        lists = Lists(postings, 5 * STRONG_WINDOW)
        collection = Collection([Segment(lists)], [[(0, 3)]])
        for count in (1, 100, 5000):
            keys, sizes = collection.gather(1.0, count)
            assert 0 < sizes[0] <= min(count, len(rows))
            assert_best_candidates(collection, 1.0, count)
            assert entries(keys[0, :1])[0][0] // STRONG_WINDOW == window


def test_a_segment_without_the_heavy_terms_does_not_push_the_others_aside() -> None:
    """Partial scores of all segments are in one unit.

    Scaled to 16 bits segment by segment, a single light term weighed as much as all heavy ones.
    """
    heavy = (np.arange(100), np.full(100, 200))
    light = (np.arange(100), np.full(100, 250))
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64))
    first = Segment(Lists([heavy, light], 100))
    second = Segment(Lists([nothing, light], 100))
    for segments, wanted in (([first, second], range(100)), ([second, first], range(100, 200))):
        collection = Collection(segments, [[(0, 1000), (1, 10)]])
        assert assert_best_candidates(collection, 1.0, 100) == [0]
        keys, sizes = collection.gather(1.0, 100)
        assert sorted(document for document, _ in entries(keys[0, : sizes[0]])) == list(wanted)


@pytest.mark.parametrize("spacing", [1, 32, 256, 257])
def test_partial_scores_that_differ_by_one(spacing: int) -> None:
    """Alone in its stretch of documents, each exceeds the bar by as little as can be."""
    codes = np.arange(1, 32)
    heavy, light = (np.array([0]), np.array([1])), (spacing * np.arange(1, 32), codes)
    lists = Lists([heavy, light], STRONG_WINDOW)
    collection = Collection([Segment(lists)], [[(0, 100_000), (1, 1)]])
    np.testing.assert_array_equal(collection.partial_scores(1.0)[0][light[0]], codes)
    for count in (1, 2, 5, 40):
        assert assert_best_candidates(collection, 1.0, count) == [0]


def test_all_partial_scores_equal() -> None:
    lists = Lists([(np.arange(3 * STRONG_WINDOW), np.ones(3 * STRONG_WINDOW))], 3 * STRONG_WINDOW)
    collection = Collection([Segment(lists), Segment(lists)], [[(0, 1)]])
    for count in (1, 7, 1000):
        assert assert_best_candidates(collection, 1.0, count) == [0]


@pytest.mark.parametrize("n_terms", [1, 255, 256, 257, 258, 400])
def test_partial_scores_of_many_terms_stay_within_16_bits(n_terms: int) -> None:
    lists = Lists([(np.arange(20), np.full(20, 4095))] * n_terms, 20)
    for multiplier in (1, 1000):
        query = [(term, multiplier + term % 3) for term in range(n_terms)]
        collection = Collection([Segment(lists)], [query])
        assert assert_best_candidates(collection, 1.0, 20) == [0]
        assert collection.partial_scores(1.0)[0].min() > 0


def test_multipliers_over_many_orders_of_magnitude() -> None:
    rng = np.random.default_rng(2)
    collection = Collection(
        [Segment(random_lists(rng, 2000, [200] * 9, 255))],
        [[(term, 6**term) for term in range(9)], [(term, 6 ** (8 - term)) for term in range(9)]],
    )
    for mass in (0.1, 0.5, 0.99, 1.0):
        assert assert_best_candidates(collection, mass, 50) == [0, 0]


def test_no_document_is_allowed() -> None:
    lists = Lists([(np.arange(100), np.ones(100))], 100, allowed=np.zeros(100, np.bool_))
    assert Collection([Segment(lists)], [[(0, 1)]]).gather(1.0, 10)[1].tolist() == [0]


def test_queries_that_find_nothing() -> None:
    lists = Lists([(np.arange(100), np.ones(100)), (np.array([0]), np.array([1]))], 100)
    empty = Lists([(np.empty(0, np.int64), np.empty(0, np.int64))], 0)
    collection = Collection(
        [Segment(lists), Segment(empty)], [[], [(-1, 5)], [(0, -3)], [(7, 1)], [(0, 1)]]
    )
    assert collection.gather(1.0, 10)[1].tolist() == [0, 0, 0, 0, 10]
    assert collection.score(collection.gather(1.0, 10), 5)[:4] == [[]] * 4


def test_candidates_whose_scores_are_not_positive_are_dropped() -> None:
    lists = Lists([(np.arange(4), np.array([9, 9, 9, 9])), (np.arange(3), np.array([1, 2, 3]))], 4)
    collection = Collection([Segment(lists)], [[(0, 2), (1, -9)]])
    assert collection.score(collection.gather(1.0, 4), 4) == [[(3, 18), (0, 9)]]


def test_ties_go_to_the_earlier_document() -> None:
    lists = Lists([(np.arange(300), np.full(300, 5))], 300)
    collection = Collection([Segment(lists), Segment(lists)], [[(0, 7)]])
    for k in (1, 10, 599, 600, 900):
        documents = np.random.default_rng(k).permutation(600)
        candidates = (LAST_DOCUMENT - documents)[None, :], np.array([600])
        assert collection.score(candidates, k) == [[(number, 35) for number in range(min(k, 600))]]


def test_a_score_of_31_bits() -> None:
    lists = Lists([(np.array([3]), np.array([4095]))] * 2, 10)
    collection = Collection([Segment(lists)], [[(0, 262_208), (1, 262_208)]])
    assert collection.score(collection.gather(1.0, 10), 5) == [[(3, 2 * 262_208 * 4095)]]


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_damaged_numbers_do_not_damage_the_process(seed: int) -> None:
    rng = np.random.default_rng(seed)
    segment = Segment(random_lists(rng, 9000, [3000, 50, 700], 255))
    for damaged in (segment.strong[1], segment.strong[2], segment.forward[1], segment.forward[2]):
        limit = np.iinfo(damaged.dtype).max
        damaged[:] = rng.integers(0, limit, len(damaged), dtype=damaged.dtype, endpoint=True)
    collection = Collection([segment], [[(0, 5), (1, 300), (2, 70)], [(1, 1)]])
    keys, sizes = collection.gather(1.0, 500)
    assert (sizes <= 500).all()
    for found in collection.score((keys, sizes), 20):
        assert all(0 <= document < 9000 and score > 0 for document, score in found)


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_damaged_offsets_do_not_damage_the_process(seed: int) -> None:
    rng = np.random.default_rng(seed)
    segment = Segment(random_lists(rng, 9000, [3000, 50, 700], 255))
    for damaged in (segment.strong[0], segment.strong[3], segment.forward[0]):
        bounds = np.iinfo(damaged.dtype)
        chosen = rng.random(damaged.shape) < 0.3
        values = rng.integers(bounds.min, bounds.max, damaged.shape, damaged.dtype, endpoint=True)
        damaged[chosen] = values[chosen]
    collection = Collection([segment], [[(0, 5), (1, 300), (2, 70)], [(1, 1)]])
    candidates = collection.gather(1.0, 500)
    for found in collection.score(candidates, 20):
        assert all(0 <= document < 9000 for document, _ in found)
