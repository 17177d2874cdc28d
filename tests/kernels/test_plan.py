"""Looking up query terms equals its NumPy twin."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.kernels import plan, reference

term_ids = st.sets(st.integers(0, 12) | st.integers(0, 2**32 - 1), max_size=12)


def find(terms: set[int], wanted: set[int]) -> tuple[np.ndarray, np.ndarray]:
    arrays = [np.array(sorted(ids), np.uint32) for ids in (terms, wanted)]
    located = np.full(len(wanted), -7, np.int64)
    plan.find_terms(*arrays, located)
    return located, reference.find_terms(*arrays)


@given(term_ids, term_ids)
def test_find_terms(terms: set[int], wanted: set[int]) -> None:
    np.testing.assert_array_equal(*find(terms, wanted))


@given(term_ids, st.lists(term_ids, min_size=1, max_size=4))
def test_raise_scales_takes_the_largest_of_all_segments(
    wanted: set[int], segments: list[set[int]]
) -> None:
    largest = np.zeros(len(wanted))
    expected = dict.fromkeys(wanted, 0.0)
    for number, terms in enumerate(segments):
        scales = np.exp2(np.arange(len(terms)) - number).astype(np.float32)
        plan.raise_scales(scales, find(terms, wanted)[0], largest)
        for term, scale in zip(sorted(terms), scales.tolist(), strict=True):
            if term in expected:
                expected[term] = max(expected[term], scale)
    assert largest.tolist() == [expected[term] for term in sorted(wanted)]
