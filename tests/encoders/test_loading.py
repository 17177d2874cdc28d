"""Models made by sentence-transformers give the same vectors here, in torch and in ONNX."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsearch import Bm25Encoder, Encoder, Index, SparseVectors
from sparsearch.encoders.loading import LoadedEncoder
from sparsearch.encoders.onnx_encoder import OnnxEncoder
from sparsearch.errors import (
    EncoderUnavailableError,
    InvalidInputError,
    StorageError,
    VocabularyMismatchError,
)

TEXTS = [*tiny_models.texts(30), "UPPER Case, and punctuation!", "[SEP]", "x" * 20]
EXACT = 1e-4
"""Between torch and torch, or torch and ONNX, in single precision: sums in another order."""


def dense(vectors: SparseVectors) -> np.ndarray:
    return vectors.to_scipy().toarray()


def reference(folder: Path):
    from sentence_transformers import SparseEncoder

    return SparseEncoder(str(folder), device="cpu", local_files_only=True)


def assert_same_as_sentence_transformers(folder: Path, encoder: Encoder) -> None:
    model = reference(folder)
    documents = model.encode_document(TEXTS).to_dense().numpy()
    assert np.count_nonzero(documents, axis=1).min() > 5  # there is something to compare
    np.testing.assert_allclose(dense(encoder.encode_documents(TEXTS)), documents, atol=EXACT)
    queries = model.encode_query(TEXTS).to_dense().numpy()
    np.testing.assert_allclose(dense(encoder.encode_queries(TEXTS)), queries, atol=EXACT)
    terms = model.tokenizer.convert_ids_to_tokens(range(documents.shape[1]))
    assert encoder.vocabulary.terms() == terms


def test_an_encoder_must_have_all_methods() -> None:
    class Half(Encoder):
        identity = {"type": "half"}  # noqa: RUF012

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
    assert isinstance(Bm25Encoder(), Encoder)


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    for wrong in (object(), "splade", Bm25Encoder):
        with pytest.raises(InvalidInputError, match="unknown encoder"):
            Index.create(tmp_path / "index", wrong)  # type: ignore[arg-type]


ARCHITECTURES = (
    "albert bert camembert deberta-v2 distilbert electra modernbert mpnet roberta xlm-roberta"
)


@pytest.mark.parametrize("architecture", ARCHITECTURES.split())
def test_architectures(models, architecture: str) -> None:
    folder = models("splade", architecture)
    assert_same_as_sentence_transformers(folder, Encoder.load(folder, backend="torch"))


@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_poolings_and_activations(models, pooling: str, activation: str) -> None:
    folder = models("splade", pooling_strategy=pooling, activation_function=activation)
    assert_same_as_sentence_transformers(folder, Encoder.load(folder, backend="torch"))


def test_an_inference_free_model(models) -> None:
    folder = models("inference-free")
    assert_same_as_sentence_transformers(folder, Encoder.load(folder, backend="torch"))


def test_prompts_and_most_terms(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    prompts = {"query": "search query ", "document": "document "}
    settings = folder / "config_sentence_transformers.json"
    tiny_models.edit_json(settings, prompts=prompts, max_active_dims=9)
    encoder = Encoder.load(folder, backend="torch")
    assert_same_as_sentence_transformers(folder, encoder)
    assert set(np.diff(encoder.encode_documents(TEXTS).offsets)) == {9}
    tiny_models.edit_json(settings, prompts={}, max_active_dims=None)
    plain = Encoder.load(folder, backend="torch")
    assert plain.encode_documents(["document cat"]) != plain.encode_documents(["cat"])


@pytest.mark.parametrize(
    "prompts",
    [
        {"query": "dog ", "document": None},
        {"query": None, "document": "cat "},
        {"passage": "cat ", "corpus": "dog "},
        {"query": "", "other": "dog "},
        {"other": "dog "},
        {},
    ],
)
def test_prompts_that_are_missing(models, tmp_path: Path, prompts: dict[str, Any]) -> None:
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    default = next((name for name, prompt in prompts.items() if prompt), None)
    settings = folder / "config_sentence_transformers.json"
    tiny_models.edit_json(settings, prompts=prompts, default_prompt_name=default)
    assert_same_as_sentence_transformers(folder, Encoder.load(folder, backend="torch"))


def test_a_table_of_query_weights_as_json(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("inference-free"), tmp_path / "model")
    table = folder / "query_0_SparseStaticEmbedding"
    (table / "idf.json").write_text('{"cat": 2.5, "dog": 0.5, "unheard of": 1.0}')
    tiny_models.edit_json(table / "config.json", path="idf.json")
    encoder = Encoder.load(folder, backend="torch")
    vector = encoder.encode_queries(["a cat and a dog and a cat"]).to_dicts()[0]
    assert vector == {"cat": 2.5, "dog": 0.5}


def test_a_masked_language_model_by_recipe(models) -> None:
    folder = models("masked-lm")
    encoder = Encoder.load(folder, backend="torch", recipe="splade")
    assert_same_as_sentence_transformers(folder, encoder)  # its default is the same recipe


def test_the_lexical_weights_of_bge_m3(models) -> None:
    """The weight of a token is the largest over its places, of relu(head(hidden state))."""
    import torch
    import transformers
    from safetensors.numpy import load_file

    folder = models("bge-m3")
    encoder = Encoder.load(folder, backend="torch")
    head = load_file(folder / "sparse_linear.safetensors")
    network = transformers.RobertaModel.from_pretrained(folder, add_pooling_layer=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    vectors = encoder.encode_documents(TEXTS).to_dicts()
    assert sum(map(len, vectors)) > 10
    for text, vector in zip(TEXTS, vectors, strict=True):
        tokens = tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            hidden = network(**tokens).last_hidden_state[0].numpy()
        scores = np.maximum(hidden @ head["weight"][0] + head["bias"][0], 0)
        expected: dict[str, float] = {}
        for token, score in zip(tokens["input_ids"][0].tolist(), scores.tolist(), strict=True):
            name = tokenizer.convert_ids_to_tokens(token)
            if score > 0 and name not in tokenizer.all_special_tokens:
                expected[name] = max(score, expected.get(name, 0.0))
        assert vector == pytest.approx(expected, abs=EXACT)
    assert encoder.encode_queries(TEXTS) == encoder.encode_documents(TEXTS)


def test_torch_and_onnx_agree(models, tmp_path: Path) -> None:
    folder = models("inference-free")
    exported = tmp_path / "exported"
    in_torch = Encoder.load(folder, backend="torch")
    assert isinstance(in_torch, LoadedEncoder)
    in_torch.export_onnx(exported, quantize=False)
    assert b"site-packages" not in (exported / "model.onnx").read_bytes()  # no paths from here
    in_onnx = Encoder.load(exported)
    long = " ".join(tiny_models.texts(30))
    texts = [*TEXTS, "", "?!", long]
    np.testing.assert_allclose(
        dense(in_onnx.encode_documents(texts)), dense(in_torch.encode_documents(texts)), atol=EXACT
    )
    assert in_onnx.encode_queries(texts) == in_torch.encode_queries(texts)
    assert_same_as_sentence_transformers(folder, in_onnx)
    assert in_onnx.vocabulary == in_torch.vocabulary
    with pytest.raises(StorageError, match="not an empty folder"):
        in_torch.export_onnx(exported)
    assert isinstance(in_onnx, LoadedEncoder)
    with pytest.raises(InvalidInputError, match="already"):
        in_onnx.export_onnx(tmp_path / "again")
    for option in ({"backend": "torch"}, {"recipe": "splade"}, {"quantize": False}):
        with pytest.raises(InvalidInputError, match="runs as it is"):
            Encoder.load(exported, **option)


@pytest.mark.parametrize("quantize", [False, True])
def test_weights_that_do_not_fit_into_one_message(
    models, tmp_path: Path, monkeypatch, quantize: bool
) -> None:
    """ONNX files hold at most 2 GiB; the weights of larger models are written beside them."""
    monkeypatch.setattr("sparsearch.encoders.onnx_export._is_large", lambda network: True)
    folder = tmp_path / "exported"
    in_torch = Encoder.load(models("splade"), backend="torch")
    assert isinstance(in_torch, LoadedEncoder)
    in_torch.export_onnx(folder, quantize=quantize)
    assert (folder / "model.onnx.data").exists() is not quantize
    found = dense(Encoder.load(folder).encode_documents(TEXTS))
    expected = dense(in_torch.encode_documents(TEXTS))
    np.testing.assert_allclose(found, expected, atol=0.6 if quantize else EXACT)


def test_an_exported_model_is_kept_and_close_in_8_bits(models, monkeypatch) -> None:
    folder = models("splade")
    first = Encoder.load(folder)
    exact = dense(Encoder.load(folder, backend="torch").encode_documents(TEXTS))
    close = dense(first.encode_documents(TEXTS))
    cosines = (exact * close).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(close, axis=1)
    assert cosines.min() > 0.99
    # Another load must not need the exporter.
    monkeypatch.setattr("sparsearch.encoders.loading._exporter", None)
    again = Encoder.load(folder)
    np.testing.assert_array_equal(dense(again.encode_documents(TEXTS)), close)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from(tiny_models.WORDS), max_size=150), min_size=1),
    data=st.data(),
)
def test_in_8_bits_a_vector_is_its_text_s_alone(exported: Path, rows, data) -> None:
    """Bit for bit the same alone and beside any others, of one window or of several."""
    encoder = Encoder.load(exported)
    texts = [" ".join(row) for row in rows]
    together = encoder.encode_documents(texts)
    row = data.draw(st.integers(0, len(texts) - 1))
    assert encoder.encode_documents([texts[row]]) == together[row : row + 1]


def test_a_long_text_is_read_to_its_end(models) -> None:
    """Every window of a text that is longer than the model's input counts."""
    folder = models("splade")
    encoder = Encoder.load(folder, backend="torch")
    filler = " ".join(["the of and"] * 60)
    plain = encoder.encode_documents([f"{filler} cat", f"{filler} dog"])
    assert plain[:1] != plain[1:]
    cut = reference(folder).encode_document([f"{filler} cat", f"{filler} dog"]).to_dense()
    assert (cut[0] == cut[1]).all()  # what sentence-transformers does


