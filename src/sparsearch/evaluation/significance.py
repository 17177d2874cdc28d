"""Telling a run that is better from one that was only luckier with these queries.

All tests are paired: they look at the difference of a measure on each query. Smucker, Allan and
Carterette (2007) find that the t-test and the randomization test agree in practice, and that
Wilcoxon's test, which looks at ranks of differences only, may not. Several runs compared with one
baseline are a family of comparisons: without a correction, one in twenty equal runs comes out
significant at 0.05. Holm's (1979) controls the same error as Bonferroni's and never finds less.

References
----------
M. Smucker, J. Allan, B. Carterette. A comparison of statistical significance tests for information
retrieval evaluation. CIKM 2007.
S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of
Statistics 6, 1979.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparsearch.errors import InvalidInputError, MissingExtraError, shorten
from sparsearch.evaluation.measures import Evaluation, evaluate
from sparsearch.evaluation.tables import text_table
from sparsearch.runs import Qrels, Run

__all__ = ["CORRECTIONS", "TESTS", "Comparison", "RunComparison", "compare"]

Test = Literal["t", "wilcoxon", "randomization"]
Correction = Literal["holm", "bonferroni", "none"]

TESTS: tuple[Test, ...] = get_args(Test)
"""Names of the tests."""

CORRECTIONS: tuple[Correction, ...] = get_args(Correction)
"""Names of the corrections."""

Floats = NDArray[np.float64]

_TIE_DECIMALS = 9
_TIE = 10**-_TIE_DECIMALS
_RESAMPLES = 10_000
_SEED = 20070611
_BATCH_CELLS = 1 << 22


@dataclass(frozen=True)
class RunComparison:
    """One run against the baseline, on one measure.

    Parameters
    ----------
    measure, run : str
        What was compared.
    mean : float
        Mean of the measure over the judged queries.
    difference : float
        `mean` less that of the baseline.
    interval : tuple of float
        Confidence interval of the difference, at 1 - alpha, by Student's t whatever the test;
        not corrected for the number of runs.
    p_value, corrected_p_value : float
        Two-sided; by itself, and corrected for the number of runs.
    significant : bool
        Whether the corrected p value is below alpha.
    wins, ties, losses : int
        Queries on which the run is better than the baseline, equal, and worse.
    """

    measure: str
    run: str
    mean: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    corrected_p_value: float
    significant: bool
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Comparison:
    """Runs compared with a baseline.

    Parameters
    ----------
    baseline : str
        Name of the baseline run.
    baseline_mean : dict of str to float
        Its mean, per measure.
    rows : tuple of RunComparison
        By measure, then by run, in the order given.
    queries : int
        Number of judged queries.
    test, correction : str
        How the p values were computed and corrected.
    alpha : float
        Level of significance.
    missing_queries : dict of str to int
        By run, how many judged queries found nothing.
    """

    baseline: str
    baseline_mean: dict[str, float]
    rows: tuple[RunComparison, ...]
    queries: int
    test: Test
    correction: Correction
    alpha: float
    missing_queries: dict[str, int]

    def table(self) -> str:
        """Return a plain text table; ``*`` marks significant differences."""
        interval = f"{100 * (1 - self.alpha):g}% interval"
        header = ("measure", "run", "mean", "difference", interval, "p", "p corrected", "W/T/L")
        lines: list[tuple[str, ...]] = []
        for measure, mean in self.baseline_mean.items():
            lines.append((measure, self.baseline, f"{mean:.4f}", "", "", "", "", ""))
            lines.extend(_cells(row) for row in self.rows if row.measure == measure)
        note = f"{self.queries} queries; {self.test} test, correction {self.correction}; "
        return f"{text_table(header, lines, labels=2)}\n{note}* significant at {self.alpha:g}"

    def __str__(self) -> str:
        return self.table()


def compare(
    runs: Mapping[str, Run] | Sequence[Run],
    qrels: Qrels,
    measures: Sequence[str] = ("nDCG@10",),
    *,
    baseline: str | None = None,
    test: Test = "t",
    correction: Correction = "holm",
    alpha: float = 0.05,
) -> Comparison:
    """Compare runs with a baseline, query by query.

    A difference of at most 1e-9 is rounding of the measure and counts as a tie. When no query
    differs, or there is a single query, p is 1. So is the p of the t-test when all queries differ
    by the same amount: without variance it is undefined.

    Parameters
    ----------
    runs : Mapping of str to Run, or sequence of Run
        At least two; those in a sequence go by their names.
    qrels : Qrels
        The judgements; every judged query counts, as in `evaluate`.
    measures : sequence of str
        Names of measures.
    baseline : str, optional
        Name of the run to compare with; the first if left out.
    test : {"t", "wilcoxon", "randomization"}
        Student's paired t-test, Wilcoxon's signed-rank test, or the randomization test on the
        mean difference (10,000 random assignments of signs from a fixed seed; all of them when
        there are fewer).
    correction : {"holm", "bonferroni", "none"}
        How p values are corrected for the number of runs, within each measure.
    alpha : float
        Level of significance, between 0 and 1.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        When there are fewer than two runs, two of the same name, no run of the baseline's name, or
        an unknown option; and as for `evaluate`.
    MissingExtraError
        When SciPy or ir-measures is not installed.
    """
    named = _named(runs)
    baseline = next(iter(named)) if baseline is None else baseline
    _check_options(named, baseline, test, correction, alpha)
    _require_scipy()
    evaluations = {name: evaluate(run, qrels, measures) for name, run in named.items()}
    missing = {name: found.missing_queries for name, found in evaluations.items()}
    reference = evaluations.pop(baseline)
    settings = _Settings(_TEST_FUNCTIONS[test], _CORRECTION_FUNCTIONS[correction], alpha)
    return Comparison(
        baseline=baseline,
        baseline_mean=reference.mean,
        rows=tuple(
            row
            for measure in reference.mean
            for row in _compare_measure(measure, evaluations, reference, settings)
        ),
        queries=len(qrels),
        test=test,
        correction=correction,
        alpha=alpha,
        missing_queries=missing,
    )


@dataclass(frozen=True)
class _Settings:
    test: Callable[[Floats], float]
    correct: Callable[[Floats], Floats]
    alpha: float


def _named(runs: Mapping[str, Run] | Sequence[Run]) -> dict[str, Run]:
    # A single run is a mapping too, but of rankings.
    if isinstance(runs, Run) or not isinstance(runs, (Mapping, Sequence)) or len(runs) < 2:
        raise InvalidInputError("a comparison needs at least two runs, in a sequence or a mapping")
    given = list(runs.values() if isinstance(runs, Mapping) else runs)
    for one in given:
        if not isinstance(one, Run):
            raise InvalidInputError(f"{shorten(one)} is not a Run; Run.from_rankings makes one")
    names = list(runs) if isinstance(runs, Mapping) else [run.name for run in given]
    named = dict(zip(names, given, strict=True))
    if len(named) < len(given):
        shown = ", ".join(map(shorten, names))
        raise InvalidInputError(f"two runs of the same name among {shown}; give a mapping instead")
    return named


def _check_options(
    runs: dict[str, Run], baseline: str, test: str, correction: str, alpha: float
) -> None:
    for what, value, known in (
        ("baseline", baseline, runs),
        ("test", test, TESTS),
        ("correction", correction, CORRECTIONS),
    ):
        if value not in known:
            choices = ", ".join(known)
            raise InvalidInputError(f"unknown {what} {shorten(value)}; choose one of {choices}")
    if not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise InvalidInputError(f"alpha must be between 0 and 1, not {shorten(alpha)}")


def _require_scipy() -> None:
    try:
        import scipy.stats  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("scipy", "eval") from error


def _compare_measure(
    measure: str, evaluations: dict[str, Evaluation], baseline: Evaluation, settings: _Settings
) -> list[RunComparison]:
    """Compare all runs on one measure: a family of comparisons."""
    differences = {
        name: _differences(evaluation.per_query[measure], baseline.per_query[measure])
        for name, evaluation in evaluations.items()
    }
    p_values = np.array([_p_value(found, settings.test) for found in differences.values()])
    corrected = settings.correct(p_values)
    return [
        RunComparison(
            measure=measure,
            run=name,
            mean=evaluations[name][measure],
            difference=evaluations[name][measure] - baseline[measure],
            interval=_interval(found, settings.alpha),
            p_value=float(p_values[position]),
            corrected_p_value=float(corrected[position]),
            significant=bool(corrected[position] < settings.alpha),
            wins=int(np.sum(found > 0)),
            ties=int(np.sum(found == 0)),
            losses=int(np.sum(found < 0)),
        )
        for position, (name, found) in enumerate(differences.items())
    ]


def _differences(values: dict[str, float], baseline: dict[str, float]) -> Floats:
    """Return the difference on each query; what is only rounding becomes 0."""
    differences = np.array([values[query] - value for query, value in baseline.items()])
    differences[np.abs(differences) <= _TIE] = 0.0
    return differences


def _p_value(differences: Floats, test: Callable[[Floats], float]) -> float:
    if len(differences) < 2 or not differences.any():
        return 1.0
    with warnings.catch_warnings():
        # Of SciPy, where it goes from an exact p value to an approximate one.
        warnings.simplefilter("ignore")
        return test(differences)


def _is_constant(differences: Floats) -> bool:
    return bool(np.ptp(differences) <= _TIE)


def _t_test(differences: Floats) -> float:
    from scipy import stats

    if _is_constant(differences):
        return 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _wilcoxon(differences: Floats) -> float:
    from scipy import stats

    # Rounded, so that equal differences get equal ranks.
    return float(stats.wilcoxon(differences.round(_TIE_DECIMALS)).pvalue)


def _randomization(differences: Floats) -> float:
    """Mean difference against those with the signs of the queries' differences flipped."""
    from scipy import stats

    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=max(1, _BATCH_CELLS // len(differences)),
        random_state=_SEED,
    )
    return float(result.pvalue)


