"""Effectiveness measures, computed by ir-measures.

Tools that compute measures sort a ranking by score themselves, and each breaks ties in its own
way: trec_eval by descending document id, others by ascending. The measured ranking is then not
the one the user saw. So documents are handed over by rank: the document at rank r of n is called
``r`` and scores n - r. That is strictly decreasing, hence every tool sees the order of the run.
Neither ids nor float scores ever reach the tools, which is just as well: some are written in C and
stop at a NUL character, some in Perl and split at a space.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from os import PathLike
from types import ModuleType
from typing import Any

from sparsearch.errors import InvalidInputError, MissingExtraError, shorten
from sparsearch.evaluation.tables import text_table
from sparsearch.files import write_lines
from sparsearch.runs import Qrels, Run
from sparsearch.runs.columns import check_tab_separable

__all__ = ["DEFAULT_MEASURES", "Evaluation", "check_measures", "evaluate"]

DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100", "R@1000", "AP", "Judged@10")
"""What `evaluate` computes unless told otherwise."""

_EXAMPLES = "nDCG@10, RR@10, AP(rel=2), P@5, R@100, Success@1, Judged@10"


@dataclass(frozen=True)
class Evaluation:
    """Measures of one run.

    Parameters
    ----------
    run : str
        Name of the run.
    mean : dict of str to float
        Mean over all judged queries, per measure.
    per_query : dict of str to dict of str to float
        Value per measure and query id; the queries are those of the qrels, in their order.
    missing_queries : int
        Judged queries for which the run has no documents; they count as the measure's value for
        an empty ranking (zero).
    unjudged_queries : int
        Queries of the run without judgements; they do not count.

    Examples
    --------
    >>> from sparsearch.runs import Qrels, Run
    >>> evaluation = evaluate(Run({"q": [("d", 1.0)]}), Qrels({"q": {"d": 1}}), ["AP"])
    >>> evaluation["AP"], evaluation.per_query["AP"]["q"]
    (1.0, 1.0)
    """

    run: str
    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]
    missing_queries: int
    unjudged_queries: int

    def __getitem__(self, measure: str) -> float:
        """Return the mean of a measure."""
        return self.mean[measure]

    def table(self) -> str:
        """Return a plain text table of the means."""
        rows = [(measure, f"{mean:.4f}") for measure, mean in self.mean.items()]
        return text_table(("measure", self.run), rows)

    def __str__(self) -> str:
        return self.table()

    def write(self, path: str | PathLike[str]) -> None:
        """Write a tab-separated table: a line per query, a column per measure.

        The numbers have all their digits. Compressed if the name ends in ``.gz``.

        Raises
        ------
        InvalidInputError
            When a query id contains a tab or a line end.
        """
        write_lines(path, self.tsv_lines())

    def tsv_lines(self) -> Iterator[str]:
        """Yield the lines of the table that `write` writes."""
        queries = list(next(iter(self.per_query.values())))
        check_tab_separable(queries, "query id")
        yield "\t".join(["query", *self.per_query]) + "\n"
        for query in queries:
            values = (repr(values[query]) for values in self.per_query.values())
            yield "\t".join([query, *values]) + "\n"


def check_measures(measures: Sequence[str]) -> None:
    """Make sure, before there is a run, that `evaluate` can compute measures.

    Raises
    ------
    InvalidInputError
        When a measure is unknown or cannot be computed.
    MissingExtraError
        When ir-measures is not installed.
    """
    # Accuracy divides by the number of documents that are not relevant.
    evaluate(Run({"q": [("a", 2.0), ("b", 1.0)]}), Qrels({"q": {"a": 1, "b": 0}}), measures)


def evaluate(run: Run, qrels: Qrels, measures: Sequence[str] = DEFAULT_MEASURES) -> Evaluation:
    """Compute measures of a run.

    Every judged query counts, whether the run has it or not: leaving out the queries for which
    nothing was found would reward finding nothing. The order of documents is that of the run,
    ties included.

    Parameters
    ----------
    run : Run
        The rankings.
    qrels : Qrels
        The judgements.
    measures : sequence of str
        Names as ir-measures writes them: ``nDCG@10``, ``AP(rel=2)``.

    Returns
    -------
    Evaluation
        Means and values per query, under the names given.

    Raises
    ------
    InvalidInputError
        When a measure is unknown or cannot be computed, there are no judgements, or the run and
        the qrels have no query in common.
    MissingExtraError
        When ir-measures is not installed.
    """
    for name, given, kind in (("run", run, Run), ("qrels", qrels, Qrels)):
        if not isinstance(given, kind):
            reason = f"{name} is {shorten(given)}, not a {kind.__name__}"
            raise InvalidInputError(f"{reason}; {kind.__name__}(...) makes one of a mapping")
    _check_overlap(run, qrels)
    ranked_run, ranked_qrels = _by_rank(run, qrels)
    values: dict[tuple[Any, str], float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ir-measures, about Python functions it uses
        ir_measures = _import_ir_measures()
        parsed = {name: _parse(ir_measures, name) for name in _names(measures)}
        for group in _computed_together(parsed.values()):
            values |= _values(ir_measures, group, ranked_qrels, ranked_run)
    per_query = {
        name: {
            query: values.get((measure, str(at)), float(measure.DEFAULT))
            for at, query in enumerate(qrels)
        }
        for name, measure in parsed.items()
    }
    return Evaluation(
        run=run.name,
        mean={name: fsum(found.values()) / len(qrels) for name, found in per_query.items()},
        per_query=per_query,
        missing_queries=len(qrels) - len(ranked_run),
        unjudged_queries=sum(query not in qrels for query in run),
    )


def _check_overlap(run: Run, qrels: Qrels) -> None:
    if not qrels:
        raise InvalidInputError("the qrels hold no judgements; there is nothing to measure against")
    if run and not any(query in qrels for query in run):
        reason = f"run {shorten(run.name)} and the qrels have no query id in common"
        examples = f"{shorten(next(iter(run)))} and {shorten(next(iter(qrels)))}"
        raise InvalidInputError(f"{reason} ({examples}); they are of different query sets")


def _by_rank(
    run: Run, qrels: Qrels
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Return run and qrels with queries called by their position, documents by their rank.

    A judged document that the run does not have is called ``u`` and its position in the qrels.
    Negative grades become 0, judged and not relevant: pytrec_eval ends in a segmentation fault on
    some qrels with -2. Queries without documents are left out of the run: some tools divide by
    their number.
    """
    scores_of_length: dict[int, dict[str, float]] = {}
    ranked_run: dict[str, dict[str, float]] = {}
    ranked_qrels: dict[str, dict[str, int]] = {}
    for at, (query, grades) in enumerate(qrels.items()):
        ids = run.ids(query) if query in run else ()
        ranks = {id: str(rank) for rank, id in enumerate(ids, start=1) if id in grades}
        ranked_qrels[str(at)] = {
            ranks.get(id, f"u{position}"): max(grade, 0)
            for position, (id, grade) in enumerate(grades.items())
        }
        if ids:
            length = len(ids)
            if length not in scores_of_length:
                scores_of_length[length] = _descending(length)
            ranked_run[str(at)] = scores_of_length[length]
    return ranked_run, ranked_qrels


