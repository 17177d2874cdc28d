"""The encoder that comes with the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sparsearch as ss
from sparsearch.encoders import HybridEncoder, load_default
from sparsearch.encoders.default import DEFAULT_FOLDER
from sparsearch.errors import EncoderUnavailableError

TEXTS = {
    "kitten": "A kitten sleeps on the sofa.",
    "car": "The automobile was repaired in a garage.",
    "code": "Error E4711-b appears when the disk is full.",
    "law": "The judge adjourned the trial until Monday.",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ss.Index:
    made = ss.Index.create(tmp_path_factory.mktemp("default") / "index", "default")
    made.add({"id": name, "text": text} for name, text in TEXTS.items())
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [("pet cat", "kitten"), ("vehicle", "car"), ("lawsuit in court", "law"), ("E4711-b", "code")],
)
def test_words_are_found_by_their_meaning_and_codes_exactly(
    index: ss.Index, query: str, expected: str
) -> None:
    assert index.search(query)[0].id == expected


def test_explanations_show_the_expansion(index: ss.Index) -> None:
    explanation = index.explain("pet cat", "kitten")
    assert explanation.terms
    assert all(term.term.startswith("~") and term.in_text is False for term in explanation.terms)


def test_it_is_opened_without_being_named(index: ss.Index) -> None:
    expected = [(hit.id, hit.score) for hit in index.search("vehicle", k=4)]
    with ss.Index.open(index.path) as again:
        assert [(hit.id, hit.score) for hit in again.search("vehicle", k=4)] == expected
        again.upsert([{"id": "law", "text": "A bus, a lorry and a van."}])
        assert "law" in {hit.id for hit in again.search("vehicle", k=2)}
        again.upsert([{"id": "law", "text": TEXTS["law"]}])


def test_a_vector_does_not_depend_on_other_texts() -> None:
    encoder = load_default().learned
    texts = list(TEXTS.values())
    together = encoder.encode_documents([*texts, "word " * 300])
    for row, text in enumerate(texts):
        assert encoder.encode_documents([text]).to_dicts()[0] == together.to_dicts()[row]


def test_the_end_of_a_long_text_counts() -> None:
    encoder = load_default().learned
    texts = ["stone " * 300, "stone " * 300 + "violin " * 200]
    start, whole = encoder.encode_documents(texts).to_dicts()
    assert "violin" not in start
    assert "violin" in whole


def test_other_hybrids_are_not_mistaken_for_it(tmp_path: Path) -> None:
    default = load_default()
    other = HybridEncoder(default.lexical, default.learned, default.learned_weight * 2)
    with ss.Index.create(tmp_path / "index", other) as index:
        index.add([{"id": "a", "text": "a cat"}])
    with (
        ss.Index.open(tmp_path / "index") as index,
        pytest.raises(EncoderUnavailableError, match="not the one that comes with"),
    ):
        index.search("cat")


def test_it_needs_neither_torch_nor_a_model_for_queries(index: ss.Index) -> None:
    program = (
        "import sys; import sparsearch as ss; index = ss.Index.open(sys.argv[1]); "
        "assert index.search('vehicle')[0].id == 'car'; "
        "loaded = {'torch', 'transformers', 'onnxruntime'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(index.path)], check=True, env=dict(os.environ)
    )


def test_it_fits_the_wheel() -> None:
    names = {path.name for path in DEFAULT_FOLDER.iterdir()}
    assert {"README.md", "training.json", "sparsearch_hybrid.json"} <= names
    assert sum(path.stat().st_size for path in DEFAULT_FOLDER.iterdir()) < 36 * 2**20
