"""Pseudo-relevance feedback: a query, widened by what its best documents say.

It is Rocchio's formula (1971) without judgements: the best documents of a first search count as
relevant, and a share of their mean is added to the query. As in relevance models (Lavrenko and
Croft, SIGIR 2001) a document counts the more, the better its score. All of it is in the index, so
it needs no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsearch.checks import is_whole
from sparsearch.encoders import Saturation, inverse_document_frequencies
from sparsearch.errors import InvalidInputError, shorten
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.topk import TopK
from sparsearch.vectors import SparseVectors

__all__ = ["Feedback", "expanded"]

_MAX_WEIGHT = 100
_ONE_KIND = Saturation(0.0, 0.0)
"""For vectors whose weights are final: all terms alike, and none of a pair."""
_LARGEST = float(np.finfo(np.float32).max)
_PORTION = 5120
"""Documents whose vectors are in memory at a time, or those of one query."""


@dataclass(frozen=True)
class Feedback:
    """How far a query is widened.

    Parameters
    ----------
    documents : int
        How many of the best documents are believed. At least 1.
    terms : int
        How many of their terms are added: of words and of learned terms each, where an encoder has
        both. At least 1.
    weight : float
        Of what is added: its Euclidean norm over that of the query. Above 0, at most 100.

    Raises
    ------
    InvalidInputError
        When a number is outside its range.
    """

    documents: int = 5
    terms: int = 50
    weight: float = 0.2

    def __post_init__(self) -> None:
        for name in ("documents", "terms"):
            value = getattr(self, name)
            if not is_whole(value, 1):
                reason = "it must be a whole number, at least 1"
                raise InvalidInputError(f"{name} is {shorten(value)}; {reason}")
            object.__setattr__(self, name, int(value))
        value = self.weight
        known = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not known or not 0 < value <= _MAX_WEIGHT:
            reason = f"it must be a number above 0, at most {_MAX_WEIGHT}"
            raise InvalidInputError(f"weight is {shorten(value)}; {reason}")


class _Entries(NamedTuple):
    """Weights of terms in queries."""

    queries: npt.NDArray[np.int64]
    terms: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def expanded(
    snapshot: Snapshot,
    queries: SparseVectors,
    top: TopK,
    saturation: Saturation | None,
    feedback: Feedback,
) -> SparseVectors:
    """Return queries with terms of their best documents added.

    Each document's vector counts in proportion to ``exp(score / s)``, where s is the standard
    deviation of the scores of the query's best documents; each term of their mean is multiplied
    by its inverse document frequency.

    Parameters
    ----------
    snapshot : Snapshot
    queries : SparseVectors
        In terms of the index.
    top : TopK
        Their best documents, `feedback.documents` at most.
    saturation : Saturation or None
        Says which terms are words; those before them are learned. Each kind is chosen and scaled
        by itself, and pairs of words are not added. None where there is only one kind.
    feedback : Feedback

    Returns
    -------
    SparseVectors
        As many rows.
    """
    kinds = saturation or _ONE_KIND
    first_word = kinds.first_term
    portions = []
    step = max(1, _PORTION // max(1, top.numbers.shape[1]))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        found = TopK(top.numbers[part], top.scores[part], top.counts[part])
        own = _entries(queries[part])
        n_queries = len(found.counts)
        said = _without_pairs(_said(snapshot, found), kinds)
        added = _best(said, first_word, feedback.terms)
        added = _scaled(added, _without_pairs(own, kinds), n_queries, first_word, feedback.weight)
        portions.append(_joined(own, added, n_queries, queries))
    return SparseVectors.concatenate(portions) if portions else queries


def _entries(vectors: SparseVectors) -> _Entries:
    rows = np.repeat(np.arange(len(vectors)), np.diff(vectors.offsets))
    return _Entries(rows, vectors.term_ids.astype(np.int64), vectors.weights.astype(np.float64))


def _without_pairs(entries: _Entries, kinds: Saturation) -> _Entries:
    return _taken(entries, ~kinds.is_pair(entries.terms))


def _taken(entries: _Entries, which: npt.NDArray[Any]) -> _Entries:
    return _Entries(entries.queries[which], entries.terms[which], entries.weights[which])


def _said(snapshot: Snapshot, top: TopK) -> _Entries:
    """Return the weighted mean of each query's documents, times inverse document frequency."""
    queries, ranks = np.nonzero(np.arange(top.numbers.shape[1]) < top.counts[:, None])
    numbers, which = np.unique(top.numbers[queries, ranks], return_inverse=True)
    documents = snapshot.vectors(numbers, None)[which]
    sizes = np.diff(documents.offsets)
    weights = documents.weights.astype(np.float64)
    weights *= np.repeat(_shares(top)[queries, ranks], sizes)
    terms, place = np.unique(documents.term_ids, return_inverse=True)
    # That of BM25: never negative, whatever the frequency.
    idf = inverse_document_frequencies(terms, snapshot)
    found = _Entries(np.repeat(queries, sizes), terms[place].astype(np.int64), weights * idf[place])
    return _summed(found)


