"""BM25 and a learned encoder side by side: vectors, identity, folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="models are made with the onnx package")

import sparsearch as ss
from onnx_folders import QUERY_WEIGHTS, TOKENS, write_folder
from sparsearch.encoders import AnalysisConfig, HybridEncoder, OnnxEncoder
from sparsearch.encoders.hybrid_folder import load_hybrid, write_hybrid_settings
from sparsearch.errors import (
    EncoderError,
    FileFormatError,
    InvalidInputError,
    VocabularyMismatchError,
)

N_LEARNED = len(TOKENS)
PLAIN = ss.Bm25Config(analysis=AnalysisConfig(None))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> OnnxEncoder:
    return OnnxEncoder(write_folder(tmp_path_factory.mktemp("model")))


class Statistics:
    """Of four documents, in which every term stands once."""

    n_documents = 4
    average_length = 2.0

    def document_frequencies(self, term_ids: np.ndarray, /) -> np.ndarray:
        return np.ones(len(term_ids), np.int64)


def test_documents_hold_final_weights_and_then_counts(learned: OnnxEncoder) -> None:
    encoder = HybridEncoder(PLAIN, learned, 0.5)
    vectors = encoder.encode_documents(["Cat cat the", "", "the"])
    assert vectors.to_dicts() == [
        {"~cat": 2.0, "~dog": 0.5, "cat": 2.0, "the": 1.0},
        {},
        {"the": 1.0},
    ]
    assert encoder.saturation.first_term == N_LEARNED
    assert encoder.saturation.lengths(vectors).tolist() == [3, 0, 1]


def test_queries_hold_learned_weights_and_idf(learned: OnnxEncoder) -> None:
    encoder = HybridEncoder(PLAIN, learned, 0.5)
    encoder.encode_documents(["cat the"])
    (row,) = encoder.encode_queries(["cat cat unseen"], Statistics()).to_dicts()
    idf = np.log1p(3.5 / 1.5)
    assert row == pytest.approx({"~cat": 0.5 * float(QUERY_WEIGHTS[4]), "cat": 2 * idf})
    with pytest.raises(EncoderError, match="statistics"):
        encoder.encode_queries(["cat"])


_made: list[OnnxEncoder] = []


@pytest.fixture(autouse=True, scope="module")
def _share(learned: OnnxEncoder) -> None:
    _made[:] = [learned]


@given(st.lists(st.lists(st.sampled_from(["cat", "dog", "mat", "cow", "."]), max_size=8)))
def test_a_row_is_the_union_of_both_parts(texts: list[list[str]]) -> None:
    joined = [" ".join(words) for words in texts]
    encoder = HybridEncoder(PLAIN, _made[0], 1.0)
    vectors = encoder.encode_documents(joined)
    words = ss.Bm25Encoder(PLAIN).encode_documents(joined).to_dicts()
    pieces = _made[0].encode_documents(joined).to_dicts()
    expected = [
        {**{f"~{term}": weight for term, weight in piece.items()}, **word}
        for piece, word in zip(pieces, words, strict=True)
    ]
    assert vectors.to_dicts() == expected
    # Checked anew: ids ascend in every row.
    ss.SparseVectors(vectors.offsets, vectors.term_ids, vectors.weights, vectors.vocabulary)


def test_text_terms_are_words_and_pieces(learned: OnnxEncoder) -> None:
    encoder = HybridEncoder(PLAIN, learned, 1.0)
    encoder.encode_documents(["cat cow"])
    terms = encoder.text_terms("Cow cat")
    assert set(terms.values()) == {"cow", "cat", "~cat", "~[UNK]"}
    assert all(encoder.vocabulary.term(term) == name for term, name in terms.items())


@pytest.mark.parametrize("weight", [0, -1.0, float("nan"), float("inf"), True, "1", None])
def test_the_weight_is_checked(learned: OnnxEncoder, weight: object) -> None:
    with pytest.raises(InvalidInputError, match="learned_weight"):
        HybridEncoder(PLAIN, learned, weight)  # type: ignore[arg-type]


def test_counts_cannot_be_the_learned_part() -> None:
    with pytest.raises(InvalidInputError, match="term counts"):
        HybridEncoder(PLAIN, ss.Bm25Encoder(), 1.0)


def test_a_foreign_vocabulary_is_refused(learned: OnnxEncoder) -> None:
    with pytest.raises(VocabularyMismatchError, match="learned terms"):
        HybridEncoder(PLAIN, learned, 1.0, ss.Vocabulary(["cat"]))


def test_a_folder_gives_the_encoder_back(tmp_path: Path) -> None:
    made = HybridEncoder(PLAIN, OnnxEncoder(write_folder(tmp_path)), 0.25)
    write_hybrid_settings(made, tmp_path)
    again = load_hybrid(tmp_path)
    assert again.identity == made.identity
    assert again.encode_documents(["a cat"]) == made.encode_documents(["a cat"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 9}, "format 9"),
        ({"learned_weight": -1}, "learned_weight is -1"),
        ({"lexical": {"type": "bm25"}}, "bm25 encoder of version None"),
        ({"lexical": {"type": "bm25", "version": 1}}, "bm25 settings lack 'k1'"),
        ({"lexical": []}, "bm25 settings are [], not a mapping"),
        ({"extra": 1}, "unknown hybrid setting 'extra'"),
    ],
)
def test_malformed_folders_are_named(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    write_hybrid_settings(HybridEncoder(PLAIN, OnnxEncoder(write_folder(tmp_path)), 1), tmp_path)
    path = tmp_path / "sparsearch_hybrid.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FileFormatError, match=r"sparsearch_hybrid\.json") as caught:
        load_hybrid(tmp_path)
    assert reason in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff"])
def test_a_folder_without_settings(tmp_path: Path, content: bytes | None) -> None:
    write_folder(tmp_path)
    if content is not None:
        (tmp_path / "sparsearch_hybrid.json").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"sparsearch_hybrid\.json"):
        load_hybrid(tmp_path)
