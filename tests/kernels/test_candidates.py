"""Candidates are the best by partial score, and each is scored exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import Lists, random_lists
from layered_cases import Collection, Segment, collections, entries, scratch

from sparsearch.kernels.approximate import search_candidates
from sparsearch.kernels.layering import LIST_WINDOW
from sparsearch.kernels.topk import LAST_DOCUMENT


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
    with scratch() as lent:
        search_candidates(
            (segment.layers, segment.max_codes), segment.forward, segment.lists.allowed,
            alone.in_terms_of(segment), (mass, count), (keys, sizes, np.zeros(n, np.int64)), lent,
            0, n,
        )  # fmt: skip
    found = [entries(np.sort(keys[i, : sizes[i]])[::-1][:k]) for i in range(n)]
    assert found == alone.score(alone.gather(mass, count), k)


@pytest.mark.parametrize("windows", [2, 3, 4, 5, 17, 25])
@pytest.mark.parametrize("count", [10, 400])
def test_many_windows(windows: int, count: int) -> None:
    """Of few windows all are searched in order, of more some are first, as a sample."""
    rng = np.random.default_rng(windows)
    n_rows = windows * LIST_WINDOW - 100
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
    first = LIST_WINDOW * np.arange(windows)
    rows = np.sort(np.concatenate([first, first + LIST_WINDOW - 1]))
    lists = Lists([(rows, np.arange(1, len(rows) + 1))], windows * LIST_WINDOW)
    collection = Collection([Segment(lists), Segment(lists)], [[(0, 1)]])
    for count in (1, 2, 100):
        assert assert_best_candidates(collection, 1.0, count) == [0]


def test_a_sample_of_nothing_hides_nothing() -> None:
    """All documents of a query stand where no sample is taken, or all where one is."""
    for window in (0, 1, 4):
        rows = window * LIST_WINDOW + np.arange(0, LIST_WINDOW, 4)
        postings = [(rows, 1 + np.arange(len(rows)) % 255)]
        lists = Lists(postings, 5 * LIST_WINDOW)
        collection = Collection([Segment(lists)], [[(0, 3)]])
        for count in (1, 100, 5000):
            keys, sizes = collection.gather(1.0, count)
            assert 0 < sizes[0] <= min(count, len(rows))
            assert_best_candidates(collection, 1.0, count)
            assert entries(keys[0, :1])[0][0] // LIST_WINDOW == window


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
    lists = Lists([heavy, light], LIST_WINDOW)
    collection = Collection([Segment(lists)], [[(0, 100_000), (1, 1)]])
    np.testing.assert_array_equal(collection.partial_scores(1.0)[0][light[0]], codes)
    for count in (1, 2, 5, 40):
        assert assert_best_candidates(collection, 1.0, count) == [0]


def test_all_partial_scores_equal() -> None:
    lists = Lists([(np.arange(3 * LIST_WINDOW), np.ones(3 * LIST_WINDOW))], 3 * LIST_WINDOW)
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
    for damaged in (*segment.layers[1:3], *segment.layers[4:], *segment.forward[1:3]):
        limit = np.iinfo(damaged.dtype).max
        damaged[:] = rng.integers(0, limit, len(damaged), dtype=damaged.dtype, endpoint=True)
    collection = Collection([segment], [[(0, 5), (1, 300), (2, 70)], [(1, 1)]])
    keys, sizes = collection.gather(1.0, 500)
    assert (sizes <= 500).all()
    for found in collection.score((keys, sizes), 20) + collection.search_exactly(20):
        assert all(0 <= document < 9000 and score > 0 for document, score in found)


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_damaged_offsets_do_not_damage_the_process(seed: int) -> None:
    rng = np.random.default_rng(seed)
    segment = Segment(random_lists(rng, 9000, [3000, 50, 700], 255))
    for damaged in (segment.layers[0], segment.layers[3], segment.forward[0]):
        bounds = np.iinfo(damaged.dtype)
        chosen = rng.random(damaged.shape) < 0.3
        values = rng.integers(bounds.min, bounds.max, damaged.shape, damaged.dtype, endpoint=True)
        damaged[chosen] = values[chosen]
    collection = Collection([segment], [[(0, 5), (1, 300), (2, 70)], [(1, 1)]])
    candidates = collection.gather(1.0, 500)
    for found in collection.score(candidates, 20) + collection.search_exactly(20):
        assert all(0 <= document < 9000 for document, _ in found)


@pytest.mark.parametrize("window", [0, 1, 7, 24])
def test_documents_left_in_one_window_are_all_candidates(window: int) -> None:
    """Where a filter leaves a sampled window alone, its best were once cut to those of a sample."""
    rng = np.random.default_rng(window)
    n_rows = 25 * LIST_WINDOW
    rows = np.arange(0, n_rows, 3)
    lists = Lists(
        [(rows, rng.integers(1, 256, len(rows))), (rows, rng.integers(1, 256, len(rows)))], n_rows
    )
    lists.allowed = np.zeros(n_rows, np.bool_)
    lists.allowed[window * LIST_WINDOW : (window + 1) * LIST_WINDOW] = True
    collection = Collection([Segment(lists)], [[(0, 40), (1, 30)]])
    assert assert_best_candidates(collection, 1.0, 100) == [0]


@pytest.mark.parametrize("large_first", [True, False])
def test_documents_left_in_a_small_segment_are_all_candidates(large_first: bool) -> None:
    """Its share of all documents says nothing of its share of those that a filter leaves."""
    rng = np.random.default_rng(1)
    segments = []
    for windows in (84, 16):
        rows = np.arange(0, windows * LIST_WINDOW, 30)
        lists = Lists([(rows, rng.integers(1, 256, len(rows)))] * 2, windows * LIST_WINDOW)
        lists.allowed = np.zeros(lists.n_rows, np.bool_)
        segments.append(Segment(lists))
    segments[1].lists.allowed[:LIST_WINDOW] = True
    collection = Collection(segments if large_first else segments[::-1], [[(0, 40), (1, 30)]])
    assert assert_best_candidates(collection, 1.0, 100) == [0]
