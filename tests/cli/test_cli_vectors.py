"""Export and import: what goes out comes back."""

from __future__ import annotations

import gzip
import json
import re
import signal

import numpy as np
import pytest
from cli_sources import PAPERS, write_jsonl
from cli_vectors import made_up_vectors

from sparsearch.index import Index
from sparsearch.vectors import (
    SparseVectors,
    VectorBatch,
    VectorFile,
    save_npz,
    write_bigann_csr,
    write_json_vectors,
)


def stored(folder):
    with Index.open(folder) as index:
        return list(index.documents()), index.vectors().to_dicts()


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_exported_documents_can_be_indexed(run, papers, tmp_path, name):
    outcome = run("export", papers, tmp_path / name)
    assert outcome.code == 0, outcome
    assert outcome.err == f"wrote 4 documents to {tmp_path / name}\n"
    assert run("index", tmp_path / "i", tmp_path / name, "--encoder", "bm25").code == 0
    assert stored(tmp_path / "i") == stored(papers)


def test_metadata_cannot_be_taken_for_text(run, tmp_path):
    documents = [
        {"id": "1", "title": "t", "body": "is metadata", "metadata": {"deep": [1, {"x": None}]}},
        {"id": "2", "text": "", "_id": "other", "contents": "also", "n": -1.5e300},
    ]
    with Index.create(tmp_path / "i", "bm25") as index:
        index.add(documents)
    assert run("export", tmp_path / "i", tmp_path / "out.jsonl").code == 0
    assert run("index", tmp_path / "j", tmp_path / "out.jsonl", "--encoder", "bm25").code == 0
    assert stored(tmp_path / "j") == stored(tmp_path / "i")


def test_documents_to_standard_output(run, papers):
    outcome = run("export", papers, "-")
    assert [row["id"] for row in outcome.json] == ["a", "b", "c", "d"]
    assert outcome.json[0] == {
        "id": "a",
        "title": "Sparse retrieval",
        "text": "Learned sparse vectors.",
        "metadata": {"year": 2019},
    }


@pytest.mark.parametrize("name", ["v.jsonl", "v.jsonl.gz", "v.npz"])
def test_exported_vectors_can_be_imported(run, papers, tmp_path, name):
    assert run("export", papers, tmp_path / name, "--what", "vectors").code == 0
    outcome = run("import", tmp_path / "i", tmp_path / name)
    assert outcome.code == 0, outcome
    assert "added 4 vectors" in outcome.out
    documents, vectors = stored(tmp_path / "i")
    expected_documents, expected_vectors = stored(papers)
    assert [document.id for document in documents] == ["a", "b", "c", "d"]
    assert vectors == expected_vectors
    if "jsonl" in name:
        assert documents == expected_documents


def test_vectors_are_searched_by_vectors(run, papers, tmp_path):
    run("export", papers, tmp_path / "v.jsonl", "--what", "vectors")
    run("import", tmp_path / "i", tmp_path / "v.jsonl")
    query = json.dumps({"spars": 1.5, "retriev": 0.5, "unknown": 2})
    outcome = run("search", tmp_path / "i", "--vector", query, "--json")
    assert [row["id"] for row in outcome.json] == ["a", "b"]
    outcome = run("explain", tmp_path / "i", "--vector", query, "b")
    assert "not in the document: spars, unknown" in outcome.out
    queries = write_jsonl(tmp_path / "q.jsonl", [{"id": "q9", "vector": {"spars": 1}}])
    outcome = run("search", tmp_path / "i", "--queries", queries)
    assert outcome.out.startswith("q9 Q0 a 1 ")
    outcome = run("search", tmp_path / "i", "text")
    assert outcome.code == 1
    assert "without an encoder" in outcome.err


def test_files_without_ids_and_terms(run, tmp_path):
    vectors = SparseVectors([0, 2, 2, 3], [1, 7, 7], [1.0, 2.0, 3.0])
    write_bigann_csr(tmp_path / "v.csr", vectors)
    save_npz(tmp_path / "v.npz", VectorFile(vectors, None))
    for name in ("v.csr", "v.npz"):
        folder = tmp_path / f"index of {name}"
        outcome = run("import", folder, tmp_path / name, "--weight-bits", 8)
        assert """--vector '{"1012": 1.0}'""" in outcome.out
        outcome = run("search", folder, "--vector", '{"7": 1}', "--json")
        assert [(row["id"], row["score"]) for row in outcome.json] == [("2", 3.0), ("0", 2.0)]
        for query in ('{"word": 1}', '{"7": 1, "word": 1}', '{"\u0667": 1}', '{"7": 1, "07": 1}'):
            outcome = run("search", folder, "--vector", query)
            assert outcome.code == 1
            assert "its terms must be term ids in decimal, each given once" in outcome.err


