from __future__ import annotations

import platform
import re
from itertools import islice
from pathlib import Path

import pytest

from sparsearch.cli import demo as demo_verb
from sparsearch.cli._creation import create_or_open
from sparsearch.demo import QUESTIONS, standard_library_documents
from sparsearch.encoders import HybridEncoder, load_default
from sparsearch.index import Index, IndexConfig

_BM25 = ("--encoder", "bm25")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "index"


def test_the_first_run_indexes_and_later_runs_use_it(run, folder):
    outcome = run("demo", *_BM25, "--path", folder)
    assert outcome.code == 0, outcome
    assert "indexed " in outcome.out
    for question in QUESTIONS[:-1]:
        answers = outcome.out.partition(f"? {question.text}")[2].partition("\n\n")[0]
        assert question.answer in answers
    assert "because " in outcome.out
    assert f"sparsearch explain {folder}" in outcome.out
    asked = ("--ask", "cache the results of a function", "-k", 1)
    outcome = run("demo", *_BM25, "--path", folder, *asked)
    assert "indexed " not in outcome.out
    assert "functools.lru_cache" in outcome.out


def test_bm25_answers_all_but_the_last_question_among_the_first_three(run, folder):
    run("demo", *_BM25, "--path", folder, "--ask", "warm")
    assert set(_answered(folder)) >= set(QUESTIONS[:-1])


def test_the_default_encoder_answers_every_question_among_the_first_three(
    run, tmp_path, monkeypatch
):
    packages = {question.answer.partition(".")[0] for question in QUESTIONS} | {"os", "pathlib"}
    documents = [d for d in standard_library_documents() if d["package"] in packages]
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    outcome = run("demo", "--path", tmp_path / "i")
    assert outcome.code == 0, outcome
    assert re.search(r"because .*~kill", outcome.out)
    assert _answered(tmp_path / "i") == list(QUESTIONS)


def test_an_index_keeps_the_encoder_of_its_first_run(run, tmp_path, monkeypatch):
    documents = list(islice(standard_library_documents(), 3))
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    assert run("demo", *_BM25, "--path", tmp_path / "i", "--ask", "zzzz").code == 0
    outcome = run("demo", "--path", tmp_path / "i", "--ask", "zzzz")
    assert outcome.code == 1
    assert "was created with encoder bm25, not default" in outcome.err


def _answered(folder):
    with Index.open(folder) as index:
        return [q for q in QUESTIONS if q.answer in [hit.id for hit in index.search(q.text, 3)]]


def test_an_interrupted_demo_goes_on(run, tmp_path, monkeypatch):
    documents = list(islice(standard_library_documents(), 300))
    with create_or_open(tmp_path / "i", demo_verb._OPTIONS["default"], of_text=True) as index:
        with pytest.raises(ValueError, match="stop"):
            index.add(_failing(documents[:100]), source=demo_verb._SOURCE)
        assert len(index) == 100
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    outcome = run("demo", "--path", tmp_path / "i", "--ask", "\u2603")
    assert outcome.code == 0, outcome
    assert "indexed 200 docstrings" in outcome.out
    assert "no docstring matches" in outcome.out


def test_a_cached_index_of_another_version_is_made_anew(run, tmp_path, monkeypatch):
    documents = list(islice(standard_library_documents(), 30))
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run("demo", "--ask", "zzzz").code == 0
    (meta,) = demo_verb._demo_folder("default").glob("segments/*/meta.json")
    meta.write_text("{}")
    outcome = run("demo", "--ask", "zzzz")
    assert outcome.code == 0, outcome
    assert "making the demo's index anew" in outcome.err
    assert "indexed 30 docstrings" in outcome.out


def test_a_cached_index_of_another_default_encoder_is_made_anew(run, tmp_path, monkeypatch):
    documents = list(islice(standard_library_documents(), 3))
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    default = load_default()
    other = HybridEncoder(default.lexical, default.learned, default.learned_weight * 2)
    folder = demo_verb._demo_folder("default")
    with Index.create(folder, other, IndexConfig(segment_documents=1000)) as index:
        index.add(documents, source=demo_verb._SOURCE)
    outcome = run("demo", "--ask", "abstract")
    assert outcome.code == 0, outcome
    assert "making the demo's index anew" in outcome.err
    assert "indexed 3 docstrings" in outcome.out


def _failing(documents):
    yield from documents
    raise ValueError("stop")


def test_the_cache_folder(monkeypatch, tmp_path):
    name = f"demo-bm25-{platform.python_version()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert demo_verb._demo_folder("bm25") == tmp_path / "sparsearch" / name
    monkeypatch.setenv("XDG_CACHE_HOME", "relative is to be ignored")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert demo_verb._demo_folder("bm25") == tmp_path / "home" / ".cache" / "sparsearch" / name
