from __future__ import annotations

import typing

import pytest
from cli_sources import write_jsonl

from sparsearch.cli import compare as compare_verb
from sparsearch.cli._arguments import DocumentFormat, VectorFormat
from sparsearch.cli._vector_files import vector_format
from sparsearch.evaluation import CORRECTIONS, TESTS, evaluate
from sparsearch.readers import FORMATS
from sparsearch.runs import Qrels, Run

pytest.importorskip("ir_measures")


def test_the_choices_are_those_of_the_library(tmp_path):
    assert typing.get_args(compare_verb.Test) == TESTS
    assert typing.get_args(compare_verb.Correction) == CORRECTIONS
    assert typing.get_args(DocumentFormat) == FORMATS
    for name in typing.get_args(VectorFormat):
        assert vector_format(tmp_path / f"v.{name}") == name


def test_evaluate(run, papers, collection, tmp_path):
    run_file, table = tmp_path / "out.trec", tmp_path / "out.tsv"
    options = ("-m", "RR@10", "-m", "R@5", "-k", 5)
    arguments = ("evaluate", papers, collection, *options)
    outcome = run(*arguments, "--run", run_file, "--per-query", table)
    assert outcome.code == 0, outcome
    assert "3 judged queries" in outcome.out
    assert "RR@10    0.6667" in outcome.out
    assert "1 of the judged queries found nothing, which counts as zero" in outcome.err
    found = Run.read_trec(run_file)
    assert found.queries == ("q1", "q2")
    assert table.read_text().splitlines()[:2] == ["query\tRR@10\tR@5", "q1\t1.0\t1.0"]
    outcome = run(*arguments, "--json")
    assert "1 of the judged queries found nothing, which counts as zero" in outcome.err
    (row,) = outcome.json
    measured = evaluate(found, Qrels.read(collection / "qrels" / "test.tsv"), ["RR@10", "R@5"])
    counts = {"queries": 3, "missing_queries": 1}
    assert row == {"dataset": collection.name, **counts, "k": 5, **measured.mean}


def test_evaluate_asks_whether_it_is_the_right_index(run, collection, tmp_path):
    others = write_jsonl(tmp_path / "o.jsonl", [{"id": "other", "text": "sparse retrieval"}])
    run("index", tmp_path / "i", others)
    for options in ((), ("--json",)):
        outcome = run("evaluate", tmp_path / "i", collection, "-m", "P@1", *options)
        assert outcome.code == 0, outcome
        question = f"does {tmp_path / 'i'} hold the documents of {collection.name}?"
        assert f"nothing found is judged: {question}\n" in outcome.err


def test_evaluate_says_when_a_measure_looks_deeper_than_the_run(run, papers, collection):
    outcome = run("evaluate", papers, collection, "-k", 10, "-m", "R@100")
    assert "R@100 looks deeper than the 10 hits" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-m", "nonsense"], "unknown measure 'nonsense'"),
        (["-m", "P"], "measure 'P' needs a cutoff, as in P@10"),
        (["--run", "x", "--per-query", "x"], "--run and --per-query both name x"),
        (["--split", "dev"], "has no split 'dev'; it has test"),
        (["--per-query", "/nonexistent/x.tsv"], "cannot write /nonexistent/x.tsv: No such file"),
        (["--run", "/nonexistent/x"], "cannot write /nonexistent/x: No such file"),
    ],
)
def test_evaluate_errors(run, papers, collection, arguments, reason):
    outcome = run("evaluate", papers, collection, *arguments)
    assert outcome.code == 1
    assert f"error: {reason}" in outcome.err or reason in outcome.err


@pytest.mark.parametrize("content", ["", "other\theat\n"])
def test_evaluate_queries_that_are_not_judged(run, papers, collection, tmp_path, content):
    (tmp_path / "q.tsv").write_text(content)
    outcome = run("evaluate", papers, collection, "--queries", tmp_path / "q.tsv")
    assert outcome.code == 1
    assert "q.tsv holds no query that is judged in" in outcome.err


