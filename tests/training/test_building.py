"""Models of checkpoints that are unlike BERT: other sizes, other precision, other positions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    ElectraConfig,
    ElectraForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
)

from sparsearch.encoders import Encoder
from sparsearch.errors import TrainingError
from sparsearch.training import (
    RECIPES,
    Base,
    EncoderPart,
    LiveEncoder,
    TrainConfig,
    build_model,
    train,
)

TEXTS = [
    "Return a random element from a non-empty sequence.",
    "json",
    "Close the archive; files in it stay as they are. " * 3,
]


@pytest.fixture(scope="module")
def narrow(tokenizer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of an ELECTRA whose embeddings are half as wide as its hidden states."""
    torch.manual_seed(1)
    config = ElectraConfig(
        vocab_size=len(tokenizer),
        embedding_size=32,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    folder = tmp_path_factory.mktemp("narrow") / "electra"
    ElectraForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def half(tiny_bert: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of the tiny BERT in half precision."""
    folder = tmp_path_factory.mktemp("half") / "bert"
    AutoModelForMaskedLM.from_pretrained(tiny_bert, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("name", ["unicoil", "deepct"])
def test_weights_of_tokens_over_embeddings_narrower_than_hidden_states(
    name: str, narrow: str, config: TrainConfig
) -> None:
    config = replace(
        config, recipe=name, model=narrow, sparsity=replace(config.sparsity, document_target=None)
    )
    result = train(replace(config, optimizer=replace(config.optimizer, steps=2)))
    theirs = SparseEncoder(str(result.model), device="cpu", trust_remote_code=True)
    expected = theirs.encode_document(TEXTS[:2]).to_dense()
    assert expected.any()
    encoder = Encoder.load(result.model, backend="torch")
    ours = encoder.encode_documents(TEXTS[:2]).to_torch(columns=expected.shape[1]).to_dense()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sparta", "epic"])
def test_heads_that_start_from_narrower_embeddings_are_refused(name: str, narrow: str) -> None:
    with pytest.raises(TrainingError, match=r"electra has input embeddings of size 32, .* size 64"):
        build_model(RECIPES[name], Base(narrow, query_length=16, document_length=48), TEXTS, "cpu")


def test_a_tied_head_of_queries_is_calibrated_as_that_of_documents(
    tiny_bert: str, examples
) -> None:
    tied = EncoderPart("tied")
    recipe = replace(RECIPES["sparta"], query=tied, document=tied, top_k=None)
    texts = [example.positive for example in examples]
    base = Base(tiny_bert, query_length=48, document_length=48)
    encoder = LiveEncoder(build_model(recipe, base, texts, "cpu"))
    documents, queries = encoder.encode_documents(texts[:64]), encoder.encode_queries(texts[:64])
    assert 0.01 < documents.nnz / (64 * len(encoder.vocabulary)) < 0.1
    assert queries.nnz == pytest.approx(documents.nnz, rel=0.1)


@pytest.mark.parametrize("kind", ["tied", "term_weights", "epic"])
def test_adapters_over_two_models_of_16_bits(kind: str, half: str, config: TrainConfig) -> None:
    recipe = replace(
        RECIPES["unicoil"],
        name="mine",
        query=EncoderPart("term_weights", activation="relu"),
        document=EncoderPart(kind, activation="relu"),
        shared=False,
        lora_rank=2,
    )
    config = replace(
        config,
        recipe="unicoil",
        model=half,
        sparsity=replace(config.sparsity, document_target=None),
        optimizer=replace(config.optimizer, steps=2),
    )
    reports = []
    result = train(config, recipe=recipe, report=reports.append)
    assert all(np.isfinite(report.loss) for report in reports)
    theirs = SparseEncoder(str(result.model), device="cpu", trust_remote_code=True)
    expected = theirs.encode_document(TEXTS).to_dense().float()
    encoder = Encoder.load(result.model, backend="torch")
    ours = encoder.encode_documents(TEXTS).to_torch(columns=expected.shape[1]).to_dense()
    np.testing.assert_allclose(ours, expected, rtol=0.1, atol=0.1)


def test_a_prompted_text_does_not_depend_on_its_neighbours(tokenizer, tmp_path: Path) -> None:
    """Decoders that count places from the start must not find padding there."""
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=256, n_embd=32, n_layer=2, n_head=2, pad_token_id=0
    )
    decoder = GPT2LMHeadModel(config)
    with torch.no_grad():
        decoder.get_input_embeddings().weight.mul_(20)
        decoder.transformer.wpe.weight.mul_(20)
    decoder.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    base = Base(str(tmp_path / "base"), query_length=48, document_length=48)
    model = build_model(RECIPES["promptreps"], base, device="cpu")
    live = LiveEncoder(model)
    together = live.encode_documents(TEXTS).to_dicts()
    model.save(str(tmp_path / "model"), create_model_card=False)
    loaded = Encoder.load(tmp_path / "model").encode_documents(TEXTS).to_dicts()
    for text, found, expected in zip(TEXTS, together, loaded, strict=True):
        (alone,) = live.encode_documents([text]).to_dicts()
        assert found == pytest.approx(alone, rel=1e-4, abs=1e-5)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert any(together)
