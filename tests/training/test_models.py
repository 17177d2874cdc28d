"""Models of all recipes: built, their vectors, saved and loaded by sentence-transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.modules import SpladePooling, Transformer
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    MobileBertConfig,
    MobileBertForMaskedLM,
)

import sparsearch as ss
from sparsearch.encoders import Encoder
from sparsearch.encoders.torch_network import SparseNetwork
from sparsearch.errors import EncoderError, EncoderUnavailableError, VocabularyMismatchError
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


def test_weights_that_are_trained_have_32_bits(tiny_bert: str, tmp_path) -> None:
    half = AutoModelForMaskedLM.from_pretrained(tiny_bert, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "half")
    for name in ("splade", "deepimpact", "sparta"):
        base = Base(str(tmp_path / "half"), query_length=16, document_length=48)
        model = build_model(RECIPES[name], base, TEXTS, "cpu")
        assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["echo-mistral-splade", "promptreps"])
def test_decoders_without_a_padding_token(name: str, unpadded_decoder: str, tmp_path) -> None:
    base = Base(unpadded_decoder, query_length=16, document_length=48)
    model = build_model(RECIPES[name], base, TEXTS, "cpu")
    together = LiveEncoder(model).encode_documents(TEXTS)
    model.save(str(tmp_path / "model"), create_model_card=False)
    loaded = SparseEncoder(str(tmp_path / "model"), device="cpu", trust_remote_code=True)
    theirs = loaded.encode_document(TEXTS)
    dense = together.to_torch(columns=theirs.shape[1]).to_dense()
    np.testing.assert_allclose(dense, theirs.to_dense().float(), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("backend", ["torch", None])
@pytest.mark.parametrize("name", ["splade", "li-lsr", "splade-doc"])
def test_only_the_heaviest_terms_are_kept_by_tables_too(
    name: str, backend: str | None, tiny_bert: str, tiny_decoder: str, documents, tmp_path
) -> None:
    texts = [str(d["text"]) for d in documents]
    recipe = replace(RECIPES[name], top_k=4)
    base = replace(base_of(name, tiny_bert, tiny_decoder), query_length=48)
    model = build_model(recipe, base, texts, "cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    queries = [" ".join(text.split()[:12]) for text in texts[:20]]
    expected = model.encode_query(queries).to_dense().numpy()
    encoder = Encoder.load(tmp_path / "model", backend=backend, quantize=False)
    found = encoder.encode_queries(queries).to_torch(columns=expected.shape[1]).to_dense()
    assert (expected > 0).sum(axis=1).max() == 4
    # Which of equal weights are kept is left open.
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-3, atol=1e-4)


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


def test_a_head_that_is_not_called_is_not_fused(tiny_bert: str, tmp_path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    config = MobileBertConfig(
        vocab_size=len(tokenizer),
        embedding_size=32,
        hidden_size=64,
        intra_bottleneck_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    MobileBertForMaskedLM(config).save_pretrained(tmp_path / "mobile")
    tokenizer.save_pretrained(tmp_path / "mobile")
    base = Base(str(tmp_path / "mobile"), query_length=16, document_length=48)
    model = build_model(RECIPES["splade"], base, TEXTS, "cpu").eval()
    features = tokenize(model, TEXTS, "document", "cpu")
    with torch.no_grad():
        expected = embed(model, features, "document", fused=False)
        torch.testing.assert_close(embed(model, features, "document"), expected)
    assert expected.any()


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


@pytest.mark.parametrize("backend", ["torch", None])
@pytest.mark.parametrize("name", RECIPES)
def test_a_saved_model_gives_the_same_vectors_when_loaded(
    name: str, backend: str | None, tiny_bert: str, tiny_decoder: str, documents, tmp_path
) -> None:
    """In torch and, unless it is a decoder, in ONNX."""
    texts = [str(d["text"]) for d in documents]
    base = replace(base_of(name, tiny_bert, tiny_decoder), query_length=48)
    model = build_model(RECIPES[name], base, texts, "cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    live, loaded = (
        LiveEncoder(model),
        Encoder.load(tmp_path / "model", backend=backend, quantize=False),
    )
    mixed = [TEXTS[1], *TEXTS]  # in batches of several lengths
    if name != "promptreps":  # unknown characters are no words of a text where it was decoded
        mixed.append("\u200b \u4e2d \u2603 json")
    for expected, found in (
        (live.encode_documents(mixed), loaded.encode_documents(mixed)),
        (live.encode_queries(mixed), loaded.encode_queries(mixed)),
    ):
        assert found.nnz > 0
        columns = len(live.vocabulary)
        np.testing.assert_allclose(
            found.to_torch(columns=columns).to_dense(),
            expected.to_torch(columns=columns).to_dense(),
            rtol=1e-3,
            atol=1e-4,
        )
    assert loaded.vocabulary.term(7) == live.vocabulary.term(7)


@pytest.mark.parametrize("name", ["unicoil", "echo-mistral-splade", "promptreps"])
def test_an_index_of_a_recipe_of_our_modules(
    name: str, tiny_bert: str, tiny_decoder: str, tmp_path
) -> None:
    """It is opened again without being told of the model, and long documents are read whole."""
    base = replace(base_of(name, tiny_bert, tiny_decoder), document_length=16)
    model = build_model(RECIPES[name], base, device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    long = "asyncio " * 30 + "json archive"
    with ss.Index.create(tmp_path / "index", Encoder.load(tmp_path / "model")) as index:
        index.add([{"id": "long", "text": long}, {"id": "short", "text": "a random element"}])
    with ss.Index.open(tmp_path / "index") as index:
        assert "json" in index.vector("long").to_dicts()[0]
        assert "long" in {hit.id for hit in index.search("json", k=2)}
        assert any(term.in_text for term in index.explain("json", "long").terms)


def test_a_text_read_twice_does_not_depend_on_its_neighbours(
    tokenizer, decoder_sizes, tmp_path
) -> None:
    """Attention that reaches only so far counts places: padding may not lie between the copies."""
    from transformers import MistralConfig, MistralModel

    torch.manual_seed(1)
    decoder = MistralModel(MistralConfig(**decoder_sizes, sliding_window=24))
    decoder.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    base = Base(str(tmp_path / "base"), query_length=48, document_length=48)
    model = build_model(RECIPES["echo-mistral-splade"], base, TEXTS, "cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    encoder = Encoder.load(tmp_path / "model")
    together = encoder.encode_documents(TEXTS).to_dicts()
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = encoder.encode_documents([text]).to_dicts()
        assert found == pytest.approx(alone, rel=1e-4, abs=1e-5)
    live = LiveEncoder(model).encode_documents(TEXTS).to_dicts()
    for found, expected in zip(together, live, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_prompted_texts_hold_no_unknown_words_and_are_read_in_batches_of_bounded_size(
    tiny_decoder: str, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(RECIPES["promptreps"], Base(tiny_decoder, document_length=48), device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    encoder = Encoder.load(tmp_path / "model")
    assert encoder.encode_documents(["\U0001f600 \u4e2d"]).nnz == 0
    whole = encoder.encode_documents([*TEXTS] * 5).to_dicts()
    shapes, weights = [], SparseNetwork.weights
    monkeypatch.setattr("sparsearch.encoders.torch_model._BATCH_CELLS", 200 * 1500)
    monkeypatch.setattr(
        SparseNetwork,
        "weights",
        lambda self, ids, *masks: shapes.append(ids.shape) or weights(self, ids, *masks),
    )
    for found, expected in zip(
        encoder.encode_documents([*TEXTS] * 5).to_dicts(), whole, strict=True
    ):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert len(shapes) > 1
    assert max(rows * length for rows, length in shapes) <= 200


def test_positions_that_only_the_configuration_tells(tokenizer, tmp_path) -> None:
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=32, n_layer=1, n_head=2, pad_token_id=0
    )
    GPT2Model(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    base = Base(str(tmp_path / "base"), query_length=16, document_length=32)
    model = build_model(RECIPES["echo-mistral-splade"], base, TEXTS, "cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    _edit("sentence_bert_config.json", document_length=None)(tmp_path / "model")
    encoder = Encoder.load(tmp_path / "model")
    assert encoder.encode_documents(["json archive " * 100]).nnz > 0


def test_tokens_beyond_the_vocabulary(tiny_bert: str, tmp_path) -> None:
    """A padding token that the transformer does not know stands where nothing is looked at."""
    model = build_model(RECIPES["unicoil"], Base(tiny_bert, document_length=48), device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    before = Encoder.load(tmp_path / "model", backend="torch").encode_documents(TEXTS).to_dicts()
    path = tmp_path / "model" / "tokenizer.json"
    content = json.loads(path.read_text())
    token = {"id": 5000, "content": "[FILL]", "special": True, "single_word": False}
    content["added_tokens"].append({**token, "lstrip": False, "rstrip": False, "normalized": False})
    path.write_text(json.dumps(content))
    _edit("tokenizer_config.json", pad_token="[FILL]")(tmp_path / "model")
    encoder = Encoder.load(tmp_path / "model", backend="torch")
    assert encoder.encode_documents(TEXTS).to_dicts() == before


def test_a_decoder_is_not_exported(tiny_decoder: str, tmp_path) -> None:
    model = build_model(RECIPES["promptreps"], Base(tiny_decoder, document_length=48), device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    with pytest.raises(EncoderError, match="runs in torch only; use backend='torch'"):
        Encoder.load(tmp_path / "model", backend="onnx")


def _head_of(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "1_TermWeights" / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def _edit(name: str, **changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def _modules(*names: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        kinds = [{"type": f"sparsearch.training.modules.{name}", "path": ""} for name in names]
        (folder / "modules.json").write_text(json.dumps(kinds))

    return edit


def _two_readings(folder: Path) -> None:
    kinds = {
        "t": "sentence_transformers.base.modules.transformer.Transformer",
        "e": "sparsearch.training.modules.decoders.EchoTransformer",
        "w": "sparsearch.training.modules.term_weights.TermWeights",
        "h": "sparsearch.training.modules.heads.TiedHead",
        "p": "sentence_transformers.sparse_encoder.modules.SpladePooling",
    }
    structure = {"document": ["t", "w"], "query": ["e", "h", "p"]}
    (folder / "config.json").replace(folder / "1_TermWeights" / "keep")
    for name in kinds:
        (folder / name).mkdir()
    for file in folder.glob("*.*"):
        if file.name != "modules.json":
            for name in "te":
                shutil.copy(file, folder / name)
    for name in "te":
        shutil.copy(folder / "1_TermWeights" / "keep", folder / name / "config.json")
    for file in ("config.json", "model.safetensors"):
        for name in "wh":
            shutil.copy(folder / "1_TermWeights" / file, folder / name)
    (folder / "p" / "config.json").write_text("{}")
    (folder / "router_config.json").write_text(json.dumps({"types": kinds, "structure": structure}))
    router = {"type": "sentence_transformers.base.modules.router.Router", "path": ""}
    (folder / "modules.json").write_text(json.dumps([router]))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no head": (
        lambda folder: (folder / "1_TermWeights" / "model.safetensors").unlink(),
        r"TermWeights lacks model\.safetensors",
    ),
    "a head that is no number": (
        lambda folder: _head_of(folder, lambda head: head["linear.bias"].fill(np.nan)),
        "head.bias.*NaN",
    ),
    "a head of another size": (
        lambda folder: _head_of(
            folder, lambda head: head.update({"linear.weight": np.zeros((1, 3), np.float32)})
        ),
        r"holds .*\(1, 3\)",
    ),
    "half a head": (
        lambda folder: _head_of(folder, lambda head: head.pop("linear.bias")),
        "holds .*not .*bias",
    ),
    "an unknown activation": (
        _edit("1_TermWeights/config.json", activation="softmax"),
        "unknown activation .*softmax",
    ),
    "an activation over the vocabulary": (
        _edit("1_TermWeights/config.json", activation="sparsemax"),
        "unknown activation .*sparsemax",
    ),
    "ignored terms that are none": (
        _edit("1_TermWeights/config.json", ignored=[-1]),
        "malformed ignored",
    ),
    "ignored terms beyond the vocabulary": (
        _edit("1_TermWeights/config.json", ignored=[10**6]),
        "cannot be loaded .*1000000",
    ),
    "two heads": (
        _modules("x.Transformer", "term_weights.TermWeights", "heads.EpicHead"),
        "Transformer > TermWeights > EpicHead",
    ),
    "a decoder without a head": (_modules("decoders.EchoTransformer"), "is no sparse encoder"),
    "a head alone": (_modules("heads.TiedHead"), "is no sparse encoder"),
    "documents once, queries twice": (_two_readings, "reads documents once, queries twice"),
    "a prompt and a head": (
        _modules("decoders.PromptTransformer", "heads.TiedHead"),
        "is no sparse encoder",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_models_of_our_modules(damage, reason: str, tiny_bert: str, tmp_path) -> None:
    model = build_model(RECIPES["unicoil"], Base(tiny_bert, document_length=48), device="cpu")
    model.save(str(tmp_path / "model"), create_model_card=False)
    damage(tmp_path / "model")
    with pytest.raises(EncoderUnavailableError, match=reason):
        Encoder.load(tmp_path / "model", backend="torch")


def test_a_prompt_of_its_own(tiny_decoder: str, tmp_path) -> None:
    model = build_model(RECIPES["promptreps"], Base(tiny_decoder, document_length=48), device="cpu")
    model.prompts = {"document": "{text}: its topic is", "query": ""}
    model.save(str(tmp_path / "model"), create_model_card=False)
    encoder = Encoder.load(tmp_path / "model")
    theirs = model.encode_document(TEXTS[:1]).to_dense()
    ours = encoder.encode_documents(TEXTS[:1]).to_torch(columns=theirs.shape[1]).to_dense()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    _edit("config_sentence_transformers.json", prompts={"document": "no place for it"})(
        tmp_path / "model"
    )
    with pytest.raises(EncoderUnavailableError, match=r"must hold \{text\} once"):
        Encoder.load(tmp_path / "model")
