"""info, verify, optimize and delete."""

from __future__ import annotations

import shutil

import pytest
from cli_sources import write_jsonl

from sparsearch.index import Index


@pytest.fixture
def copy(papers, tmp_path):
    return shutil.copytree(papers, tmp_path / "copy")


def test_info(run, papers):
    outcome = run("info", papers)
    assert outcome.code == 0, outcome
    facts = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert facts["documents"] == "4"
    assert facts["fields"] == "kind, year"
    assert facts["encoder"] == "bm25: k1 1.2, b 0.75, language english, stop_words True"
    (row,) = run("info", papers, "--json").json
    assert row["documents"] == 4
    assert row["encoder"]["type"] == "bm25"


def test_verify(run, copy):
    outcome = run("verify", copy)
    assert outcome.code == 0
    assert "is undamaged: 4 documents" in outcome.out
    victim = next(copy.glob("segments/*/arrays.bin"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    outcome = run("verify", copy)
    assert outcome.code == 1
    assert victim.name in outcome.out
    assert "is damaged; restore it from a backup" in outcome.err


def test_verify_of_an_index_that_cannot_be_opened(run, copy):
    (copy / "catalog.sqlite").write_bytes(b"nonsense" * 1000)
    outcome = run("verify", copy)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")


def test_delete_and_optimize(run, copy):
    outcome = run("delete", copy, "a", "c")
    assert outcome.out == "deleted 2 documents; 2 documents left\n"
    outcome = run("delete", copy, "a")
    assert (outcome.code, outcome.err) == (1, "error: no document has the id 'a'\n")
    outcome = run("delete", copy, "--missing-ok", stdin="a\nb\n\n")
    assert outcome.out == "deleted 1 document; 1 document left\n"
    outcome = run("optimize", copy)
    assert outcome.code == 0
    assert "segments  1 -> 1" in outcome.out
    with Index.open(copy) as index:
        assert [document.id for document in index.documents()] == ["d"]
        assert index.info().deleted == 0


def test_relocating_what_has_no_model(run, copy, tmp_path):
    outcome = run("relocate", copy, tmp_path)
    assert outcome.code == 1
    assert "was not loaded as a model" in outcome.err


def test_snapshot(run, copy, tmp_path):
    target = tmp_path / "backup"
    outcome = run("snapshot", copy, target)
    assert outcome.code == 0
    with Index.open(copy) as index, Index.open(target) as copied:
        assert outcome.out == f"copied {len(index)} documents to {target}\n"
        assert list(copied.documents()) == list(index.documents())
    for inside in (copy / "sub", copy / "segments" / "backup", copy / "x" / ".." / "y"):
        outcome = run("snapshot", copy, inside)
        assert outcome.code == 1
        assert "lies in the index itself" in outcome.err
    again = run("snapshot", copy, target)
    assert again.code == 1
    assert again.err == f"error: {target} exists; give another path\n"


@pytest.mark.parametrize("verb", ["info", "verify", "optimize", "delete"])
def test_without_an_index(run, tmp_path, verb):
    outcome = run(verb, tmp_path / "nope")
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: no index in {tmp_path / 'nope'}")


@pytest.mark.parametrize("verb", ["info", "serve"])
def test_a_file_instead_of_an_index(run, papers_file, verb):
    outcome = run(verb, papers_file)
    assert outcome.code == 1
    assert outcome.err == f"error: {papers_file} is a file; give the folder of an index\n"


def test_ids_on_standard_input_are_taken_as_they_are(run, tmp_path):
    documents = [{"id": i, "text": "x"} for i in ("a", "a ", "\u00a0b", "b")]
    run("index", tmp_path / "i", write_jsonl(tmp_path / "s.jsonl", documents), "--encoder", "bm25")
    outcome = run("delete", tmp_path / "i", stdin="a \r\n\u00a0b\n")
    assert outcome.code == 0, outcome
    with Index.open(tmp_path / "i") as index:
        assert [document.id for document in index.documents()] == ["a", "b"]


def test_documents_are_deleted_by_conditions(run, tmp_path):
    documents = [{"id": str(n), "text": "x", "year": 2000 + n} for n in range(5)]
    run("index", tmp_path / "i", write_jsonl(tmp_path / "s.jsonl", documents), "--encoder", "bm25")
    outcome = run("delete", tmp_path / "i", "--filter", "year>2000", "--filter", "year<2003")
    assert outcome.code == 0, outcome
    assert "deleted 2 documents; 3 documents left" in outcome.out
    assert run("delete", tmp_path / "i", "--filter", "yaer>2000").code == 1
    assert "either ids or --filter" in run("delete", tmp_path / "i", "0", "--filter", "year=1").err
    assert "either ids or --filter" in run("delete", tmp_path / "i", "0", "--filter", "{}").err
    outcome = run("delete", tmp_path / "i", "--filter", "{}", stdin="0\n")
    assert outcome.code == 1
    assert "the filter is empty" in outcome.err
    with Index.open(tmp_path / "i") as index:
        assert [document.id for document in index.documents()] == ["0", "3", "4"]
