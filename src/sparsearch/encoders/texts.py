"""Checking the texts that callers give to encoders."""

from __future__ import annotations

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["checked_texts"]


def checked_texts(texts: object) -> list[str]:
    """Return `texts` as a list.

    Raises
    ------
    InvalidInputError
        When it is one string, no sequence, or holds something else than strings; names the text.
    """
    if isinstance(texts, (str, bytes)):
        raise InvalidInputError("texts must be a sequence of strings, not one; give [text]")
    try:
        checked: list[str] = list(texts)  # type: ignore[call-overload]
    except TypeError as error:
        raise InvalidInputError(f"texts is {shorten(texts)}, not a sequence of strings") from error
    for position, text in enumerate(checked):
        if not isinstance(text, str):
            raise InvalidInputError(f"text {position} is {shorten(text)}, not a string")
    return checked
