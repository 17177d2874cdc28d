"""PromptReps: what a decoder is asked, and which words are kept (Zhuang et al., EMNLP 2024)."""

from __future__ import annotations

import re
from typing import Final

from sparsearch.encoders.stop_words import STOP_WORDS
from sparsearch.errors import InvalidInputError, shorten

__all__ = ["PROMPT", "content_words", "split_prompt"]

PROMPT: Final = (
    'The text: "{text}". Using only one word, the most important word to represent the text is: "'
)
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(STOP_WORDS["english"].split())


def split_prompt(prompt: str) -> tuple[str, str]:
    """Return what comes before the text and what comes after it.

    Raises
    ------
    InvalidInputError
        When ``{text}`` does not stand in the prompt, or more than once.
    """
    before, *after = prompt.split("{text}")
    if len(after) != 1:
        raise InvalidInputError(f"the prompt {shorten(prompt)} must hold {{text}} once")
    return before, after[0]


def content_words(text: str) -> str:
    """Return the words of a text that are no stop words, lower-cased, with spaces between them."""
    return " ".join(word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS)
