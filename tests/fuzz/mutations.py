"""Seeded ways to spoil valid input: the same `Random` always spoils it the same way.

Three kinds of input are spoiled: bytes (lines, files), values (what JSON or Python can hold) and
lists of arguments. Most results are malformed; some happen to stay valid, or get another meaning.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "HOSTILE_KEYS",
    "HOSTILE_NUMBERS",
    "HOSTILE_OBJECTS",
    "HOSTILE_VALUES",
    "distinct",
    "json_line",
    "mutated_arguments",
    "mutated_bytes",
    "mutated_items",
    "mutated_line",
    "mutated_text",
    "mutated_value",
    "nested",
    "recast",
]

T = TypeVar("T")

_FRAGMENTS = (
    b"\x00", b"\x07", b"\x0b", b"\x0c", b"\r", b"\t", b"\x1b[31m", b"\x7f", b"\x85",
    b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x1f\x8b",
    "\ufeff".encode(), "\u2028".encode(), "\u202e".encode(), "\U0001f600".encode(),
    b"\\ud800", b"\\uDC00", b"\\ud83d\\ude00", b"\\u0000", b"\\", b"\\x",
    b"NaN", b"-Infinity", b"1e999", b"-1e999", b"1e-999", b"-0.0", b"00", b"0x1F", b"1_000",
    b"9" * 30, b"9" * 5000, b"0." + b"3" * 500,
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"'", b"//", b" ", b"=", b">=",
    b"-",
)  # fmt: skip

HOSTILE_NUMBERS: tuple[Any, ...] = (
    0, -0.0, 1, -1, 0.5, 3, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1,
    2**64, 10**30, 10**400, 3.4e38, 3.5e38, 1e308, 5e-324, 1e-46, float("nan"), float("inf"),
    float("-inf"),
)  # fmt: skip

_DEPTHS = (3, 90, 150, 400)
"""Of nesting: far from where the stack ends, which depends on who calls."""

_BOTTOMLESS = 100_000


def nested(depth: int) -> list[Any]:
    """Return a list in a list in a list ..."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE_VALUES: tuple[Any, ...] = (
    *HOSTILE_NUMBERS, None, True, False, "", " ", "\0", "\x1b[2J", "\ud800", "\udfff!", "e\u0301",
    "\u202e\u2028", "9" * 400, "nan", "x" * 3000, [], {}, [None], [1, "1", True, None], [[]],
    {"id": 1}, {"": {}}, {"metadata": {"id": 1}}, *map(nested, _DEPTHS),
)  # fmt: skip
"""What JSON can say, and some of what only Python's `json` can."""

HOSTILE_OBJECTS: tuple[Any, ...] = (
    *HOSTILE_VALUES, b"bytes", 1j, (1, 2), {1, 2}, object(), range(3), Ellipsis, str, bytearray(2),
)  # fmt: skip
"""What only a program can give."""

HOSTILE_KEYS: tuple[Any, ...] = (
    None, True, 1.5, -1, 0, 7, 2**32 - 1, 2**32, 10**400, float("nan"), "", "7", "\ud800", "\0",
    "id", "x" * 500, b"a", (), ("a", 1), "and", "not", "$gt",
)  # fmt: skip


def distinct(make: Callable[[], T], count: int) -> list[T]:
    """Return `count` results of `make` that differ in `repr`, in the order of appearance."""
    found: dict[str, T] = {}
    while len(found) < count:
        one = make()
        found.setdefault(repr(one), one)
    return list(found.values())


def mutated_bytes(data: bytes, rng: Random, times: int = 3) -> bytes:
    """Flip bits, cut, drop, repeat, move, insert: once up to `times` times."""
    for _ in range(rng.randint(1, times)):
        data = rng.choice(_BYTE_MUTATIONS)(data, rng)
    return data


def mutated_text(text: str, rng: Random) -> str:
    """Return spoiled text; what is no UTF-8 becomes lone surrogates, as in ``sys.argv``."""
    return mutated_bytes(text.encode("utf-8", "surrogatepass"), rng).decode(
        "utf-8", "surrogateescape"
    )


