"""What a search must return: every stored document scored, one query at a time, by NumPy alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparsearch import Index, SparseVectors
from sparsearch.index.search import plan_queries
from sparsearch.index.segment import Segment
from sparsearch.kernels.reference import unpack_rows

Matches = Callable[[str], bool]


def postings(segment: Segment, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and codes of a posting list, from where searches take what they return."""
    arrays = segment.arrays
    if segment.has_forward_index:
        everything = np.arange(segment.n_documents)
        numbers, codes, counts = segment.entries(everything)
        inside = numbers == place
        return np.repeat(everything, counts)[inside], codes[inside].astype(np.int64)
    part = slice(*arrays["offsets"][place : place + 2])
    return unpack_rows(segment.places)[part], arrays["codes"][part].astype(np.int64)


def integer_scores(index: Index, query: SparseVectors) -> tuple[np.ndarray, np.ndarray, float]:
    """Score all live documents in insertion order.

    Returns
    -------
    scores : ndarray of int64
        In units.
    slack : ndarray of int64
        Largest difference, in units, that rounding of the query's weights can make.
    unit : float
    """
    snapshot = index._snapshot
    unit = float(plan_queries(snapshot, query.drop_zeros(), index.config.max_code).units[0])
    scores, slack = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for segment, deleted in zip(snapshot.segments, snapshot.deleted, strict=True):
        arrays = segment.arrays
        places = {int(term): place for place, term in enumerate(arrays["terms"])}
        score, loose = np.zeros((2, segment.n_documents), np.int64)
        for term, weight in zip(query.term_ids.tolist(), query.weights.tolist(), strict=True):
            if weight == 0 or term not in places:
                continue
            place = places[term]
            rows, codes = postings(segment, place)
            exact = weight * float(arrays["scales"][place]) / unit
            multiplier = round(exact) or int(np.sign(exact))
            assert abs(multiplier - exact) <= (0.5 if round(exact) else 1)
            np.add.at(score, rows, multiplier * codes)
            np.add.at(loose, rows, codes)
        live = np.ones(segment.n_documents, np.bool_) if deleted is None else ~deleted
        scores.append(score[live])
        slack.append(loose[live])
    return np.concatenate(scores), np.concatenate(slack), unit


def expected_hits(
    index: Index, query: SparseVectors, k: int, matches: Matches | None = None
) -> list[tuple[str, float]]:
    """Return the ids and scores a search must return."""
    ids = [document.id for document in index.documents()]
    scores, _, unit = integer_scores(index, query)
    assert len(scores) == len(ids) == len(index)
    order = np.lexsort((np.arange(len(ids)), -scores)).tolist()
    best = [(ids[i], float(scores[i]) * unit) for i in order if scores[i] > 0]
    if matches is not None:
        best = [(document_id, score) for document_id, score in best if matches(document_id)]
    return best[:k]


def actual_hits(
    index: Index, query: SparseVectors, k: int, filter: dict[str, object] | None = None
) -> list[tuple[str, float]]:
    """Return the ids and scores a search returns, the same by every way to ask for them."""
    hits = [(hit.id, hit.score) for hit in index.search(query, k, filter)]
    top = index.top_k(query, k, filter)
    count = int(top.counts[0])
    ids = index.ids_of(top.numbers[0, :count].tolist())
    assert list(zip(ids, top.scores[0, :count].tolist(), strict=True)) == hits
    run = index.search_batch(query, k, filter)
    assert run["0"] == hits
    return hits


def assert_close_to_inner_products(index: Index, query: SparseVectors) -> None:
    """Assert that integer scores are the inner products with the *stored* weights."""
    scores, slack, unit = integer_scores(index, query)
    weights = dict(zip(query.term_ids.tolist(), query.weights.tolist(), strict=True))
    stored = index.vectors()
    for row in range(len(stored)):
        terms, values = (part.tolist() for part in stored.row(row))
        inner = sum(weights.get(t, 0.0) * value for t, value in zip(terms, values, strict=True))
        rounding = 1e-9 * sum(
            abs(weights.get(t, 0.0)) * value for t, value in zip(terms, values, strict=True)
        )
        assert abs(scores[row] * unit - inner) <= slack[row] * unit + rounding
