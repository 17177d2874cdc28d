"""Recall of what a search found, against the exact best: by one query at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsearch.index.topk import TopK

JUNK = 9.0
"""Better than every score, in the entries that mean nothing."""


def top(rows: list[list[float]], k: int) -> TopK:
    scores = np.full((len(rows), k), JUNK)
    for row, found in enumerate(rows):
        scores[row, : len(found)] = sorted(found, reverse=True)
    numbers = np.zeros(scores.shape, np.int64)
    return TopK(numbers, scores, np.array([len(row) for row in rows], np.int64))


def plain_recall(found: list[float], exact: list[float]) -> float:
    """Return the share: those at least as good as the last of the exact ones, ties included."""
    return sum(score >= min(exact) for score in found) / len(exact)


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[list[float]], list[list[float]], int]:
    """Draw what a search with k found in each query, and what there was to find."""
    k = draw(st.integers(1, 4))
    exact, found = [], []
    for _ in range(draw(st.integers(0, 5))):
        scores = sorted(draw(st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=8)), reverse=True)
        exact.append(scores[:k])
        some = draw(st.permutations(scores)) if scores else []
        found.append(some[: draw(st.integers(0, k))])
    return found, exact, k


@given(searches())
def test_recalls_are_those_of_each_query(drawn) -> None:
    found, exact, k = drawn
    wanted = [plain_recall(f, e) for f, e in zip(found, exact, strict=True) if e]
    assert top(found, k).recalls(top(exact, k)).tolist() == wanted
