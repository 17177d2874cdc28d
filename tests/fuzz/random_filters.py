"""Metadata of mixed types, and valid filters on it."""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["FIELDS", "OPERANDS", "random_filter", "random_metadata"]

FIELDS = ("year", "kind", "tags", "ü")
STORED: tuple[Any, ...] = (
    0, 1, -1, 2020, 2020.0, 2020.5, 2**53 + 1, 2**63 - 1, -(2**63), -0.0, 1e300, 5e-324, True,
    False, "", "a", "b", "ab", "2020", "true", "e\u0301", "東京", "\0", None, [], ["a", "b", 1],
    [1999, 2021.5, None], [True, [1]], {"nested": 1},
)  # fmt: skip
SCALARS = tuple(value for value in STORED if isinstance(value, (int, float, str)))
OPERANDS = (*SCALARS, 2**63, 10**400, -(10**30), 2.0**63, "\ud800", "b\0")


def random_metadata(rng: Random) -> dict[str, Any]:
    """Return the metadata of a document; any field may be absent."""
    return {name: rng.choice(STORED) for name in rng.sample(FIELDS, rng.randint(0, len(FIELDS)))}


def random_filter(rng: Random, depth: int = 0) -> dict[str, Any]:
    """Return a valid filter."""
    expression: dict[str, Any] = {}
    for _ in range(rng.randint(1, 2)):
        kind = rng.random()
        if depth < 4 and kind < 0.3:
            inner = [random_filter(rng, depth + 1) for _ in range(rng.randint(1, 3))]
            expression[rng.choice(("and", "or"))] = inner
        elif depth < 4 and kind < 0.45:
            expression["not"] = random_filter(rng, depth + 1)
        else:
            expression[rng.choice(FIELDS)] = random_condition(rng)
    return expression


def random_condition(rng: Random) -> Any:
    ordered = [value for value in OPERANDS if not isinstance(value, bool)]
    conditions: dict[str, Any] = {
        "==": rng.choice(OPERANDS),
        "!=": rng.choice(OPERANDS),
        "in": rng.choices(OPERANDS, k=rng.randint(0, 3)),
        "exists": rng.random() < 0.5,
        **{operator: rng.choice(ordered) for operator in ("<", "<=", ">", ">=")},
    }
    if rng.random() < 0.2:
        return conditions["=="]
    return {name: conditions[name] for name in rng.sample(list(conditions), rng.randint(1, 2))}
