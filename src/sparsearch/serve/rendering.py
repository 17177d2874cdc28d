"""Answers from the values an index returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

from sparsearch.index import Document, Explanation
from sparsearch.vectors import SparseVectors

__all__ = [
    "document_body",
    "explanation_terms",
    "hit_body",
    "json_bytes",
    "json_response",
    "vector_bodies",
]


def json_bytes(body: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Return a body as JSON; checking it against its model could take longer than searching."""
    return to_json(body, inf_nan_mode="constants")


def json_response(body: Mapping[str, Any] | bytes, status: int = 200) -> Response:
    """Return an answer of a body, which may be JSON already."""
    content = body if isinstance(body, bytes) else json_bytes(body)
    return Response(content, status, None, "application/json")


def hit_body(document: Document, score: float, fields: Sequence[str] | None) -> dict[str, Any]:
    """Return a hit with the fields asked for; all of them if None."""
    return {"id": document.id, "score": score, **document_body(document, fields)}


def document_body(document: Document, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a stored document with the fields asked for; all of them if None."""
    texts = {"title": document.title, "text": document.text}
    metadata = document.metadata
    if fields is not None:
        texts = {name: text for name, text in texts.items() if name in fields}
        metadata = {name: metadata[name] for name in fields if name in metadata}
    return {"id": document.id, **texts, "metadata": dict(metadata)}


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