def test_attention_in_torch_does_not_hold_all_pairs_of_tokens(models) -> None:
    encoder = Encoder.load(models("splade"), backend="torch")
    assert isinstance(encoder, LoadedEncoder)
    transformer = encoder._encoder._documents._network.transformer
    assert transformer.config._attn_implementation == "sdpa"


def test_windows_are_shorter_than_the_input_of_a_model_for_long_texts(tmp_path: Path) -> None:
    """The memory of attention grows as the square of a window's length."""
    pytest.importorskip("torch", reason="makes the model; extra train")
    folder = tiny_models.masked_lm(tmp_path, "modernbert", longest=4096)
    assert json.loads((folder / "config.json").read_text())["max_position_embeddings"] > 4000
    encoder = Encoder.load(folder, backend="torch", recipe="splade")
    assert isinstance(encoder, LoadedEncoder)
    encoder.export_onnx(tmp_path / "exported", quantize=False)
    assert OnnxEncoder(tmp_path / "exported").settings.max_length == 2048
    filler = "the of and " * 1000
    plain = encoder.encode_documents([f"{filler} cat", f"{filler} dog"])
    assert plain[:1] != plain[1:]


ODD_TEXTS = {
    "empty": "",
    "blank": " \t\n\u3000",
    "punctuation": "?!... --- ;;",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 👍🏽",
    "right to left": "שלום עולם مرحبا بالعالم \u202eabc",
    "unknown language": "ᚠᛇᚻ ꙮ 𓀀 ქართული",
    "nothing but marks": "\u0301\u200d\u200b\ufeff",
    "null": "a\0b",
}


