from __future__ import annotations

import json

import pytest
from cli_sources import write_jsonl

from sparsearch.index import Index
from sparsearch.index.passages import cut

LONG = (
    "Unscrew the four screws. Lift the cover of the battery. Put the new battery in. "
    "Close the cover. Charge it for a night before you use the lamp. "
) * 3
MANUALS = [
    {"id": "lamp", "text": LONG, "year": 2020},
    {"id": "radio", "text": "The battery of the radio is soldered in."},
]
OPTIONS = ("--encoder", "bm25", "--passage-length", 100)


@pytest.fixture
def manuals(run, tmp_path):
    outcome = run("index", tmp_path / "i", write_jsonl(tmp_path / "m.jsonl", MANUALS), *OPTIONS)
    assert outcome.code == 0, outcome
    assert "added 2 documents" in outcome.out
    return tmp_path / "i"


def test_an_index_of_passages_is_made_kept_and_replaced(run, manuals, tmp_path):
    count = len(list(cut(LONG, 100)))
    with Index.open(manuals) as index:
        assert len(index) == count + 1
    again = run("index", manuals, tmp_path / "m.jsonl", *OPTIONS)
    assert "already indexed (2 documents)" in again.err
    other = run("index", manuals, tmp_path / "m.jsonl", "--passage-length", 200)
    assert other.code == 1
    assert "created with passage_length 100, not 200" in other.err
    assert "leave out --passage-length" in other.err
    shorter = write_jsonl(tmp_path / "s.jsonl", [{"id": "lamp", "text": "No battery."}])
    assert run("index", manuals, shorter, "--upsert").code == 0
    with Index.open(manuals) as index:
        assert [document.id for document in index.documents()] == ["radio#1", "lamp#1"]
    assert run("delete", manuals, "lamp").out == "deleted 1 document; 1 passage left\n"
    assert "passages    1" in run("info", manuals).out.splitlines()
    refused = run("delete", manuals, "radio#1")
    assert refused.code == 1
    assert "no document has the id 'radio#1'" in refused.err


def test_an_index_of_whole_texts_stays_one(run, papers, papers_file):
    outcome = run("index", papers, papers_file, "--passage-length", 100)
    assert outcome.code == 1
    assert "created with passage_length unset, not 100" in outcome.err


def test_a_length_that_is_none(run, tmp_path):
    source = write_jsonl(tmp_path / "m.jsonl", MANUALS)
    outcome = run("index", tmp_path / "i", source, "--passage-length", 10)
    assert outcome.code == 1
    assert "passage_length is 10; it must be a whole number of characters" in outcome.err
    assert not (tmp_path / "i").exists()


def test_documents_that_cannot_be_cut_are_left_out(run, tmp_path):
    source = write_jsonl(tmp_path / "m.jsonl", [*MANUALS, {"id": "x", "text": "t", "passage": 1}])
    outcome = run("index", tmp_path / "i", source, *OPTIONS, "--skip-invalid")
    assert outcome.code == 0, outcome
    assert "field 'passage' is kept for passages" in outcome.err
    assert "added 2 documents" in outcome.out


def test_search_by_document(run, manuals):
    all_hits = run("search", manuals, "battery", "--json").json
    best = run("search", manuals, "battery", "--json", "--distinct", "document").json
    assert len(all_hits) > 2
    assert sorted(hit["metadata"]["document"] for hit in best) == ["lamp", "radio"]
    refused = run("search", manuals, "battery", "--distinct", "author")
    assert (refused.code, "no document has a field 'author'" in refused.err) == (1, True)


def test_documents_are_measured_by_their_best_passages(run, manuals, tmp_path):
    pytest.importorskip("ir_measures")
    collection = tmp_path / "collection"
    (collection / "qrels").mkdir(parents=True)
    write_jsonl(collection / "corpus.jsonl", [{"_id": m["id"], "text": m["text"]} for m in MANUALS])
    queries = [{"_id": "q1", "text": "charge for a night"}, {"_id": "q2", "text": "soldered"}]
    write_jsonl(collection / "queries.jsonl", queries)
    judged = "query-id\tcorpus-id\tscore\nq1\tlamp\t1\nq2\tradio\t1\n"
    (collection / "qrels" / "test.tsv").write_text(judged)
    trec = tmp_path / "run.trec"
    outcome = run("evaluate", manuals, collection, "-m", "RR@10", "--run", trec, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["RR@10"] == 1.0
    assert [line.split()[2] for line in trec.read_text().splitlines()] == ["lamp", "radio"]
