"""Comparisons against SciPy and textbook procedures."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sparsearch.errors import InvalidInputError, MissingExtraError
from sparsearch.evaluation import CORRECTIONS, TESTS, Comparison, compare, evaluate
from sparsearch.evaluation.significance import _holm
from sparsearch.runs import Qrels, Run

RANKS = [1, 2, 3, 4, 5, 6]


def run_with(ranks: list[int], name: str) -> Run:
    """Return a run that puts the relevant document of query n at the n-th of these ranks."""
    return Run(
        {
            f"q{n}": [("relevant" if at == rank else f"d{at}", -at) for at in range(1, rank + 1)]
            for n, rank in enumerate(ranks)
        },
        name,
    )


def qrels_for(count: int) -> Qrels:
    return Qrels({f"q{n}": {"relevant": 1} for n in range(count)})


def compare_ranks(*ranks: list[int], **options: object) -> Comparison:
    runs = [run_with(found, f"run{n}") for n, found in enumerate(ranks)]
    return compare(runs, qrels_for(len(ranks[0])), ["RR"], **options)  # type: ignore[arg-type]


def exact_randomization(a: np.ndarray, b: np.ndarray) -> float:
    """Enumerate all assignments of signs."""
    difference = a - b
    signs = np.array(list(itertools.product([-1, 1], repeat=len(difference))))
    means = signs @ difference / len(difference)
    observed = abs(difference.mean())
    return float(np.mean(np.abs(means) >= observed - 1e-12))


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "t": lambda a, b: float(stats.ttest_rel(a, b).pvalue),
    "wilcoxon": lambda a, b: float(stats.wilcoxon(np.round(a - b, 9)).pvalue),
    "randomization": exact_randomization,
}


@pytest.mark.parametrize("test", TESTS)
def test_p_values_are_those_of_scipy(test: str) -> None:
    generator = np.random.default_rng(3)
    checked = 0
    for _ in range(8):
        ranks = generator.choice(RANKS, (2, 10)).tolist()
        a, b = (1 / np.array(found) for found in ranks)
        if np.ptp(a - b) == 0:
            continue
        row = compare_ranks(*ranks, test=test).rows[0]
        assert row.p_value == pytest.approx(ORACLES[test](b, a), rel=1e-9)
        checked += 1
    assert checked > 4


def test_randomization_of_many_queries_is_repeatable_and_near_the_t_test() -> None:
    ranks = np.random.default_rng(0).choice(RANKS, (2, 300)).tolist()
    first, second = (compare_ranks(*ranks, test="randomization").rows[0] for _ in range(2))
    assert first == second
    assert first.p_value == pytest.approx(compare_ranks(*ranks).rows[0].p_value, abs=0.02)


def test_the_interval_is_that_of_scipy() -> None:
    ranks = np.random.default_rng(1).choice(RANKS, (2, 30)).tolist()
    low, high = compare_ranks(*ranks, alpha=0.1).rows[0].interval
    a, b = (1 / np.array(found) for found in ranks)
    oracle = stats.ttest_rel(b, a).confidence_interval(0.9)
    assert (low, high) == pytest.approx((oracle.low, oracle.high), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    ranks=st.lists(st.tuples(*[st.sampled_from(RANKS)] * 3), min_size=1, max_size=8),
    test=st.sampled_from(TESTS),
    correction=st.sampled_from(CORRECTIONS),
)
def test_rows_are_consistent(ranks: list[tuple[int, ...]], test: str, correction: str) -> None:
    columns = [list(column) for column in zip(*ranks, strict=True)]
    found = compare_ranks(*columns, test=test, correction=correction)
    for row, column in zip(found.rows, columns[1:], strict=True):
        pairs = list(zip(column, columns[0], strict=True))
        assert row.wins == sum(rank < base for rank, base in pairs)
        assert row.losses == sum(rank > base for rank, base in pairs)
        assert row.ties == sum(rank == base for rank, base in pairs)
        assert row.mean == evaluate(run_with(column, ""), qrels_for(len(ranks)), ["RR"])["RR"]
        assert row.difference == row.mean - found.baseline_mean["RR"]
        assert row.interval[0] - 1e-9 <= row.difference <= row.interval[1] + 1e-9
        assert 0 <= row.p_value <= row.corrected_p_value <= 1
        assert row.significant == (row.corrected_p_value < 0.05)
    assert isinstance(found.table(), str)


@pytest.mark.parametrize("test", TESTS)
def test_equal_runs_are_not_different(test: str) -> None:
    row = compare_ranks([1, 2, 3], [1, 2, 3], test=test).rows[0]
    assert (row.p_value, row.interval, row.ties) == (1.0, (0.0, 0.0), 3)


def test_without_variance_the_t_test_says_nothing() -> None:
    ranks = ([2] * 10, [1] * 10)
    assert compare_ranks(*ranks).rows[0].p_value == 1.0
    assert compare_ranks(*ranks).rows[0].interval == (0.5, 0.5)
    assert compare_ranks(*ranks, test="randomization").rows[0].p_value == pytest.approx(2**-9)


@pytest.mark.parametrize("test", TESTS)
def test_a_single_query_says_nothing(test: str) -> None:
    row = compare_ranks([1], [2], test=test).rows[0]
    assert (row.p_value, row.interval) == (1.0, (-inf, inf))


def test_noise_of_rounding_is_a_tie() -> None:
    """Grades in another order of summation give another last digit."""
    qrels = Qrels({"q": {"a": 1, "b": 1, "c": 1}})
    runs = [Run({"q": [(id, 1.0) for id in ids]}, name=ids) for ids in ("abc", "cba", "bca", "acb")]
    assert all(row.ties == 1 for row in compare(runs, qrels, ["nDCG@10", "AP"]).rows)


def naive_holm(p_values: list[float]) -> list[float]:
    """Adjust each p value by its definition: the largest product up to its rank."""
    ordered = sorted(p_values)
    count = len(ordered)
    return [
        min(1.0, max((count - k) * ordered[k] for k in range(count) if ordered[k] <= p_value))
        for p_value in p_values
    ]


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.04]), min_size=1, max_size=8))
def test_holm(p_values: list[float]) -> None:
    assert _holm(np.array(p_values)).tolist() == naive_holm(p_values)


def test_holm_on_a_worked_example() -> None:
    corrected = _holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert corrected.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_corrections_count_the_runs_of_one_measure() -> None:
    generator = np.random.default_rng(5)
    runs = [run_with(generator.choice(RANKS, 12).tolist(), f"r{n}") for n in range(4)]
    found = {
        correction: compare(runs, qrels_for(12), ["RR", "P@1"], correction=correction)
        for correction in CORRECTIONS
    }
    for plain, bonferroni, holm in zip(
        found["none"].rows, found["bonferroni"].rows, found["holm"].rows, strict=True
    ):
        assert plain.corrected_p_value == plain.p_value
        assert bonferroni.corrected_p_value == min(1.0, 3 * plain.p_value)
        assert plain.p_value <= holm.corrected_p_value <= bonferroni.corrected_p_value
    assert [row.measure for row in found["none"].rows] == ["RR"] * 3 + ["P@1"] * 3


def test_the_baseline_can_be_chosen_and_the_table_shows_it() -> None:
    runs = {"old": run_with([2, 3, 2, 6, 5], ""), "new": run_with([1, 2, 1, 3, 2], "")}
    forth = compare(runs, qrels_for(5), ["RR"])
    back = compare(runs, qrels_for(5), ["RR"], baseline="new")
    assert (forth.baseline, back.baseline) == ("old", "new")
    assert forth.rows[0].difference == -back.rows[0].difference
    assert forth.rows[0].significant
    assert str(forth) == (
        "measure  run    mean  difference        95% interval       p  p corrected  W/T/L\n"
        "RR       old  0.3400\n"
        "RR       new  0.6667    +0.3267*  [+0.1189, +0.5344]  0.0120       0.0120  5/0/0\n"
        "5 queries; t test, correction holm; * significant at 0.05"
    )


@pytest.mark.parametrize(
    ("runs", "options", "message"),
    [
        ([], {}, "at least two runs"),
        ([run_with([1], "a")], {}, "at least two runs"),
        (run_with([1, 2], "a"), {}, "at least two runs"),
        ([run_with([1], "a"), run_with([2], "a")], {}, "two runs of the same name"),
        ([run_with([1], "a"), run_with([2], "b")], {"baseline": "c"}, "'c'; choose one of a, b"),
        ([run_with([1], "a"), run_with([2], "b")], {"test": "z"}, "unknown test 'z'"),
        ([run_with([1], "a"), run_with([2], "b")], {"correction": "bh"}, "unknown correction"),
        ([run_with([1], "a"), run_with([2], "b")], {"alpha": 1.0}, "alpha"),
        ([run_with([1], "a"), run_with([2], "b")], {"alpha": float("nan")}, "alpha"),
        ([run_with([1], "a"), run_with([2], "b")], {"alpha": "0.05"}, "alpha"),
        (iter([run_with([1], "a"), run_with([2], "b")]), {}, "in a sequence or a mapping"),
        ([{"q": [("d", 1.0)]}, run_with([2], "b")], {}, "is not a Run"),
    ],
)
def test_unusable_input_is_refused(
    runs: list[Run], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        compare(runs, qrels_for(1), ["RR"], **options)  # type: ignore[arg-type]


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match="scipy"):
        compare_ranks([1], [2])
