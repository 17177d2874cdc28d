"""Forward indexes equal their twins, and give back what was put into them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.index.layered import forward_index
from sparsearch.index.segment import row_form
from sparsearch.kernels import rows_reference as reference
from sparsearch.kernels.approximate_reference import exact_scores
from sparsearch.kernels.rows import NEAR, copy_entries, count_entries, largest_codes
from sparsearch.kernels.scoring import clear_weights, score_documents, set_weights
from sparsearch.kernels.topk import LAST_DOCUMENT

Arrays = tuple[np.ndarray, ...]


def made_up(seed: int, n_lists: int, lengths: list[int], max_code: int) -> Arrays:
    """Return random entries, some lists far more common than others."""
    rng = np.random.default_rng(seed)
    numbers = [
        np.unique((n_lists * rng.random(length) ** rng.choice([1, 3, 9])).astype(int))
        for length in lengths
    ]
    offsets = np.cumsum([0, *map(len, numbers)])
    codes = rng.integers(1, max_code + 1, offsets[-1])
    return (
        offsets,
        np.concatenate([np.empty(0), *numbers]).astype(
            np.uint16 if n_lists <= 2**16 else np.uint32
        ),
        codes.astype(np.uint8 if max_code < 256 else np.uint16),
    )


def pack(entries: Arrays, n_lists: int, threads: int = 1) -> tuple[Any, ...]:
    """Return the forward index by the kernels."""
    shift = 0 if entries[2].dtype == np.uint8 else 4
    frequencies = np.bincount(entries[1], minlength=n_lists)
    return *forward_index(entries, frequencies, shift, threads), row_form(n_lists, shift)


def unpack(forward: tuple[Any, ...], rows: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return the list and code of each posting of documents, in order of lists."""
    counts = count_entries(forward, rows)
    numbers, codes = np.empty((2, counts.sum()), np.uint32)
    places = np.argsort(forward[2]).astype(np.uint32)
    copy_entries(forward, rows, places, np.zeros(len(places), np.int64), numbers, codes)
    pairs = list(zip(numbers.tolist(), codes.tolist(), strict=True))
    ends = np.cumsum([0, *counts]).tolist()
    return [sorted(pairs[a:b]) for a, b in itertools.pairwise(ends)]


def pairs_of(entries: Arrays, rows: np.ndarray) -> list[list[tuple[int, int]]]:
    offsets, numbers, codes = (part.tolist() for part in entries)
    return [
        list(zip(numbers[a:b], codes[a:b], strict=True))
        for a, b in ((offsets[row], offsets[row + 1]) for row in rows)
    ]


cases = st.tuples(
    st.integers(0, 2**32),
    st.sampled_from([1, 7, 256, 300, NEAR, NEAR + 1, 20_000, 2**16, 2**16 + 1, 90_000]),
    st.lists(st.sampled_from([0, 1, 2, 9, 120, 3000]), max_size=6),
    st.sampled_from([1, 15, 255, 256, 4095]),
)


@given(cases)
@settings(max_examples=150)
def test_equal_their_twins(case: tuple[int, int, list[int], int]) -> None:
    entries, n_lists = made_up(*case), case[1]
    forward = pack(entries, n_lists)
    for threads in (2, 5):
        for got, wanted in zip(pack(entries, n_lists, threads), forward, strict=True):
            np.testing.assert_array_equal(got, wanted)
    assert [part.dtype for part in forward[:3]] == [np.int64, np.uint8, np.uint32]
    offsets, rows, ranks = reference.forward_index(entries, forward[3])
    np.testing.assert_array_equal(forward[0], offsets)
    np.testing.assert_array_equal(forward[1], rows)
    # The twin knows of no lists after the last that has a posting.
    np.testing.assert_array_equal(forward[2][: len(ranks)], ranks)
    everything = np.arange(len(offsets) - 1)
    assert unpack(forward, everything) == pairs_of(entries, everything)


@given(cases, st.floats(0, 1))
@settings(max_examples=60)
def test_some_documents(case: tuple[int, int, list[int], int], share: float) -> None:
    entries, n_lists = made_up(*case), case[1]
    offsets, numbers, codes = entries
    rng = np.random.default_rng(case[0])
    rows = np.flatnonzero(rng.random(len(offsets) - 1) < share)
    forward = pack(entries, n_lists)
    assert unpack(forward, rows) == pairs_of(entries, rows)
    kept = np.repeat(np.isin(np.arange(len(offsets) - 1), rows), np.diff(offsets))
    largest = np.zeros(n_lists, np.int64)
    np.maximum.at(largest, numbers[kept], codes[kept])
    np.testing.assert_array_equal(largest_codes(forward, rows)[forward[2]], largest)

    room = np.iinfo(codes.dtype).max // np.maximum(largest, 1)
    longer = -np.floor(np.log2(room)).astype(int)
    steps = rng.integers(longer, 1 + rng.choice([0, 3, 16, 200], n_lists))
    places = rng.permutation(n_lists).astype(numbers.dtype)
    found = np.empty(kept.sum(), numbers.dtype), np.empty(kept.sum(), codes.dtype)
    order = np.argsort(forward[2])
    copy_entries(forward, rows, places[order], steps[order], *found)
    wanted = reference.copy_entries(entries, rows, places, steps)
    ends = np.cumsum(count_entries(forward, rows))[:-1]
    for got, expected in zip(
        np.split(np.stack(found), ends, 1), np.split(np.stack(wanted), ends, 1), strict=True
    ):
        assert sorted(got.T.tolist()) == sorted(expected.T.tolist())


