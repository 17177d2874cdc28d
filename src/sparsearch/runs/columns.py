"""Ids in the columns of text files: which ones a format can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["check_id", "check_mapping", "check_tab_separable", "check_trec_writable"]

_BYTE_ORDER_MARK = "\ufeff"


def check_mapping(value: object, what: str) -> None:
    """Refuse what is no mapping."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{what} are {shorten(value)}, not a mapping of query ids")


def check_id(value: object, what: str) -> str:
    """Return `value` as a plain string if it can be an id; `what` says whose id it is."""
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{what} id {shorten(value)} is not a non-empty string")
    return str.__str__(value)  # NumPy's strings are a subclass


def check_trec_writable(ids: Iterable[str], what: str) -> None:
    """Refuse ids that a whitespace-separated file cannot hold.

    Any Unicode whitespace is refused, since tools written in Python split at all of it.
    """
    ids = list(ids)
    if " ".join(ids).split() != ids or any(id.startswith(_BYTE_ORDER_MARK) for id in ids):
        found = next(id for id in ids if id.split() != [id] or id.startswith(_BYTE_ORDER_MARK))
        reason = f"{what} {shorten(found)} contains whitespace or starts with a byte order mark"
        raise InvalidInputError(f"{reason}, which the TREC format cannot hold; rename it")
    _check_encodable(ids, what)


def check_tab_separable(ids: Iterable[str], what: str) -> None:
    """Refuse ids that a tab-separated file cannot hold."""
    ids = list(ids)
    for id in ids:
        if any(separator in id for separator in "\t\r\n"):
            reason = f"{what} {shorten(id)} contains a tab or a line end"
            raise InvalidInputError(f"{reason}, which a TSV file cannot hold; rename it")
    _check_encodable(ids, what)


def _check_encodable(ids: list[str], what: str) -> None:
    try:
        "".join(ids).encode()
    except UnicodeEncodeError as error:
        surrogate = error.object[error.start]
        found = next(id for id in ids if surrogate in id)
        reason = f"{what} {shorten(found)} holds a lone surrogate, which is not a character"
        raise InvalidInputError(f"{reason} and cannot be written; rename it") from error
