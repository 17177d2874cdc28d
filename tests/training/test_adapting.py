"""The default encoder, adapted to a corpus without labels."""

from __future__ import annotations

import json
import random
import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array
from typer.testing import CliRunner

import sparsearch as ss
from sparsearch.cli import app
from sparsearch.encoders import HybridEncoder, OnnxEncoder
from sparsearch.encoders.default import DEFAULT_FOLDER
from sparsearch.errors import InvalidDocumentError, InvalidInputError, TrainingError
from sparsearch.training import AdaptingStep, FitConfig, adapt_default
from sparsearch.training.adapting import _drawn, _Head, _vectors, pieces_of

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "training" / "adapt_to_your_corpus.py"
sys.path.append(str(REPOSITORY / "benchmarks"))

import adapting  # noqa: E402


@pytest.fixture(scope="module")
def texts(documents: list[dict[str, object]]) -> list[str]:
    return [f"{document['title']}\n{document['text']}" for document in documents[:80]]


def as_documents(texts: list[str]) -> list[dict[str, str]]:
    return [{"id": str(number), "text": text} for number, text in enumerate(texts)]


def test_adapting_learns_and_makes_an_encoder(texts: list[str], tmp_path: Path) -> None:
    steps: list[AdaptingStep] = []
    adapted = adapt_default(
        as_documents(texts),
        tmp_path / "adapted",
        config=FitConfig(epochs=3, batch=64),
        most_pieces=200,
        report=steps.append,
    )
    assert [step.done for step in steps if step.stage == "encoding"][-1] == steps[0].total
    losses = [step.loss for step in steps if step.loss is not None]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    default = ss.Encoder.load()
    loaded = ss.Encoder.load(tmp_path / "adapted")
    assert loaded.identity == adapted.identity != default.identity
    with ss.Index.create(tmp_path / "index", loaded) as index:
        index.add(as_documents(texts))
        assert index.search(texts[7][:200])[0].id == "7"
        expected = index.search("temporary file", 5)
    with ss.Index.open(tmp_path / "index", encoder=adapted) as index:
        assert index.search("temporary file", 5) == expected
    assert isinstance(default, HybridEncoder)
    before, after = (part.learned.encode_documents(texts[:5]) for part in (default, adapted))
    assert before.nnz > 0 < after.nnz
    assert before != after


def test_the_head_is_read_as_it_computes(texts: list[str]) -> None:
    """What is fitted are the directions and states that weights are made of."""
    graph = onnx.load(DEFAULT_FOLDER / "model.onnx")
    encoder = OnnxEncoder(DEFAULT_FOLDER)
    short = [text[:400] for text in texts[:12]]
    head = _Head(graph, encoder.settings.dimension)
    arrays = {array.name: to_array(array) for array in graph.graph.initializer}
    terms = head.terms
    products = (
        _vectors(graph, encoder, encoder.tokens(short), lambda count: None)
        @ head.directions[terms].T
    )
    for row, tokens in enumerate(encoder.tokens(short)):
        own = np.isin(terms, encoder.query_terms[tokens])
        thresholds = np.where(own, arrays["own"], arrays["others"])
        weights = products[row] - thresholds
        largest = terms[np.argsort(-weights)[:100]]
        found = encoder.encode_documents([short[row]])
        stored = dict(zip(found.term_ids.tolist(), found.weights.tolist(), strict=True))
        assert len(stored.keys() & set(largest.tolist())) >= 95  # of a hundred: 8-bit products
        for term, weight in zip(terms.tolist(), weights.tolist(), strict=True):
            if term in stored:
                assert stored[term] == pytest.approx(weight, abs=0.02)


def test_directions_are_stored_as_they_are_read() -> None:
    graph = onnx.load(DEFAULT_FOLDER / "model.onnx")
    head = _Head(graph, 30_522)
    head.replace(head.directions)
    again = _Head(graph, 30_522).directions
    step = np.abs(head.directions).max(axis=1, keepdims=True) / 64
    assert np.all(np.abs(again - head.directions) <= 0.51 * step)
    onnx.checker.check_model(graph)