def test_import_replaces_only_when_told(run, tmp_path):
    path = write_jsonl(tmp_path / "v.jsonl", [{"id": "1", "vector": {"x": 1.0}}])
    assert run("import", tmp_path / "i", path).code == 0
    other = write_jsonl(tmp_path / "other.jsonl", [{"id": "1", "vector": {"y": 1.0}}])
    outcome = run("import", tmp_path / "i", other)
    assert outcome.code == 1
    assert "the id '1' is taken, by the index or by an earlier vector" in outcome.err
    outcome = run("import", tmp_path / "i", other, "--upsert")
    assert outcome.code == 0
    assert "holds 1 document in" in outcome.out
    assert stored(tmp_path / "i")[1] == [{"y": 1.0}]


def test_a_file_of_vectors_that_is_done_is_left_alone(run, tmp_path):
    path = write_jsonl(tmp_path / "v.jsonl", [{"id": "1", "vector": {"x": 1.0}}])
    run("import", tmp_path / "i", path)
    outcome = run("import", tmp_path / "i", path)
    assert outcome.code == 0
    assert "already indexed (1 vector); --upsert reads it again" in outcome.err
    assert "added" not in outcome.out


def test_a_mended_file_of_vectors_goes_on_and_a_changed_one_does_not(run, tmp_path):
    path = tmp_path / "v.jsonl"
    rows = [{"id": str(i), "vector": {f"t{i}": i + 1.0}} for i in range(5)]
    wrong = [*rows[:4], {"id": "4", "vector": {"t4": 1.0}, "text": "", "n": 2**70}]
    write_jsonl(path, wrong)
    # Each batch is checked whole; the last record is alone in its batch.
    small = pytest.MonkeyPatch()
    small.setattr("sparsearch.cli._vector_files._BATCH", 2)
    try:
        outcome = run("import", tmp_path / "i", path)
        assert outcome.code == 1
        assert "v.jsonl:5: id '4': field 'n'" in outcome.err
        for changed, reason in (
            ([rows[0], rows[2], rows[1], rows[4]], "vector 4 was '3', now '4'"),
            (rows[:3], "it has only 3"),
        ):
            write_jsonl(path, changed)
            outcome = run("import", tmp_path / "i", path)
            assert outcome.code == 1
            assert reason in outcome.err
        write_jsonl(path, [*rows[:4], {**wrong[4], "n": -(2**70)}])
        assert "v.jsonl:5: id '4': field 'n'" in run("import", tmp_path / "i", path).err
        write_jsonl(path, rows)
        outcome = run("import", tmp_path / "i", path)
        assert "going on after 4 vectors\n" in outcome.err
        assert "added 1 vector in" in outcome.out
    finally:
        small.undo()
    assert stored(tmp_path / "i")[1] == [row["vector"] for row in rows]


def test_vectors_from_a_pipe_are_not_remembered(program, tmp_path):
    import os
    import threading

    for number in range(2):
        pipe = tmp_path / "pipe.jsonl"
        os.mkfifo(pipe)
        line = json.dumps({"id": str(number), "vector": {"x": 1.0}}) + "\n"
        writer = threading.Thread(target=lambda text=line, to=pipe: to.write_text(text))
        writer.start()
        outcome = program("import", tmp_path / "i", pipe)
        writer.join(timeout=30)
        assert outcome.code == 0, outcome
        pipe.unlink()
    assert [document.id for document in stored(tmp_path / "i")[0]] == ["0", "1"]


# ---- interruption

MANY = 24_000


