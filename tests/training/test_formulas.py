"""Activations, poolings, regularisers and losses against NumPy, gradients against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sentence_transformers.sparse_encoder.losses import FlopsLoss
from torch.autograd import gradcheck

from sparsearch.encoders.checkpoint_parts import ACTIVATIONS, ELEMENTWISE_ACTIVATIONS
from sparsearch.encoders.torch_activations import ELEMENTWISE, OVER_VOCABULARY, top_k
from sparsearch.training.fused import max_logits, sum_weights
from sparsearch.training.losses import AntiZeroLoss, RankingLoss, build_loss
from sparsearch.training.modules import EpicHead, TermWeights, TiedHead, VocabularyPooling
from sparsearch.training.recipe import LOSSES, LossPart, RegulariserPart
from sparsearch.training.regularisers import DfFlopsLoss, build_regulariser

BATCH, DOCUMENTS, LENGTH, SIZE, TERMS = 4, 3, 5, 6, 11
seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def softmax(x: np.ndarray) -> np.ndarray:
    exponents = np.exp(x - x.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


NUMPY_ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "log1p": lambda x: np.log(1 + np.maximum(x, 0)),
    "log1p_log1p": lambda x: np.log(1 + np.log(1 + np.maximum(x, 0))),
    "log1p_softplus": lambda x: np.log(1 + softplus(x)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(seed=seeds)
def test_elementwise_activations(name: str, seed: int) -> None:
    logits = normal(seed, BATCH, TERMS) * 3
    ours = ELEMENTWISE[name](torch.from_numpy(logits))
    assert_allclose(ours, NUMPY_ACTIVATIONS[name](logits), rtol=1e-7)


def threshold_by_bisection(row: np.ndarray, weights) -> float:
    low, high = row.min() - 2.0, row.max()
    for _ in range(200):
        middle = (low + high) / 2
        if weights(row, middle).sum() > 1:
            low = middle
        else:
            high = middle
    return (low + high) / 2


SIMPLEX = {
    "sparsemax": (1.0, lambda x, t: np.maximum(x - t, 0)),
    "entmax15": (0.5, lambda x, t: np.maximum(x - t, 0) ** 2),
}


@pytest.mark.parametrize("name", OVER_VOCABULARY)
@given(seed=seeds, scale=st.sampled_from([0.01, 1.0, 5.0]))
def test_projections_onto_the_simplex(name: str, seed: int, scale: float) -> None:
    logits = normal(seed, BATCH, TERMS) * scale
    factor, weights = SIMPLEX[name]
    scaled = logits * factor
    expected = [weights(row, threshold_by_bisection(row, weights)) for row in scaled]
    assert_allclose(OVER_VOCABULARY[name](torch.from_numpy(logits)), expected, atol=1e-9)


@pytest.mark.parametrize("name", OVER_VOCABULARY)
def test_equal_logits_share_alike(name: str) -> None:
    weights = OVER_VOCABULARY[name](torch.zeros(2, 8))
    assert_allclose(weights, np.full((2, 8), 1 / 8), rtol=1e-6)


@given(seed=seeds, k=st.integers(1, TERMS + 2))
def test_top_k(seed: int, k: int) -> None:
    weights = normal(seed, BATCH, TERMS)
    expected = np.zeros_like(weights)
    for row, best in zip(range(BATCH), np.argsort(-weights)[:, :k], strict=True):
        expected[row, best] = weights[row, best]
    assert_allclose(top_k(torch.from_numpy(weights), k), expected)


@pytest.mark.parametrize("name", [*ELEMENTWISE, *OVER_VOCABULARY])
def test_gradients_of_activations(name: str) -> None:
    logits = torch.from_numpy(normal(3, BATCH, TERMS)).requires_grad_()
    activation = {**ELEMENTWISE, **OVER_VOCABULARY}[name]
    assert gradcheck(activation, logits, eps=1e-6, atol=1e-5)


# -------------------------------------------------------------------------------------------------


def mask_of(seed: int) -> np.ndarray:
    lengths = np.random.default_rng(seed).integers(1, LENGTH + 1, BATCH)
    return np.arange(LENGTH) < lengths[:, None]


@pytest.mark.parametrize("pooling", ["max", "sum", "last"])
@pytest.mark.parametrize("activation", ["log1p", "log1p_softplus", "sparsemax"])
@given(seed=seeds)
@settings(max_examples=20)
def test_poolings(pooling: str, activation: str, seed: int) -> None:
    logits, mask = normal(seed, BATCH, LENGTH, TERMS).astype(np.float32), mask_of(seed)
    features = {
        "token_embeddings": torch.from_numpy(logits),
        "attention_mask": torch.from_numpy(mask).long(),
    }
    ours = VocabularyPooling(pooling, activation)(features)["sentence_embedding"]
    elementwise = NUMPY_ACTIVATIONS.get(activation)
    expected = []
    for text, kept in zip(logits, mask, strict=True):
        tokens = text[kept]
        before = tokens if elementwise is None else elementwise(tokens)
        pooled = {"max": before.max(0), "sum": before.sum(0), "last": before[-1]}[pooling]
        if elementwise is None:
            weights = SIMPLEX[activation][1]
            pooled = weights(pooled, threshold_by_bisection(pooled, weights))
        expected.append(pooled)
    assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["identity", "relu", "log1p_softplus"])
@given(seed=seeds)
@settings(max_examples=20)
def test_term_weights(activation: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    hidden = normal(seed, BATCH, LENGTH, SIZE).astype(np.float32)
    terms, mask = random.integers(0, TERMS, (BATCH, LENGTH)), mask_of(seed)
    module = TermWeights(SIZE, TERMS, activation, ignored=(0, 1)).train()
    weight, bias = module.linear.weight.detach().numpy()[0], float(module.linear.bias.detach())
    features = {
        "token_embeddings": torch.from_numpy(hidden),
        "input_ids": torch.from_numpy(terms),
        "attention_mask": torch.from_numpy(mask).long(),
    }
    ours = module(dict(features))["sentence_embedding"].detach()
    expected = np.zeros((BATCH, TERMS))
    for text in range(BATCH):
        for term in set(terms[text][mask[text]]) - {0, 1}:
            places = mask[text] & (terms[text] == term)
            logits = hidden[text][places] @ weight + bias
            expected[text, term] = NUMPY_ACTIVATIONS[activation](logits).max()
    # A term that is ignored or padding stays at zero, whatever the activation.
    assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    evaluated = module.eval()(dict(features))["sentence_embedding"].detach()
    assert_allclose(evaluated, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)


@given(seed=seeds)
@settings(max_examples=20)
def test_epic_head(seed: int) -> None:
    hidden, mask = normal(seed, BATCH, LENGTH, SIZE).astype(np.float32), mask_of(seed)
    module = EpicHead(TERMS, SIZE)
    module.expansion.start_from(torch.from_numpy(normal(seed + 1, TERMS, SIZE)))
    features = {
        "token_embeddings": torch.from_numpy(hidden),
        "attention_mask": torch.from_numpy(mask).long(),
    }
    ours = module(features)["sentence_embedding"].detach()
    table = module.expansion.weight.detach().numpy()
    a, b = module.importance, module.quality
    importance = hidden @ a.weight.detach().numpy()[0] + float(a.bias.detach())
    quality = hidden[:, 0] @ b.weight.detach().numpy()[0] + float(b.bias.detach())
    activation = NUMPY_ACTIVATIONS["log1p_softplus"]
    for text in range(BATCH):
        gated = (hidden[text] @ table.T) * activation(importance[text])[:, None]
        best = activation(gated[mask[text]]).max(0)
        assert_allclose(ours[text], best / (1 + np.exp(-quality[text])), rtol=1e-4, atol=1e-6)


def test_a_centred_head_starts_from_directions() -> None:
    table = normal(5, TERMS, SIZE)
    rows = TiedHead(TERMS, SIZE).start_from(torch.from_numpy(table), centred=True).weight
    centred = table - table.mean(0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    assert_allclose(rows.detach(), expected, rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 7, 1 << 24], ids=lambda logits: f"chunk-{logits}")
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsearch.training.fused._CHUNK_LOGITS", request.param * BATCH * LENGTH)


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("activation", ["relu", "log1p"])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("pooling", ["max", "sum"])
def test_fused_heads_equal_the_plain_head(pooling: str, with_bias: bool, activation: str) -> None:
    mask = torch.from_numpy(mask_of(1))
    results = []
    for fused in (True, False):
        hidden = torch.from_numpy(normal(1, BATCH, LENGTH, SIZE)).float().requires_grad_()
        weight = torch.from_numpy(normal(2, TERMS, SIZE)).float().requires_grad_()
        bias = torch.from_numpy(normal(3, TERMS)).float().requires_grad_() if with_bias else None
        function = ELEMENTWISE[activation]
        if fused and pooling == "max":
            vectors = function(max_logits(hidden, weight, bias, mask))
        elif fused:
            vectors = sum_weights(hidden, weight, bias, mask, function)
        else:
            logits = torch.nn.functional.linear(hidden, weight, bias)
            weights = function(logits) * mask[..., None]
            vectors = weights.amax(1) if pooling == "max" else weights.sum(1)
        (vectors * torch.from_numpy(normal(4, BATCH, TERMS)).float()).sum().backward()
        results.append([vectors, hidden.grad, weight.grad, *([] if bias is None else [bias.grad])])
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain)


def test_a_text_of_padding_has_no_terms() -> None:
    mask = torch.tensor([[1, 1], [0, 0]])
    hidden = torch.randn(2, 2, SIZE, requires_grad=True)
    weight = torch.randn(TERMS, SIZE)
    vectors = torch.relu(max_logits(hidden, weight, None, mask))
    assert vectors[0].any()
    assert not vectors[1].any()
    vectors.sum().backward()
    assert torch.isfinite(hidden.grad).all()
    assert not hidden.grad[1].any()


# -------------------------------------------------------------------------------------------------


def df_flops(vectors: np.ndarray, shares: np.ndarray, alpha: float, beta: float) -> float:
    with np.errstate(divide="ignore", over="ignore"):
        weights = 1 / (1 + (shares ** math.log(2, alpha) - 1) ** beta)
    return float(np.sum((weights * np.abs(vectors).mean(0)) ** 2))


@given(seed=seeds, threshold=st.integers(0, TERMS))
def test_regularisers(seed: int, threshold: int) -> None:
    vectors = np.maximum(normal(seed, BATCH, TERMS), 0)
    embeddings = torch.from_numpy(vectors)

    def loss(part: RegulariserPart) -> float:
        return float(build_regulariser(part, TERMS).compute_loss_from_embeddings(embeddings))

    flops = np.sum(np.abs(vectors).mean(0) ** 2)
    assert_allclose(loss(RegulariserPart("flops", 1.0)), flops)
    assert_allclose(loss(RegulariserPart("l1", 1.0)), np.abs(vectors).sum(1).mean())
    masked = vectors * ((vectors != 0).sum(1, keepdims=True) > threshold)
    expected = np.sum(masked.mean(0) ** 2)
    assert_allclose(loss(RegulariserPart("flops", 1.0, threshold=threshold)), expected)
    assert isinstance(build_regulariser(RegulariserPart("flops", 1.0), TERMS), FlopsLoss)


@given(seed=seeds)
@settings(max_examples=20)
def test_df_flops_counts_documents_and_weighs_terms(seed: int) -> None:
    loss = DfFlopsLoss(TERMS, alpha=0.3, beta=4.0, window=2 * BATCH).double().train()
    first, second = (np.maximum(normal(seed + i, BATCH, TERMS), 0) for i in (0, 1))
    unweighted = loss.compute_loss_from_embeddings(torch.from_numpy(first))
    assert_allclose(unweighted, np.sum(first.mean(0) ** 2))
    weighted = loss.compute_loss_from_embeddings(torch.from_numpy(second))
    shares = (np.concatenate([first, second]) != 0).mean(0)
    assert_allclose(weighted, df_flops(second, shares, 0.3, 4.0), rtol=1e-6)


def test_df_flops_weighs_half_at_alpha() -> None:
    loss = DfFlopsLoss(3, alpha=0.1, beta=10.0)
    weights = loss.weights_of(torch.tensor([0.0, 0.01, 0.1, 0.5, 1.0], dtype=torch.float64))
    assert_allclose(weights, [0, 0, 0.5, 1, 1], atol=1e-3)


# -------------------------------------------------------------------------------------------------


def numpy_loss(kind: str, queries: np.ndarray, documents: np.ndarray, scores: np.ndarray) -> float:
    """`documents` is [documents, batch, terms]."""
    own = np.einsum("bt,dbt->bd", queries, documents)
    if kind == "infonce":
        all_scores = queries @ documents.reshape(-1, TERMS).T
        return -np.mean(np.log(softmax(all_scores)[np.arange(BATCH), np.arange(BATCH)]))
    if kind == "candidates":
        return -np.mean(np.log(softmax(own)[:, 0]))
    if kind == "margin_mse":
        margins, wanted = own[:, :1] - own[:, 1:], scores[:, :1] - scores[:, 1:]
        return np.mean((margins - wanted) ** 2)
    if kind == "kl":
        teacher, student = softmax(scores), softmax(own)
        return np.mean(np.sum(teacher * np.log(teacher / student), axis=1))
    if kind == "term_recall":
        first = documents[0]
        terms = first != 0
        return np.sum((first - (queries > 0)) ** 2 * terms) / terms.sum()
    assert kind == "anti_zero"
    return 1 / queries.sum() ** 2 + 1 / documents[0].sum() ** 2


def batch_of(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    queries = np.maximum(normal(seed, BATCH, TERMS), 0) + 0.01
    documents = np.maximum(normal(seed + 1, DOCUMENTS, BATCH, TERMS), 0)
    return queries, documents, normal(seed + 2, BATCH, DOCUMENTS) * 3


@pytest.mark.parametrize("kind", LOSSES)
@given(seed=st.integers(0, 2**32 - 4))
@settings(max_examples=25)
def test_losses(kind: str, seed: int) -> None:
    queries, documents, scores = batch_of(seed)
    embeddings = [torch.from_numpy(queries), *torch.from_numpy(documents)]
    labels = torch.from_numpy(scores)
    loss = build_loss(LossPart(kind)).compute_loss_from_embeddings(embeddings, labels)
    assert_allclose(float(loss), numpy_loss(kind, queries, documents, scores), rtol=1e-6)
    weighted = RankingLoss([LossPart(kind, 0.5), LossPart("candidates", 2.0)])
    candidates = numpy_loss("candidates", queries, documents, scores)
    expected = 0.5 * numpy_loss(kind, queries, documents, scores) + 2 * candidates
    total = weighted.compute_loss_from_embeddings(embeddings, labels)
    assert_allclose(float(total), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_of_losses(kind: str) -> None:
    queries, documents, scores = batch_of(7)
    # Away from zero, where the set of a document's terms would change.
    inputs = [torch.from_numpy(array).requires_grad_() for array in (queries, *(documents + 0.1))]
    labels, loss = torch.from_numpy(scores), build_loss(LossPart(kind))

    def function(*embeddings: torch.Tensor) -> torch.Tensor:
        return loss.compute_loss_from_embeddings(list(embeddings), labels)

    assert gradcheck(function, inputs, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", ["flops", "l1", "df_flops"])
def test_gradients_of_regularisers(kind: str) -> None:
    loss = build_regulariser(RegulariserPart(kind, 1.0), TERMS).eval()
    vectors = torch.from_numpy(np.abs(normal(1, BATCH, TERMS)) + 0.1).requires_grad_()
    assert gradcheck(loss.compute_loss_from_embeddings, vectors, eps=1e-6, atol=1e-5)


def test_empty_vectors_do_not_make_the_anti_zero_loss_infinite() -> None:
    zeros = torch.zeros(2, TERMS, requires_grad=True)
    loss = AntiZeroLoss().compute_loss_from_embeddings([zeros, zeros])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(zeros.grad).all()


def test_names_of_activations_are_known_without_torch() -> None:
    assert set(ELEMENTWISE_ACTIVATIONS) == ELEMENTWISE.keys()
    assert set(ACTIVATIONS) == ELEMENTWISE.keys() | OVER_VOCABULARY.keys()