def _interval(differences: Floats, alpha: float) -> tuple[float, float]:
    """Return Student's confidence interval of the mean difference."""
    if len(differences) < 2:
        return -inf, inf
    mean = float(differences.mean())
    if _is_constant(differences):
        return mean, mean
    from scipy import stats

    error = differences.std(ddof=1) / np.sqrt(len(differences))
    margin = float(stats.t.ppf(1 - alpha / 2, len(differences) - 1) * error)
    return mean - margin, mean + margin


def _holm(p_values: Floats) -> Floats:
    """Multiply the k-th smallest of n by n - k + 1; keep the result from falling."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected


def _bonferroni(p_values: Floats) -> Floats:
    corrected: Floats = np.minimum(1.0, p_values * len(p_values))
    return corrected


def _uncorrected(p_values: Floats) -> Floats:
    return p_values


_TEST_FUNCTIONS: dict[str, Callable[[Floats], float]] = {
    "t": _t_test,
    "wilcoxon": _wilcoxon,
    "randomization": _randomization,
}

_CORRECTION_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "holm": _holm,
    "bonferroni": _bonferroni,
    "none": _uncorrected,
}


def _cells(row: RunComparison) -> tuple[str, ...]:
    low, high = row.interval
    return (
        row.measure,
        row.run,
        f"{row.mean:.4f}",
        f"{row.difference:+.4f}{'*' if row.significant else ' '}",
        f"[{low:+.4f}, {high:+.4f}]",
        f"{row.p_value:.4f}",
        f"{row.corrected_p_value:.4f}",
        f"{row.wins}/{row.ties}/{row.losses}",
    )