def _descending(length: int) -> dict[str, float]:
    # The last one has 1: to some tools a score of 0 means that a document was not found.
    return {str(rank): float(length + 1 - rank) for rank in range(1, length + 1)}


def _import_ir_measures() -> ModuleType:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError("ir-measures", "eval") from error
    return ir_measures


def _names(measures: Sequence[str]) -> Sequence[str]:
    if isinstance(measures, str) or not isinstance(measures, Sequence) or not measures:
        reason = f"measures must be a list of names, not {shorten(measures)}"
        raise InvalidInputError(f"{reason}; for example {_EXAMPLES}")
    return measures


def _parse(ir_measures: ModuleType, name: str) -> Any:
    """Return the measure of that name.

    ir-measures reports bad names with errors of half a dozen types; and a cutoff of 0, which it
    accepts, makes trec_eval end the process.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"a measure is given by name, not as {shorten(name)}")
    try:
        measure = ir_measures.parse_measure(name)
        parameter = getattr(measure, "SUPPORTED_PARAMS", {}).get("cutoff")
        if parameter is not None and parameter.required and "cutoff" not in measure.params:
            reason = f"measure {shorten(name)} needs a cutoff, as in {name}@10"
            raise InvalidInputError(reason)
        measure.validate_params()
    except InvalidInputError:
        raise
    except Exception as error:
        reason = f"unknown measure {shorten(name)} ({shorten(str(error))})"
        raise InvalidInputError(f"{reason}; for example {_EXAMPLES}") from error
    cutoff = measure.params.get("cutoff", 1)
    if type(cutoff) is not int or cutoff < 1:
        raise InvalidInputError(f"measure {shorten(name)}: the cutoff must be at least 1")
    return measure


def _computed_together(measures: Iterable[Any]) -> list[list[Any]]:
    """Divide measures into those of one call of ir-measures each.

    Those with a parameter besides the cutoff are computed alone: ir-measures 0.4.3 may give a plain
    nDCG the gains of another in the same call, or NumRet its ``judged_only``, as hash order has it.
    """
    distinct = list(dict.fromkeys(measures))
    alone = [measure for measure in distinct if measure.params.keys() - {"cutoff"}]
    together = [measure for measure in distinct if measure not in alone]
    return [*([together] if together else []), *([measure] for measure in alone)]


def _computes(
    ir_measures: ModuleType,
    measure: Any,
    qrels: dict[str, dict[str, int]],
    run: dict[str, dict[str, float]],
) -> bool:
    try:
        list(ir_measures.iter_calc([measure], qrels, run))
    except Exception:
        return False
    return True


def _values(
    ir_measures: ModuleType,
    measures: list[Any],
    qrels: dict[str, dict[str, int]],
    run: dict[str, dict[str, float]],
) -> dict[tuple[Any, str], float]:
    """Return the value per measure and query, where there is one."""
    try:
        found = list(ir_measures.iter_calc(measures, qrels, run))
    except Exception as error:  # whatever the tools behind ir-measures raise
        # Which of them it is, it does not say.
        names = [str(measure) for measure in measures]
        if len(measures) > 1:
            names = [str(each) for each in measures if not _computes(ir_measures, each, qrels, run)]
        reason = f"ir-measures cannot compute {', '.join(names)}: {error}"
        raise InvalidInputError(f"{reason}; leave it out, for example for {_EXAMPLES}") from error
    return {(metric.measure, metric.query_id): float(metric.value) for metric in found}
