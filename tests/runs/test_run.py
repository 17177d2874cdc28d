"""Runs: order, validation, and the TREC format."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.errors import FileFormatError, InvalidInputError, StorageUnavailableError
from sparsearch.runs import Hit, Run

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
TREC_IDS = WORDS.filter(lambda id: id.split() == [id] and not id.startswith("\ufeff"))
SCORES = st.floats(allow_nan=False, allow_infinity=False)


def runs(ids: st.SearchStrategy[str]) -> st.SearchStrategy[Run]:
    ranking = st.dictionaries(ids, SCORES | st.sampled_from([0.0, 1.0, 2.0]), max_size=8)
    rankings = st.dictionaries(ids, ranking, max_size=4)
    return rankings.map(lambda found: Run({q: list(docs.items()) for q, docs in found.items()}))


def write(folder: Path, text: str) -> Path:
    path = folder / "a.run"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_run_is_a_mapping_from_query_to_ranking() -> None:
    run = Run({"q1": [("a", 1.0), ("b", 3.0), ("c", 1.0)], "q2": []}, name="mine")
    assert run["q1"] == [("b", 3.0), ("a", 1.0), ("c", 1.0)]
    assert run.ids("q1") == ("b", "a", "c")
    assert run.scores("q1").dtype == np.float64
    assert run["q2"] == []
    assert dict(run.items()).keys() == {"q1", "q2"}
    assert (len(run), run.queries, "q2" in run, "q3" in run) == (2, ("q1", "q2"), True, False)
    assert repr(run) == "Run(name='mine', 2 queries)"
    with pytest.raises(KeyError):
        run["q3"]
    with pytest.raises(ValueError, match="read-only"):
        run.scores("q1")[0] = 9


def test_documents_stand_where_their_best_passages_do() -> None:
    found = [("a#2", 3.0), ("b", 2.5), ("a#1", 2.0), ("c#1#7", 1.0), ("c#x", 0.5), ("#4", 0.25)]
    run = Run({"q": found, "none": []}, name="mine").max_passage()
    assert run["q"] == [("a", 3.0), ("b", 2.5), ("c#1", 1.0), ("c#x", 0.5), ("#4", 0.25)]
    assert (run["none"], run.name) == ([], "mine")


def test_what_has_the_id_of_its_query_is_left_out() -> None:
    found = {
        "a": [("a", 3.0), ("b", 2.0), ("c", 1.0)],
        "b": [("c", 9.0), ("a", 2.0), ("b", 1.0)],
        "q": [("a", 2.0), ("b", 1.0)],
        "d": [("d", 1.0)],
        "none": [],
    }
    run = Run(found, name="mine").without_identical(2)
    assert dict(run) == {
        "a": [("b", 2.0), ("c", 1.0)],
        "b": [("c", 9.0), ("a", 2.0)],
        "q": [("a", 2.0), ("b", 1.0)],
        "d": [],
        "none": [],
    }
    assert run.name == "mine"
    assert not any(dict(run.without_identical(0)).values())
    for k in (-1, 1.0, True, None):
        with pytest.raises(InvalidInputError, match="not a whole number of at least 0"):
            run.without_identical(k)  # type: ignore[arg-type]


def test_both_constructors_agree() -> None:
    pairs = Run({"q": [("a", 0.5), ("b", 2.5)]})
    columns = Run.from_rankings({"q": (np.array(["a", "b"]), np.array([0.5, 2.5], np.float32))})
    assert pairs == columns
    assert type(columns.ids("q")[0]) is str
    assert pickle.loads(pickle.dumps(pairs)) == pairs


def test_equality_looks_at_rankings_not_at_names() -> None:
    run = Run({"q": [("a", 1.0)]}, name="x")
    assert run == Run({"q": [("a", 1.0)]}, name="y")
    assert run != Run({"q": [("a", 1.5)]})
    assert run != Run({"q": [("b", 1.0)]})
    assert run != Run({"p": [("a", 1.0)]})
    assert run != {"q": [("a", 1.0)]}


def test_scores_that_differ_in_float64_only_are_no_tie(tmp_path: Path) -> None:
    run = Run({"q": [("worse", 1.0), ("better", 1.0 + 1e-12)]})
    assert run["q"] == [("better", 1.0 + 1e-12), ("worse", 1.0)]
    run.write_trec(tmp_path / "a.run")
    assert Run.read_trec(tmp_path / "a.run") == run
    assert (tmp_path / "a.run").read_text().split()[4] == "1.000000000001"


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ({"q": [("a", 1.0), ("a", 2.0)]}, "'q' ranks document 'a' twice"),
        ({"": [("a", 1.0)]}, "query id ''"),
        ({3: [("a", 1.0)]}, "query id 3"),
        ({"q": [("", 1.0)]}, "'q': document id ''"),
        ({"q": [(7, 1.0)]}, "'q': document id 7"),
        ({"q": [("a", float("nan"))]}, "score nan of document 'a'"),
        ({"q": [("b", 1.0), ("a", float("-inf"))]}, "score -inf of document 'a'"),
        ({"q": [("a", "1.0")]}, "scores are not numbers"),
        ({"q": [("a", True)]}, "scores are not numbers"),
        ({"q": [("a", 10**400)]}, "scores are not numbers"),
        ({"q": [("a", 1.0), ("b", [1.0])]}, "scores are not numbers"),
        ({"q": [("a",)]}, "not a sequence of"),
        ({"q": 5}, "not a sequence of"),
    ],
)
def test_malformed_rankings_are_refused(rankings: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Run(rankings)  # type: ignore[arg-type]


def test_scores_must_be_as_many_as_ids() -> None:
    with pytest.raises(InvalidInputError, match=r"2 documents but scores of shape \(3,\)"):
        Run.from_rankings({"q": (["a", "b"], np.zeros(3))})
    with pytest.raises(InvalidInputError, match="shape"):
        Run.from_rankings({"q": (["a", "b"], np.zeros((2, 1)))})


@settings(max_examples=100)
@given(run=runs(TREC_IDS), compressed=st.booleans())
def test_trec_files_give_the_run_back(
    tmp_path_factory: pytest.TempPathFactory, run: Run, compressed: bool
) -> None:
    path = tmp_path_factory.mktemp("run") / ("a.run.gz" if compressed else "a.run")
    run.write_trec(path, tag="mine")
    back = Run.read_trec(path)
    assert back == Run({query: ranking for query, ranking in run.items() if ranking})
    assert back.name == ("mine" if back else path.name)
    assert [path.name] == [entry.name for entry in path.parent.iterdir()]


@settings(max_examples=100)
@given(run=runs(st.text(min_size=1, max_size=3)))
def test_what_trec_cannot_hold_is_refused_and_the_old_file_stays(
    tmp_path_factory: pytest.TempPathFactory, run: Run
) -> None:
    path = tmp_path_factory.mktemp("run") / "a.run"
    path.write_text("old")
    try:
        run.write_trec(path)
    except InvalidInputError:
        assert path.read_text() == "old"
    else:
        assert Run.read_trec(path) == Run({q: ranking for q, ranking in run.items() if ranking})
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("run", "tag", "message"),
    [
        (Run({"q 1": [("a", 1.0)]}), "t", "query id 'q 1' contains whitespace"),
        (Run({"q": [("b", 1.0), ("a\u00a0b", 1.0)]}), "t", r"'q': document id 'a\\xa0b' contains"),
        (Run({"\ufeffq": [("a", 1.0)]}), "t", "byte order mark"),
        (Run({"q": [("a\ud800", 1.0)]}), "t", "lone surrogate"),
        (Run({"q": [("a", 1.0)]}), "my run", "tag 'my run' contains whitespace"),
        (Run({"q": [("a", 1.0)]}), "", "tag ''"),
    ],
)
def test_ids_that_trec_cannot_hold_are_named(
    tmp_path: Path, run: Run, tag: str, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        run.write_trec(tmp_path / "a.run", tag)


def test_trec_lines_look_as_trec_eval_wants_them(tmp_path: Path) -> None:
    run = Run({"q1": [("d2", 0.1), ("d1", 12.5)], "q2": []}, name="bm25")
    lines = ["q1 Q0 d1 1 12.5 bm25\n", "q1 Q0 d2 2 0.1 bm25\n"]
    assert list(run.trec_lines()) == lines
    run.write_trec(tmp_path / "a.gz")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).decode() == "".join(lines)


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    run = Run({"q": [("a", 1.0)]})
    for name in ("a.gz", "b.gz"):
        run.write_trec(tmp_path / name)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_score_then_rank_then_line_decide_the_order(tmp_path: Path) -> None:
    text = """\
