"""Which tokens stand for the same thing, and share a term of a document.

A document about cars has *car*, *cars*, *automobile* and *vehicle* among its terms if each token is
a term of its own, and of the 128 it may keep, few are left for what else it is about. So tokens
whose directions are nearly the same are one term, named by the one that queries use most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Groups:
    """Terms, and the tokens that stand for them.

    Parameters
    ----------
    terms : ndarray of int64 [terms]
        The token that names each, ascending.
    places : ndarray of int64 [vocabulary]
        The place in `terms` of the term that each token stands for; ``len(terms)`` for tokens that
        stand for none.
    shares : ndarray of float32 [vocabulary]
        How much of its term's direction a token's own is; 0 for tokens that stand for none.
    """

    terms: NDArray[np.int64]
    places: NDArray[np.int64]
    shares: NDArray[np.float32]

    def term_of_each(self) -> NDArray[np.int32]:
        """Return the token that names the term of each token: its own where there is none."""
        every = np.arange(len(self.places))
        standing = self.places < len(self.terms)
        every[standing] = self.terms[self.places[standing]]
        return every.astype(np.int32)

    def counts(self, tokens: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return how often some tokens, all in all, ask for each term."""
        counted = np.bincount(self.places[tokens], self.shares[tokens], len(self.terms) + 1)
        return counted[:-1].astype(np.float64)


def group_tokens(
    directions: NDArray[np.float32],
    usable: NDArray[np.int64],
    used: NDArray[np.int64],
    similarity: float,
) -> tuple[Groups, NDArray[np.float32]]:
    """Return groups of tokens with similar directions, and the mean direction of each.

    The token that queries use most takes along all whose directions have at least this cosine with
    its own; of those that are left, the most used one is next.

    Parameters
    ----------
    directions : ndarray of float32 [vocabulary, width]
    usable : ndarray of int64
        Tokens that may stand for a term, ascending.
    used : ndarray of int64 [vocabulary]
        How often queries use each token.
    similarity : float
    """
    own = directions[usable]
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    leaders = np.full(len(usable), -1)
    for token in np.argsort(-used[usable], kind="stable").tolist():
        if leaders[token] < 0:
            alike = (unit @ unit[token] >= similarity) & (leaders < 0)
            alike[token] = True
            leaders[alike] = token
    named, members = np.unique(leaders, return_inverse=True)
    means = np.zeros((len(named), own.shape[1]), np.float32)
    np.add.at(means, members, own)
    means /= np.bincount(members)[:, None].astype(np.float32)
    products = (own * means[members]).sum(axis=1) / (means[members] ** 2).sum(axis=1)
    places = np.full(len(directions), len(named))
    places[usable] = members
    shares = np.zeros(len(directions), np.float32)
    shares[usable] = np.maximum(products, 0)
    return Groups(usable[named], places, shares), means
