"""Telling a text's own terms from those that an encoder added to it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["NamesTextTerms"]


@runtime_checkable
class NamesTextTerms(Protocol):
    """An encoder that can tell which of its terms stand in a text; explanations then say so."""

    def text_terms(self, text: str) -> dict[int, str]:
        """Return the ids of the terms that the text itself holds, and what to call them there."""
        ...
