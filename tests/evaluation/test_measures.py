"""Measures against independent implementations, on rankings full of ties."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from math import fsum, log2
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.errors import InvalidInputError, MissingExtraError
from sparsearch.evaluation import DEFAULT_MEASURES, check_measures, evaluate
from sparsearch.runs import Qrels, Run

DOCUMENTS = [*"abcdefghijklmnopq", "with space", "nul\0", "nul\0b", "\ud800", "\u00e9", "10", "2"]
QUERIES = ["q1", "q2", "10", "2", "spaced out", "nul\0"]

RUNS = st.dictionaries(
    st.sampled_from(QUERIES),
    st.dictionaries(
        st.sampled_from(DOCUMENTS), st.sampled_from([-1.0, 0.0, 0.5, 0.5000001, 2.0]), max_size=20
    ),
).map(lambda found: Run({query: list(scores.items()) for query, scores in found.items()}))

QRELS = st.dictionaries(
    st.sampled_from(QUERIES),
    st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(-2, 4), min_size=1, max_size=15),
    min_size=1,
).map(Qrels)


def dcg(grades: list[int]) -> float:
    return fsum(max(grade, 0) / log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def expected(measure: str, ranking: tuple[str, ...], judged: dict[str, int]) -> float:
    """Compute a measure from its definition; the ranking is taken as it is."""
    name, _, cutoff = measure.partition("@")
    top = ranking[: int(cutoff)] if cutoff else ranking
    grades = [judged.get(document, 0) for document in top]
    hits = [rank for rank, grade in enumerate(grades, start=1) if grade > 0]
    relevant = sum(grade > 0 for grade in judged.values())
    if name == "Judged":
        return sum(document in judged for document in top) / len(top) if top else 0.0
    if not hits:
        return 0.0
    if name == "RR":
        return 1 / hits[0]
    if name == "R":
        return len(hits) / relevant
    if name == "AP":
        return fsum(found / rank for found, rank in enumerate(hits, start=1)) / relevant
    ideal = sorted(judged.values(), reverse=True)[: int(cutoff)]
    return dcg(grades) / dcg(ideal)


@settings(max_examples=150, deadline=None)
@given(run=RUNS, qrels=QRELS)
def test_measures_equal_their_definitions(run: Run, qrels: Qrels) -> None:
    if run and not set(run) & set(qrels):
        with pytest.raises(InvalidInputError, match="no query id in common"):
            evaluate(run, qrels)
        return
    evaluation = evaluate(run, qrels)
    for measure in DEFAULT_MEASURES:
        values = {
            query: expected(measure, run.ids(query) if query in run else (), dict(qrels[query]))
            for query in qrels
        }
        assert evaluation.per_query[measure] == pytest.approx(values, abs=1e-9)
        assert list(evaluation.per_query[measure]) == list(qrels.queries)
        assert evaluation[measure] == pytest.approx(fsum(values.values()) / len(qrels), abs=1e-9)
    assert evaluation.missing_queries == sum(not run.get(query) for query in qrels)
    assert evaluation.unjudged_queries == len(set(run) - set(qrels))


def test_negative_grades_count_as_judged_and_not_relevant() -> None:
    """pytrec_eval can crash on grade -2 and takes -1 for unjudged."""
    run = Run({"q": [("b", 2.0), ("c", 1.5), ("a", 1.0)]})
    measures = [*DEFAULT_MEASURES, "Bpref", "nDCG(judged_only=True)@10"]
    negative = evaluate(run, Qrels({"q": {"a": 1, "b": -1, "c": -2}}), measures)
    assert negative == evaluate(run, Qrels({"q": {"a": 1, "b": 0, "c": 0}}), measures)
    assert negative["Bpref"] == 0.0


@pytest.mark.parametrize("ids", [("a", "z"), ("z", "a")])
@pytest.mark.parametrize("measure", ["RR", "RR@10", "AP", "nDCG@10", "P@1", "Judged@1"])
def test_ties_keep_the_order_of_the_run(ids: tuple[str, str], measure: str) -> None:
    run = Run({"q": [(id, 1.0) for id in ids]})
    first, second = (evaluate(run, Qrels({"q": {id: 1}}), [measure])[measure] for id in ids)
    assert first == 1.0
    assert second < 1.0


def test_the_last_of_a_ranking_is_found() -> None:
    """Compat takes documents of score 0 for not found."""
    qrels = Qrels({"q": {"b": 1, "a": 1}})
    measured = evaluate(Run({"q": [("a", 1.0)]}), qrels, ["Compat(p=0.8)"]).mean
    assert measured["Compat(p=0.8)"] == pytest.approx(0.7778, abs=1e-4)


def test_measures_are_named_as_they_were_given() -> None:
    run, qrels = Run({"q": [("a", 1.0)]}), Qrels({"q": {"a": 2, "b": 2}})
    evaluation = evaluate(run, qrels, ["MRR", "RR", "P(rel=2)@1", "NumRet", "RR"])
    assert evaluation.mean == {"MRR": 1, "RR": 1, "P(rel=2)@1": 1, "NumRet": 1}
    # Undefined without relevant documents; ir-measures gives no value then.
    nothing = evaluate(run, Qrels({"q": {"b": 1}}), ["Accuracy"])
    assert nothing["Accuracy"] == 0


def test_the_mean_does_not_depend_on_hash_order() -> None:
    run = Run({f"q{n}": [("x", 2.0)] * (n % 2) + [("a", 1.0)] for n in range(100)})
    qrels = Qrels({f"q{n}": {"a": n % 5, "b": 1} for n in range(100)})
    evaluation = evaluate(run, qrels, ["nDCG@10"])
    assert evaluation["nDCG@10"] == fsum(evaluation.per_query["nDCG@10"].values()) / 100


TOGETHER = """
from sparsearch import Qrels, Run, evaluate

