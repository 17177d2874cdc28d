"""The vectors of a live model, with the vocabulary head fused where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import Router, SpladePooling
from torch import Tensor, nn

from sparsearch.encoders.checkpoint_parts import SPLADE_ACTIVATIONS
from sparsearch.encoders.torch_activations import ELEMENTWISE, top_k
from sparsearch.training.fused import max_logits, sum_weights
from sparsearch.training.modules import TiedHead, VocabularyPooling

__all__ = ["chain", "embed", "tokenize"]

Features = dict[str, Any]


def chain(model: Any, task: str) -> list[nn.Module]:
    """Return the modules that texts of a task, ``query`` or ``document``, go through."""
    modules = list(model.children())
    if isinstance(modules[0], Router):
        return [*modules[0].sub_modules[task], *modules[1:]]
    return modules


def tokenize(model: Any, texts: Sequence[str], task: str, device: Any) -> Features:
    """Return the features of texts, on a device."""
    features = chain(model, task)[0].preprocess(list(texts), task=task)
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in features.items()
    }


def embed(model: Any, features: Features, task: str, *, fused: bool = True) -> Tensor:
    """Return the vectors of texts, ``[texts, vocabulary]`` in float32.

    They are those of ``model(features)``, cut to the model's ``max_active_dims``.

    Parameters
    ----------
    model : SparseEncoder
    features : dict
        As `tokenize` makes them; unchanged.
    task : str
        ``query`` or ``document``.
    fused : bool
        Whether the vocabulary head and pooling may run as one.
    """
    modules = chain(model, task)
    features = dict(features)
    head = _fusible(modules) if fused else None
    if head is not None:
        vectors = head(features)
    else:
        for module in modules:
            features = module(features)
        vectors = features["sentence_embedding"]
    vectors = vectors.float()
    return vectors if model.max_active_dims is None else top_k(vectors, model.max_active_dims)


def _fusible(modules: Sequence[nn.Module]) -> Callable[[Features], Tensor] | None:
    """Return the fused form of modules that have one: a vocabulary head, then max or sum."""
    *before, pooling = modules
    activation = _activation(pooling)
    if activation is None or not before:
        return None
    if len(before) == 2 and isinstance(before[1], TiedHead):
        transformer, head = before
        return lambda features: _pooled(
            transformer(features), (head.weight, head.bias), pooling, activation
        )
    if len(before) == 1 and isinstance(before[0], Transformer):
        model = before[0].model
        decoder = model.get_output_embeddings()
        is_head = isinstance(decoder, nn.Linear) and len(decoder.weight) == model.config.vocab_size
        if before[0].transformer_task == "fill-mask" and is_head:
            return lambda features: _masked_lm(before[0], decoder, features, pooling, activation)
    return None


def _masked_lm(
    transformer: Any,
    decoder: nn.Linear,
    features: Features,
    pooling: nn.Module,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    with _passing_through(decoder) as calls:
        features = transformer(features)  # its "logits" are what the decoder would be given
    if not calls:  # it multiplies by the weights itself, as MobileBERT does
        vectors: Tensor = pooling(features)["sentence_embedding"]
        return vectors
    return _pooled(features, (decoder.weight, decoder.bias), pooling, activation)


@contextmanager
def _passing_through(layer: nn.Module) -> Iterator[list[None]]:
    """Make a layer return its input, by an attribute that hides the method of its class.

    Yields a list that has one item for each time that it was called.
    """
    calls: list[None] = []

    def forward(hidden: Tensor) -> Tensor:
        calls.append(None)
        return hidden

    layer.forward = forward
    try:
        yield calls
    finally:
        del layer.forward


def _pooled(
    features: Features,
    head: tuple[Tensor, Tensor | None],
    pooling: Any,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    hidden, mask = features["token_embeddings"], features["attention_mask"]
    if _strategy(pooling) == "sum":
        return sum_weights(hidden, *head, mask, activation)
    return activation(max_logits(hidden, *head, mask))


def _strategy(pooling: nn.Module) -> str:
    strategy = pooling.pooling_strategy if isinstance(pooling, SpladePooling) else pooling.pooling
    return str(strategy)


def _activation(pooling: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return the elementwise activation of a pooling that can be fused, else None."""
    if isinstance(pooling, SpladePooling):
        name = SPLADE_ACTIVATIONS[pooling.activation_function]
    elif isinstance(pooling, VocabularyPooling) and pooling.pooling != "last":
        name = pooling.activation
    else:
        return None
    return ELEMENTWISE.get(name)
