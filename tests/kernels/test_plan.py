"""Planning a query: finding its terms equals the NumPy twin, and no sum can leave 31 bits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.kernels import plan, reference

term_ids = st.sets(st.integers(0, 12) | st.integers(0, 2**32 - 1), max_size=12)


@given(term_ids, st.lists(term_ids, min_size=1, max_size=4))
def test_find_terms(wanted: set[int], segments: list[set[int]]) -> None:
    query = np.array(sorted(wanted), np.uint32)
    largest = np.zeros(len(wanted))
    expected = dict.fromkeys(sorted(wanted), 0.0)
    for number, ids in enumerate(segments):
        terms = np.array(sorted(ids), np.uint32)
        scales = np.exp2(np.arange(len(terms)) - number).astype(np.float32)
        located = np.full(len(query), -7, np.int64)
        plan.find_terms(terms, scales, query, located, largest)
        np.testing.assert_array_equal(located, reference.find_terms(terms, query))
        for term in ids & wanted:
            expected[term] = max(expected[term], float(scales[sorted(ids).index(term)]))
    assert largest.tolist() == list(expected.values())


weights = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda w: w != 0)
exponents = st.integers(-126, 127)
terms_of_a_query = st.lists(st.tuples(weights, exponents, st.integers(0, 30)), max_size=6)


@given(st.lists(terms_of_a_query, min_size=1, max_size=3), st.sampled_from([255, 4095]))
def test_units_and_multipliers(queries: list[list[tuple[float, int, int]]], max_code: int) -> None:
    """The last number of a term is how much smaller its scale is in the segment looked at."""
    offsets = np.cumsum([0, *map(len, queries)])
    flat = [term for query in queries for term in query]
    query_weights = np.array([weight for weight, _, _ in flat], np.float32)
    largest = np.array([2.0**exponent for _, exponent, _ in flat])
    units = np.empty(len(queries))
    plan.choose_units(offsets, query_weights, largest, max_code, units)
    scales = np.array([2.0 ** max(e - less, -126) for _, e, less in flat], np.float32)
    multipliers = np.full(len(flat), -7, np.int64)
    located = np.arange(len(flat))
    plan.set_multipliers(offsets, query_weights, units, scales, located, multipliers)
    for query, unit in enumerate(units.tolist()):
        assert math.frexp(unit)[0] == 0.5
        part = slice(offsets[query], offsets[query + 1])
        # The largest sums that any segment's codes can make, in Python's integers.
        assert sum(map(abs, multipliers[part].tolist())) * max_code <= plan.MAX_SUM
        for weight, scale, multiplier in zip(
            query_weights[part].tolist(),
            scales[part].tolist(),
            multipliers[part].tolist(),
            strict=True,
        ):
            exact = weight * scale / unit
            assert multiplier != 0
            assert (multiplier > 0) == (weight > 0)
            assert abs(multiplier - exact) <= (0.5 if abs(exact) > 0.5 else 1.0)


def test_terms_that_are_not_there_have_no_multiplier() -> None:
    offsets = np.array([0, 2])
    query_weights = np.array([3e38, 1e-30], np.float32)
    units = np.empty(1)
    plan.choose_units(offsets, query_weights, np.array([0.0, 1.0]), 255, units)
    multipliers = np.full(2, -7, np.int64)
    located = np.array([-1, 0])
    scales = np.ones(1, np.float32)
    plan.set_multipliers(offsets, query_weights, units, scales, located, multipliers)
    assert multipliers[0] == 0
    assert 2**21 < multipliers[1] <= 2**23
