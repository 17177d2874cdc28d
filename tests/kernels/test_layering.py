"""Codes and layered lists equal their NumPy twins."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import Lists, random_lists

from sparsearch.index.layered import choose_scales, code_vectors, layered_lists
from sparsearch.kernels import approximate_reference as reference
from sparsearch.kernels.invert import transpose
from sparsearch.kernels.layering import (
    LEADING,
    LIST_WINDOW,
    STRONG_SHARE,
    level_top,
    quantise,
    raise_largest,
    upper_shift,
)
from sparsearch.kernels.reference import transpose as transpose_reference
from sparsearch.vectors import SparseVectors

Arrays = tuple[np.ndarray, ...]


def entries_of(lists: Lists, dtype: type = np.uint16) -> Arrays:
    """Return the entries by the kernel, after comparing it with its twin."""
    offsets, rows, codes = lists.arrays
    numbers = np.full(len(rows), 7, dtype)
    starts, ordered = transpose(offsets, rows, codes, lists.n_rows, numbers)
    entries = starts, numbers, ordered
    assert_same(entries, transpose_reference(offsets, rows, codes, lists.n_rows))
    assert [part.dtype for part in entries] == [np.int64, dtype, codes.dtype]
    return entries


def layer(entries: Arrays, scales: np.ndarray) -> Arrays:
    """Return the layered lists by the kernel, after comparing them with their twin."""
    shift = upper_shift(entries[2])
    lists = layered_lists(entries, scales, shift)
    for threads in (2, 5):
        assert_same(layered_lists(entries, scales, shift, threads), lists)
    assert_same(lists, reference.layered_lists(entries, scales, shift))
    assert [part.dtype for part in lists] == [
        np.int64, np.uint16, np.uint8, np.uint32, np.uint8, np.uint8, np.uint32,
    ]  # fmt: skip
    return lists


def assert_same(actual: Arrays, expected: Arrays) -> None:
    for got, wanted in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def postings(lists: Arrays) -> tuple[dict[tuple[int, int], int], ...]:
    """Return the codes of the strong and of the weak postings by document and term.

    Those of weak ones are what they are taken for.
    """
    offsets, places, codes, starts, tops, weak, weak_counts = lists
    found: tuple[dict[tuple[int, int], int], ...] = ({}, {})
    n_terms = len(tops) // 2
    for number in range(n_terms):
        sizes = np.diff(starts[number].astype(np.int64))
        windows = np.repeat(np.arange(len(sizes)), sizes)
        part = slice(offsets[number], offsets[number + 1])
        rows = windows * LIST_WINDOW + places[part]
        assert (np.diff(rows) > 0).all()
        assert tops[number] == codes[part].max(initial=0)
        for row, code in zip(rows.tolist(), codes[part].tolist(), strict=True):
            found[0][row, number] = code
    for number in range(n_terms, 2 * n_terms):
        held = weak[offsets[number] - offsets[n_terms] : offsets[number + 1] - offsets[n_terms]]
        count = int(weak_counts[number - n_terms])
        pairs = read_weak(held.tobytes(), starts[number].tolist(), count)
        rows = np.array([row for row, _ in pairs])
        assert (np.diff(rows) > 0).all()
        assert len(rows) == count
        for row, level in pairs:
            found[1][row, number - n_terms] = level_top(level, tops[number])
    return found


def read_weak(held: bytes, starts: list[int], count: int) -> list[tuple[int, int]]:
    """Return the row and the level of each posting of a weak list."""
    found = []
    for window, (start, stop) in enumerate(pairwise(starts)):
        own, place = held[start:stop], 0
        if len(held) == 2 * count:
            for first, second in zip(own[::2], own[1::2], strict=True):
                level, place = divmod(first + 256 * second, LIST_WINDOW)
                found.append((window * LIST_WINDOW + place, level))
        else:
            for byte in own:
                place += byte >> 2
                if byte >> 2 < LEADING:
                    found.append((window * LIST_WINDOW + place, byte & 3))
    return found


@st.composite
def lists_and_scales(draw: st.DrawFn) -> tuple[Lists, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_rows = draw(st.sampled_from([1, 3, 40, 300]))
    shares = draw(st.lists(st.sampled_from([0.0, 0.02, 0.3, 1.0]), max_size=12))
    sizes = [int(share * n_rows) for share in shares]
    lists = random_lists(rng, n_rows, sizes, draw(st.sampled_from([1, 3, 255, 4095])))
    spread = draw(st.sampled_from([0, 3, 40, 120]))
    return lists, np.ldexp(1.0, rng.integers(-spread, spread + 1, len(sizes))).astype(np.float32)


@given(lists_and_scales(), st.sampled_from([np.uint16, np.uint32]))
@settings(max_examples=150)
def test_equal_their_twins(case: tuple[Lists, np.ndarray], dtype: type) -> None:
    lists, scales = case
    layer(entries_of(lists, dtype), scales)


@given(lists_and_scales())
@settings(max_examples=50)
def test_what_is_strong(case: tuple[Lists, np.ndarray]) -> None:
    lists, scales = case
    entries = entries_of(lists)
    layers = layer(entries, scales)
    strong, weak = postings(layers)
    shift, tops, n_terms = upper_shift(entries[2]), layers[4].tolist(), len(scales)
    for row in range(lists.n_rows):
        part = slice(entries[0][row], entries[0][row + 1])
        numbers, codes = entries[1][part].astype(int), entries[2][part].astype(int)
        weights = codes * scales[numbers].astype(np.float64)
        kept = [(row, number) in strong for number in numbers.tolist()]
        if len(numbers):
            # The heaviest always is, so that every document can be found.
            assert kept[int(np.argmax(weights))]
            threshold = STRONG_SHARE * (weights**2).sum() / weights.sum()
            clear = np.abs(weights / threshold - 1) > 1e-9
            np.testing.assert_array_equal(np.array(kept)[clear], (weights >= threshold)[clear])
        for number, code in zip(numbers.tolist(), codes.tolist(), strict=True):
            assert ((row, number) in strong) != ((row, number) in weak)
            upper = max(code >> shift, 1)
            if (row, number) in strong:
                assert strong[row, number] == upper
            else:
                # What it is taken for is a bound, and as close a one as quarters can be.
                assert 0 <= weak[row, number] - upper < math.ceil(tops[n_terms + number] / 4)
    assert len(strong) + len(weak) == len(entries[1])


@pytest.mark.parametrize("max_code", [255, 4095])
@pytest.mark.parametrize("n_rows", [LIST_WINDOW, LIST_WINDOW + 1, 3 * LIST_WINDOW - 5])
def test_several_windows(n_rows: int, max_code: int) -> None:
    rng = np.random.default_rng(n_rows)
    lists = random_lists(rng, n_rows, [n_rows, 1, 0, n_rows // 3, 500, 40, n_rows // 45], max_code)
    edges = np.unique([0, LIST_WINDOW - 1, min(LIST_WINDOW, n_rows - 1), n_rows - 1])
    lists.postings.append((edges, np.full(len(edges), max_code)))
    layers = layer(entries_of(lists), np.full(8, 0.5, np.float32))
    assert layers[3].shape == (16, -(-n_rows // LIST_WINDOW) + 1)
    strong, _ = postings(layers)
    assert all((row, 7) in strong for row in edges.tolist())


def test_more_lists_than_16_bits_number() -> None:
    rng = np.random.default_rng(3)
    count = 70_000
    lists = Lists([(np.array([i % 3]), rng.integers(1, 4096, 1)) for i in range(count)], 3)
    entries = entries_of(lists, np.uint32)
    assert entries[1].max() == count - 1
    layer(entries, np.ones(count, np.float32))


@pytest.mark.parametrize("n_rows", [0, 1, LIST_WINDOW + 1])
@pytest.mark.parametrize("n_lists", [0, 2])
def test_nothing(n_rows: int, n_lists: int) -> None:
    nothing = np.empty(0, np.int64)
    lists = Lists([(nothing, nothing)] * n_lists, n_rows)
    layers = layer(entries_of(lists), np.ones(n_lists, np.float32))
    assert len(layers[1]) == 0


def test_codes_of_zero_are_postings_too() -> None:
    lists = Lists([(np.arange(3), np.zeros(3)), (np.array([1]), np.array([9]))], 3)
    layers = layer(entries_of(lists), np.ones(2, np.float32))
    assert postings(layers) == ({(0, 0): 1, (1, 1): 9, (2, 0): 1}, {(1, 0): 1})


def test_equal_weights_are_all_strong() -> None:
    lists = Lists([(np.arange(50), np.full(50, 77))] * 20, 50)
    strong, weak = postings(layer(entries_of(lists), np.ones(20, np.float32)))
    assert (len(strong), len(weak)) == (20 * 50, 0)


def test_a_small_code_of_12_bits_stays_present() -> None:
    lists = Lists([(np.array([0, 1]), np.array([3, 4095]))], 2)
    entries = entries_of(lists)
    assert entries[2].dtype == np.uint16
    strong, weak = postings(layer(entries, np.ones(1, np.float32)))
    assert (strong, weak) == ({(0, 0): 1, (1, 0): 255}, {})


@given(st.data(), st.sampled_from([255, 4095]), st.sampled_from([0, 5, 126]))
@settings(max_examples=50)
def test_quantise(data: st.DataObject, max_code: int, spread: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = data.draw(st.sampled_from([0, 1, 300]))
    term_ids = rng.choice([1, 3, 4, 7, 70_000], count).astype(np.uint32)
    weights = np.ldexp(rng.random(count) + 0.5, rng.integers(-spread, spread + 1, count))
    weights = weights.astype(np.float32)
    largest = np.zeros(70_001, np.float32)
    np.maximum.at(largest, term_ids, weights)
    found = np.zeros(70_001, np.float32)
    for half in (slice(count // 2), slice(count // 2, None)):
        raise_largest(term_ids[half], weights[half], found)
    np.testing.assert_array_equal(found, largest)
    terms, expected = np.unique(term_ids, return_inverse=True)
    largest = largest[terms]
    scales = choose_scales(largest, max_code)
    numbers = np.empty(count, np.uint16)
    codes = np.empty(count, np.uint8 if max_code == 255 else np.uint16)
    places = np.searchsorted(terms, np.arange(70_001)).astype(np.uint16)
    quantise((term_ids, weights), places, scales, max_code, numbers, codes)
    wanted = reference.quantise(weights, scales[expected], max_code)
    assert_same((numbers, codes), (expected, wanted))
    max_codes = np.zeros(len(terms))
    np.maximum.at(max_codes, expected, codes)
    # No finer scale would do: the largest weight of each list has a code of full length.
    assert ((max_codes > max_code // 2) | (largest < 2.0**-110)).all()


@given(st.data(), st.sampled_from([255, 4095]), st.sampled_from([9, 70_000, 2**32]))
@settings(max_examples=50)
def test_vectors_in_parts(data: st.DataObject, max_code: int, dimension: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    known = np.unique(rng.integers(0, dimension, 12))
    rows = [
        {int(term): float(rng.exponential()) + 1e-3 for term in rng.permutation(known)[:count]}
        for count in rng.integers(0, 8, data.draw(st.sampled_from([0, 1, 30])))
    ]
    whole = SparseVectors.from_dicts(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    parts = [whole[a:b] for a, b in pairwise([0, *cuts, len(rows)])]
    terms, numbers = np.unique(whole.term_ids, return_inverse=True)
    for threads in (1, 2, 5):
        coded = code_vectors(parts, max_code, threads)
        largest, tops = np.zeros(len(terms), np.float32), np.zeros(len(terms))
        np.maximum.at(largest, numbers, whole.weights)
        scales = choose_scales(largest, max_code)
        codes = reference.quantise(whole.weights, scales[numbers], max_code)
        np.maximum.at(tops, numbers, codes)
        assert_same((coded.terms, coded.scales, coded.max_codes), (terms, scales, tops))
        assert_same(coded.entries, (whole.offsets, numbers, codes))
        assert coded.max_codes.dtype == coded.entries[2].dtype
