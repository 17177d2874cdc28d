"""Texts to the counts of their terms, in bulk.

A batch of texts holds each distinct token many times. A kernel splits the bytes of the batch and
numbers the distinct tokens; only those reach Python, where they become terms. The tokens are those
of `segmentation.tokenize`; a property test holds the two equal.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sparsearch.encoders.analysis import Analyzer
from sparsearch.encoders.pairs import N_BUCKETS, term_hash
from sparsearch.encoders.segmentation import tokenize
from sparsearch.kernels.counts import (
    DIGIT,
    JOINER,
    LETTER,
    SPLIT,
    STOP_WORD,
    UNKNOWN,
    append_pairs,
    count_terms,
    distinct_tokens,
)
from sparsearch.vectors import Vocabulary

__all__ = ["TermCounter"]

_HASH_SHIFT: Final = 32
"""A word is remembered as its id, below, and its hash for pairs, above."""
_SHARED: Final = " / "
"""Between the pairs of a text that share a bucket."""
_REMEMBERED_TOKENS: Final = 1_000_000
_HASH_BASE: Final = random.SystemRandom().randrange(2**16, 2**31 - 1)

# Rows of the two modes: plain ASCII text in lower case, and tokens with blanks between them.
_ASCII_TEXT, _TOKENS = 0, 1


def _byte_classes() -> NDArray[np.uint8]:
    classes = np.full((2, 256), SPLIT, dtype=np.uint8)
    classes[_ASCII_TEXT, list(string.ascii_lowercase.encode())] = LETTER
    classes[_ASCII_TEXT, list(string.digits.encode())] = DIGIT
    classes[_ASCII_TEXT, list(b"'")] = LETTER + JOINER
    classes[_ASCII_TEXT, list(b".,")] = DIGIT + JOINER
    classes[_TOKENS] = LETTER
    classes[_TOKENS, list(b" ")] = SPLIT
    return classes


_BYTE_CLASSES: Final = _byte_classes()

Counts = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]
"""Offsets ``[n + 1]``, and term ids and counts ``[nnz]``, with ids increasing within a row."""


class TermCounter:
    """Counts the terms of texts by one analyzer over one vocabulary.

    Parameters
    ----------
    analyzer : Analyzer
    vocabulary : Vocabulary
    buckets : range, optional
        Ids of pairs of neighbouring words (see `pairs`), which are then counted, too.
    """

    def __init__(
        self, analyzer: Analyzer, vocabulary: Vocabulary, buckets: range = range(0)
    ) -> None:
        self._vocabulary = vocabulary
        self._buckets = buckets
        self._words = _Words(analyzer, vocabulary)

    def count_growing(self, texts: list[str]) -> Counts:
        """Count all terms of each text, adding new ones to the vocabulary."""
        return self._count(texts, self._words.__getitem__)

    def count_known(self, texts: list[str]) -> Counts:
        """Count those terms of each text that the vocabulary has."""
        return self._count(texts, self._words.known)

    def names_of(self, text: str) -> dict[int, str]:
        """Return the terms of a text that the vocabulary has, and what to call them.

        A bucket is called by its pairs in the text.
        """
        names: dict[int, str] = {}
        first = second = ""
        for term in self._sequences([text], self._words.known)[1].tolist():
            if term in self._buckets:  # follows the second of its words
                pair = f"{first} {second}"
                named = names.setdefault(term, pair)
                if pair not in named.split(_SHARED):
                    names[term] = f"{named}{_SHARED}{pair}"
            elif term >= 0:
                first, second = second, self._vocabulary.term(term)
                names[term] = second
        return names

    def _count(self, texts: list[str], word: Callable[[bytes], int]) -> Counts:
        offsets, terms = self._sequences(texts, word)
        counts: tuple[Any, Any, Any] = count_terms(offsets, terms, len(self._vocabulary))
        return counts

    def _sequences(
        self, texts: list[str], word: Callable[[bytes], int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the terms of each text in their order, each pair behind its second word."""
        modes = [_ASCII_TEXT if text.isascii() else _TOKENS for text in texts]
        rows = [
            (text.lower() if mode == _ASCII_TEXT else " ".join(tokenize(text))).encode()
            for text, mode in zip(texts, modes, strict=True)
        ]
        joined = b"".join(rows)
        ends_of_rows = accumulate(map(len, rows), initial=0)
        offsets = np.fromiter(ends_of_rows, dtype=np.int64, count=len(rows) + 1)
        data = np.frombuffer(joined, dtype=np.uint8)
        token_offsets, tokens, starts, ends = distinct_tokens(
            data, offsets, np.array(modes, dtype=np.uint8), _BYTE_CLASSES, _HASH_BASE
        )
        distinct = map(joined.__getitem__, map(slice, starts.tolist(), ends.tolist()))
        words = np.fromiter(map(word, distinct), dtype=np.int64, count=starts.size)
        terms = np.where(words < 0, words, words % 2**_HASH_SHIFT)[tokens]
        if not self._buckets:
            return token_offsets, terms
        hashes = (words >> _HASH_SHIFT)[tokens]
        with_pairs: tuple[Any, Any] = append_pairs(
            token_offsets, terms, hashes, self._buckets.start, N_BUCKETS
        )
        return with_pairs


class _Words(dict[bytes, int]):
    """Ids and hashes of terms by token in UTF-8, so that each token is stemmed once.

    A ``dict`` subclass, so that tokens seen before are looked up at C speed. It forgets all when
    it has grown too large, which bounds its memory and costs little.
    """

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._vocabulary = vocabulary

    def __missing__(self, token: bytes) -> int:
        """Return the word of an unseen token, adding its term to the vocabulary."""
        term = self._analyzer.term(token.decode())
        word = STOP_WORD if term is None else _word(term, self._vocabulary.ids[term])
        self._remember(token, word)
        return word

    def known(self, token: bytes) -> int:
        """Return the word of a token, or `UNKNOWN` where the vocabulary does not have its term."""
        word = self.get(token)
        if word is not None:
            return word
        term = self._analyzer.term(token.decode())
        if term is None:
            word = STOP_WORD
        else:
            term_id = self._vocabulary.get(term)
            if term_id is None:
                return UNKNOWN  # not remembered: the term may be added later
            word = _word(term, term_id)
        self._remember(token, word)
        return word

    def _remember(self, token: bytes, word: int) -> None:
        if len(self) >= _REMEMBERED_TOKENS:
            self.clear()
        self[token] = word


def _word(term: str, term_id: int) -> int:
    return term_hash(term) << _HASH_SHIFT | term_id