def score(forward: tuple[Any, ...], query: Arrays, k: int, above: int = 0) -> list[tuple[int, int]]:
    """Return the best k of all documents, and those that were not yet cut off, by the kernel."""
    n_documents = len(forward[0]) - 1
    weights = np.zeros(len(forward[2]), np.int32)
    lower = set_weights(weights, forward, *query)
    keys = np.zeros(2 * k, np.int64)
    size, _ = score_documents(
        forward, 100, 100 + np.arange(n_documents), (weights, lower), k, keys, 0, above, 0
    )
    clear_weights(weights, forward, query[0])
    assert not weights.any()
    return sorted(
        (LAST_DOCUMENT - (key & LAST_DOCUMENT) - 100, key >> 32) for key in keys[:size].tolist()
    )


@given(cases, st.booleans())
@settings(max_examples=100)
def test_scores(case: tuple[int, int, list[int], int], has_negative: bool) -> None:
    entries, n_lists = made_up(*case), case[1]
    rng = np.random.default_rng(case[0])
    located = rng.permutation(n_lists)[:200]
    located[rng.random(len(located)) < 0.2] = -1
    multipliers = rng.integers(-900 if has_negative else 1, 1000, len(located))
    scores = exact_scores(entries, located, multipliers)
    forward = pack(entries, n_lists)
    wanted = [(i, value) for i, value in enumerate(scores.tolist()) if value > 0]
    assert score(forward, (located, multipliers), 20) == wanted
    for above in {0, *scores.tolist(), *(scores - 1).tolist()}:
        found = score(forward, (located, multipliers), 20, max(above, 0))
        assert found == [(i, value) for i, value in wanted if value > above]


@pytest.mark.parametrize("n_lists", [70_000, 60_000])
@pytest.mark.parametrize("max_code", [255, 4095])
def test_a_document_with_all_terms(n_lists: int, max_code: int) -> None:
    codes = np.arange(n_lists) % max_code + 1
    entries = (
        np.array([0, n_lists, n_lists + 1]),
        np.append(np.arange(n_lists), [NEAR + 5]).astype(np.uint32),
        np.append(codes, [7]).astype(np.uint8 if max_code == 255 else np.uint16),
    )
    forward = pack(entries, n_lists)
    rows = np.arange(2)
    assert unpack(forward, rows) == pairs_of(entries, rows)
    query = np.array([0, NEAR - 1, NEAR + 5, n_lists - 1]), np.array([3, 5, 7, 11])
    expected = exact_scores(entries, *query).tolist()
    assert score(forward, query, 5) == list(enumerate(expected))


@given(st.integers(0, 2**32), st.sampled_from([255, 4095]), st.sampled_from([30, 9000, 70_000]))
@settings(max_examples=80)
def test_damage_does_not_damage_the_process(seed: int, max_code: int, n_lists: int) -> None:
    forward = pack(made_up(seed, n_lists, [40, 0, 900, 3, 70], max_code), n_lists)
    rng = np.random.default_rng(seed)
    for part in forward[:3]:
        bounds = np.iinfo(part.dtype)
        chosen = rng.random(len(part)) < rng.choice([0.01, 0.5])
        values = rng.integers(bounds.min, bounds.max, len(part), part.dtype, endpoint=True)
        part[chosen] = values[chosen]
    rows = np.arange(5)
    counts = count_entries(forward, rows)
    # Steps and far ranks take a byte at least, and so do codes.
    assert counts.max() <= len(forward[1]) // 2
    numbers, codes = np.full((2, counts.sum() + 1), 77_777, np.uint32)
    steps = np.zeros(n_lists, np.int64)
    copy_entries(forward, rows, np.arange(n_lists, dtype=np.uint32), steps, numbers, codes)
    assert (numbers[:-1] < n_lists).all()
    assert numbers[-1] == codes[-1] == 77_777
    assert len(largest_codes(forward, rows)) == n_lists
    located = rng.permutation(n_lists)[:200]
    found = score(forward, (located, rng.integers(1, 50, len(located))), 5)
    assert all(0 <= document < 5 for document, _ in found)
