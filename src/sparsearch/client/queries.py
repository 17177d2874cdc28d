"""Queries on their way to a service: as JSON has them, and in portions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparsearch.client.documents import PORTION, weights_by_name
from sparsearch.errors import InvalidQueryError, shorten
from sparsearch.vectors import SparseVectors

__all__ = ["Query", "portions_of_queries", "queries_body", "query_body", "texts_body"]

Query = str | Mapping[Any, float] | SparseVectors
"""As `Index.search` takes it."""

_HITS = 500_000
"""Hits of a batch that are asked for at once."""

_CHARACTERS = 500_000
"""Characters of queries sent at once; a service takes about a million."""

_TERMS = 100_000
"""Terms of query vectors sent at once; a service takes 250,000."""


def query_body(query: Query) -> str | dict[str, float]:
    """Return a query as JSON has it.

    Raises
    ------
    InvalidQueryError, InvalidVectorError
        If it is none.
    """
    if isinstance(query, str):
        return query
    if not isinstance(query, SparseVectors):
        if not isinstance(query, Mapping):
            reason = f"the query is {shorten(query)}; give a string, SparseVectors"
            raise InvalidQueryError(f"{reason}, or a mapping of terms to weights")
        query = SparseVectors.from_dicts([query])
    if len(query) != 1:
        raise InvalidQueryError("a query must be SparseVectors of one row; use search_batch")
    return weights_by_name(query.to_dicts()[0])


def queries_body(queries: Mapping[str, str] | Sequence[str] | SparseVectors) -> list[Any]:
    """Return queries as JSON has them.

    Raises
    ------
    InvalidQueryError
        If they are none.
    """
    if isinstance(queries, str) or not hasattr(queries, "__len__"):
        reason = f"queries are {shorten(queries)}; give a sequence of strings"
        raise InvalidQueryError(f"{reason}, a mapping of ids to strings, or SparseVectors")
    if isinstance(queries, SparseVectors):
        return [weights_by_name(row) for row in queries.to_dicts()]
    return list(queries.values()) if isinstance(queries, Mapping) else list(queries)


def texts_body(texts: Sequence[str]) -> list[str]:
    """Return texts to be encoded as queries, as JSON has them.

    Raises
    ------
    InvalidQueryError
        If they are no sequence of strings.
    """
    listed = hasattr(texts, "__len__") and not isinstance(texts, (str, Mapping))
    if not listed or not all(isinstance(text, str) for text in texts):
        raise InvalidQueryError(f"queries are {shorten(texts)}; give a sequence of strings")
    return list(texts)


def portions_of_queries(queries: Sequence[Any], k: object) -> Iterator[slice]:
    """Yield the parts in which queries are sent, such that a service takes each of them."""
    most = max(1, min(PORTION, _HITS // k)) if isinstance(k, int) and k > 0 else 1
    start = characters = terms = 0
    for place, query in enumerate(queries):
        own_characters = len(query) if isinstance(query, str) else 0
        own_terms = len(query) if isinstance(query, Mapping) else 0
        characters, terms = characters + own_characters, terms + own_terms
        full = characters > _CHARACTERS or terms > _TERMS or place - start == most
        if full and place > start:
            yield slice(start, place)
            start, characters, terms = place, own_characters, own_terms
    yield slice(start, len(queries))
