"""Answers to searches. Those that are alike and wait at the same moment take one call."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from sparsearch.index import Feedback, Index
from sparsearch.serve.collection import Collection
from sparsearch.serve.metrics import Metrics
from sparsearch.serve.models import BatchRequest, ExplainRequest, SearchRequest
from sparsearch.serve.rendering import explanation_terms, hit_body, json_bytes
from sparsearch.serve.snippets import snippet
from sparsearch.serve.words import words_by_term
from sparsearch.vectors import SparseVectors

__all__ = ["answer_searches", "feedback_of", "group_of", "query_of"]


def group_of(collection: Collection, request: SearchRequest) -> Hashable:
    """Return what searches must have in common to be answered by one call."""
    if request.filter is not None or request.distinct is not None:
        return object()
    kind = type(request.query), feedback_of(request)
    return collection.name, kind, request.k, request.recall


def feedback_of(request: SearchRequest | BatchRequest | ExplainRequest) -> Feedback | None:
    """Return the feedback that a request asks for."""
    given = request.feedback
    return None if given is None else Feedback(given.documents, given.terms, given.weight)


def query_of(queries: Sequence[str] | SparseVectors, place: int) -> str | SparseVectors:
    """Return one of several queries, as `Index.explain` takes it."""
    return queries[place : place + 1] if isinstance(queries, SparseVectors) else queries[place]


def answer_searches(
    collection: Collection, metrics: Metrics, requests: Sequence[SearchRequest]
) -> list[bytes]:
    """Return the answers to searches of one group.

    Raises
    ------
    InvalidInputError, EncoderError
        If one of the queries cannot be searched for.
    """
    index = collection.index.view()
    queries = collection.queries([request.query for request in requests])
    first = requests[0]
    start = time.perf_counter()
    queries = _widened(index, queries, first)
    top = index.top_k(queries, first.k, first.filter, recall=first.recall, distinct=first.distinct)
    seconds = time.perf_counter() - start
    exact = first.recall is None or not index.can_approximate
    timer = metrics.searches.labels(collection.name, "exact" if exact else "approximate")
    for _ in requests:
        timer.observe(seconds)
    answer = {"exact": exact, "seconds": seconds, "generation": index.generation}
    rows = zip(top.numbers.tolist(), top.scores.tolist(), top.counts.tolist(), strict=True)
    answers = []
    for place, (numbers, scores, count) in enumerate(rows):
        query = query_of(queries, place)
        found = dict(zip(numbers[:count], scores, strict=False))
        hits = _hits(collection, index, requests[place], query, found)
        answers.append(json_bytes({"hits": hits, **answer}))
    return answers


def _widened(
    index: Index, queries: Sequence[str] | SparseVectors, request: SearchRequest
) -> Sequence[str] | SparseVectors:
    """Return what is searched for: the queries themselves or, with feedback, what they become."""
    feedback = feedback_of(request)
    if feedback is None:
        return queries
    return index.expand(
        queries, request.filter, feedback=feedback, recall=request.recall, threads=1
    )


def _hits(
    collection: Collection,
    index: Index,
    request: SearchRequest,
    query: str | SparseVectors,
    found: Mapping[int, float],
) -> list[dict[str, Any]]:
    """Return the hits with what the request asks for, and no more read than that takes.

    `query` is what was searched for, `found` the scores by document number, best first.
    """
    scores = found.values()
    if request.fields == [] and not request.explain:
        ids = index.ids_of(found)
        return [{"id": i, "score": s, "metadata": {}} for i, s in zip(ids, scores, strict=True)]
    documents = index.documents_of(found)
    bodies = [
        hit_body(document, score, request.fields)
        for document, score in zip(documents, scores, strict=True)
    ]
    if request.explain or request.snippet is not None:
        for body, document in zip(bodies, documents, strict=True):
            words = words_by_term(index, (document.title, document.text), collection.splits_words)
            terms = explanation_terms(index.explain(query, document.id), words)
            if request.explain:
                body["terms"] = terms
            if request.snippet is not None and "text" in body:
                marked = {word for term in terms for word in term["words"]}
                body["snippet"] = document.text and snippet(document.text, marked, request.snippet)
                body["text_length"] = len(body.pop("text") or "")
    return bodies