def test_evaluate_queries_that_the_collection_does_not_have(run, papers, collection, tmp_path):
    """Its judgements name other queries than it holds, or it holds none."""
    expected = run("evaluate", papers, collection, "--json").json[0]
    (tmp_path / "qrels").mkdir()
    rows = ["query-id\tcorpus-id\tscore", "topic-1\ta\t1", "topic-2\tc\t2", "topic-3\tb\t1"]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n")
    texts = {"topic-1": "sparse retrieval", "topic-2": "posting lists", "topic-3": "nothing known"}
    queries = write_jsonl(
        tmp_path / "mine.jsonl", [{"_id": query, "text": text} for query, text in texts.items()]
    )
    for others in (None, [{"_id": "q1", "text": "sparse"}]):
        if others:
            write_jsonl(tmp_path / "queries.jsonl", others)
        outcome = run("evaluate", papers, tmp_path, "--queries", queries, "--json")
        assert outcome.code == 0, outcome
        assert outcome.json == [{**expected, "dataset": tmp_path.name}]


def test_evaluate_queries_that_are_vectors(run, papers, collection, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_bytes((collection / "qrels" / "test.tsv").read_bytes())
    assert run("export", papers, tmp_path / "v.jsonl", "--what", "vectors").code == 0
    assert run("import", tmp_path / "i", tmp_path / "v.jsonl").code == 0
    vectors = {"q1": {"spars": 1.0}, "q2": {"list": 1.0}, "q3": {"unknown": 1.0}}
    queries = write_jsonl(
        tmp_path / "q.jsonl", [{"id": query, "vector": row} for query, row in vectors.items()]
    )
    outcome = run("evaluate", tmp_path / "i", tmp_path, "--queries", queries, "-m", "RR@10")
    assert outcome.code == 0, outcome
    assert "RR@10    0.6667" in outcome.out


@pytest.fixture
def alike(run, tmp_path):
    """Return an index and a collection whose queries are its documents."""
    words = {"a": "red round apple", "b": "red round ball", "c": "red car", "d": "green car"}
    rows = [{"_id": name, "text": f"{text} " * 8} for name, text in words.items()]
    folder = tmp_path / "alike"
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(folder / "queries.jsonl", rows)
    judged = "a\tb\t1\nb\ta\t1\nc\td\t1\nd\tc\t1\n"
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    for name, options in (("whole", ()), ("cut", ("--passage-length", 50))):
        source = write_jsonl(folder / "corpus.jsonl", rows)
        made = run("index", tmp_path / name, source, "--language", "none", *options)
        assert made.code == 0, made
    return tmp_path, folder


@pytest.mark.parametrize("name", ["whole", "cut"])
def test_evaluate_without_the_document_that_is_the_query(run, alike, name):
    tmp_path, folder = alike
    arguments = ("evaluate", tmp_path / name, folder, "-m", "P@1", "-k", 1)
    arguments += ("--run", tmp_path / "out.trec")
    outcome = run(*arguments)
    assert "P@1      0.0000" in outcome.out
    assert "4 of 4 queries rank the document of their own id first" in outcome.err
    assert "give --ignore-identical" in outcome.err
    outcome = run(*arguments, "--ignore-identical")
    assert outcome.code == 0, outcome
    assert outcome.err == ""
    assert "P@1      1.0000" in outcome.out
    found = Run.read_trec(tmp_path / "out.trec")
    assert {query: found.ids(query) for query in found} == {
        query: (answer,) for query, answer in zip("abcd", "badc", strict=True)
    }


def test_evaluate_writes_to_standard_output(run, papers, collection, tmp_path):
    arguments = ("evaluate", papers, collection, "-m", "RR@10", "--per-query")
    assert run(*arguments, tmp_path / "out.tsv").code == 0
    outcome = run(*arguments, "-")
    assert outcome.code == 0, outcome
    assert outcome.out.startswith((tmp_path / "out.tsv").read_text())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-m", "RR", "-m", "nonsense"], "unknown measure 'nonsense'"),
        (["-m", "ERR_IA@5"], "cannot compute ERR_IA@5"),
        (["--run", "/nonexistent/x"], "cannot write /nonexistent/x: No such file"),
        (["--per-query", "/"], "cannot write /: Is a directory"),
        (["--per-query", "/dev/null/x"], "cannot write /dev/null/x: Not a directory"),
    ],
)
def test_evaluate_refuses_before_it_searches(run, tmp_path, arguments, reason):
    """There is not even an index."""
    outcome = run("evaluate", tmp_path / "i", tmp_path, *arguments)
    assert outcome.code == 1
    assert reason in outcome.err


