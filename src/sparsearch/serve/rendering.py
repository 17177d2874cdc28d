"""Answers from the values an index returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

from sparsearch.index import Document, Explanation
from sparsearch.runs import Hit
from sparsearch.vectors import SparseVectors

__all__ = ["document_body", "explanation_terms", "hit_body", "json_response", "vector_bodies"]


def json_response(body: Mapping[str, Any], status: int = 200) -> Response:
    """Return an answer; checking it against its model could take longer than searching."""
    return Response(to_json(body, inf_nan_mode="constants"), status, None, "application/json")


def hit_body(hit: Hit, fields: Sequence[str] | None) -> dict[str, Any]:
    """Return a hit with the fields asked for; all of them if None."""
    body: dict[str, Any] = {"id": hit.id, "score": hit.score}
    if fields is None:
        return {**body, "title": hit.title, "text": hit.text, "metadata": dict(hit.metadata)}
    if "title" in fields:
        body["title"] = hit.title
    if "text" in fields:
        body["text"] = hit.text
    body["metadata"] = {name: hit.metadata[name] for name in fields if name in hit.metadata}
    return body


def document_body(document: Document) -> dict[str, Any]:
    """Return a stored document."""
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
    }


def explanation_terms(
    explanation: Explanation, words: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return the terms of an explanation, with the words that stand for them."""
    return [
        {
            "term": term.term,
            "query_weight": term.query_weight,
            "document_weight": term.document_weight,
            "contribution": term.contribution,
            "in_text": term.in_text,
            "words": list(words.get(term.term, ())),
        }
        for term in explanation.terms
    ]


def vector_bodies(vectors: SparseVectors) -> list[dict[str, float]]:
    """Return vectors as weights by term, heaviest first; terms without strings by their ids."""
    return [
        {str(term): weight for term, weight in sorted(row.items(), key=lambda item: -item[1])}
        for row in vectors.to_dicts()
    ]
