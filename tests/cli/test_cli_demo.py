from __future__ import annotations

import platform
from itertools import islice
from pathlib import Path

import pytest

from sparsearch.cli import demo as demo_verb
from sparsearch.demo import QUESTIONS, standard_library_documents
from sparsearch.index import Index


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "index"


def test_the_first_run_indexes_and_later_runs_use_it(run, folder):
    outcome = run("demo", "--path", folder)
    assert outcome.code == 0, outcome
    assert "indexed " in outcome.out
    for question in QUESTIONS:
        answers = outcome.out.partition(f"? {question.text}")[2].partition("\n\n")[0]
        assert question.answer in answers
    assert "because " in outcome.out
    assert f"sparsearch explain {folder}" in outcome.out
    outcome = run("demo", "--path", folder, "--ask", "cache the results of a function", "-k", 1)
    assert "indexed " not in outcome.out
    assert "functools.lru_cache" in outcome.out


def test_every_question_is_answered_among_the_first_three(run, folder):
    run("demo", "--path", folder, "--ask", "warm")
    with Index.open(folder) as index:
        for question in QUESTIONS:
            assert question.answer in [hit.id for hit in index.search(question.text, 3)], question


def test_an_interrupted_demo_goes_on(run, tmp_path, monkeypatch):
    documents = list(islice(standard_library_documents(), 300))
    with demo_verb._open_or_create(tmp_path / "i") as index:
        with pytest.raises(ValueError, match="stop"):
            index.add(_failing(documents[:100]), source=demo_verb._SOURCE)
        assert len(index) == 100
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    outcome = run("demo", "--path", tmp_path / "i", "--ask", "zzzz")
    assert outcome.code == 0, outcome
    assert "indexed 200 docstrings" in outcome.out
    assert "no docstring matches" in outcome.out


def test_a_cached_index_of_another_version_is_made_anew(run, tmp_path, monkeypatch):
    documents = list(islice(standard_library_documents(), 30))
    monkeypatch.setattr("sparsearch.demo.standard_library_documents", lambda: iter(documents))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run("demo", "--ask", "zzzz").code == 0
    (meta,) = demo_verb._cache_folder().glob("segments/*/meta.json")
    meta.write_text("{}")
    outcome = run("demo", "--ask", "zzzz")
    assert outcome.code == 0, outcome
    assert "making the demo's index anew" in outcome.err
    assert "indexed 30 docstrings" in outcome.out


def _failing(documents):
    yield from documents
    raise ValueError("stop")


def test_the_cache_folder(monkeypatch, tmp_path):
    name = f"demo-{platform.python_version()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert demo_verb._cache_folder() == tmp_path / "sparsearch" / name
    monkeypatch.setenv("XDG_CACHE_HOME", "relative is to be ignored")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert demo_verb._cache_folder() == tmp_path / "home" / ".cache" / "sparsearch" / name