def _shares(top: TopK) -> npt.NDArray[np.float64]:
    """Return the share of each document in its query's mean."""
    counts = top.counts[:, None]
    inside = np.arange(top.scores.shape[1]) < counts
    scores = np.where(inside, top.scores, 0.0)
    means = scores.sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    squares = np.where(inside, scores - means, 0.0) ** 2
    spreads = np.sqrt(squares.sum(axis=1, keepdims=True) / np.maximum(counts, 1))
    # The best document comes first.
    powers = np.exp((scores - scores[:, :1]) / np.where(spreads > 0, spreads, 1.0)) * inside
    shares: npt.NDArray[np.float64] = powers / np.maximum(powers.sum(axis=1, keepdims=True), 1.0)
    return shares


def _summed(entries: _Entries) -> _Entries:
    """Return the entries by query and term, each term once a query."""
    order = np.lexsort((entries.terms, entries.queries))
    queries, terms = entries.queries[order], entries.terms[order]
    changes = (np.diff(queries, prepend=-1) != 0) | (np.diff(terms, prepend=-1) != 0)
    starts = np.flatnonzero(changes)
    weights = entries.weights[order]
    sums = np.add.reduceat(weights, starts) if len(starts) else weights
    return _Entries(queries[starts], terms[starts], sums)


def _kinds(entries: _Entries, first_word: int) -> npt.NDArray[np.int64]:
    """Return a number for each query's learned terms, and the next for its words."""
    kinds: npt.NDArray[np.int64] = 2 * entries.queries + (entries.terms >= first_word)
    return kinds


def _best(entries: _Entries, first_word: int, n_terms: int) -> _Entries:
    """Return the heaviest terms of each kind of each query; of ties, those of lower number."""
    kinds = _kinds(entries, first_word)
    order = np.lexsort((entries.terms, -entries.weights, kinds))
    starts = np.flatnonzero(np.diff(kinds[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.arange(len(order)) - np.repeat(starts, sizes)
    kept = order[ranks < n_terms]
    return _taken(entries, kept)


def _scaled(
    added: _Entries, own: _Entries, n_queries: int, first_word: int, weight: float
) -> _Entries:
    """Return what is added, each kind of terms with `weight` times the norm it has in the query."""
    kinds = [_kinds(part, first_word) for part in (added, own)]
    norms = [
        np.sqrt(np.bincount(kind, part.weights**2, 2 * n_queries))
        for kind, part in zip(kinds, (added, own), strict=True)
    ]
    factors = np.divide(
        weight * norms[1], norms[0], where=norms[0] > 0, out=np.zeros(len(norms[0]))
    )
    return added._replace(weights=added.weights * factors[kinds[0]])


def _joined(
    own: _Entries, added: _Entries, n_queries: int, queries: SparseVectors
) -> SparseVectors:
    both = _summed(
        _Entries(
            np.concatenate([own.queries, added.queries]),
            np.concatenate([own.terms, added.terms]),
            np.concatenate([own.weights, added.weights]),
        )
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(both.queries, minlength=n_queries))])
    # A query may hold the largest weights there are already.
    weights = np.clip(both.weights, -_LARGEST, _LARGEST).astype(np.float32)
    terms = both.terms.astype(np.uint32)
    return SparseVectors.from_trusted(offsets, terms, weights, queries.vocabulary)
