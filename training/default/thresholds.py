"""Which terms a document has: thresholds for each token, by how much it is worth to queries."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from base_model import BASE_FOLDER
from config import TrainingConfig
from dense import DenseTexts
from groups import Groups
from head import Thresholds

_USABLE = re.compile(r"(##)?[a-z0-9]+")
_SAMPLE = 4000
_UNSEEN_USE = 0.3
"""Times a token that no query holds is taken to have been used."""


def usable_tokens() -> NDArray[np.int64]:
    """Return the tokens that may stand for a term: letters a to z and digits."""
    tokenizer = Tokenizer.from_file(str(BASE_FOLDER / "tokenizer.json"))
    tokens = [str(tokenizer.id_to_token(i)) for i in range(tokenizer.get_vocab_size())]
    return np.array([i for i, token in enumerate(tokens) if _USABLE.fullmatch(token)])


def thresholds_of(
    directions: NDArray[np.float32],
    passages: DenseTexts,
    queries: DenseTexts,
    groups: Groups,
    config: TrainingConfig,
) -> Thresholds:
    """Return the thresholds of each term.

    The share of passages that have a term, whatever their tokens, is proportional to how often
    queries use it times the spread of its products: that is what leaving it out would cost. All
    shares together come to `config.terms_per_text`. A term one of whose tokens is in the text
    counts from the mean of its products on, if its share does not give it a lower threshold anyway.

    Parameters
    ----------
    directions : ndarray of float32 [terms, width]
    passages, queries : DenseTexts
    groups : Groups
    config : TrainingConfig
    """
    rng = np.random.default_rng(config.seed)
    chosen = rng.choice(len(passages.vectors), _SAMPLE, replace=False)
    products = np.sort(passages.vectors[chosen] @ directions.T, axis=0)
    unseen = _UNSEEN_USE * groups.counts(np.arange(len(groups.places)))
    used = groups.counts(queries.tokens) + unseen
    shares = _shares(used * products.std(axis=0), config.terms_per_text, config.most_texts)
    ranks = ((1 - shares) * (_SAMPLE - 1)).astype(np.int64)
    others: NDArray[np.float32] = products[ranks, np.arange(len(ranks))]
    return Thresholds(np.minimum(products.mean(axis=0), others), others)


def _shares(worth: NDArray[np.float64], total: float, most: float) -> NDArray[np.float64]:
    """Return shares proportional to `worth`, none above `most`, that add up to `total`."""
    low, high = 0.0, most / worth.min()
    for _ in range(100):
        middle = (low + high) / 2
        if np.minimum(middle * worth, most).sum() > total:
            high = middle
        else:
            low = middle
    return np.minimum(low * worth, most)
