"""Queries and filters on their way to a service: checked as `Index` checks them, and portioned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparsearch.client.documents import PORTION, weights_by_name
from sparsearch.errors import FilterError, InvalidQueryError, shorten
from sparsearch.strict_json import is_unicode
from sparsearch.vectors import SparseVectors

__all__ = ["Query", "checked_filter", "portions_of_queries", "queries_body", "query_body"]

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
        if not is_unicode(query):
            raise InvalidQueryError("the query holds a lone surrogate, which is no character")
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
    given = list(queries.values()) if isinstance(queries, Mapping) else list(queries)
    for query in given:
        if isinstance(query, str) and not is_unicode(query):
            reason = f"query {shorten(query)} holds a lone surrogate, which is no character"
            raise InvalidQueryError(reason)
    return given


def portions_of_queries(queries: Sequence[Any], k: object) -> Iterator[slice]:
    """Yield the parts in which queries are sent, such that a service takes each of them."""
    most = max(1, min(PORTION, _HITS // k)) if isinstance(k, int) and k > 0 else 1
    start = characters = terms = 0
    for place, query in enumerate(queries):
        size = len(query) if isinstance(query, (str, Mapping)) else 0
        own = (size, 0) if isinstance(query, str) else (0, size)
        full = characters + own[0] > _CHARACTERS or terms + own[1] > _TERMS
        if place > start and (full or place - start == most):
            yield slice(start, place)
            start, characters, terms = place, 0, 0
        characters, terms = characters + own[0], terms + own[1]
    yield slice(start, len(queries))


def checked_filter(filter: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a filter.

    Raises
    ------
    FilterError
        If JSON cannot hold it.
    """
    try:
        json.dumps(filter, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FilterError(f"the filter cannot be sent as JSON: {error}") from error
    return filter