@pytest.mark.parametrize("name", ODD_TEXTS)
@pytest.mark.parametrize("model", ["splade", "inference-free"])
def test_odd_texts(models, model: str, name: str) -> None:
    encoder = Encoder.load(models(model), backend="torch")
    text = ODD_TEXTS[name]
    documents = encoder.encode_documents(["cat", text, "dog"])
    queries = encoder.encode_queries(["cat", text, "dog"])
    alone = encoder.encode_documents(["cat", "dog"])
    assert len(documents) == len(queries) == 3
    # What stands between two texts changes neither.
    np.testing.assert_allclose(dense(documents)[[0, 2]], dense(alone), atol=EXACT)
    assert np.isfinite(documents.weights).all()
    if name in ("empty", "blank"):
        assert documents[1:2].nnz == queries[1:2].nnz == 0


def test_a_megabyte_of_text(models) -> None:
    encoder = Encoder.load(models("splade"), backend="torch")
    text = "sparse retrieval " * 62_500
    assert len(text) > 1e6
    vector = encoder.encode_documents([text])
    assert vector.nnz > 5
    one_word = encoder.encode_documents(["x" * 1_000_000])  # no tokenizer has such a token
    assert len(one_word) == 1


def test_texts_that_are_none(models) -> None:
    encoder = Encoder.load(models("splade"), backend="torch")
    assert len(encoder.encode_documents([])) == len(encoder.encode_queries([])) == 0
    for wrong in ("one text", None, [None], ["a", 1], ["\ud800"]):
        with pytest.raises(InvalidInputError):
            encoder.encode_documents(wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError):
            encoder.encode_queries(wrong)  # type: ignore[arg-type]


