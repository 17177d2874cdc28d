"""Cutting long texts into passages, each stored and found as a document of its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import count

__all__ = ["DOCUMENT_FIELD", "PASSAGE_FIELDS", "cut", "document_of", "passage_id", "passage_ids"]

DOCUMENT_FIELD = "document"
"""Of a passage's metadata: the id of the document that it was cut from."""
PASSAGE_FIELDS = (DOCUMENT_FIELD, "passage", "passage_start")
"""Besides that, the passage's number, from 1, and where in the text it starts, in characters."""

_OVERLAP = 5
"""A passage begins at most this part of `length` before the end of the last, so that a thought that
is cut in two is whole in one of them."""

_ENDS = (
    re.compile(r"\n[^\S\n]*\n"),
    re.compile(r"[.!?…][\"'\u2019\u201d)\]]*(?=\s)|[\u3002\uff01\uff1f]"),
    re.compile(r"(?=\s)"),
)
"""Where to cut, best first: after a paragraph, a sentence, a word."""
_JOINER = "\u200d"
_BLANKS = re.compile(r"\s*")


def passage_id(document_id: str, number: int) -> str:
    """Return the id of a document's passage; numbers begin with 1."""
    return f"{document_id}#{number}"


def passage_ids(document_id: str) -> Iterator[str]:
    """Yield the ids of a document's passages, without end."""
    return (passage_id(document_id, number) for number in count(1))


def document_of(passage_id: str) -> str:
    """Return the id of the document that a passage was cut from."""
    return passage_id.rpartition("#")[0]


def cut(text: str, length: int) -> Iterator[tuple[int, int]]:
    """Yield the passages of a text, as where they start and stop.

    Each ends with a paragraph, else a sentence, else a word, of those that end in its second half;
    the next begins a sentence, or some words, before that. Only blanks are in none of them.

    Parameters
    ----------
    text : str
    length : int
        Characters of a passage, at most; at least 10.
    """
    start, end, covered = _after_blanks(text, 0), len(text.rstrip()), 0
    while end - start > length:
        stop = _last_end(text, start + length // 2, start + length)
        filled = start + len(text[start:stop].rstrip())
        if filled > covered:  # else, blanks follow what the last one ended with
            yield start, filled
        covered = filled
        repeated = max(stop - length // _OVERLAP, start + 1)
        start = _after_blanks(text, _first_end(text, repeated, stop))
    yield start, max(start, end)


def _last_end(text: str, least: int, most: int) -> int:
    """Return where the last unit of the best kind ends, of those that end in a stretch."""
    for pattern in _ENDS:
        # One character more is looked at, which tells whether what stands before it ends there.
        ends = [match.end() for match in pattern.finditer(text, least, most + 1)]
        ends = [end for end in ends if end <= most]
        if ends:
            return ends[-1]
    while most > least and _continues(text, most):
        most -= 1
    return most


def _continues(text: str, place: int) -> bool:
    """Whether a character belongs to the one before it: an accent, a part of an emoji."""
    joined = _JOINER in (text[place - 1], text[place])
    return joined or unicodedata.category(text[place])[0] == "M"


def _first_end(text: str, least: int, most: int) -> int:
    """Return where the first sentence of a stretch ends, else the first word, else the stretch."""
    for pattern in _ENDS[1:]:
        match = pattern.search(text, least, most + 1)
        if match is not None and match.end() <= most:
            return match.end()
    return most


def _after_blanks(text: str, start: int) -> int:
    blank = _BLANKS.match(text, start)
    return start if blank is None else blank.end()
