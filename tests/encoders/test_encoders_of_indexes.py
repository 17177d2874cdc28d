"""``sparsearch index --encoder``: a model of one's own, and being asked for another later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_models
from verbs import run

from sparsearch import Encoder, Index


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    records = [{"id": str(i), "text": text} for i, text in enumerate(tiny_models.texts(30))]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_model_reads_documents_and_questions(
    exported: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    run("index", tmp_path / "i", corpus, "--encoder", exported.name)
    monkeypatch.chdir(tmp_path)
    found = [json.loads(line) for line in run("search", "i", "cat dog", "--json").splitlines()]
    with Index.create(tmp_path / "j", Encoder.load(exported)) as index:
        index.add({"id": str(i), "text": text} for i, text in enumerate(tiny_models.texts(30)))
        expected = [hit.id for hit in index.search("cat dog")]
    assert expected
    assert [hit["id"] for hit in found] == expected
    # the same encoder may be named again, however its folder is written
    assert "already indexed" in run("index", "i", corpus, "--encoder", exported)


def test_an_index_of_a_masked_language_model_by_recipe(
    models, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("SPARSEARCH_CACHE", str(tmp_path / "cache"))
    command = ("index", tmp_path / "i", corpus, "--encoder", models("masked-lm"))
    assert "'splade'" in run(*command, code=1)
    run(*command, "--recipe", "splade")
    assert run("search", tmp_path / "i", "cat dog", "--json")
    assert "already indexed" in run(*command, "--recipe", "splade")
    said = run("index", tmp_path / "j", corpus, "--recipe", "splade", code=1)
    assert "--recipe goes with --encoder MODEL" in said


@pytest.mark.parametrize("other", ["default", "bm25", "elsewhere"])
def test_an_index_keeps_its_encoder(
    exported: Path, corpus: Path, tmp_path: Path, other: str
) -> None:
    run("index", tmp_path / "i", corpus, "--encoder", exported)
    said = run("index", tmp_path / "i", corpus, "--encoder", other, code=1)
    assert f"created with encoder {exported}, not {other}" in said
    assert "leave out --encoder" in said


def test_options_of_bm25_do_not_go_with_a_model(
    exported: Path, corpus: Path, tmp_path: Path
) -> None:
    said = run("index", tmp_path / "i", corpus, "--encoder", exported, "--k1", 1, code=1)
    assert "--k1 goes with --encoder bm25" in said
    assert not (tmp_path / "i").exists()


def test_a_model_that_is_not_there(corpus: Path, tmp_path: Path) -> None:
    said = run("index", tmp_path / "i", corpus, "--encoder", tmp_path / "nothing", code=1)
    assert "does not exist" in said
    assert "or give --encoder default or bm25" in said
    assert not (tmp_path / "i").exists()


def test_a_folder_named_as_an_encoder_is_not_that_encoder(
    exported: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, "default")
    run("index", "i", corpus, "--encoder", "./default")
    assert "already indexed" in run("index", "i", corpus, "--encoder", "./default")
    said = run("index", "i", corpus, "--encoder", "default", code=1)
    assert f"created with encoder {tmp_path / 'default'}, not default" in said
