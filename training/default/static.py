"""Directions of tokens that add up to the dense vectors of the texts they stand in.

The sum of its tokens' directions is what the base model would say of a query, as far as that can be
said without context. Documents are compared with each direction by itself, so the learned part of a
score is the inner product of that sum with the document's dense vector, but for what thresholds and
the choice of the heaviest terms leave out.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from config import TrainingConfig
from dense import DenseTexts, encode_vocabulary
from numpy.typing import NDArray


def fit_directions(
    parts: list[tuple[DenseTexts, NDArray[np.int64]]],
    idf: NDArray[np.float32],
    config: TrainingConfig,
) -> NDArray[np.float32]:
    """Return a direction for each token, by maximising cosines over texts.

    Parameters
    ----------
    parts : list of (DenseTexts, ndarray of int64)
        Texts, and which of them to learn from.
    idf : ndarray of float32 [vocabulary]
        Of each token in passages; the directions' lengths have its mean over all tokens of texts.
    config : TrainingConfig

    Returns
    -------
    ndarray of float32 [vocabulary, width]
    """
    torch.manual_seed(config.seed)
    bags = [texts.distinct(row) for texts, rows in parts for row in rows.tolist()]
    targets = torch.from_numpy(np.concatenate([texts.vectors[rows] for texts, rows in parts]))
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum([len(bag) for bag in bags])]))
    tokens = torch.from_numpy(np.concatenate(bags).astype(np.int64))
    own = encode_vocabulary()
    start = torch.from_numpy((own - own.mean(axis=0)) * idf[:, None] / 8)
    table = torch.nn.EmbeddingBag.from_pretrained(start, freeze=False, mode="sum")
    shared = torch.nn.Parameter(targets.mean(0))
    optimizer = torch.optim.Adam([*table.parameters(), shared], lr=config.static_rate)
    started = time.perf_counter()
    for epoch in range(config.static_epochs):
        total = 0.0
        for batch in torch.randperm(len(bags)).split(config.static_batch):
            lengths = offsets[batch + 1] - offsets[batch]
            starts = torch.cumsum(lengths, 0) - lengths
            inside = torch.arange(int(lengths.sum())) - torch.repeat_interleave(starts, lengths)
            chosen = tokens[torch.repeat_interleave(offsets[batch], lengths) + inside]
            made = table(chosen, starts) + shared
            loss = 1 - torch.nn.functional.cosine_similarity(made, targets[batch], dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}: 1 - cosine {total / len(bags):.4f}, {seconds:.0f} s", flush=True)
    directions: NDArray[np.float32] = table.weight.detach().numpy()
    used = np.concatenate(bags)
    # Cosines leave the common length open.
    scale = idf[used].mean() / np.linalg.norm(directions, axis=1)[used].mean()
    return directions * np.float32(scale)
