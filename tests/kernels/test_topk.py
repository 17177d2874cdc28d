"""Keys order entries as hits are ordered; selection keeps the best of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.kernels.topk import LAST_DOCUMENT, make_key, select_best, sort_keys, unpack

entries = st.tuples(
    st.integers(0, 5) | st.integers(0, 2**31 - 1),
    st.integers(0, 5) | st.integers(0, LAST_DOCUMENT),
)


@given(st.lists(st.sets(entries), min_size=1, max_size=4), st.integers(1, 5))
def test_sorted_keys_hold_their_entries(queries: list[set[tuple[int, int]]], k: int) -> None:
    rng = np.random.default_rng(0)
    keys = np.zeros((len(queries), max(map(len, queries), default=0) + 1), np.int64)
    for row, query in zip(keys, queries, strict=True):
        row[: len(query)] = rng.permutation([make_key(*entry) for entry in query])
    sizes = np.array([len(query) for query in queries], np.int64)
    shape = len(queries), k
    documents, scores, counts = np.full(shape, -1), np.zeros(shape), np.full(shape[0], -1)
    sort_keys(keys, sizes)
    unpack(keys, sizes, np.full(len(queries), 0.25), (documents, scores, counts))
    assert counts.tolist() == [min(len(query), k) for query in queries]
    for query, numbers, values in zip(queries, documents.tolist(), scores.tolist(), strict=True):
        best = sorted(query, key=lambda entry: (-entry[0], entry[1]))[:k]
        found = list(zip(values, numbers, strict=True))[: len(best)]
        assert found == [(score / 4, document) for score, document in best]


@given(entries, entries)
def test_the_larger_key_is_the_better_entry(one: tuple[int, int], other: tuple[int, int]) -> None:
    better = (-one[0], one[1]) < (-other[0], other[1])
    assert (make_key(*one) > make_key(*other)) == better


@given(st.sets(st.integers(-9, 9) | st.integers(0, 2**62), min_size=1), st.data())
def test_select_best_moves_the_largest_to_the_front(values: set[int], data: st.DataObject) -> None:
    given_keys = data.draw(st.permutations(sorted(values)))
    k = data.draw(st.integers(1, len(values)))
    keys = np.array([*given_keys, 2**62 + 1], np.int64)
    last = select_best(keys, len(values), k)
    expected = sorted(values, reverse=True)
    assert last == expected[k - 1] == keys[k - 1]
    assert sorted(keys[:k].tolist(), reverse=True) == expected[:k]
    assert sorted(keys[: len(values)].tolist(), reverse=True) == expected
    assert keys[-1] == 2**62 + 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.data())
def test_select_best_among_equal_keys(values: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    keys = np.array(values, np.int64)
    assert select_best(keys, len(values), k) == sorted(values, reverse=True)[k - 1]
    assert sorted(keys[:k].tolist()) == sorted(values)[len(values) - k :]
    assert sorted(keys.tolist()) == sorted(values)


def test_selecting_from_sorted_or_equal_keys_takes_linear_time() -> None:
    for keys in (np.arange(1_000_000), np.arange(1_000_000)[::-1].copy()):
        assert select_best(keys, keys.size, 10) == 999_990
    assert select_best(np.arange(1_000_000) // 250_000, 1_000_000, 600_000) == 1