def test_an_index_remembers_its_model(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    encoder = Encoder.load(folder, backend="torch")
    documents = [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    with Index.create(tmp_path / "index", encoder) as index:
        index.add(documents)
        expected = index.search("cat dog", k=5)
        query = encoder.encode_queries(["cat dog"])
    with Index.open(tmp_path / "index") as index:
        assert index.search("cat dog", k=5) == expected
        assert index.info().encoder == encoder.identity

    moved = folder.rename(tmp_path / "moved")
    with Index.open(tmp_path / "index") as index:
        with pytest.raises(EncoderUnavailableError, match=r"does not exist.*give vectors"):
            index.search("cat dog")
        assert index.search(query, k=5) == expected
        assert math.isclose(index.explain(query, expected[0].id).score, expected[0].score)
        assert index.delete([expected[0].id]) == 1
        index.optimize()
        assert index.search(query, k=4) == expected[1:]
        assert index.verify() == []
    with Index.open(tmp_path / "index", encoder=Encoder.load(moved, backend="torch")) as index:
        assert index.search("cat dog", k=4) == expected[1:]
    with Index.open(tmp_path / "index") as reader, Index.open(tmp_path / "index") as index:
        index.relocate_encoder(moved)
        assert index.search("cat dog", k=4) == expected[1:]
        assert index.info().encoder == {**encoder.identity, "source": str(moved)}
        assert reader.refresh()
        assert reader.search("cat dog", k=4) == expected[1:]

    moved.rename(folder)
    with Index.open(tmp_path / "index") as index:
        index.relocate_encoder(folder)
    tiny_models.edit_json(folder / "1_SpladePooling" / "config.json", pooling_strategy="sum")
    with Index.open(tmp_path / "index") as index:
        with pytest.raises(EncoderUnavailableError, match="has changed since"):
            index.search("cat dog")
        with pytest.raises(EncoderUnavailableError, match="is not the model"):
            index.relocate_encoder(folder)
        with pytest.raises(EncoderUnavailableError, match="does not exist"):
            index.relocate_encoder(moved)
        assert index.search(query, k=4) == expected[1:]
    with pytest.raises(VocabularyMismatchError, match="not the one of this index"):
        Index.open(tmp_path / "index", encoder=Encoder.load(folder, backend="torch"))


def test_files_that_are_not_read_do_not_change_a_model(models, tmp_path: Path) -> None:
    folder = shutil.copytree(models("inference-free"), tmp_path / "model")
    table = folder / "query_0_SparseStaticEmbedding"
    (table / "idf.json").write_text('{"cat": 2.5}')
    tiny_models.edit_json(table / "config.json", path="idf.json")

    def identity() -> dict[str, Any]:
        return Encoder.load(folder, backend="torch").identity

    before = identity()
    (folder / "onnx").mkdir()
    for name in ("notes.txt", "results.json", "README.md", "onnx/config.json"):
        (folder / name).write_text("{}")
    assert identity() == before
    for name in ("vocab.txt", "query_0_SparseStaticEmbedding/idf.json"):
        (folder / name).write_text('{"cat": 1.5}')
        changed = identity()
        assert changed != before
        before = changed


@pytest.mark.parametrize("encoder", ["bm25", "default", None])
def test_an_index_without_a_loaded_model_has_none_to_relocate(
    encoder: Any, models, tmp_path: Path
) -> None:
    with (
        Index.create(tmp_path / "index", encoder) as index,
        pytest.raises((InvalidInputError, EncoderUnavailableError), match=r"not loaded|without an"),
    ):
        index.relocate_encoder(models("splade"))


def test_vectors_do_not_go_into_an_index_of_text(models, tmp_path: Path) -> None:
    encoder = Encoder.load(models("splade"), backend="torch")
    with (
        Index.create(tmp_path / "index", encoder) as index,
        pytest.raises(VocabularyMismatchError, match="makes its vectors from text"),
    ):
        index.add_vectors(["a"], SparseVectors.from_dicts([{"word": 1.0}]))
