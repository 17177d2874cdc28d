"""Directions of tokens that add up: the sum over a text's tokens points where its vector does.

A query is then a sum of directions instead of a run of the model, and the similarity of a query
and a document is the sum, over the query's tokens, of products of direction and document: one
weight for each token, which an inverted index can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sparsearch.training.config import FitConfig
from sparsearch.vectors.ranges import places_of

__all__ = ["Bags", "TokenDirections", "fit_directions"]


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
    def of(cls, bags: list[NDArray[np.int64]], vectors: NDArray[np.float32]) -> Bags:
        """Return the bags of texts, each with its vector."""
        offsets = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])])
        return cls(np.concatenate(bags).astype(np.int64), offsets, vectors)

    def take(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens of some bags one after another, and where each bag starts."""
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        starts = np.cumsum(lengths) - lengths
        places = places_of(self.offsets[rows], lengths)
        return torch.from_numpy(self.tokens[places]), torch.from_numpy(starts)


class TokenDirections(torch.nn.Module):
    """A direction for each token: what all tokens share, and what is its own.

    ``direction(t) = usual(t) @ shared + own(t)``: the map moves tokens that few texts hold with the
    others, and what is a token's own is kept small, so that it is learned from many texts.

    Parameters
    ----------
    usual : ndarray of float32 [vocabulary, width]
        Directions to start from.
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


def fit_directions(
    start: NDArray[np.float32],
    bags: Bags,
    config: FitConfig,
    report: Callable[[int, float], None] | None = None,
) -> NDArray[np.float32]:
    """Fit directions to bags: the least mean of 1 - cosine of sums and vectors.

    Parameters
    ----------
    start : ndarray of float32 [vocabulary, width]
        Directions to start from.
    bags : Bags
    config : FitConfig
    report : callable, optional
        Called after each epoch with its number, from 1, and its mean of 1 - cosine.

    Returns
    -------
    ndarray of float32 [vocabulary, width]
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    module = TokenDirections(start, bags.vectors.mean(axis=0))
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate)
    n_bags = len(bags.vectors)
    steps = config.epochs * -(-n_bags // config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
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
        if report is not None:
            report(epoch + 1, total / n_bags)
    fitted: NDArray[np.float32] = module.to_numpy()
    return fitted
