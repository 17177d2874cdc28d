"""An index whose vectors are half learned weights, half counts, against plain arithmetic."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="models are made with the onnx package")

import sparsearch as ss
from onnx_folders import QUERY_WEIGHTS, TABLE, TOKENS, write_folder
from sparsearch.encoders import AnalysisConfig, HybridEncoder, OnnxEncoder
from sparsearch.encoders.hybrid_folder import write_hybrid_settings
from sparsearch.errors import EncoderUnavailableError, VocabularyMismatchError

CONFIG = ss.Bm25Config(k1=0.9, b=0.4, analysis=AnalysisConfig(None), pair_weight=0.5)
WEIGHT = 0.75
WORDS = ("cat", "dog", "sat", "mat", "cow", "owl")
Texts = dict[str, str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model"))


def encoder_of(model: Path) -> HybridEncoder:
    return HybridEncoder(CONFIG, OnnxEncoder(model), WEIGHT)


def score(query: str, text: str, texts: Texts) -> float:
    """BM25 plus the learned score, from their definitions."""
    everything = [document.split() for document in texts.values()]
    average = sum(map(len, everything)) / len(everything)
    words = text.split()
    penalty = CONFIG.k1 * (1 - CONFIG.b + CONFIG.b * len(words) / average)
    total = 0.0
    for weight, of in ((1.0, list), (CONFIG.pair_weight, lambda words: list(pairwise(words)))):
        for term, times in Counter(of(query.split())).items():
            frequency = sum(term in of(document) for document in everything)
            idf = np.log1p((len(everything) - frequency + 0.5) / (frequency + 0.5))
            count = of(words).count(term)
            total += weight * times * idf * count / (count + penalty)
    ids = [TOKENS.index(word) if word in TOKENS else 1 for word in words]
    learned = TABLE[ids].max(axis=0, initial=0.0)
    for term in set(query.split()) & set(TOKENS):
        at = TOKENS.index(term)
        total += WEIGHT * float(QUERY_WEIGHTS[at]) * max(0.0, float(learned[at]))
    return total


def check(index: ss.Index, texts: Texts) -> None:
    """Hold all scores of an index against the definition."""
    for query in ("cat", "dog mat cow", "owl owl sat"):
        found = {hit.id: hit.score for hit in index.search(query, k=100)}
        expected = {name: score(query, text, texts) for name, text in texts.items()}
        expected = {name: value for name, value in expected.items() if value > 0}
        assert found == pytest.approx(expected, rel=2e-3)


def add(index: ss.Index, texts: Texts) -> None:
    index.add({"id": name, "text": text, "length": len(text)} for name, text in texts.items())


TEXTS = {
    "a": "cat sat cow",
    "b": "dog dog owl mat",
    "c": "owl",
    "d": "mat sat sat sat cat dog cow cow owl",
}


def test_scores_follow_their_definition(model: Path, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder_of(model)) as index:
        add(index, TEXTS)
        check(index, TEXTS)
    with ss.Index.open(tmp_path / "index", encoder_of(model)) as index:
        check(index, TEXTS)
        assert index.verify() == []
        found = index.search("cat", filter={"length": {"<": 12}})
        assert [hit.id for hit in found] == ["a"]


_MODEL: list[Path] = []


@pytest.fixture(autouse=True, scope="module")
def _share(model: Path) -> None:
    _MODEL[:] = [model]


texts_of_words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=15)
@given(st.lists(st.lists(texts_of_words, min_size=1, max_size=5), min_size=1, max_size=5))
def test_batches_merges_and_drift_do_not_change_scores(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("index")
    texts: Texts = {}
    with ss.Index.create(folder / "steps", encoder_of(_MODEL[0])) as index:
        for i, batch in enumerate(batches):
            named = {f"{i}-{j}": text for j, text in enumerate(batch)}
            texts |= named
            add(index, named)
        index.optimize()
        check(index, texts)
        stepwise = index.vectors().to_dicts()
    with ss.Index.create(folder / "once", encoder_of(_MODEL[0])) as index:
        add(index, texts)
        assert index.vectors().to_dicts() == stepwise


def test_replacing_and_deleting(model: Path, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder_of(model)) as index:
        add(index, TEXTS)
        index.upsert([{"id": "c", "text": "cat cat"}])
        index.delete(["b"])
        index.optimize()
        check(index, {"a": TEXTS["a"], "d": TEXTS["d"], "c": "cat cat"})


def test_more_words_after_reopening(model: Path, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder_of(model)) as index:
        add(index, {"a": TEXTS["a"]})
    with ss.Index.open(tmp_path / "index", encoder_of(model)) as index:
        add(index, {"b": TEXTS["b"]})
        check(index, {"a": TEXTS["a"], "b": TEXTS["b"]})
    learned = [f"~{token}" for token in TOKENS]
    pairs = [f"&{bucket}" for bucket in range(2**16)]
    with ss.Index.open(tmp_path / "index", encoder_of(model)) as index:
        words = index.vectors().vocabulary.terms()
        assert words == [*learned, *pairs, "cat", "sat", "cow", "dog", "owl", "mat"]


def test_explanations_tell_expansions_from_the_text(model: Path, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder_of(model)) as index:
        index.add([{"id": "a", "title": "Cat", "text": "sat"}])
        explanation = index.explain("dog cat sat", "a")
    assert {term.term: term.in_text for term in explanation.terms} == {
        "cat": True,
        "~cat": True,
        "sat": True,
        "~sat": True,
        "~dog": False,
        "cat sat": True,
    }
    assert sum(term.contribution for term in explanation.terms) == explanation.score


def test_vectors_from_outside_have_no_text(tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder=None) as index:
        index.add_vectors(["a"], ss.SparseVectors.from_dicts([{"x": 1.0}]))
        assert [term.in_text for term in index.explain({"x": 1.0}, "a").terms] == [None]


def test_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    with ss.Index.create(tmp_path / "index", encoder_of(model)) as index:
        add(index, TEXTS)
    other = OnnxEncoder(write_folder(tmp_path / "other", overlap=2))
    with pytest.raises(VocabularyMismatchError, match="not the one of this index"):
        ss.Index.open(tmp_path / "index", HybridEncoder(CONFIG, other, WEIGHT))
    with pytest.raises(VocabularyMismatchError, match="not the one of this index"):
        ss.Index.open(tmp_path / "index", HybridEncoder(CONFIG, OnnxEncoder(model), 2 * WEIGHT))
    with (
        ss.Index.open(tmp_path / "index") as index,
        pytest.raises(EncoderUnavailableError, match="made with the hybrid encoder of 'tiny'"),
    ):
        index.search("cat")


def test_an_index_finds_its_hybrid_encoder_again(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "hybrid")
    write_hybrid_settings(encoder_of(model), folder)
    with ss.Index.create(tmp_path / "index", ss.Encoder.load(folder)) as index:
        add(index, TEXTS)
        expected = index.search("cat dog", 5)
        vector = index.encode_queries(["cat dog"])
    with ss.Index.open(tmp_path / "index") as index:
        assert index.search("cat dog", 5) == expected
        assert index.info().encoder == {**encoder_of(model).identity, "source": str(folder)}
    moved = folder.rename(tmp_path / "moved")
    with ss.Index.open(tmp_path / "index") as index:
        with pytest.raises(EncoderUnavailableError, match=r"does not exist.*give vectors"):
            index.search("cat dog")
        # what needs no model goes on, with the counts of words that deleting leaves
        assert index.search(vector, 5) == expected
        index.delete([expected[0].id])
        index.optimize()
        assert index.verify() == []
    texts = {name: text for name, text in TEXTS.items() if name != expected[0].id}
    with ss.Index.open(tmp_path / "index", ss.Encoder.load(moved)) as index:
        check(index, texts)
    moved.rename(folder)
    change = folder / "sparsearch_hybrid.json"
    change.write_text(change.read_text().replace(f": {WEIGHT}", f": {2 * WEIGHT}"))
    with (
        ss.Index.open(tmp_path / "index") as index,
        pytest.raises(EncoderUnavailableError, match="has changed since"),
    ):
        index.search("cat")


@pytest.mark.parametrize("kind", ["bm25", "default", "model", "none"])
def test_whether_an_encoder_splits_words(kind: str, model: Path, tmp_path: Path) -> None:
    encoder = {"model": ss.Encoder.load(model), "none": None}.get(kind, kind)
    with ss.Index.create(tmp_path / "index", encoder) as index:
        assert index.splits_words is (kind in ("bm25", "default"))
    with ss.Index.open(tmp_path / "index") as index:
        assert index.splits_words is (kind in ("bm25", "default"))


def test_vectors_are_searched_where_the_model_is_gone(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    with ss.Index.create(tmp_path / "index", ss.Encoder.load(tmp_path / "model")) as index:
        add(index, TEXTS)
        expected = [hit.id for hit in index.search({"cat": 1.0})]
    shutil.rmtree(tmp_path / "model")
    with ss.Index.open(tmp_path / "index") as index:
        assert [hit.id for hit in index.search({"cat": 1.0})] == expected != []
        assert index.explain({"cat": 1.0}, "a").terms
        with pytest.raises(EncoderUnavailableError):
            assert index.splits_words
