"""tune, and searching with --recall."""

from __future__ import annotations

import json
import sys

import pytest
from cli_sources import write_jsonl
from cli_vectors import made_up_vectors

from sparsearch.index import Index
from sparsearch.index.approximate import Effort
from sparsearch.index.tuning import TUNING, TunedPoint, Tuning
from sparsearch.runs import Run
from sparsearch.vectors import VectorFile, save_npz


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    path = tmp_path_factory.mktemp("queries") / "queries.npz"
    save_npz(path, VectorFile(made_up_vectors(20, seed=2), None))
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("indexes") / "vectors")


def make_index(folder):
    vectors = made_up_vectors(3000, seed=1)
    rows = range(len(vectors))
    with Index.create(folder, encoder=None) as index:
        index.add_vectors([str(i) for i in rows], vectors, [{"part": i % 3} for i in rows])
    return folder


def test_the_index_remembers_what_was_measured(run, index, queries):
    outcome = run("tune", index, "--queries", queries, "-k", 5, "--json")
    assert outcome.code == 0, outcome
    assert outcome.err == ""
    (told,) = outcome.json
    assert (told["documents"], told["queries"], told["k"]) == (3000, 20, 5)
    with Index.open(index) as opened:
        assert json.loads(json.dumps(opened.tuning.to_json())) == told


def test_people_see_the_frontier_and_what_to_type_next(run, index):
    outcome = run("tune", index)
    assert outcome.code == 0, outcome
    with Index.open(index) as opened:
        tuning = opened.tuning
    lines = outcome.out.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert lines[0] == "3,000 documents, 300 queries, k 10"
    place = 2
    for heading, part in (("more than", tuning), ("at most", tuning.short)):
        assert lines[place] == f"Queries of {heading} 16 terms:"
        place = check_table(lines, place + 2, part) + 1
    if tuning.points:
        assert lines[-1].startswith(f"next: sparsearch search {index} --vector ")
    else:
        assert "--recall will search exactly" in outcome.err


def check_table(lines, place, tuning):
    """Compare the table that begins on a line with what was measured; return where it ends."""
    assert lines[place].split() == [
        "recall", "error", "mass", "candidates", "microseconds", "speed-up"
    ]  # fmt: skip
    for point in tuning.points:
        place += 1
        shown = [f"{point.recall:.4f}", f"{point.error:.4f}", f"{point.effort.mass:g}"]
        assert lines[place].split()[:3] == shown
    assert lines[place + 1].split()[0] == "exact"
    return place + 2


def test_given_queries_are_one_table(run, index, queries):
    outcome = run("tune", index, "--queries", queries)
    with Index.open(index) as opened:
        tuning = opened.tuning
    assert tuning.short is None
    check_table(outcome.out.splitlines(), 2, tuning)


def test_queries_are_counted_one_by_one(run, index, tmp_path):
    save_npz(tmp_path / "one.npz", VectorFile(made_up_vectors(1, seed=3), None))
    outcome = run("tune", index, "--queries", tmp_path / "one.npz")
    assert outcome.out.startswith("3,000 documents, 1 query, k 10\n")


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".SVG", b"<?xml")])
def test_plot(run, index, queries, tmp_path, suffix, start):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"frontier{suffix}"
    for asked in (("--queries", queries), ()):
        assert run("tune", index, *asked, "--plot", path).code == 0
        assert path.read_bytes().startswith(start)
        path.unlink()


def test_plots_that_cannot_be_made_are_refused_at_once(run, index, tmp_path, monkeypatch):
    outcome = run("tune", index, "--plot", tmp_path / "frontier.pdf")
    assert outcome.code == 2
    assert "name it .png or .svg" in outcome.err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = run("tune", index, "--plot", tmp_path / "frontier.png")
    assert outcome.code == 1
    assert "pip install 'sparsearch[eval]'" in outcome.err


def test_nothing_to_tune(run, papers, tmp_path):
    outcome = run("tune", papers)
    assert outcome.code == 1
    assert "always searched exactly" in outcome.err
    assert outcome.err.count("\n") == 1
    Index.create(tmp_path / "empty", encoder=None).close()
    outcome = run("tune", tmp_path / "empty")
    assert outcome.code == 1
    assert "it is empty" in outcome.err
    assert run("tune", tmp_path / "nope").code == 1


