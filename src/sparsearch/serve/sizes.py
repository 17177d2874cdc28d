"""Refusing requests that ask for more than the limits allow, before any of it is worked on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparsearch.serve.config import Limits
from sparsearch.serve.errors import ServiceError

__all__ = ["check_filter", "check_number", "check_queries"]


def check_number(what: str, number: int, most: int) -> None:
    """Refuse a number above a limit.

    Raises
    ------
    ServiceError
        422 ``too_many``, with the limit.
    """
    if number > most:
        raise ServiceError(422, "too_many", f"{what}: {number}; at most {most}", limit=most)


def check_queries(
    queries: Sequence[str | Mapping[str, float]], limits: Limits, which: str = "of all queries"
) -> None:
    """Refuse queries that together would take a thread for long; raises as `check_number`."""
    texts = [query for query in queries if isinstance(query, str)]
    check_number(f"characters {which}", sum(map(len, texts)), limits.query_characters)
    vectors = [query for query in queries if not isinstance(query, str)]
    check_number(f"terms {which}", sum(map(len, vectors)), limits.query_terms)


def check_filter(filter: Mapping[str, Any] | None, limits: Limits) -> None:
    """Refuse a filter of too many values; raises as `check_number`."""
    count, waiting = 0, [filter]
    while waiting and count <= limits.filter_values:
        part: Any = waiting.pop()
        if part and isinstance(part, Mapping):
            waiting += part.values()
        elif part and isinstance(part, list):
            waiting += part
        else:  # an empty list of values, too, is a condition to be looked at
            count += 1
    check_number("values of the filter", count, limits.filter_values)