def test_pieces_are_words_of_the_texts(texts: list[str]) -> None:
    pieces = pieces_of(texts, 300, 1)
    assert pieces == pieces_of(texts, 300, 1)
    assert len(pieces) == 375
    assert set(pieces[300:]) <= set(texts)
    whole = [" ".join(text.split()) for text in texts]
    for piece in pieces[:300]:
        assert 3 <= len(piece.split()) <= 30
        assert any(piece in text for text in whole)


def test_words_in_a_row_may_be_the_last_of_a_sentence() -> None:
    texts = [" ".join(f"w{n}x{i}" for i in range(10)) for n in range(200)]
    short = [piece.split() for piece in pieces_of(texts, 400, 1)]
    ends = [words[-1].endswith("x9") for words in short if len(words) < 10]
    assert 0 < sum(ends) < len(ends)


def test_of_a_large_corpus_some_texts_are_drawn() -> None:
    numbers = [str(number) for number in range(1000)]
    drawn = [_drawn(numbers, 100, random.Random(seed)) for seed in range(40)]
    assert all(len(set(texts)) == 100 for texts in drawn)
    # Each is as likely as any other: late ones stand in as many samples as early ones.
    late = np.mean([int(text) >= 500 for texts in drawn for text in texts])
    assert 0.45 < late < 0.55
    assert _drawn(numbers, 1000, random.Random(1)) == numbers


def test_what_cannot_be_adapted_to_is_refused(texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(TrainingError, match="there exists"):
        adapt_default(as_documents(texts), tmp_path / "there")
    with pytest.raises(TrainingError, match="have 0 sentences"):
        adapt_default(as_documents(["", "word", "?!"]), tmp_path / "new")
    cyrillic = [
        "\u0436\u0437\u0438 \u0439\u043a \u043b\u043c " + "\u043d" * n for n in range(1, 200)
    ]
    with pytest.raises(TrainingError, match=r"^0 of .* sentences and texts have words .*English"):
        adapt_default(as_documents(cyrillic), tmp_path / "new")
    with pytest.raises(InvalidInputError, match="most_pieces is 3"):
        adapt_default(as_documents(texts), tmp_path / "new", most_pieces=3)
    with pytest.raises(InvalidDocumentError, match="no id"):
        adapt_default([{"text": "no id"}], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_example_adapts_to_a_corpus(
    documents, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    (tmp_path / "qrels").mkdir()
    chosen = documents[:40]
    rows = [{"_id": d["id"], "title": d["title"], "text": d["text"]} for d in chosen]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = [{"_id": d["id"], "text": str(d["title"]).split(":")[-1]} for d in chosen[::6]]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
    lines = [f"{d['id']}\t{d['id']}\t1\n" for d in chosen[::6]]
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    monkeypatch.setattr("sys.argv", ["adapt", str(tmp_path), str(tmp_path / "adapted")])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    printed = capsys.readouterr().out
    assert "pass 6" in printed
    assert "\nadapted   nDCG@10 " in printed


def test_results_tell_apart_what_settings_were_chosen_on() -> None:
    results = REPOSITORY / "docs" / "results"
    report = json.loads((results / "adapting.json").read_text("utf-8"))["figures"]
    note = adapting.note_on(report["measures"], report["seconds"])
    assert note in (results / "adapting.md").read_text("utf-8")
    assert "0.6195 and 0.6369 (cranfield, med, cystic-fibrosis)" in note
    assert "0.6206 and 0.6232 (cacm, time, lisa)" in note


def test_on_the_command_line(texts: list[str], tmp_path: Path) -> None:
    source, out = tmp_path / "corpus.jsonl", tmp_path / "adapted"
    lines = [json.dumps(document) for document in as_documents(texts[:40])]
    source.write_text("\n".join([*lines, '{"text": "no id"}']) + "\n")

    def run(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    assert "id" in run("adapt", source, out, code=1)
    assert not out.exists()
    said = run("adapt", source, out, "--skip-invalid")
    assert "skipped 1 malformed record in all" in said
    assert f"next: sparsearch index my-index {source} --encoder {out}" in said
    assert "exists; give another folder" in run("adapt", source, out, code=1)
    run("index", tmp_path / "index", source, "--encoder", out, "--skip-invalid")
    with ss.Index.open(tmp_path / "index") as index:
        assert len(index) == 40
        assert index.search(texts[7][:200])[0].id == "7"
