"""The terms of a vocabulary and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

from sparsearch.errors import InvalidInputError, shorten

__all__ = ["MAX_TERMS", "Vocabulary"]

MAX_TERMS = 2**32 - 1
"""Most terms of a vocabulary: ids are unsigned 32-bit integers."""


class _GrowingIds(dict[str, int]):
    """Ids by term; looking up an unknown term with ``[]`` gives it the next id.

    A ``dict`` subclass, so that known terms (nearly all of a text) are looked up at C speed and
    Python code runs only for new ones.
    """

    def __init__(self, terms: list[str]) -> None:
        super().__init__(zip(terms, range(len(terms)), strict=True))
        self.terms = terms
        self._growing = Lock()

    def __missing__(self, term: str) -> int:
        _check_term(term, len(self.terms))
        with self._growing:
            known = self.get(term)  # another thread may have added it meanwhile
            if known is not None:
                return known
            self._append([term])
            return self[term]

    def extend(self, terms: list[str]) -> None:
        """Give each unknown term the next id."""
        with self._growing:
            self._append([term for term in dict.fromkeys(terms) if term not in self])

    def _append(self, terms: list[str]) -> None:
        start, stop = len(self.terms), len(self.terms) + len(terms)
        if stop > MAX_TERMS:
            raise InvalidInputError(f"a vocabulary holds at most {MAX_TERMS} terms")
        self.terms.extend(terms)  # first, so that an id that is seen always has its term
        self.update(zip(terms, range(start, stop), strict=True))


class Vocabulary:
    """Distinct term strings in order; the id of a term is its position.

    Terms can be added but never removed or reordered, so an id stays valid for good.

    Parameters
    ----------
    terms : iterable of str
        The first terms, in the order of their ids.

    Raises
    ------
    InvalidInputError
        When a term is given twice, is not a string or is not valid Unicode, or there are too many.
    """

    __slots__ = ("_ids",)

    def __init__(self, terms: Iterable[str] = ()) -> None:
        if isinstance(terms, (str, bytes)) or not isinstance(terms, Iterable):
            raise InvalidInputError(f"terms are {shorten(terms)}, not a sequence of strings")
        given = list(terms)
        _check_terms(given)
        self._ids = _GrowingIds(given)
        if len(self._ids) != len(given):
            raise InvalidInputError(_duplicate_reason(given))

    @property
    def ids(self) -> Mapping[str, int]:
        """Ids by term; ``ids[term]`` adds an unknown term, ``ids.get(term)`` does not.

        For bulk work: ``map(vocabulary.ids.__getitem__, tokens)`` runs at the speed of a dict.
        """
        return self._ids

    def get(self, term: str) -> int | None:
        """Return the id of `term`, or None when it is not in the vocabulary."""
        return self._ids.get(term)

    def term(self, term_id: int) -> str:
        """Return the term that has id `term_id`.

        Raises
        ------
        InvalidInputError
            When no term has this id.
        """
        if not 0 <= term_id < len(self):
            raise InvalidInputError(f"no term has id {term_id}: the vocabulary has {len(self)}")
        return self._ids.terms[term_id]

    def add(self, term: str) -> int:
        """Return the id of `term`, giving it the next one when it is new.

        Raises
        ------
        InvalidInputError
            When `term` is not a string or not valid Unicode, or the vocabulary is full.
        """
        _check_term(term, len(self))
        return self._ids[term]

    def extend(self, terms: Iterable[str]) -> None:
        """Add terms in their order, those that are new; raises as `add`, and then adds none."""
        given = list(terms)
        _check_terms(given)
        self._ids.extend(given)

    def terms(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Return the terms from id `start` on, up to `stop` if given, in a new list."""
        if start < 0:
            raise InvalidInputError(f"term ids start at 0, not {start}")
        return self._ids.terms[start:stop]

    def __len__(self) -> int:
        return len(self._ids.terms)

    def __contains__(self, term: object) -> bool:
        return isinstance(term, str) and term in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids.terms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self is other or self._ids.terms == other._ids.terms

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __reduce__(self) -> tuple[type[Vocabulary], tuple[list[str]]]:
        return type(self), (self.terms(),)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} terms)"


def _check_terms(terms: list[str]) -> None:
    if len(terms) > MAX_TERMS:
        raise InvalidInputError(f"a vocabulary holds at most {MAX_TERMS} terms, not {len(terms)}")
    try:
        "".join(terms).encode()  # all at once: a thousand times faster than one by one
    except (TypeError, UnicodeEncodeError):
        for position, term in enumerate(terms):
            _check_term(term, position)


def _check_term(term: object, position: int) -> None:
    """Refuse what could not be written to a file later on."""
    if not isinstance(term, str):
        raise InvalidInputError(f"term {position} is {shorten(term)}, not a string")
    try:
        term.encode()
    except UnicodeEncodeError as error:
        reason = f"term {position}, {shorten(term)}, is not valid Unicode: a lone surrogate"
        raise InvalidInputError(reason) from error


def _duplicate_reason(terms: list[str]) -> str:
    first: dict[str, int] = {}
    for position, term in enumerate(terms):
        if first.setdefault(term, position) != position:
            return f"terms {first[term]} and {position} are both {shorten(term)}"
    raise AssertionError("there is no duplicate")
