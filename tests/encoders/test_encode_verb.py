"""``sparsearch encode`` and ``export-onnx``: what they write, and being killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from verbs import run

from sparsearch import Encoder, Index
from sparsearch.cli._encoding import PART_TEXTS
from sparsearch.vectors import load_npz, read_json_vectors

SOURCE = Path(__file__).resolve().parents[2] / "src"
LAST = {"id": "y", "text": "a"}
MANY = 12 * PART_TEXTS + 100


def write_lines(path: Path, records: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def documents(count: int) -> list[dict[str, object]]:
    made = tiny_models.texts(count)
    return [{"id": f"d{i}", "title": "A cat", "text": made[i], "n": i} for i in range(count)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", documents(MANY))


def test_documents_as_json_lines(exported: Path, tmp_path: Path) -> None:
    count = PART_TEXTS + 7
    source = write_lines(tmp_path / "corpus.jsonl", documents(count))
    plain, packed = tmp_path / "vectors.jsonl", tmp_path / "vectors.jsonl.gz"
    for out in (plain, packed):
        assert f"holds {count:,} documents" in run("encode", source, out, "--encoder", exported)
        (batch,) = read_json_vectors(out, batch_size=2 * count)
        assert list(batch.ids) == [f"d{i}" for i in range(count)]
        assert batch.metadata[3] == {"title": "A cat", "n": 3}
        assert batch.contents[3] == documents(4)[3]["text"]
    texts = [f"A cat\n{document['text']}" for document in documents(count)]
    assert batch.vectors.to_dicts() == Encoder.load(exported).encode_documents(texts).to_dicts()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "corpus.jsonl",
        "vectors.jsonl",
        "vectors.jsonl.gz",
    ]


def test_documents_and_queries_into_an_index(exported: Path, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", documents(PART_TEXTS + 7))
    run("encode", source, tmp_path / "vectors", "--encoder", exported)
    parts = sorted((tmp_path / "vectors").iterdir())
    assert [len(load_npz(part).vectors) for part in parts] == [PART_TEXTS, 7]
    run("import", tmp_path / "index", tmp_path / "vectors")

    (tmp_path / "queries.tsv").write_text("q1\tsparse retrieval\nq2\tcat dog\n")
    queries = tmp_path / "queries.jsonl"
    said = run("encode", tmp_path / "queries.tsv", queries, "--queries", "--encoder", exported)
    assert "holds 2 queries" in said
    ranking = run("search", tmp_path / "index", "--queries", queries, "-k", 3).splitlines()

    with Index.create(tmp_path / "of text", Encoder.load(exported)) as index:
        index.add(documents(PART_TEXTS + 7))
        hits = index.search("sparse retrieval", k=3)
    assert [line.split()[2] for line in ranking[:3]] == [hit.id for hit in hits]


def test_a_model_that_moved_is_found_again(exported: Path, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", documents(5))
    model = shutil.copytree(exported, tmp_path / "model")
    index = tmp_path / "index"
    run("index", index, source, "--encoder", model)
    expected = run("search", index, "a cat")
    moved = model.rename(tmp_path / "moved")
    assert "sparsearch relocate INDEX MODEL" in run("search", index, "a cat", code=1)
    assert "say so: sparsearch relocate" in run("index", index, source, "--encoder", moved, code=1)
    assert run("relocate", index, moved) == f"{index} finds its model in {moved}\n"
    assert run("search", index, "a cat") == expected
    assert "is already indexed" in run("index", index, source, "--encoder", moved)


def test_what_cannot_be_encoded(exported: Path, models, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", documents(3))
    out = tmp_path / "vectors.jsonl"
    for name in ("bm25", "default"):
        said = run("encode", source, out, "--encoder", name, code=1)
        assert f"the weights of {name} depend on the whole collection" in said
    assert "dense models" in run("encode", source, out, "--encoder", models("dense"), code=1)
    gone = tmp_path / "gone"
    assert "does not exist" in run("encode", source, out, "--encoder", gone, code=1)
    out.write_text("mine")
    assert "exists; remove it" in run("encode", source, out, "--encoder", exported, code=1)
    assert out.read_text() == "mine"
    bad = write_lines(
        tmp_path / "bad.jsonl", [*documents(2), {"id": "x"}, {"id": "y", "text": "a"}]
    )
    other = tmp_path / "other.jsonl"
    assert "bad.jsonl:3" in run("encode", bad, other, "--encoder", exported, code=1)
    assert not other.exists()
    assert "skipped" in run("encode", bad, other, "--encoder", exported, "--skip-invalid")
    (batch,) = read_json_vectors(other)
    assert list(batch.ids) == ["d0", "d1", "y"]
    assert not list(tmp_path.glob("*.partial"))


def encode_process(corpus: Path, out: Path, exported: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sparsearch", "encode", str(corpus), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [*command, "--encoder", str(exported)], env=environment, stdout=subprocess.DEVNULL
    )


def texts_done(out: Path) -> int:
    """Return how many texts are encoded for good."""
    try:
        state = json.loads((out.with_name(f"{out.name}.partial") / "progress.json").read_bytes())
    except FileNotFoundError:
        return 0
    return int(state["texts"])


def kill_after(corpus: Path, out: Path, exported: Path, texts: int) -> None:
    """Begin or go on encoding, and kill the process when it has done so many texts."""
    process = encode_process(corpus, out, exported)
    while process.poll() is None and texts_done(out) < texts:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"


@pytest.mark.parametrize("name", ["vectors.jsonl", "vectors"])
def test_killed_and_resumed_it_makes_the_same_files(
    exported: Path, corpus: Path, tmp_path: Path, name: str
) -> None:
    unbroken, broken = tmp_path / "unbroken" / name, tmp_path / "broken" / name
    unbroken.parent.mkdir()
    broken.parent.mkdir()
    run("encode", corpus, unbroken, "--encoder", exported)
    for texts in (1, 3 * PART_TEXTS, 8 * PART_TEXTS):
        kill_after(corpus, broken, exported, texts)
        assert texts <= texts_done(broken) < MANY
        assert not broken.exists()
    done = texts_done(broken)
    said = run("encode", corpus, broken, "--encoder", exported)
    assert f"going on after {done:,} texts" in said
    assert f"encoded {MANY - done:,} documents" in said
    assert contents(broken) == contents(unbroken)
    assert [path.name for path in broken.parent.iterdir()] == [name]


def contents(out: Path) -> dict[str, bytes]:
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    return {file.name: file.read_bytes() for file in files}


def test_parts_that_are_gone_or_damaged_are_not_taken_for_whole(
    exported: Path, corpus: Path, tmp_path: Path
) -> None:
    for name, damage in (
        ("a.jsonl", lambda part: part.write_bytes(b"")),
        ("b", Path.unlink),
        ("c.jsonl", Path.unlink),
    ):
        out = tmp_path / name
        kill_after(corpus, out, exported, 2 * PART_TEXTS)
        folder = out.with_name(f"{name}.partial")
        damage(next((folder / "parts").glob("part-000000.*")))
        said = run("encode", corpus, out, "--encoder", exported, code=1)
        assert str(folder / "parts") in said.replace("\n", "")
        assert f"remove {folder}" in said.replace("\n", "")
        assert not out.exists()


def test_fields_that_a_line_of_vectors_has_itself(exported: Path, tmp_path: Path) -> None:
    document = {"id": "x", "text": "cat", "contents": "c", "_id": 1, "vector": 2, "vector_": 3}
    source = write_lines(tmp_path / "corpus.jsonl", [document, {**document, "id": "y"}])
    said = run("encode", source, tmp_path / "out.jsonl", "--encoder", exported)
    assert said.count("'contents' is written as 'contents_'") == 1
    (batch,) = read_json_vectors(tmp_path / "out.jsonl")
    assert batch.metadata[1] == {"contents_": "c", "_id_": 1, "vector__": 2, "vector_": 3}


@pytest.mark.parametrize("name", [".", "..", "-", "out.json", "out.npz", "out.tsv.gz"])
def test_an_output_needs_a_name(exported: Path, tmp_path: Path, name: str) -> None:
    source = write_lines(tmp_path / "corpus.jsonl", documents(3))
    out = tmp_path / name if "out" in name else name
    assert "cannot be written to" in run("encode", source, out, "--encoder", exported, code=1)


def test_options_of_documents_do_not_go_with_queries(exported: Path, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "q.jsonl", [{"_id": "q", "text": "cat"}])
    arguments = (source, tmp_path / "q.out.jsonl", "--queries", "--encoder", exported)
    for option in (("--text-field", "title"), ("--skip-invalid",), ("--format", "jsonl")):
        said = run("encode", *arguments, *option, code=1)
        assert f"{option[0]} is for documents" in said


def test_what_changed_is_not_resumed(exported: Path, corpus: Path, models, tmp_path: Path) -> None:
    out = tmp_path / "vectors"
    kill_after(corpus, out, exported, PART_TEXTS)
    other = write_lines(tmp_path / "other.jsonl", documents(5))
    assert "changed since" in run("encode", other, out, "--encoder", exported, code=1)
    texts = [json.loads(line) for line in corpus.read_text().splitlines()]
    texts[7]["text"] = "another text under the same id"
    edited = write_lines(tmp_path / "edited.jsonl", texts)
    assert "changed since" in run("encode", edited, out, "--encoder", exported, code=1)
    otherwise = ("--text-field", "id", "--id-field", "id")
    said = run("encode", corpus, out, "--encoder", exported, *otherwise, code=1)
    assert "changed since" in said
    arguments = ("--encoder", models("inference-free"), "--backend", "torch")
    assert "was begun with encoder" in run("encode", corpus, out, *arguments, code=1)
    (out.with_name("vectors.partial") / "progress.json").write_text("{")
    assert "remove" in run("encode", corpus, out, "--encoder", exported, code=1)


PEAK = """
import resource, sys
from sparsearch.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak_kilobytes(corpus: Path, out: Path, exported: Path) -> int:
    command = [sys.executable, "-c", PEAK, "encode", str(corpus), str(out)]
    done = subprocess.run(
        [*command, "--encoder", str(exported)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.splitlines()[-1])


def test_memory_does_not_grow_with_the_collection(
    exported: Path, corpus: Path, tmp_path: Path
) -> None:
    pytest.importorskip("resource", reason="measures memory as POSIX systems do")
    few = write_lines(tmp_path / "few.jsonl", documents(3 * PART_TEXTS))
    of_few = peak_kilobytes(few, tmp_path / "few", exported)
    of_many = peak_kilobytes(corpus, tmp_path / "many", exported)
    # Four times as many documents, whose vectors take some 10 MB.
    assert of_many - of_few < 6_000


def test_export_onnx(models, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    said = run("export-onnx", models("splade"), folder, "--no-quantize")
    assert "holds the model" in said
    exact = Encoder.load(models("splade"), backend="torch").encode_documents(["cat dog"])
    found = Encoder.load(folder).encode_documents(["cat dog"])
    np.testing.assert_allclose(found.to_scipy().toarray(), exact.to_scipy().toarray(), atol=1e-4)
    assert "not an empty folder" in run("export-onnx", models("splade"), folder, code=1)
    assert "dense" in run("export-onnx", models("dense"), tmp_path / "other", code=1)
    assert not (tmp_path / "other").exists()