run = Run({"q": [("a", 4.0), ("x", 3.0), ("b", 2.0), ("c", 1.0)], "other": [("a", 1.0)]})
qrels = Qrels({"q": {"a": 1, "b": 2, "c": 2, "d": 1}, "other": {"b": 1, "c": 0}})
measures = ["nDCG@10", "nDCG(gains={1:1,2:3})@10", "nDCG(gains={1:9})@10", "nDCG(judged_only=True)"]
measures += ["nDCG", "NumRet", "P@5", "P(rel=1)@5", "P(rel=2)@5", "AP(judged_only=True)", "AP"]
together = evaluate(run, qrels, measures)
for name in measures:
    assert together.per_query[name] == evaluate(run, qrels, [name]).per_query[name], name
assert len({together[name] for name in measures[:4]}) == 4
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_measure_does_not_depend_on_those_computed_beside_it(seed: int) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_what_can_be_measured_is_not_refused_beforehand() -> None:
    check_measures([*DEFAULT_MEASURES, "Accuracy", "ERR@10", "infAP", "Compat(p=0.8)", "IPrec@0.1"])


UNUSABLE = ["foo", "nDCG@0", "P@0", "AP@0", "Judged@0", "P@-1", "P@True", "nDCG@x", "R", "((((", ""]


@pytest.mark.parametrize(
    "measure", [*UNUSABLE, "P(rel=0)@5", "nDCG(x=1)", "AP;AP", "AP\0", "a" * 10_000]
)
def test_what_cannot_be_measured_is_refused(measure: str) -> None:
    run, qrels = Run({"q": [("a", 1.0)]}), Qrels({"q": {"a": 1}})
    with pytest.raises(InvalidInputError, match=r"measure|compute"):
        evaluate(run, qrels, [measure])
    with pytest.raises(InvalidInputError, match=r"measure|compute"):
        check_measures([*DEFAULT_MEASURES, measure])


@pytest.mark.parametrize("measures", ["nDCG@10", [], [5], [["AP"]]])
def test_measures_are_a_list_of_names(measures: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="name"):
        evaluate(Run({}), Qrels({"q": {"a": 1}}), measures)
    with pytest.raises(InvalidInputError, match="name"):
        check_measures(measures)


def test_no_judgements_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="no judgements"):
        evaluate(Run({}), Qrels({}))


def test_warning_filters_are_left_as_they_were() -> None:
    before = list(warnings.filters)
    evaluate(Run({}), Qrels({"q": {"a": 1}}))
    assert warnings.filters == before


def test_table_and_file(tmp_path: Path) -> None:
    run = Run({"q1": [("a", 1.0)], "q2": [("b", 1.0)]}, name="bm25")
    qrels = Qrels({"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}})
    evaluation = evaluate(run, qrels, ["RR@10", "P@1"])
    assert str(evaluation) == "measure    bm25\nRR@10    0.3333\nP@1      0.3333"
    evaluation.write(tmp_path / "a.tsv")
    expected_text = "query\tRR@10\tP@1\nq1\t1.0\t1.0\nq2\t0.0\t0.0\nq3\t0.0\t0.0\n"
    assert (tmp_path / "a.tsv").read_text() == expected_text
    odd = evaluate(Run({}), Qrels({"q\t1": {"a": 1}}), ["AP"])
    with pytest.raises(InvalidInputError, match="tab"):
        odd.write(tmp_path / "b.tsv")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError, match=r"ir-measures .* 'sparsearch\[eval\]'"):
        evaluate(Run({}), Qrels({"q": {"a": 1}}))
    with pytest.raises(MissingExtraError, match="'sparsearch"):
        check_measures(["AP"])
