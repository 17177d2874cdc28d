"""Exact search over layered lists returns what scoring every document does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import Lists, Query, random_lists, search_exhaustively
from layered_cases import Collection, Found, Segment, collections, entries

from sparsearch.kernels.layering import LEADING, LIST_WINDOW
from sparsearch.kernels.layers import set_thresholds
from sparsearch.kernels.topk import LAST_DOCUMENT


def expected(collection: Collection, k: int, above: int = 0) -> list[Found]:
    """Return the best k of each query by scoring every document with the NumPy twin."""
    lists = [segment.lists for segment in collection.segments]
    found = search_exhaustively(lists, collection.queries, collection.n_documents)
    return [[entry for entry in hits if entry[1] > above][:k] for hits in found]


def assert_exact(collection: Collection, ks: tuple[int, ...] = (1, 10, 1000)) -> None:
    """Compare searches, from nothing known and from every score that may be known before."""
    for k in ks:
        wanted = expected(collection, k)
        assert collection.search_exactly(k) == wanted
        for score in {hits[-1][1] for hits in wanted if hits}:
            for above in (score - 1, score // 2):
                assert collection.search_exactly(k, above) == expected(collection, k, above)


@given(collections(), st.sampled_from([1, 2, 10, 100, 5000]))
@settings(max_examples=120)
def test_equals_exhaustive_search(collection: Collection, k: int) -> None:
    assert collection.search_exactly(k) == expected(collection, k)


@given(collections(), st.sampled_from([1, 10]), st.integers(0, 200_000))
@settings(max_examples=80)
def test_a_score_to_beat_leaves_out_what_does_not_exceed_it(
    collection: Collection, k: int, above: int
) -> None:
    assert collection.search_exactly(k, above) == expected(collection, k, above)


@pytest.mark.parametrize("max_code", [255, 4095])
@pytest.mark.parametrize("seed", range(3))
def test_many_weak_lists_over_several_windows(seed: int, max_code: int) -> None:
    """Heavy rare terms and light common ones, so that weak lists are left out."""
    rng = np.random.default_rng(seed)
    n_rows = 2 * LIST_WINDOW + 17
    postings = []
    for i in range(30):
        rows = np.sort(rng.choice(n_rows, int(n_rows / (2 + i)), replace=False))
        codes = np.minimum(rng.exponential(max_code / 12, len(rows)) + 1, max_code).astype(int)
        postings.append((rows, codes))
    query = [(term, int(50 * 1.3**term)) for term in range(30)]
    first, second = Segment(Lists(postings, n_rows)), Segment(Lists(postings[5:], n_rows))
    assert_exact(Collection([first, second], [query]))
    first.lists.allowed = rng.random(n_rows) < 0.02
    assert_exact(Collection([first], [query]))


@pytest.mark.parametrize("code", [1, 9, 16, 255, 2457, 4095])
def test_ties_across_windows_go_to_the_earlier_document(code: int) -> None:
    everywhere = np.arange(LIST_WINDOW + 100)
    postings = [(everywhere, np.full(len(everywhere), code))] * 3
    segment = Segment(Lists(postings, len(everywhere)))
    collection = Collection([segment, segment], [[(0, 7), (1, 7), (2, 7)]])
    assert collection.search_exactly(12) == [[(number, 21 * code) for number in range(12)]]
    assert_exact(collection, ks=(1, 12))


def test_documents_at_the_edges_of_windows() -> None:
    edges = [0, LIST_WINDOW - 1, LIST_WINDOW, 2 * LIST_WINDOW - 1, 2 * LIST_WINDOW]
    rows = np.array(edges)
    lists = Lists(
        [(rows, np.arange(1, 6)), (rows[1:], np.full(4, 9)), (rows[::2], np.full(3, 2))],
        2 * LIST_WINDOW + 1,
    )
    for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, 1)):
        query: Query = [(i, sign * (3 + i)) for i, sign in enumerate(signs)]
        assert_exact(Collection([Segment(lists)], [query]), ks=(1, 2, 5, 7))


def test_negative_multipliers_take_documents_out() -> None:
    """Partial sums leave them out, so every document seems better than it is."""
    rng = np.random.default_rng(4)
    lists = random_lists(rng, 3000, [3000, 1500, 700, 10], 4095)
    queries: list[Query] = [
        [(0, 10), (1, -9), (2, -1), (3, 500)],
        [(0, -1), (1, -2)],
        [(0, 1), (1, -100_000)],
    ]
    assert_exact(Collection([Segment(lists)], queries))


def test_a_sum_of_31_bits() -> None:
    top = (np.array([3]), np.array([4095]))
    segment = Segment(Lists([top, top], 10))
    collection = Collection(
        [segment], [[(0, 262_208), (1, 262_208)], [(0, 262_208), (1, -262_208)]]
    )
    assert collection.search_exactly(5) == [[(3, 2 * 262_208 * 4095)], []]


def test_more_than_a_thousand_query_terms() -> None:
    rng = np.random.default_rng(5)
    lists = random_lists(rng, 2000, rng.integers(1, 60, 1500).tolist(), 255)
    query = [(term, int(rng.integers(1, 1000))) for term in range(1500)]
    assert_exact(Collection([Segment(lists)], [query]), ks=(1, 20))


def test_documents_of_very_many_terms() -> None:
    """One document holds every term; few others hold any."""
    rows = [np.array([5]) if term % 100 else np.arange(40) for term in range(3000)]
    lists = Lists([(part, 1 + (part + 7 * term) % 255) for term, part in enumerate(rows)], 40)
    query = [(term, 1 + term % 13) for term in range(0, 3000, 3)]
    assert_exact(Collection([Segment(lists)], [query]), ks=(1, 3, 40))


def test_queries_that_find_nothing() -> None:
    lists = Lists([(np.arange(100), np.ones(100)), (np.array([0]), np.array([1]))], 100)
    empty = Lists([(np.empty(0, np.int64), np.empty(0, np.int64))], 0)
    collection = Collection([Segment(lists), Segment(empty)], [[], [(-1, 5)], [(0, -3)], [(7, 1)]])
    assert collection.search_exactly(5) == [[]] * 4
    lists.allowed = np.zeros(100, np.bool_)
    assert Collection([Segment(lists)], [[(0, 1)]]).search_exactly(5) == [[]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 5))
def test_what_was_found_becomes_the_score_to_beat(scores: list[int], k: int) -> None:
    scores = scores[: 2 * k]
    keys = np.zeros((1, 2 * k), np.int64)
    keys[0, : len(scores)] = [(score << 32) | (LAST_DOCUMENT - i) for i, score in enumerate(scores)]
    sizes, thresholds = np.array([len(scores)]), np.zeros(1, np.int64)
    set_thresholds((keys, sizes, thresholds))
    best = sorted(scores, reverse=True)
    assert thresholds[0] == (best[k - 1] - 1 if len(scores) >= k else 0)
    assert sizes[0] == 0
    assert len(entries(keys[0, : sizes[0]])) == 0


def test_documents_of_lists_that_are_empty_or_left_out_are_not_scored() -> None:
    """A rare term, heavy wherever it stands, once had every document of its segment scored."""
    rng = np.random.default_rng(3)
    n_rows = LIST_WINDOW + 50
    common = np.arange(n_rows), rng.integers(1, 16, n_rows)
    rare = np.array([5, LIST_WINDOW - 1, LIST_WINDOW + 9]), np.array([4000, 4095, 3000])
    segment = Segment(Lists([common, rare], n_rows))
    assert segment.strong_lengths[1] == len(rare[0])
    # No list leads to these vectors: whoever scores all documents finds them.
    offsets, numbers, _ = segment.entries
    own = np.isin(np.repeat(np.arange(n_rows), np.diff(offsets)), rare[0])
    segment.layers  # noqa: B018 - made of the vectors as they were
    numbers[~own] = 1
    collection = Collection([segment], [[(1, 7)]])
    assert collection.search_exactly(10) == [
        [(LIST_WINDOW - 1, 28665), (5, 28000), (LIST_WINDOW + 9, 21000)]
    ]


def test_steps_that_are_no_postings_do_not_make_sums_overflow() -> None:
    """They count as postings, where there may be a strong one of the same term."""
    weak = [*range(200), 400]
    heavy = 199 + LEADING
    rows = np.array(sorted([*weak, heavy]))
    term = rows, np.where(rows == heavy, 255, 60)
    other = np.array(weak), np.full(len(weak), 255)
    segment = Segment(Lists([term, other], 500))
    assert segment.strong_lengths[0] == 1
    assert segment.layers[6][0] == len(weak) > len(segment.layers[5]) // 2
    multiplier = (2**31 - 1) // 255
    collection = Collection([segment], [[(0, multiplier)]])
    assert collection.search_exactly(2) == [[(heavy, 255 * multiplier), (0, 60 * multiplier)]]


@pytest.mark.parametrize("window", range(4))
@pytest.mark.parametrize("max_code", [255, 4095])
def test_filters_that_leave_neighbours(window: int, max_code: int) -> None:
    rng = np.random.default_rng(window)
    n_rows = 3 * LIST_WINDOW + 100
    lists = random_lists(rng, n_rows, [n_rows // (2 + 3 * i) for i in range(8)], max_code)
    lists.allowed = np.zeros(n_rows, np.bool_)
    edge = window * LIST_WINDOW
    query = [(term, 3 + 5 * term) for term in range(8)]
    for start, stop in [(edge, edge + 60), (max(edge - 30, 0), edge + 30), (edge, n_rows)]:
        lists.allowed[:] = False
        lists.allowed[start:stop] = True
        assert_exact(Collection([Segment(lists)], [query]), ks=(1, 10, 100))