def mutated_value(value: Any, rng: Random, hostile: tuple[Any, ...] = HOSTILE_VALUES) -> Any:
    """Return a copy of nested dicts and lists, spoiled in one place."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        return dict(mutated_items(list(value.items()), rng, hostile))
    if isinstance(value, list) and value and rng.random() < 0.9:
        return _mutated_list(value, rng, hostile)
    if isinstance(value, str) and rng.random() < 0.5:
        return mutated_text(value, rng)
    return rng.choice(hostile)


def mutated_items(
    items: list[tuple[Any, Any]], rng: Random, hostile: tuple[Any, ...] = HOSTILE_VALUES
) -> list[tuple[Any, Any]]:
    """Return the items of a mapping, spoiled in one place; a key may come twice."""
    items = list(items)
    at = rng.randrange(len(items))
    key, inner = items[at]
    change = rng.random()
    if change < 0.6:
        items[at] = key, mutated_value(inner, rng, hostile)
    elif change < 0.7:
        del items[at]
    elif change < 0.8:
        items[at] = mutated_text(key, rng) if isinstance(key, str) else key, inner
    else:
        new = key if change < 0.85 else rng.choice([k for k in HOSTILE_KEYS if isinstance(k, str)])
        items.insert(rng.randint(0, len(items)), (new, rng.choice(hostile)))
    return items


def mutated_line(value: dict[str, Any], rng: Random) -> bytes:
    """Return a JSON object as a line, spoiled as a value, as bytes, or as both."""
    items = list(value.items())
    kind = rng.random()
    if kind < 0.01:
        depth = rng.choice((*_DEPTHS, _BOTTOMLESS))
        return json_line(items, rng)[:-1] + b', "deep": ' + b"[" * depth + b"]" * depth + b"}"
    if kind < 0.6:
        items = mutated_items(items, rng)
    line = json_line(items, rng)
    return line if 0.01 <= kind < 0.45 else mutated_bytes(line, rng).replace(b"\n", b" ")


def json_line(items: list[tuple[str, Any]], rng: Random) -> bytes:
    """Return a JSON object, keys given twice included; surrogates as escapes or as bad UTF-8."""
    ascii_only = rng.random() < 0.5
    members = (
        f"{json.dumps(key, ensure_ascii=ascii_only)}: {json.dumps(inner, ensure_ascii=ascii_only)}"
        for key, inner in items
    )
    return ("{" + ", ".join(members) + "}").encode("utf-8", "surrogatepass")


def mutated_arguments(arguments: list[str], rng: Random, pool: list[str]) -> list[str]:
    """Return a command line with arguments spoiled, left out, repeated, replaced from `pool`.

    Values are spoiled more often than the verb and the options: once those are wrong, nothing else
    is ever looked at.
    """
    arguments = list(arguments)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        values = [at for at, one in enumerate(arguments) if at and not one.startswith("-")]
        spoil_a_value = bool(values) and rng.random() < 0.8
        at = rng.choice(values) if spoil_a_value else rng.randint(0, len(arguments))
        change = rng.random()
        if change < 0.4:
            arguments[at : at + 1] = [mutated_text(one, rng) for one in arguments[at : at + 1]]
        elif change < 0.8:
            alike = [one for one in pool if one.startswith("-") is not spoil_a_value]
            arguments[at : at + 1] = [rng.choice(alike)]
        elif change < 0.85:
            del arguments[at : at + 1]
        elif change < 0.9:
            arguments += arguments[at : at + rng.randint(1, 2)]
        else:
            arguments[at + 1 : at + 1] = rng.choices(pool, k=rng.randint(1, 2))
    return arguments


def recast(values: Any, dtype: Any) -> Any:
    """Return values as an array of a type, whatever that does to them; as they are if it cannot."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return np.asarray(values).astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return values


def _mutated_list(values: list[Any], rng: Random, hostile: tuple[Any, ...]) -> list[Any]:
    values = list(values)
    at = rng.randrange(len(values))
    change = rng.random()
    if change < 0.6:
        values[at] = mutated_value(values[at], rng, hostile)
    elif change < 0.7:
        del values[at]
    elif change < 0.8:
        values.insert(at, values[at])
    elif change < 0.9:
        values.insert(at, rng.choice(hostile))
    else:
        rng.shuffle(values)
    return values


def _flip(data: bytes, rng: Random) -> bytes:
    spoiled = bytearray(data or b"\0")
    spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _drop(data: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.randint(1, 8) :]


def _repeat(data: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(data))
    stop = start + rng.randint(1, 30)
    return data[:stop] + data[start:]


def _move(data: bytes, rng: Random) -> bytes:
    first, second = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return data[second:] + data[first:second] + data[:first]


def _insert(data: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + rng.choice(_FRAGMENTS) + data[start:]


def _overwrite(data: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(data))
    noise = rng.choice((rng.randbytes(rng.randint(1, 8)), b"\xff" * 8, b"\0" * 8, b"\x7f" * 8))
    return data[:start] + noise + data[start + len(noise) :]


_BYTE_MUTATIONS = (_flip, _cut, _drop, _repeat, _move, _insert, _insert, _overwrite)
