"""Dense vectors of texts by the base model: what the head reads and directions are fitted to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from base_model import BASE_FOLDER, load_backbone

_LONGEST, _BATCH_TOKENS = 256, 6144
_CLS, _SEP = 101, 102


@dataclass(frozen=True)
class DenseTexts:
    """Texts as the base model sees them.

    Parameters
    ----------
    tokens : ndarray of int32
        Of all texts, ``[CLS]`` and ``[SEP]`` included, at most 256 a text.
    offsets : ndarray of int64 [texts + 1]
    vectors : ndarray of float32 [texts, width]
        Mean-pooled, unit-normed.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def distinct(self, row: int) -> NDArray[np.int32]:
        """Return a text's distinct tokens, without those that frame it."""
        tokens = np.unique(self.tokens[self.offsets[row] : self.offsets[row + 1]])
        own: NDArray[np.int32] = tokens[(tokens != _CLS) & (tokens != _SEP)]
        return own

    def rows(self, rows: NDArray[np.int64]) -> DenseTexts:
        """Return some of the texts."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return DenseTexts(self.tokens[places], offsets, self.vectors[rows])


def encode_cached(texts: Sequence[str], cache: Path) -> DenseTexts:
    """Encode texts in bfloat16, or read them from the cache folder if it has them."""
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = cache / f"dense-{digest}.npz"
    if not path.is_file():
        made = _encode(texts)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, tokens=made.tokens, offsets=made.offsets, vectors=made.vectors)
    with np.load(path) as stored:
        return DenseTexts(stored["tokens"], stored["offsets"], stored["vectors"])


@torch.no_grad()
def _encode(texts: Sequence[str]) -> DenseTexts:
    tokenizer = Tokenizer.from_file(str(BASE_FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = [
        one.ids if len(one.ids) <= _LONGEST else [*one.ids[: _LONGEST - 1], _SEP]
        for start in range(0, len(texts), 2000)
        for one in tokenizer.encode_batch(list(texts[start : start + 2000]))
    ]
    lengths = np.array([len(row) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    model = load_backbone(torch.bfloat16)
    vectors = np.zeros((len(rows), model.config.hidden_size), np.float32)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        chosen = order[start : start + max(1, _BATCH_TOKENS // lengths[order[start]])]
        start += len(chosen)
        ids = torch.zeros(len(chosen), int(lengths[chosen[0]]), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, row in enumerate(chosen.tolist()):
            ids[at, : lengths[row]] = torch.tensor(rows[row])
            mask[at, : lengths[row]] = 1
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        vectors[chosen] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    tokens = np.concatenate([np.asarray(row, np.int32) for row in rows])
    return DenseTexts(tokens, offsets, vectors)


@torch.no_grad()
def encode_vocabulary() -> NDArray[np.float32]:
    """Return the vector of every token by itself, between ``[CLS]`` and ``[SEP]``."""
    model = load_backbone(torch.bfloat16)
    parts = []
    for ids in torch.arange(model.config.vocab_size).split(2048):
        framed = torch.stack([torch.full_like(ids, _CLS), ids, torch.full_like(ids, _SEP)], 1)
        mask = torch.ones_like(framed)
        states = model(input_ids=framed, attention_mask=mask).last_hidden_state.float()
        parts.append(torch.nn.functional.normalize(states.mean(1), dim=1))
    vectors: NDArray[np.float32] = torch.cat(parts).numpy()
    return vectors
