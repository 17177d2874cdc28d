"""Models of all recipes: built, their vectors, saved and loaded by sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.modules import SpladePooling, Transformer

import sparsearch as ss
from sparsearch.encoders import Encoder
from sparsearch.errors import EncoderUnavailableError, VocabularyMismatchError
from sparsearch.training import RECIPES, Base, LiveEncoder, build_model
from sparsearch.training.forward import embed, tokenize

TEXTS = [
    "Return a random element from a non-empty sequence.",
    "json",
    "Close the archive; files in it stay as they are. " * 3,
]
OF_SENTENCE_TRANSFORMERS = (
    "splade",
    "splade-max",
    "splade-doc",
    "distilsplade-max",
    "splade++",
    "splade-v3",
    "efficient-splade",
    "idf-aware",
    "l0",
    "li-lsr",
    "df-flops",
)
"""Recipes whose models need no module of ours."""


def base_of(name: str, tiny_bert: str, tiny_decoder: str) -> Base:
    decoder = RECIPES[name].document.kind in ("echo", "prompt_reps")
    return Base(tiny_decoder if decoder else tiny_bert, query_length=16, document_length=48)


@pytest.mark.parametrize("name", RECIPES)
def test_a_saved_model_gives_the_same_vectors_in_sentence_transformers(
    name: str, tiny_bert: str, tiny_decoder: str, documents, tmp_path
) -> None:
    texts = (str(d["text"]) for d in documents)
    model = build_model(RECIPES[name], base_of(name, tiny_bert, tiny_decoder), texts, "cpu")
    encoder = LiveEncoder(model)
    ours = [encoder.encode_queries(TEXTS), encoder.encode_documents(TEXTS)]
    assert all(len(row.to_dicts()) == len(TEXTS) and row.nnz > 0 for row in ours)

    model.save(str(tmp_path / "model"), create_model_card=False)
    trusted = name not in OF_SENTENCE_TRANSFORMERS
    loaded = SparseEncoder(str(tmp_path / "model"), device="cpu", trust_remote_code=trusted)
    theirs = [loaded.encode_query(TEXTS), loaded.encode_document(TEXTS)]
    for mine, other in zip(ours, theirs, strict=True):
        dense = mine.to_torch(columns=other.shape[1]).to_dense()
        np.testing.assert_allclose(dense, other.to_dense(), rtol=1e-4, atol=1e-5)


def test_a_model_made_by_sentence_transformers_gives_the_same_vectors_here(
    tiny_bert: str, tmp_path
) -> None:
    theirs = SparseEncoder(
        modules=[Transformer(tiny_bert, transformer_task="fill-mask"), SpladePooling("max")],
        device="cpu",
    )
    theirs.save(str(tmp_path / "model"), create_model_card=False)
    loaded = SparseEncoder(str(tmp_path / "model"), device="cpu")
    expected = theirs.encode_document(TEXTS).to_dense()
    vectors = LiveEncoder(loaded).encode_documents(TEXTS)
    ours = vectors.to_torch(columns=expected.shape[1]).to_dense()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["splade", "splade-max", "l0", "sparta"])
def test_the_fused_head_gives_the_vectors_and_gradients_of_the_plain_one(
    name: str, tiny_bert: str
) -> None:
    model = build_model(RECIPES[name], Base(tiny_bert, document_length=64), device="cpu").train()
    model.max_active_dims = None
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    features = tokenize(model, TEXTS, "document", "cpu")
    gradients = []
    for fused in (True, False):
        model.zero_grad()
        vectors = embed(model, features, "document", fused=fused)
        (vectors * torch.linspace(0, 1, vectors.shape[1])).mean().backward()
        found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        gradients.append((vectors.detach(), found))
    (fused_vectors, fused_gradients), (vectors, plain_gradients) = gradients
    torch.testing.assert_close(fused_vectors, vectors)
    assert fused_gradients.keys() == plain_gradients.keys()
    for parameter, gradient in plain_gradients.items():
        torch.testing.assert_close(fused_gradients[parameter], gradient, rtol=1e-4, atol=1e-6)


def test_a_live_encoder_is_known_by_its_weights(tiny_bert: str, tmp_path) -> None:
    model = build_model(RECIPES["splade-max"], Base(tiny_bert, document_length=48), device="cpu")
    encoder = LiveEncoder(model)
    assert encoder.identity == LiveEncoder(model).identity
    with ss.Index.create(tmp_path / "index", encoder) as index:
        index.add([{"id": "1", "text": TEXTS[0]}])
    with torch.no_grad():
        next(model.parameters()).add_(0.5)
    with pytest.raises(VocabularyMismatchError, match="not the one of this index"):
        ss.Index.open(tmp_path / "index", LiveEncoder(model))


def test_loaded_models_read_windows_as_long_as_in_training(tiny_bert: str, tmp_path) -> None:
    model = build_model(RECIPES["splade-doc"], Base(tiny_bert, document_length=16), device="cpu")
    model.save(str(tmp_path / "run" / "model"), create_model_card=False)
    text = "Return a random element from a sequence, and close the archive. " * 4
    first = text[: model.tokenizer(text, return_offsets_mapping=True)["offset_mapping"][14][1]]
    expected = LiveEncoder(model).encode_documents([text])
    encoder = Encoder.load(tmp_path / "run" / "model", backend="torch")
    for cut, whole in zip(
        encoder.encode_documents([first]).to_dicts(), expected.to_dicts(), strict=True
    ):
        assert cut == pytest.approx(whole, rel=1e-4, abs=1e-5)
    assert encoder.encode_documents([text]).nnz >= expected.nnz
    with pytest.raises(EncoderUnavailableError, match=r"training run; give .*model"):
        Encoder.load(tmp_path / "run", backend="torch")


def test_models_that_are_loaded_in_python_only(tiny_bert: str, tmp_path) -> None:
    model = build_model(RECIPES["unicoil"], Base(tiny_bert, document_length=48), device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    with pytest.raises(EncoderUnavailableError, match="LiveEncoder"):
        Encoder.load(tmp_path / "model", backend="torch")
