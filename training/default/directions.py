"""Directions of tokens that add up: the sum over a text's tokens points where its vector does.

A query is then a sum of directions instead of a run of the model, and the similarity of a query
and a document is the sum, over the query's tokens, of products of direction and document: one
weight for each token, which an inverted index can hold.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from config import TrainingConfig
from dense import DenseTexts, encode_vocabulary
from lexical import idf
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bags:
    """Texts as bags of tokens, with the vectors that the model gives them.

    Parameters
    ----------
    tokens : ndarray of int64
        Of all bags; distinct in each.
    offsets : ndarray of int64 [bags + 1]
    vectors : ndarray of float32 [bags, width]
    """

    tokens: NDArray[np.int64]
    offsets: NDArray[np.int64]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, texts: list[DenseTexts], longest: int) -> Bags:
        """Return the bags of several batches of texts, of at most so many tokens each."""
        bags = [
            batch.distinct(row)[:longest] for batch in texts for row in range(len(batch.vectors))
        ]
        offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])])
        vectors = np.vstack([batch.vectors for batch in texts])
        return cls(np.concatenate(bags).astype(np.int64), offsets, vectors)

    def take(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of some bags one after another, and where each bag starts."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        starts = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(self.offsets[rows] - starts, lengths)
        return torch.from_numpy(self.tokens[places]), torch.from_numpy(starts)


_USUAL_SUM = 8.0
"""Untrained directions are divided by it, so that their sums are about as long as a vector."""


class TokenDirections(torch.nn.Module):
    """A direction for each token: what all tokens share, and what is its own.

    ``direction(t) = usual(t) @ shared + own(t)``: the map moves tokens that few texts hold with the
    others, and what is a token's own is kept small, so that it is learned from many texts.

    Parameters
    ----------
    usual : ndarray of float32 [vocabulary, width]
        The untrained directions.
    mean : ndarray of float32 [width]
        Of the vectors to be met.
    """

    usual: torch.Tensor

    def __init__(self, usual: NDArray[np.float32], mean: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("usual", torch.from_numpy(usual))
        self.shared = torch.nn.Parameter(torch.eye(usual.shape[1]))
        self.own = torch.nn.Parameter(torch.zeros(usual.shape))
        self.offset = torch.nn.Parameter(torch.from_numpy(mean))

    def forward(self, tokens: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Return the sum of the directions of each bag of tokens: ``[bags, width]``."""
        bag = torch.nn.functional.embedding_bag
        shared = bag(tokens, self.usual, starts, mode="sum") @ self.shared
        return bag(tokens, self.own, starts, mode="sum") + shared + self.offset

    @torch.no_grad()
    def to_numpy(self) -> NDArray[np.float32]:
        """Return the direction of each token: ``[vocabulary, width]``."""
        directions: NDArray[np.float32] = (self.own + self.usual @ self.shared).numpy()
        return directions


def untrained_directions(passages: DenseTexts) -> NDArray[np.float32]:
    """Return each token's own dense vector, centred, times its idf in the passages."""
    own = encode_vocabulary()
    own -= own.mean(axis=0)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    holders = [passages.distinct(row) for row in range(len(passages.vectors))]
    frequencies = np.bincount(np.concatenate(holders), minlength=len(own))
    usual = idf(frequencies, len(holders)).astype(np.float32)
    directions: NDArray[np.float32] = own * usual[:, None] / _USUAL_SUM
    return directions


def fit_directions(
    untrained: NDArray[np.float32], bags: Bags, config: TrainingConfig
) -> NDArray[np.float32]:
    """Fit directions to bags: the least mean of 1 - cosine of sums and vectors.

    Parameters
    ----------
    untrained : ndarray of float32 [vocabulary, width]
    bags : Bags
    config : TrainingConfig
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    module = TokenDirections(untrained, bags.vectors.mean(axis=0))
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate)
    n_bags = len(bags.vectors)
    steps = config.epochs * -(-n_bags // config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    started = time.perf_counter()
    for epoch in range(config.epochs):
        total = 0.0
        for rows in np.array_split(rng.permutation(n_bags), steps // config.epochs):
            tokens, starts = bags.take(rows)
            vectors = torch.from_numpy(bags.vectors[rows])
            cosines = torch.nn.functional.cosine_similarity(module(tokens, starts), vectors, dim=1)
            decay = config.decay * (module.own[tokens] ** 2).sum() / len(rows)
            loss = (1 - cosines).mean()
            optimizer.zero_grad()
            (loss + decay).backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}: 1 - cosine {total / n_bags:.4f}, {seconds:.0f} s", flush=True)
    return module.to_numpy()
