"""Judgements: validation, and the formats of TREC and BEIR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch.errors import FileFormatError, InvalidInputError
from sparsearch.runs import Qrels
from sparsearch.runs.qrels import MAX_GRADE

HEADER = "query-id\tcorpus-id\tscore\n"
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
TREC_IDS = WORDS.filter(lambda id: id.split() == [id] and not id.startswith("\ufeff"))
BEIR_IDS = WORDS.filter(lambda id: not set(id) & set("\t\r\n"))
GRADES = st.integers(-MAX_GRADE, MAX_GRADE)


def qrels(ids: st.SearchStrategy[str]) -> st.SearchStrategy[Qrels]:
    grades = st.dictionaries(ids, GRADES, min_size=1, max_size=5)
    return st.dictionaries(ids, grades, max_size=4).map(Qrels)


def write(folder: Path, text: str) -> Path:
    path = folder / "qrels"
    path.write_text(text, encoding="utf-8")
    return path


def test_qrels_are_a_read_only_mapping() -> None:
    found = Qrels({"q1": {"a": 2, "b": 0}, "q2": {"a": np.int64(-1)}})
    assert found["q1"] == {"a": 2, "b": 0}
    assert type(found["q2"]["a"]) is int
    assert (len(found), found.queries, found.judgement_count) == (2, ("q1", "q2"), 3)
    assert found == Qrels({"q2": {"a": -1}, "q1": {"b": 0, "a": 2}})
    assert found != Qrels({"q1": {"a": 2, "b": 0}})
    assert repr(found) == "Qrels(2 queries, 3 judgements)"
    with pytest.raises(TypeError):
        found["q1"]["a"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("judgements", "message"),
    [
        ({"": {"a": 1}}, "query id ''"),
        ({1: {"a": 1}}, "query id 1"),
        ({"q": {"": 1}}, "'q': document id ''"),
        ({"q": {"a": 1.0}}, "grade 1.0 of document 'a'"),
        ({"q": {"a": True}}, "grade True of document 'a'"),
        ({"q": {"a": "1"}}, "grade '1' of document 'a'"),
        ({"q": {"a": MAX_GRADE + 1}}, "grade of document 'a' is over 10000"),
        ({"q": {"a": -(10**5000)}}, "grade of document 'a' is over 10000"),
        ({"q": {}}, "'q' has no judgements"),
        ({"q": ["a"]}, "'q' has no judgements"),
    ],
)
def test_malformed_judgements_are_refused(judgements: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Qrels(judgements)  # type: ignore[arg-type]


@settings(max_examples=100)
@given(found=qrels(TREC_IDS), suffix=st.sampled_from(["", ".gz"]))
def test_trec_files_give_the_qrels_back(
    tmp_path_factory: pytest.TempPathFactory, found: Qrels, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("qrels") / f"a{suffix}"
    found.write_trec(path)
    back = Qrels.read(path)
    assert back == found
    assert back.queries == found.queries


@settings(max_examples=100)
@given(found=qrels(BEIR_IDS), suffix=st.sampled_from(["", ".gz"]))
def test_beir_files_give_the_qrels_back(
    tmp_path_factory: pytest.TempPathFactory, found: Qrels, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("qrels") / f"a.tsv{suffix}"
    found.write_beir(path)
    back = Qrels.read(path)
    assert back == found
    assert back.queries == found.queries


@settings(max_examples=100)
@given(found=qrels(st.text(min_size=1, max_size=3)))
def test_ids_that_a_format_cannot_hold_are_refused(
    tmp_path_factory: pytest.TempPathFactory, found: Qrels
) -> None:
    path = tmp_path_factory.mktemp("qrels") / "a"
    for write_to in (found.write_trec, found.write_beir):
        try:
            write_to(path)
        except InvalidInputError:
            continue
        assert Qrels.read(path) == found


def test_both_formats_are_recognised(tmp_path: Path) -> None:
    expected = Qrels({"q1": {"a": 2, "b": 0}, "q2": {"a": -1}})
    trec = "\nq1 0 a 2\r\nq1\t0\tb\t0\n\nq2 Q0 a -1\nq1 7 a 2\n"
    assert Qrels.read(write(tmp_path, trec)) == expected
    beir = f"\ufeff{HEADER}q1\ta\t2\r\nq1\tb\t0\n\nq2\ta\t-1"
    assert Qrels.read(write(tmp_path, beir)) == expected
    assert Qrels.read(write(tmp_path, HEADER)) == Qrels({})
    spaced = Qrels.read(write(tmp_path, "Query_ID\tcorpus-id\tscore\nmy query\ta b\t1\n"))
    assert spaced == Qrels({"my query": {"a b": 1}})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("q1\ta\t1\n", 1, "expected the header"),
        ("q 0 a 1\nq 0 b\n", 2, "four columns of TREC"),
        (f"{HEADER}q a 1\n", 2, "cannot read 'q a 1' as a judgement"),
        (f"{HEADER}q\t\t1\n", 2, "cannot read"),
        ("q 0 a 1.0\n", 1, "grade '1.0'"),
        ("q 0 a 1_0\n", 1, "grade '1_0'"),
        ("q 0 a \u0661\n", 1, "grade '\u0661'"),
        ("q 0 a 10001\n", 1, "grade '10001'"),
        (f"q 0 a {'9' * 5000}\n", 1, "grade '9999"),
        (f"{HEADER}q\ta\t 1\n", 2, "grade ' 1'"),
        ("q 0 a 1\nq 0 a 2\n", 2, "'q' gives document 'a' grade 2, before 1"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        Qrels.read(write(tmp_path, text))
    assert caught.value.line == line


@settings(max_examples=200)
@given(
    start=st.sampled_from([b"q 0 d 1\n", HEADER.encode() + b"q\td\t1\n"]),
    data=st.binary(max_size=40)
    | st.text(max_size=40).map(lambda text: text.encode(errors="replace")),
)
def test_any_bytes_are_qrels_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("qrels") / "a"
    path.write_bytes(start + data)
    lines: list[int | None] = []
    try:
        assert "q" in Qrels.read(path)
    except FileFormatError as error:
        lines.append(error.line)
    assert all(line is not None and line >= 2 for line in lines)
