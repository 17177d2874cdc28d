"""What tokens of a query weigh, and how mixtures rank queries that the head was not trained on.

Each source of held-out pairs is a small collection of its own, with its own frequencies of terms:
what the encoder will meet is special collections, not one mixture of all.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from config import TrainingConfig
from dense import DenseTexts
from groups import Groups
from head import TOP_K, Head, Mixture, TrainingSet
from lexical import idf, lexical_scores

_WEIGHTS = (0.0, 2.0, 4.0, 6.0, 8.0, 9.0, 10.0, 11.0, 12.0, 15.0, 20.0)
_PAIR_WEIGHTS = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
_EXPONENTS = (0.5, 1.0)
_FEWEST_PAIRS = 20


class Choice(NamedTuple):
    """Power of the learned terms' idf, and weights of the learned part and of pairs of words."""

    exponent: float
    weight: float
    pair_weight: float


def make_mixture(
    training: TrainingSet, head: Head, held_out: NDArray[np.int64], config: TrainingConfig
) -> Mixture:
    """Return the head with query weights, and how mixtures with it rank held-out queries.

    A query's term weighs its inverse document frequency in the collection searched, divided by that
    in the training passages, to some power: 1 on average, and less where every document has it.
    """
    weights = _document_weights(head, training.passages)
    ranks = _mean_reciprocal_ranks(training, head, weights, held_out)
    measured = {
        f"idf^{of.exponent}, weight {of.weight}, pairs {of.pair_weight}": round(mean, 4)
        for of, mean in ranks.items()
    }
    exponent = config.idf_exponent
    return Mixture(head, _query_weights(head, weights, exponent), exponent, measured)


def _mean_reciprocal_ranks(
    training: TrainingSet, head: Head, weights: sparse.csr_array, held_out: NDArray[np.int64]
) -> dict[Choice, float]:
    """Return MRR@10 of each choice, in which each source counts the same; weight 0 is BM25."""
    answers = np.asarray(training.text.answers)
    sources = np.asarray(training.text.sources[: len(answers)])
    means: dict[Choice, list[float]] = {}
    for source in np.unique(sources):
        pairs = held_out[sources[held_out] == source]
        if len(pairs) < _FEWEST_PAIRS:
            continue
        passages = np.unique(answers[sources == source])
        places = np.searchsorted(passages, answers[pairs])
        lexical = lexical_scores(
            [training.text.queries[i] for i in pairs.tolist()],
            [training.text.passages[i] for i in passages.tolist()],
        )
        found = weights[passages]
        for exponent in _EXPONENTS:
            query_weights = _query_weights(head, weights, exponent)
            queries = _queries(training, pairs, head.groups, query_weights)
            live = sparse.diags_array(_idf(found) ** exponent)
            learned = (queries @ live @ found.T).toarray()
            for weight, pair_weight in product(_WEIGHTS, _PAIR_WEIGHTS):
                scores = lexical.words + pair_weight * lexical.pairs + weight * learned
                choice = Choice(exponent, weight, pair_weight)
                means.setdefault(choice, []).append(_reciprocal_rank(scores, places).mean())
    return {choice: float(np.mean(of)) for choice, of in means.items()}


def _query_weights(head: Head, weights: sparse.csr_array, exponent: float) -> NDArray[np.float32]:
    """Return each token's share of its term, times what makes live idf 1 on average."""
    usual = np.maximum(_idf(weights), 1e-6) ** exponent
    # Of tokens that stand for no term, behind all others; their share is 0.
    usual = np.append(usual, 1)
    made: NDArray[np.float32] = (head.groups.shares / usual[head.groups.places]).astype(np.float32)
    return made


def _document_weights(head: Head, passages: DenseTexts) -> sparse.csr_array:
    """Return the weights that the packaged model gives texts of one window."""
    groups, thresholds = head.groups, head.thresholds
    parts = []
    for start in range(0, len(passages.vectors), 1024):
        states = passages.vectors[start : start + 1024]
        own = np.zeros((len(states), len(groups.terms) + 1), bool)
        for row in range(len(states)):
            own[row, groups.places[passages.distinct(start + row)]] = True
        least = np.where(own[:, :-1], thresholds.own, thresholds.others)
        weights = np.maximum(states @ head.directions.T - least, 0)
        next_best = -np.partition(-weights, TOP_K, axis=1)[:, TOP_K : TOP_K + 1]
        parts.append(sparse.csr_array(np.where(weights > next_best, weights, 0)))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def _idf(weights: sparse.csr_array) -> NDArray[np.float64]:
    return idf(np.bincount(weights.indices, minlength=weights.shape[1]), weights.shape[0])


def _queries(
    training: TrainingSet,
    pairs: NDArray[np.int64],
    groups: Groups,
    query_weights: NDArray[np.float32],
) -> sparse.csr_array:
    rows = [training.queries.distinct(i) for i in pairs.tolist()]
    tokens = np.concatenate(rows)
    at = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    asking = groups.places[tokens] < len(groups.terms)
    tokens, at = tokens[asking], at[asking]
    # Tokens that stand for the same term add up.
    shape = (len(rows), len(groups.terms))
    return sparse.csr_array((query_weights[tokens], (at, groups.places[tokens])), shape=shape)


def _reciprocal_rank(
    scores: NDArray[np.float32], answers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return RR@10 of each query, which has one answer; what has no positive score is not found."""
    own = scores[np.arange(len(answers)), answers][:, None]
    ranks = (scores > own).sum(axis=1) + 1
    found: NDArray[np.float64] = np.where((ranks <= 10) & (own[:, 0] > 0), 1 / ranks, 0.0)
    return found