def test_evaluate_without_an_index(run, collection, tmp_path):
    outcome = run("evaluate", tmp_path / "i", collection)
    assert outcome.code == 1
    assert "make one with: sparsearch index" in outcome.err


@pytest.fixture
def runs(tmp_path):
    Qrels({f"q{i}": {"d1": 1} for i in range(12)}).write_trec(tmp_path / "qrels.txt")
    good = {f"q{i}": [("d1", 2.0), ("d2", 1.0 + i % 2)] for i in range(12)}
    bad = {f"q{i}": [("d2", 2.0), ("d1", 1.0 + i % 3 / 10)] for i in range(12)}
    Run(good).write_trec(tmp_path / "good.trec")
    Run(bad).write_trec(tmp_path / "bad.trec.gz")
    (tmp_path / "sub").mkdir()
    Run(bad).write_trec(tmp_path / "sub" / "good.trec")
    return tmp_path


def test_compare(run, runs):
    arguments = ("compare", runs / "qrels.txt", runs / "bad.trec.gz", runs / "good.trec")
    outcome = run(*arguments, "-m", "RR", "--test", "randomization", "--correction", "none")
    assert outcome.code == 0, outcome
    assert "RR       bad" in outcome.out
    assert "+0.5000*" in outcome.out
    assert "randomization test, correction none" in outcome.out
    (row,) = run(*arguments, "--test", "randomization", "--json").json
    assert row["rows"][0]["run"] == "good"
    assert row["rows"][0]["significant"] is True


def test_compare_says_what_is_missing_from_a_run(run, runs):
    lines = (runs / "good.trec").read_text().splitlines(keepends=True)
    (runs / "cut.trec").write_text("".join(lines[:2]))
    Run({f"q{i}": [("d1#2", 1.0)] for i in range(12)}).write_trec(runs / "passages.trec")
    names = [runs / name for name in ("good.trec", "cut.trec", "passages.trec")]
    for options in ((), ("--json",)):
        outcome = run("compare", runs / "qrels.txt", *names, *options)
        assert outcome.code == 0, outcome
        assert outcome.err.splitlines() == [
            "cut: 11 of the judged queries found nothing, which counts as zero",
            "passages: nothing found is judged: does it rank the documents of "
            f"{runs / 'qrels.txt'}?",
        ]
    assert outcome.json[0]["missing_queries"] == {"good": 0, "cut": 11, "passages": 0}


def test_infinite_intervals_are_null_in_json(run, tmp_path):
    (tmp_path / "qrels.txt").write_text("q 0 a 1\n")
    for name, ranking in (("one", "ab"), ("two", "ba")):
        Run({"q": [(ranking[0], 2.0), (ranking[1], 1.0)]}).write_trec(tmp_path / f"{name}.trec")
    arguments = (tmp_path / "qrels.txt", tmp_path / "one.trec", tmp_path / "two.trec")
    (answer,) = run("compare", *arguments, "--json").json
    assert answer["rows"][0]["interval"] == [None, None]


def test_compare_runs_whose_files_have_the_same_name(run, runs):
    names = [runs / "good.trec", runs / "sub" / "good.trec"]
    assert str(names[1]) in run("compare", runs / "qrels.txt", *names).out
    assert run("compare", runs / "qrels.txt", names[0], names[0]).code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["good.trec"], 2, "at least two runs"),
        (["good.trec", "bad.trec.gz", "--test", "f"], 2, "--test"),
        (["good.trec", "bad.trec.gz", "--alpha", "7"], 1, "alpha must be between 0 and 1"),
        (["good.trec", "missing.trec"], 1, "missing.trec: cannot be read"),
        (["good.trec", "qrels.txt"], 1, "qrels.txt:1: found 4 columns, not 6"),
    ],
)
def test_compare_errors(run, runs, arguments, code, reason):
    paths = [runs / a if "." in a else a for a in arguments]
    outcome = run("compare", runs / "qrels.txt", *paths)
    assert outcome.code == code
    assert reason in outcome.err