@pytest.fixture(scope="module")
def vector_files(tmp_path_factory):
    """Return a file of JSON lines, and a folder of parts as `sparsearch encode` writes them."""
    folder = tmp_path_factory.mktemp("many")
    vectors = made_up_vectors(1000, seed=3)
    rows = [{f"t{term}": weight for term, weight in row.items()} for row in vectors.to_dicts()]
    words = SparseVectors.from_dicts(rows * (MANY // len(rows)))
    ids = [f"d{i}" for i in range(MANY)]
    batch = VectorBatch(ids, [f"text {i}" for i in range(MANY)], words)
    write_json_vectors(folder / "v.jsonl", [batch])
    (folder / "parts").mkdir()
    for part, start in enumerate(range(0, MANY, 1500)):
        rows_of = slice(start, start + 1500)
        save_npz(
            folder / "parts" / f"part-{part:06d}.npz", VectorFile(words[rows_of], ids[rows_of])
        )
    return {"lines": folder / "v.jsonl", "parts": folder / "parts"}


@pytest.mark.parametrize(
    ("kind", "stop"),
    [("lines", signal.SIGKILL), ("parts", signal.SIGKILL), ("lines", signal.SIGINT)],
)
def test_an_interrupted_import_is_finished_by_the_same_command(
    run, interrupt, tmp_path, vector_files, kind, stop
):
    def arguments(folder):
        return ["import", str(folder), str(vector_files[kind]), "--segment-documents", "1000"]

    folder = tmp_path / "broken"
    broken = interrupt(stop, folder, *arguments(folder))
    if stop == signal.SIGINT:
        assert re.search(r"[\d,]+ vectors of .* stored; the same command goes on after", broken.err)
    with Index.open(folder) as index:
        assert 0 < len(index) < MANY
    outcome = run(*arguments(folder))
    assert outcome.code == 0, outcome
    assert "going on after" in outcome.err
    assert run(*arguments(tmp_path / "whole")).code == 0
    with Index.open(folder) as mended, Index.open(tmp_path / "whole") as whole:
        assert mended.verify() == []
        assert mended.ids_of(range(MANY)) == [f"d{i}" for i in range(MANY)]
        assert mended.vocabulary == whole.vocabulary
        assert mended.vectors() == whole.vectors()
        assert mended.get("d7") == whole.get("d7")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"id": "1"}\n', "v.jsonl:1: 'vector' is missing"),
        ('{"id": "1", "vector": {"x": 1}}\n{"id": "2", "vector": {"x": -1}}\n',
         "v.jsonl:2: id '2': term 'x' has the negative weight -1.0"),
        ('{"id": "1", "vector": {"x": NaN}}\n', "v.jsonl:1: NaN is not JSON"),
        ('{"id": "1", "vector": {"x": 1}, "n": 99999999999999999999}\n', "v.jsonl:1: id '1'"),
    ],
)  # fmt: skip
def test_malformed_vectors(run, tmp_path, content, reason):
    (tmp_path / "v.jsonl").write_text(content)
    outcome = run("import", tmp_path / "i", tmp_path / "v.jsonl")
    assert outcome.code == 1
    assert reason in outcome.err
    assert outcome.err.count("\n") == 1


def test_import_refuses_what_it_cannot_read(run, tmp_path, papers):
    (tmp_path / "v.npz").write_bytes(b"PK nonsense")
    (tmp_path / "v.csr").write_bytes(np.int64([5, 5, 5]).tobytes())
    (tmp_path / "v.foo").write_bytes(b"")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"id": "1"}\n')[:-9])
    for name in ("v.npz", "v.csr", "v.foo", "cut.jsonl.gz", "missing.jsonl"):
        outcome = run("import", tmp_path / "i", tmp_path / name)
        assert outcome.code == 1
        assert outcome.err.startswith(f"error: {tmp_path / name}")
    assert not (tmp_path / "i").exists()
    path = write_jsonl(tmp_path / "v.jsonl", [{"id": "1", "vector": {"x": 1.0}}])
    assert "from text with 'bm25'" in run("import", papers, path).err


def test_what_cannot_be_exported(run, papers, tmp_path):
    assert run("export", papers, tmp_path / "x", "--format", "npz").code == 2
    assert run("export", papers, "-", "--what", "vectors").code == 2
    for name in ("x.npz.gz", "x.gz"):
        path = tmp_path / name
        outcome = run("export", papers, path, "--what", "vectors", "--format", "npz")
        assert outcome.code == 2
        assert "name a file that ends in .npz" in outcome.err
        assert not path.exists()
    for name, what in (("x.csr", "vectors"), ("x.npz", "documents"), ("x.csv.gz", "documents")):
        outcome = run("export", papers, tmp_path / name, "--what", what)
        assert outcome.code == 2
        assert f"{what} are not written as" in outcome.err
        assert not (tmp_path / name).exists()
    for what in ("documents", "vectors"):
        outcome = run("export", papers, tmp_path / "no" / "x.jsonl", "--what", what)
        assert outcome.code == 1
        assert outcome.err.startswith(f"error: cannot write {tmp_path / 'no' / 'x.jsonl'}")
    assert run("export", papers, tmp_path).code == 1


def test_a_pipe_is_written_and_stays_a_pipe(program, papers, tmp_path):
    import os
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    outcome = program("export", papers, pipe)
    reader.join(timeout=30)
    assert outcome.code == 0, outcome
    assert len(read[0].splitlines()) == len(PAPERS)
    assert pipe.is_fifo()