def test_files_without_queries(run, index, papers, tmp_path):
    path = write_jsonl(tmp_path / "none.jsonl", [])
    for folder in (index, papers):
        outcome = run("tune", folder, "--queries", path)
        assert (outcome.code, outcome.err) == (1, f"error: {path}: it holds no query\n")


def test_queries_of_another_kind(run, index, tmp_path):
    path = write_jsonl(tmp_path / "q.jsonl", [{"id": "1", "vector": {"word": 1.0}}])
    outcome = run("tune", index, "--queries", path)
    assert outcome.code == 1
    assert "knows its terms as ids" in outcome.err


# ---- search --recall


def test_hits_of_an_approximate_search_have_exact_scores(run, index, queries, tmp_path):
    found = {}
    for recall in ("1", "0.9"):
        path = tmp_path / f"{recall}.trec"
        outcome = run(
            "search", index, "--queries", queries, "-k", 10, "--recall", recall, "--run", path
        )
        assert outcome.code == 0, outcome
        found[recall] = Run.read_trec(path)
    assert list(found["1"]) == list(found["0.9"])
    for query in found["1"]:
        exact = dict(zip(found["1"].ids(query), found["1"].scores(query), strict=True))
        approximate = dict(zip(found["0.9"].ids(query), found["0.9"].scores(query), strict=True))
        assert len(approximate) == len(exact)
        for document in exact.keys() & approximate.keys():
            assert exact[document] == approximate[document]


def test_recall_of_one_query(run, index):
    query = json.dumps({str(term): 1.0 for term in range(20)})
    outcome = run("search", index, "--vector", query, "--recall", 0.9, "--json")
    assert outcome.code == 0, outcome
    with Index.open(index) as opened:
        hits = opened.search(dict.fromkeys(range(20), 1.0), recall=0.9)
    assert [(row["id"], row["score"]) for row in outcome.json] == [(h.id, h.score) for h in hits]


def test_bm25_is_searched_exactly_whatever_the_recall(run, papers):
    exact = run("search", papers, "sparse vectors").out
    assert run("search", papers, "sparse vectors", "--recall", 0.5).out == exact


@pytest.mark.parametrize("recall", ["0", "-0.1", "1.01", "nan", "95", "high", ""])
def test_recall_is_a_share(run, papers, recall):
    for verb in ("search", "bench"):
        outcome = run(verb, papers, "--recall", recall)
        assert outcome.code == 2
        assert "is not a number above 0 and at most 1" in outcome.err


def test_evaluate_searches_as_search_does(run, index, queries, tmp_path):
    folder = tmp_path / "collection"
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(folder / "corpus.jsonl", [{"_id": "0", "text": "x"}])
    write_jsonl(folder / "queries.jsonl", [{"_id": str(i), "text": "x"} for i in range(20)])
    judged = "".join(f"{i}\t{i}\t1\n" for i in range(20))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    least = Tuning((TunedPoint(Effort(0.01, 1), 0.95, 0.0, 1.0),))
    with Index.open(index) as opened:
        opened._catalog.put_setting(TUNING, least.to_json())
    written = {}
    for verb, place in (("search", ()), ("evaluate", (folder,))):
        for recall in ("1", "0.9"):
            path = tmp_path / f"{verb}-{recall}.trec"
            asked = ("--queries", queries, "-k", 50, "--recall", recall, "--run", path)
            assert run(verb, index, *place, *asked).code == 0
            written[verb, recall] = path.read_text()
    for recall in ("1", "0.9"):
        assert written["search", recall] == written["evaluate", recall]
    assert written["evaluate", "1"] != written["evaluate", "0.9"]


def test_explain_tells_the_score_that_a_search_with_feedback_gives(run, tmp_path):
    index = make_index(tmp_path / "untuned")
    query = json.dumps(made_up_vectors(1, seed=2).to_dicts()[0])
    scores = set()
    for options in ([], ["--filter", "part=1"], ["--recall", 0.9]):
        asked = ["--vector", "--feedback", "--json", *options]
        hit = run("search", index, query, "-k", 1, *asked).json[0]
        (why,) = run("explain", index, query, hit["id"], *asked).json
        assert why["score"] == hit["score"]
        scores.add(hit["score"])
    assert len(scores) == 3  # each search was widened by other documents
