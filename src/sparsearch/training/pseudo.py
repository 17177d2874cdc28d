"""Pairs out of a corpus without labels: what a document says of itself is a query for the rest.

Titles, headings and first sentences are short and say what a text is about, as queries do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sparsearch.training.examples import Example

__all__ = ["pseudo_queries"]

_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*?)[ \t#]*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)")
_FEWEST_WORDS, _MOST_WORDS = 2, 32
_FEWEST_WORDS_LEFT = 8


def pseudo_queries(documents: Iterable[Mapping[str, Any]]) -> Iterator[Example]:
    """Yield pairs of a pseudo-query and the text it was taken from.

    Parameters
    ----------
    documents : iterable of mapping
        With ``text`` and perhaps ``title``.

    Yields
    ------
    Example
        A document's title with its text; each Markdown heading with the section below it; the
        first sentence with the text after it. What is taken as the query is left out of the text,
        so that copying words is not all there is to learn. Queries have 2 to 32 words, texts at
        least 8.
    """
    for document in documents:
        title, text = str(document.get("title") or ""), str(document.get("text") or "")
        for query, passage in _candidates(title.strip(), text.strip()):
            words = len(query.split())
            enough = len(passage.split()) >= _FEWEST_WORDS_LEFT
            if _FEWEST_WORDS <= words <= _MOST_WORDS and enough:
                yield Example(query, (passage,))


def _candidates(title: str, text: str) -> Iterator[tuple[str, str]]:
    yield title, text
    parts = _HEADING.split(text)
    for heading, section in zip(parts[1::2], parts[2::2], strict=True):
        yield heading, section.strip()
    first, *rest = _SENTENCE_END.split(parts[0].strip(), maxsplit=1)
    if rest:
        yield first, f"{title}\n{rest[0]}".strip()
