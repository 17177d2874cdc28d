"""The search kernel returns what exhaustive scoring does, whatever it prunes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_cases import (
    Lists,
    Query,
    packed_queries,
    random_lists,
    search,
    search_exhaustively,
)

from sparsearch.kernels.exact import SAMPLE_WINDOW, guess_thresholds
from sparsearch.kernels.intrinsics import LANES
from sparsearch.kernels.lists import BLOCK, plane_maxima
from sparsearch.kernels.places import WINDOW
from sparsearch.kernels.reference import guess_threshold, score_all

MAX_SUM = 2**31 - 1


@st.composite
def segments(draw: st.DrawFn) -> list[Lists]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_terms = draw(st.integers(1, 8))
    found = []
    for n_rows in draw(st.lists(st.sampled_from([1, 5, 70, 3000]), min_size=1, max_size=3)):
        shares = draw(st.lists(st.sampled_from([0.0, 0.01, 0.3, 1.0]), max_size=n_terms))
        sizes = [max(1, int(share * n_rows)) for share in shares]
        lists = random_lists(rng, n_rows, sizes, draw(st.sampled_from([1, 3, 4095])))
        dense = draw(st.sets(st.integers(0, len(sizes) - 1))) if sizes else set()
        lists.dense = tuple(sorted(dense))
        if draw(st.booleans()):
            lists.allowed = rng.random(n_rows) < draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
        found.append(lists)
    return found


multipliers = st.one_of(st.integers(-3, 3), st.integers(-20_000, 20_000))
queries = st.lists(
    st.lists(
        st.tuples(st.integers(-1, 7), multipliers), max_size=8, unique_by=lambda pair: pair[0]
    ),
    min_size=1,
    max_size=4,
)


@given(segments(), queries, st.sampled_from([1, 2, 10, 100, 10_000]))
@settings(max_examples=150)
def test_equals_exhaustive_search(segments: list[Lists], queries: list[Query], k: int) -> None:
    assert search(segments, queries, k) == search_exhaustively(segments, queries, k)


@given(segments(), queries, st.sampled_from([1, 10]), st.integers(0, 200_000))
@settings(max_examples=50)
def test_a_threshold_to_begin_with_leaves_out_what_does_not_exceed_it(
    segments: list[Lists], queries: list[Query], k: int, above: int
) -> None:
    everything = search_exhaustively(segments, queries, k)
    expected = [[entry for entry in found if entry[1] > above] for found in everything]
    assert search(segments, queries, k, above) == expected


@given(
    segments(), queries, st.integers(1, 4), st.integers(1, 60),
    st.sampled_from([SAMPLE_WINDOW, WINDOW, 3 * WINDOW]),
)  # fmt: skip
@example([Lists([(np.arange(10), np.full(10, 5))], 344)], [[(0, 1)]], 4, 20, SAMPLE_WINDOW)
@settings(max_examples=50)
def test_a_guessed_threshold_is_that_of_a_sample(
    segments: list[Lists], queries: list[Query], n_windows: int, rank: int, extra: int
) -> None:
    lists = segments[-1]
    lists.n_rows += extra  # a sample is taken of larger segments only
    if extra >= WINDOW:
        postings = lists.postings
        lists.postings = [(np.append(rows, rows + WINDOW), np.tile(c, 2)) for rows, c in postings]
    if len(lists.allowed):
        lists.allowed = np.resize(lists.allowed, lists.n_rows)
    offsets, located, multipliers = packed_queries(queries, len(lists.postings))
    guessed = np.empty(len(queries), np.int64)
    guess_thresholds(
        lists.for_kernel(), lists.allowed, lists.n_rows, (offsets, located, multipliers),
        (n_windows, rank), guessed, 0, len(queries),
    )  # fmt: skip
    spread = [(lists.n_rows - SAMPLE_WINDOW) * i // n_windows for i in range(n_windows)]
    firsts = sorted({first // WINDOW * WINDOW for first in spread})
    stretches = [slice(first, first + SAMPLE_WINDOW) for first in firsts]
    for number, guess in enumerate(guessed.tolist()):
        part = slice(offsets[number], offsets[number + 1])
        scores = score_all(lists.arrays, lists.mask(), located[part], multipliers[part])
        assert guess == guess_threshold(scores, stretches, rank)


def assert_equal(segments: list[Lists], query: Query, ks: tuple[int, ...] = (1, 10, 1000)) -> None:
    for k in ks:
        assert search(segments, [query], k) == search_exhaustively(segments, [query], k)


@pytest.mark.parametrize("dense", [(), (0,), (0, 1, 2)])
def test_ties_across_windows_go_to_the_earlier_document(dense: tuple[int, ...]) -> None:
    n_rows = 2 * WINDOW + 100
    everywhere = np.arange(n_rows)
    ones = np.ones(n_rows, np.int64)
    lists = Lists([(everywhere, ones)] * 3, n_rows, dense=dense)
    found = search([lists, lists], [[(0, 7), (1, 7), (2, 7)]], 12)[0]
    assert found == [(number, 21) for number in range(12)]
    assert_equal([lists, lists], [(0, 1), (1, 2), (2, 3)])


def test_one_giant_list_among_small_ones() -> None:
    rng = np.random.default_rng(1)
    n_rows = 3 * WINDOW
    lists = random_lists(rng, n_rows, [n_rows, 5, 40, 3, 200], 4095)
    for common in (1, 50, 5000):
        assert_equal([lists], [(0, common), (1, 3000), (2, 1000), (3, 4000), (4, 900)])
    lists.dense = (0,)
    assert_equal([lists], [(0, 1), (1, 3000), (2, 1000), (3, 4000), (4, 900)])


def test_postings_at_the_edges_of_windows() -> None:
    edges = np.array([0, WINDOW - 1, WINDOW, 2 * WINDOW - 1, 2 * WINDOW, 3 * WINDOW - 1])
    lists = Lists(
        [(edges, np.arange(1, 7)), (edges[1:], np.full(5, 9)), (edges[::2], np.full(3, 2))],
        3 * WINDOW,
    )
    assert_equal([lists], [(0, 5), (1, 1), (2, 3)], ks=(1, 2, 3, 6, 7))
    assert_equal([lists], [(0, 5), (1, -1), (2, -3)], ks=(1, 2, 3, 6, 7))


def test_a_sum_of_31_bits() -> None:
    top = np.array([4095])
    lists = Lists([(np.array([3]), top), (np.array([3]), top)], 10)
    query = [(0, 262_208), (1, 262_208)]
    assert search([lists], [query], 5) == [[(3, 2 * 262_208 * 4095)]]
    assert MAX_SUM >= 2 * 262_208 * 4095
    opposite = [(0, 262_208), (1, -262_208)]
    assert search([lists], [opposite], 5) == [[]]


def test_filters_hold_when_dense_rows_take_away() -> None:
    """A sum of what may not be returned must not run over the end of the integers."""
    rows = np.arange(500)
    codes = np.full(500, 4095)
    lists = Lists([(rows, codes), (rows[::3], codes[::3])], 500, rows % 7 == 0, dense=(0, 1))
    assert_equal([lists], [(0, -1000), (1, 2000)])
    assert_equal([lists], [(0, 1000), (1, -500)])


@given(st.integers(0, 400), st.integers(0, 2**32))
def test_maxima_of_dense_rows(n_documents: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, (2, n_documents)).astype(np.uint8)
    expected = np.zeros((2, -(-n_documents // BLOCK) * LANES), np.uint8)
    for document in range(n_documents):
        group = document // BLOCK * LANES + document % LANES
        expected[:, group] = np.maximum(expected[:, group], codes[:, document])
    assert np.array_equal(plane_maxima(codes), expected)


def test_only_positive_scores_are_found() -> None:
    lists = Lists([(np.array([0, 1, 2]), np.array([1, 2, 3])), (np.array([2]), np.array([1]))], 4)
    assert search([lists], [[(0, -1)], [], [(-1, 5)], [(0, 1), (1, -3)]], 4) == [
        [],
        [],
        [],
        [(1, 2), (0, 1)],
    ]


def test_no_document_is_allowed() -> None:
    lists = Lists([(np.arange(100), np.ones(100))], 100, allowed=np.zeros(100, np.bool_))
    assert search([lists], [[(0, 1)]], 10) == [[]]


def test_more_than_a_thousand_query_terms() -> None:
    rng = np.random.default_rng(5)
    lists = random_lists(rng, 2000, rng.integers(1, 60, 1500).tolist(), 255)
    query = [(term, int(rng.integers(1, 1000))) for term in range(1500)]
    assert_equal([lists], query, ks=(1, 20))


@pytest.mark.parametrize("seed", range(4))
def test_skewed_lists_over_several_windows(seed: int) -> None:
    """The shape of real queries: few rare, strong terms and many common, weak ones."""
    rng = np.random.default_rng(seed)
    n_rows = 2 * WINDOW + 17
    sizes = [int(n_rows / (1 + 3 * i) ** 1.5) + 1 for i in range(12)]
    lists = random_lists(rng, n_rows, sizes, 255)
    lists.dense = (0, 1)[: seed % 3]
    strengths = [(term, int(5 * (1 + term) ** 2)) for term in range(12)]
    assert_equal([lists, lists], strengths, ks=(1, 10, 100))
    lists.allowed = rng.random(n_rows) < 0.02
    assert_equal([lists, lists], strengths, ks=(10,))


@pytest.mark.parametrize("dense", [(), (0, 1)])
@pytest.mark.parametrize("window", range(5))
def test_filters_that_leave_neighbours(window: int, dense: tuple[int, ...]) -> None:
    rng = np.random.default_rng(window)
    n_rows = 4 * WINDOW + 100
    sizes = [n_rows // (1 + 3 * i) ** 2 + 1 for i in range(8)]
    lists = random_lists(rng, n_rows, sizes, 4095)
    lists.dense = dense
    lists.allowed = np.zeros(n_rows, np.bool_)
    edge = window * WINDOW
    query = [(term, 3 + 5 * term) for term in range(8)]
    stretches = [(edge, edge + 60), (max(edge - 30, 0), edge + 30), (edge, n_rows)]
    for start, stop in stretches:
        lists.allowed[:] = False
        lists.allowed[start:stop] = True
        assert_equal([lists], query, ks=(1, 10, 100))
    lists.allowed[:] = False
    lists.allowed[[row for stretch in stretches for row in range(*stretch, 29)]] = True
    assert_equal([lists, lists], query, ks=(1, 10, 100))


def test_a_list_that_was_passed_over_is_found_again_where_its_window_starts() -> None:
    """Where its cursor stood, late in a window, once more would hide what comes earlier in this."""
    late = np.arange(WINDOW - 100, WINDOW)
    rows = np.concatenate([late, 3 * WINDOW + np.arange(200)])
    lists = Lists([(rows, 1 + np.arange(len(rows)) % 200)], 4 * WINDOW + 100)
    lists.allowed = np.zeros(lists.n_rows, np.bool_)
    lists.allowed[3 * WINDOW : 3 * WINDOW + 50] = True
    assert_equal([lists], [(0, 7)], ks=(1, 10, 100))
