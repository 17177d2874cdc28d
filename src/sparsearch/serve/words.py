"""Which words of a text stand for which terms, so that a reader sees why a document matched."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from sparsearch.index import Index
from sparsearch.index.words import words_in
from sparsearch.vectors import Vocabulary

__all__ = ["TermsOfWords"]

_LONGEST_WORD = 100


class TermsOfWords:
    """Looks up which terms words stand for, each word once.

    Parameters
    ----------
    index : Index
    splits : bool
        Whether the index's encoder takes text apart itself (see `Encoder.splits_words`). Otherwise
        terms are taken to be word pieces, those inside a word marked by ``##``, as in the
        vocabularies of BERT.
    """

    def __init__(self, index: Index, splits: bool) -> None:
        self._index = index
        self._splits = splits
        self._known: dict[str, Sequence[str]] = {}

    def words_by_term(self, texts: Iterable[str | None]) -> dict[str, list[str]]:
        """Return the words of some texts, in lower case and in order, by the term they stand for.

        Of each text, what `words_in` reads is looked at.
        """
        words = list(dict.fromkeys(w for text in texts for _, _, w in words_in(text or "")))
        self._look_up([word for word in words if word not in self._known])
        terms: dict[str, list[str]] = {}
        for word in words:
            for term in self._known[word]:
                terms.setdefault(term, []).append(word)
        return terms

    def _look_up(self, words: list[str]) -> None:
        vocabulary = self._index.vocabulary
        found: list[Sequence[str]]
        if self._splits and words:
            found = [list(vector) for vector in self._index.encode_queries(words).to_dicts()]
        else:
            found = [() if vocabulary is None else _pieces(word, vocabulary) for word in words]
        self._known.update(zip(words, found, strict=True))


def _pieces(word: str, vocabulary: Vocabulary) -> list[str]:
    """Split a word as WordPiece does: the longest known piece first, then on."""
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    if word in vocabulary:
        return [word]
    pieces: list[str] = []
    start = 0
    while start < len(plain) <= _LONGEST_WORD:
        mark = "##" if start else ""
        stop = len(plain)
        while stop > start and mark + plain[start:stop] not in vocabulary:
            stop -= 1
        if stop == start:
            return []
        pieces.append(mark + plain[start:stop])
        start = stop
    return pieces
