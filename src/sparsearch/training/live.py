"""A model in training as an encoder of ours: for development measures and for mining."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparsearch.encoders import CollectionStatistics, Encoder
from sparsearch.training.forward import embed, tokenize
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["LiveEncoder", "to_vectors"]

_BATCH_TEXTS = 32


class LiveEncoder(Encoder):
    """Encodes with the model as it is now, in evaluation mode and without gradients.

    Texts are cut to the model's longest input, as in training. An index made with it opens with
    another one over the same weights.

    Parameters
    ----------
    model : SparseEncoder
    precision : str
        ``fp32`` or ``bf16``.
    fused : bool
        Whether the vocabulary head and pooling may run as one.
    """

    saturation = None

    def __init__(self, model: Any, precision: str = "fp32", *, fused: bool = True) -> None:
        self._model = model
        self._precision = precision
        self._fused = fused
        self._vocabulary = Vocabulary(_terms(model.tokenizer))

    @property
    def identity(self) -> dict[str, Any]:
        """The digest of the weights as they are now: an index takes no other model's vectors."""
        digest = hashlib.sha256()
        for name, values in sorted(self._model.state_dict().items()):
            digest.update(f"{name}:{tuple(values.shape)}:{values.dtype}\n".encode())
            digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return {"type": "live-sparse-encoder", "weights": digest.hexdigest()}

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the model's tokenizer."""
        return self._vocabulary

    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Return one vector per text."""
        return self._encode(texts, "document")

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseVectors:
        """Return one vector per text."""
        return self._encode(texts, "query")

    def _encode(self, texts: Sequence[str], task: str) -> SparseVectors:
        # Texts of like length go together, so that little is padding.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        batches = [SparseVectors.from_dicts([], self._vocabulary)]
        with _evaluating(self._model, self._precision):
            for start in range(0, len(order), _BATCH_TEXTS):
                portion = [texts[number] for number in order[start : start + _BATCH_TEXTS]]
                features = tokenize(self._model, portion, task, self._model.device)
                vectors = embed(self._model, features, task, fused=self._fused)
                batches.append(to_vectors(vectors, self._vocabulary))
        return SparseVectors.concatenate(batches)[np.argsort(order, kind="stable")]


def to_vectors(vectors: Tensor, vocabulary: Vocabulary) -> SparseVectors:
    """Return dense vectors ``[texts, vocabulary]`` as a sparse batch."""
    rows, terms = vectors.nonzero(as_tuple=True)
    weights = vectors[rows, terms].float().cpu().numpy()
    counts = np.bincount(rows.cpu().numpy(), minlength=len(vectors))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return SparseVectors(offsets, terms.cpu().numpy().astype(np.uint32), weights, vocabulary)


@contextmanager
def _evaluating(model: Any, precision: str) -> Iterator[None]:
    was_training = model.training
    model.eval()
    enabled = precision == "bf16"
    try:
        with (
            torch.inference_mode(),
            torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=enabled),
        ):
            yield
    finally:
        model.train(was_training)


def _terms(tokenizer: Any) -> list[str]:
    by_id = {number: term for term, number in tokenizer.get_vocab().items()}
    return [by_id.get(number, f"[unused-{number}]") for number in range(max(by_id) + 1)]
