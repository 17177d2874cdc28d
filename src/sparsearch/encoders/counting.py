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
from sparsearch.encoders.segmentation import tokenize
from sparsearch.kernels.counts import DIGIT, JOINER, LETTER, SPLIT, count_terms, distinct_tokens
from sparsearch.vectors import Vocabulary

__all__ = ["TermCounter"]

_NO_TERM: Final = -1
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
    """

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._term_ids = _TermIds(analyzer, vocabulary)

    def count_growing(self, texts: list[str]) -> Counts:
        """Count all terms of each text, adding new ones to the vocabulary."""
        return self._count(texts, self._term_ids.__getitem__)

    def count_known(self, texts: list[str]) -> Counts:
        """Count those terms of each text that the vocabulary has."""
        return self._count(texts, self._term_ids.known)

    def _count(self, texts: list[str], term_id: Callable[[bytes], int]) -> Counts:
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
        terms = np.fromiter(map(term_id, distinct), dtype=np.int64, count=starts.size)
        counts: tuple[Any, Any, Any] = count_terms(
            token_offsets, tokens, terms, len(self._vocabulary)
        )
        return counts


class _TermIds(dict[bytes, int]):
    """Term ids by token in UTF-8, so that each token is stemmed once; -1 for stop words.

    A ``dict`` subclass, so that tokens seen before are looked up at C speed. It forgets all when
    it has grown too large, which bounds its memory and costs little.
    """

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._vocabulary = vocabulary

    def __missing__(self, token: bytes) -> int:
        """Return the id of an unseen token's term, adding the term to the vocabulary."""
        term = self._analyzer.term(token.decode())
        term_id = _NO_TERM if term is None else self._vocabulary.ids[term]
        self._remember(token, term_id)
        return term_id

    def known(self, token: bytes) -> int:
        """Return the id of a token's term, or -1 where the vocabulary does not have it."""
        term_id = self.get(token)
        if term_id is not None:
            return term_id
        term = self._analyzer.term(token.decode())
        found = None if term is None else self._vocabulary.get(term)
        if found is None:
            return _NO_TERM  # not remembered: the term may be added later
        self._remember(token, found)
        return found

    def _remember(self, token: bytes, term_id: int) -> None:
        if len(self) >= _REMEMBERED_TOKENS:
            self.clear()
        self[token] = term_id
