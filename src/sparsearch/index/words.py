"""Words of a text as they are marked for readers; what terms they are is the encoder's to say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["TEXT_READ", "words_in"]

TEXT_READ: Final = 20_000
"""Characters of a text in which words are looked for."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # noqa: RUF001 - apostrophes of both kinds


def words_in(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where each word starts and stops, and the word in lower case.

    `TEXT_READ` characters are read. The page of the service (``serve/static/text.js``) takes words
    apart in the same way, to mark them.
    """
    for match in _WORD.finditer(text, 0, TEXT_READ):
        yield *match.span(), match.group().lower()