q1 Q0 third 3 1.0 t
q2 Q0 x 1 5 u

q1\tQ0\tsecond 2 1.0 t
q1 Q0 first 9 7e0 t
q1 Q0 fourth 3 1.0 t
"""
    run = Run.read_trec(write(tmp_path, text))
    assert run.ids("q1") == ("first", "second", "third", "fourth")
    assert (run.queries, run.name) == (("q1", "q2"), "t")
    assert Run.read_trec(tmp_path / "a.run", name="other").name == "other"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d 1 1.0", "5 columns, not 6"),
        ("q Q0 d 1 1.0 my run", "7 columns, not 6"),
        ("q Q0 d 1 nan t", "score 'nan'"),
        ("q Q0 d 1 inf t", "score 'inf'"),
        ("q Q0 d 1 1e309 t", "score '1e309'"),
        ("q Q0 d 1 1_0 t", "score '1_0'"),
        ("q Q0 d 1 high t", "score 'high'"),
        ("q Q0 d -1 1 t", "rank '-1'"),
        ("q Q0 d 1.5 1 t", "rank '1.5'"),
        ("q Q0 d 99999999999999999999 1 t", "rank '9999"),
        (f"q Q0 d {'9' * 5000} 1 t", "rank '9999"),
        ("a Q0 d1 9 1 t", "query 'a' lists document 'd1' again; it was on line 1"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path, f"a Q0 d1 1 2.0 t\na Q0 d2 2 1.0 t\n{line}\n")
    with pytest.raises(FileFormatError, match=message) as caught:
        Run.read_trec(path)
    assert caught.value.line == 3


@settings(max_examples=200)
@given(
    data=st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode(errors="replace"))
)
def test_any_bytes_are_a_run_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("run") / "a.run"
    path.write_bytes(b"q Q0 d 1 1.0 t\n" + data)
    lines: list[int | None] = []
    try:
        assert "q" in Run.read_trec(path)
    except FileFormatError as error:
        lines.append(error.line)
    assert all(line is not None and line >= 2 for line in lines)


def test_an_empty_file_is_an_empty_run(tmp_path: Path) -> None:
    run = Run.read_trec(write(tmp_path, ""))
    assert (len(run), run.name) == (0, "a.run")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailableError, match=r"cannot write .*none.a\.run"):
        Run({}).write_trec(tmp_path / "none" / "a.run")


def test_hits_are_values() -> None:
    hit = Hit("d", 1.5, metadata={"year": 2024})
    assert hit == Hit("d", 1.5, None, None, {"year": 2024})
    assert hash(hit) == hash(Hit("d", 1.5))
    assert Hit("d", 1.5).metadata == {}
    with pytest.raises(AttributeError):
        hit.score = 2.0  # type: ignore[misc]
