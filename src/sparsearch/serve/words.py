"""Which words of a text stand for which terms, so that a reader sees why a document matched."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sparsearch.index import Index
from sparsearch.index.words import words_in
from sparsearch.vectors import Vocabulary

__all__ = ["words_by_term"]

_LONGEST_WORD = 100


def words_by_term(index: Index, texts: Iterable[str | None], splits: bool) -> dict[str, list[str]]:
    """Return the words of some texts, in lower case and in order, by the term they stand for.

    Parameters
    ----------
    index : Index
    texts : iterable of str or None
        Of each, what `words_in` reads is looked at.
    splits : bool
        Whether the index's encoder takes text apart itself (see `Encoder.splits_words`). Otherwise
        terms are taken to be word pieces, those inside a word marked by ``##``, as in the
        vocabularies of BERT.
    """
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(word for _, _, word in words_in(text or "")))
    words = list(found)
    terms: dict[str, list[str]] = {}
    if splits:
        vectors = index.encode_queries(words)
        for word, vector in zip(words, vectors.to_dicts(), strict=True):
            for term in vector:
                terms.setdefault(term, []).append(word)
        return terms
    vocabulary = index.vocabulary
    if vocabulary is not None:
        for word in words:
            for piece in _pieces(word, vocabulary):
                terms.setdefault(piece, []).append(word)
    return terms


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
