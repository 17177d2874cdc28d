"""How much the learned terms count, chosen on training pairs that the head was not trained on.

Each source of held-out pairs is a small collection of its own, with its own frequencies of terms:
what the encoder will meet is special collections, not one mixture of all.
"""

from __future__ import annotations

import numpy as np
from dense import DenseTexts
from head import TOP_K, Head, Mixture, TrainingSet
from lexical import bm25_matrices, idf
from numpy.typing import NDArray
from scipy import sparse

_WEIGHTS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
_EXPONENTS = (0.5, 1.0)
_FEWEST_PAIRS = 20

Ranks = list[NDArray[np.float64]]
"""Reciprocal ranks of the held-out pairs of each source."""


def choose_mixture(training: TrainingSet, head: Head, held_out: NDArray[np.int64]) -> Mixture:
    """Return the head with query weights, and the weight and exponent of idf for it.

    A query token weighs its inverse document frequency in the collection searched, divided by that
    in the training passages, to some power: 1 on average, and less where every document has it.

    The smallest weight within one standard error of the best is taken (Breiman et al. 1984): what
    these pairs cannot tell apart is decided for the words themselves.
    """
    weights = _document_weights(head, training.passages)
    ranks = _reciprocal_ranks(training, head, weights, held_out)
    means = {choice: _mean(of) for choice, of in ranks.items()}
    best = max(means, key=lambda choice: means[choice])
    as_good = [choice for choice, of in ranks.items() if _is_as_good(of, ranks[best])]
    exponent, weight = min(as_good, key=lambda choice: (choice[1], -means[choice]))
    query_weights = _query_weights(head, weights, exponent)
    measured = {f"idf^{power}, weight {factor}": mean for (power, factor), mean in means.items()}
    return Mixture(head, query_weights, weight, exponent, measured)


def _mean(ranks: Ranks) -> float:
    """Return the mean over sources: each counts the same."""
    return float(np.mean([of.mean() for of in ranks]))


def _is_as_good(ranks: Ranks, best: Ranks) -> bool:
    """Whether the mean is within one standard error of the best, pairs compared one by one."""
    lost = [own - other for own, other in zip(best, ranks, strict=True)]
    error = np.sqrt(sum(of.var(ddof=1) / len(of) for of in lost)) / len(lost)
    return bool(_mean(lost) <= error)


def _reciprocal_ranks(
    training: TrainingSet, head: Head, weights: sparse.csr_array, held_out: NDArray[np.int64]
) -> dict[tuple[float, float], Ranks]:
    """Return those of each exponent and weight; weight 0 is BM25."""
    answers = np.asarray(training.text.answers)
    sources = np.asarray(training.text.sources[: len(answers)])
    ranks: dict[tuple[float, float], Ranks] = {}
    for source in np.unique(sources):
        pairs = held_out[sources[held_out] == source]
        if len(pairs) < _FEWEST_PAIRS:
            continue
        passages = np.unique(answers[sources == source])
        places = np.searchsorted(passages, answers[pairs])
        lexical = _lexical_scores(training, pairs, passages)
        found = weights[passages]
        for exponent in _EXPONENTS:
            queries = _queries(training, pairs, _query_weights(head, weights, exponent))
            live = sparse.diags_array(_idf(found) ** exponent)
            learned = (queries @ live @ found.T).toarray()
            for weight in (0.0, *_WEIGHTS):
                found_at = _reciprocal_rank(lexical + weight * learned, places)
                ranks.setdefault((exponent, weight), []).append(found_at)
    return ranks


def _query_weights(head: Head, weights: sparse.csr_array, exponent: float) -> NDArray[np.float32]:
    """Return what makes live idf 1 on average; 0 for tokens that no document may have."""
    usual = np.maximum(_idf(weights), 1e-6) ** exponent
    made = np.zeros(len(usual), np.float32)
    made[head.terms] = 1 / usual[head.terms]
    return made


def _document_weights(head: Head, passages: DenseTexts) -> sparse.csr_array:
    """Return the weights that the packaged model gives texts of one window."""
    directions, thresholds = head.directions[head.terms], head.thresholds
    parts = []
    for start in range(0, len(passages.vectors), 1024):
        states = passages.vectors[start : start + 1024]
        own = np.zeros((len(states), len(head.directions)), bool)
        for row in range(len(states)):
            own[row, passages.distinct(start + row)] = True
        least = np.where(own[:, head.terms], thresholds.own, thresholds.others)
        weights = np.maximum(states @ directions.T - least, 0)
        next_best = -np.partition(-weights, TOP_K, axis=1)[:, TOP_K : TOP_K + 1]
        kept = sparse.coo_array(np.where(weights > next_best, weights, 0))
        shape = (kept.shape[0], len(head.directions))
        parts.append(sparse.csr_array((kept.data, (kept.row, head.terms[kept.col])), shape=shape))
    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def _idf(weights: sparse.csr_array) -> NDArray[np.float64]:
    return idf(np.bincount(weights.indices, minlength=weights.shape[1]), weights.shape[0])


def _lexical_scores(
    training: TrainingSet, pairs: NDArray[np.int64], passages: NDArray[np.int64]
) -> NDArray[np.float32]:
    text = training.text
    bm25 = bm25_matrices(
        [text.queries[i] for i in pairs.tolist()], [text.passages[i] for i in passages.tolist()]
    )
    scores: NDArray[np.float32] = (bm25.queries @ bm25.passages.T).toarray()
    return scores


def _queries(
    training: TrainingSet, pairs: NDArray[np.int64], query_weights: NDArray[np.float32]
) -> sparse.csr_array:
    rows = [training.queries.distinct(i) for i in pairs.tolist()]
    columns = np.concatenate(rows)
    at = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    shape = (len(rows), len(query_weights))
    return sparse.csr_array((query_weights[columns], (at, columns)), shape=shape)


def _reciprocal_rank(
    scores: NDArray[np.float32], answers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return RR@10 of each query, which has one answer; what has no positive score is not found."""
    own = scores[np.arange(len(answers)), answers][:, None]
    ranks = (scores > own).sum(axis=1) + 1
    found: NDArray[np.float64] = np.where((ranks <= 10) & (own[:, 0] > 0), 1 / ranks, 0.0)
    return found
