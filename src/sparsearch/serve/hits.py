"""Answers to searches. Those that are alike and wait at the same moment take one call."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import Any

from sparsearch.index import Document, Feedback, Index
from sparsearch.serve.collection import Collection
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.metrics import Metrics
from sparsearch.serve.models import BatchRequest, ExplainRequest, SearchRequest
from sparsearch.serve.rendering import explanation_terms, hit_body, json_bytes
from sparsearch.serve.snippets import snippet
from sparsearch.serve.words import TermsOfWords
from sparsearch.vectors import SparseVectors

__all__ = ["answer_searches", "feedback_of", "group_of", "query_of"]

_TOGETHER = 100
"""Hits with more than their ids that a search may ask for to be answered together with others."""

_PART = 10
"""Hits whose documents are held at once."""


def group_of(collection: Collection, request: SearchRequest) -> Hashable:
    """Return what searches must have in common to be answered by one call."""
    is_large = request.k > _TOGETHER and request.fields != []
    if is_large or request.filter is not None or request.distinct is not None:
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
    collection: Collection, metrics: Metrics, most: int, requests: Sequence[SearchRequest]
) -> list[bytes]:
    """Return the answers to searches of one group, whose hits have so many bytes at most.

    Raises
    ------
    InvalidInputError, EncoderError
        If one of the queries cannot be searched for.
    ServiceError
        422 if the hits have more bytes.
    """
    index = collection.index.view()
    queries = collection.queries([request.query for request in requests], index)
    first = requests[0]
    start = time.perf_counter()
    queries = _widened(index, queries, first)
    top = index.top_k(queries, first.k, first.filter, recall=first.recall, distinct=first.distinct)
    seconds = time.perf_counter() - start
    exact = first.recall is None or not index.can_approximate
    timer = metrics.searches.labels(collection.name, "exact" if exact else "approximate")
    for _ in requests:
        timer.observe(seconds)
    end = json_bytes({"exact": exact, "seconds": seconds, "generation": index.generation})[1:]
    rows = zip(top.numbers.tolist(), top.scores.tolist(), top.counts.tolist(), strict=True)
    answers: list[bytes] = []
    for place, (numbers, scores, count) in enumerate(rows):
        hits = _Hits(collection, index, requests[place], query_of(queries, place))
        found = list(zip(numbers[:count], scores, strict=False))
        left = most - sum(map(len, answers))
        answers.append(b'{"hits":[' + _joined(hits, found, left, most) + b"]," + end)
    return answers


def _joined(hits: _Hits, found: Sequence[tuple[int, float]], left: int, most: int) -> bytes:
    """Return hits as JSON, made part by part: nobody knows beforehand how large they are."""
    parts: list[bytes] = []
    for start in range(0, len(found), _PART):
        parts.append(json_bytes(hits.bodies(found[start : start + _PART]))[1:-1])
        left -= len(parts[-1])
        if left < 0:
            reason = f"the hits have more than {most} bytes; ask for some fields only, a snippet"
            raise ServiceError(422, "too_many", f"{reason} of the text, or a smaller k", limit=most)
    return b",".join(parts)


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


class _Hits:
    """Hits with what a request asks for, and no more read than that takes.

    Parameters
    ----------
    collection : Collection
    index : Index
    request : SearchRequest
    query : str or SparseVectors
        What was searched for.
    """

    def __init__(
        self,
        collection: Collection,
        index: Index,
        request: SearchRequest,
        query: str | SparseVectors,
    ) -> None:
        self._index = index
        self._request = request
        self._reads = request.explain or request.snippet is not None
        if self._reads:
            self._terms = TermsOfWords(index, collection.splits_words)
            # Once for all hits: explaining a text would have it encoded for each of them.
            vector = index.encode_queries([query]) if isinstance(query, str) else query
            self._weights = vector.to_dicts()[0]

    def bodies(self, found: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
        """Return the hits of documents given by number and score."""
        numbers = [number for number, _ in found]
        fields = self._request.fields
        if fields == [] and not self._request.explain:
            ids = self._index.ids_of(numbers)
            return [
                {"id": i, "score": score, "metadata": {}}
                for i, (_, score) in zip(ids, found, strict=True)
            ]
        bodies = []
        for document, (_, score) in zip(self._index.documents_of(numbers), found, strict=True):
            body = hit_body(document, score, fields)
            if self._reads:
                self._add_what_was_read(body, document)
            bodies.append(body)
        return bodies

    def _add_what_was_read(self, body: dict[str, Any], document: Document) -> None:
        length = self._request.snippet if "text" in body else None
        if length is None and not self._request.explain:
            return
        words = self._terms.words_by_term((document.title, document.text))
        terms = explanation_terms(self._index.explain(self._weights, document.id), words)
        if self._request.explain:
            body["terms"] = terms
        if length is not None:
            marked = {word for term in terms for word in term["words"]}
            body["snippet"] = document.text and snippet(document.text, marked, length)
            body["text_length"] = len(body.pop("text") or "")
