"""bench."""

from __future__ import annotations

import os

import pytest
from cli_vectors import made_up_vectors

from sparsearch.index import Index
from sparsearch.vectors import VectorFile, save_npz


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("indexes") / "vectors"
    vectors = made_up_vectors(1000, seed=1)
    with Index.create(folder, encoder=None) as index:
        index.add_vectors([str(i) for i in range(len(vectors))], vectors)
    return folder


def test_exact_search_and_the_usual_recalls(run, index):
    outcome = run("bench", index, "--seconds", 0, "--json")
    assert outcome.code == 0, outcome
    (told,) = outcome.json
    assert (told["documents"], told["queries"], told["k"]) == (1000, 300, 10)
    measured = told["measurements"]
    assert [row["wanted"] for row in measured] == [None, 0.9, 0.95, 0.98, 0.99]
    assert measured[0]["recall"] == 1.0
    assert measured[0]["mass"] is None
    for row in measured:
        assert 0 < row["recall"] <= 1
        assert 0 < row["p50"] <= row["p99"]
        assert row["queries_per_second"].keys() == {"1", str(os.cpu_count())}


def test_recall_is_measured_as_tuning_does(run, index):
    with Index.open(index) as opened:
        points = opened.tune().points
    if not points:
        pytest.skip("exact search was faster than any effort just now")
    first = points[0]
    asked = min(first.recall - first.error, 0.999)
    (told,) = run("bench", index, "--recall", asked, "--seconds", 0, "--json").json
    row = told["measurements"][1]
    assert row["recall"] == pytest.approx(first.recall)
    assert (row["mass"], row["candidates"]) == (first.effort.mass, first.effort.candidates)


def test_people_see_a_table(run, index, tmp_path):
    path = tmp_path / "queries.npz"
    save_npz(path, VectorFile(made_up_vectors(5, seed=2), None))
    options = ["--recall", 1, "--recall", 0.5, "--threads", 3, "--seconds", 0, "-k", 3]
    outcome = run("bench", index, "--queries", path, *options)
    assert outcome.code == 0, outcome
    assert outcome.err == ""
    lines = [line.split() for line in outcome.out.splitlines()]
    assert " ".join(lines[0]) == "1,000 documents, 5 queries (queries.npz), k 3"
    assert " ".join(lines[3]) == "search recall p50 p99 mean 1 thread 3 threads mass candidates"
    assert [line[0] for line in lines[4:]] == ["exact", "recall", "recall"]
    assert lines[5][1:3] == ["1", "1.0000"]
    assert lines[5][-1] == "exact"


def test_one_thread_is_not_measured_twice(run, index):
    (told,) = run("bench", index, "--recall", 0.9, "--threads", 1, "--seconds", 0, "--json").json
    assert told["measurements"][0]["queries_per_second"].keys() == {"1"}


def test_bm25_is_measured_exactly(run, papers, tmp_path):
    (tmp_path / "q.tsv").write_text("1\tsparse vectors\n2\tnothing known\n")
    outcome = run("bench", papers, "--queries", tmp_path / "q.tsv", "--seconds", 0, "--json")
    assert outcome.code == 0, outcome
    exactly = "an index of words (BM25, or the default encoder) is always searched exactly\n"
    assert outcome.err == exactly
    (told,) = outcome.json
    assert [row["wanted"] for row in told["measurements"]] == [None]
    assert told["measurements"][0]["recall"] == 1.0
    assert run("bench", papers, "--seconds", 0).code == 0  # queries from its own documents


def test_the_default_encoder_is_measured_exactly(run, tmp_path):
    with Index.create(tmp_path / "i") as made:
        made.add([{"id": "1", "text": "sparse vectors"}])
    outcome = run("bench", tmp_path / "i", "--seconds", 0, "--json")
    assert outcome.code == 0, outcome
    assert "always searched exactly" in outcome.err
    (told,) = outcome.json
    assert [row["wanted"] for row in told["measurements"]] == [None]


def test_nothing_to_measure(run, papers, tmp_path):
    (tmp_path / "q.tsv").write_text("1\tzzz\n")
    outcome = run("bench", papers, "--queries", tmp_path / "q.tsv")
    assert outcome.code == 1
    assert outcome.err.endswith("error: there is nothing to measure: no query finds a document\n")
    Index.create(tmp_path / "empty", encoder=None).close()
    outcome = run("bench", tmp_path / "empty")
    assert outcome.code == 1
    assert "no query finds a document" in outcome.err


@pytest.mark.parametrize(
    "option", ["--threads=0", "-k0", "--seconds=-1", "--seconds=inf", "--seconds=nan", "--recall=2"]
)
def test_options_are_checked(run, index, option):
    assert run("bench", index, option).code == 2
