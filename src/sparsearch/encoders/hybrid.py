"""BM25 and a learned encoder in one inverted index."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from numbers import Real
from typing import Any, Final

import numpy as np

from sparsearch.encoders.bm25 import Bm25Config, Bm25Encoder
from sparsearch.encoders.pairs import find_buckets
from sparsearch.encoders.protocol import CollectionStatistics, Encoder, Saturation
from sparsearch.encoders.text_terms import NamesTextTerms
from sparsearch.encoders.texts import checked_texts
from sparsearch.errors import InvalidInputError, VocabularyMismatchError, shorten
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["LEARNED_MARK", "HybridEncoder", "hybrid_saturation"]

LEARNED_MARK: Final = "~"
"""Begins the name of every learned term. No word of BM25 contains it."""

_VERSION: Final = 1
_ONE: Final = np.float32(1)


class HybridEncoder(Encoder):
    """Words as BM25 weighs them, and the terms of a learned encoder, side by side.

    The score of a document is its BM25 score plus `learned_weight` times its learned score. Words
    keep it right about exact matches, learned terms find what is worded differently; and as both
    stand in one vector, one search of one inverted index adds them up.

    The learned encoder's terms come first in the vocabulary, each with `LEARNED_MARK` before it;
    words follow as documents bring them.

    Parameters
    ----------
    lexical : Bm25Config
        Of the words.
    learned : Encoder
        Whose document weights are final and whose vocabulary does not grow.
    learned_weight : float
        Factor of its query weights. Finite and above 0.
    vocabulary : Vocabulary, optional
        The terms so far; by default those of `learned`.
    source : str, optional
        Absolute path of its folder, or name on the hub, so that an index can load it again; None
        for the encoder that comes with sparsearch.

    Raises
    ------
    InvalidInputError
        When `learned` gives counts, or `learned_weight` is outside its range.
    VocabularyMismatchError
        When `vocabulary` does not begin with the terms of `learned`.
    """

    def __init__(
        self,
        lexical: Bm25Config,
        learned: Encoder,
        learned_weight: float,
        vocabulary: Vocabulary | None = None,
        source: str | None = None,
    ) -> None:
        if learned.saturation is not None:
            raise InvalidInputError("the learned encoder gives term counts; its weights are final")
        self._weight = _checked_weight(learned_weight)
        names = [LEARNED_MARK + term for term in learned.vocabulary]
        if vocabulary is None:
            vocabulary = Vocabulary(names)
        elif list(islice(vocabulary, len(names))) != names:
            raise VocabularyMismatchError("the vocabulary does not begin with the learned terms")
        self._n_learned = len(names)
        self._learned = learned
        self._source = source
        self._lexical = Bm25Encoder(lexical, vocabulary)

    @property
    def learned(self) -> Encoder:
        """The encoder of the learned terms."""
        return self._learned

    @property
    def lexical(self) -> Bm25Config:
        """Settings of BM25."""
        return self._lexical.config

    @property
    def learned_weight(self) -> float:
        """Factor of the learned query weights."""
        return self._weight

    @property
    def vocabulary(self) -> Vocabulary:
        """Learned terms, then the words of all documents encoded so far."""
        return self._lexical.vocabulary

    @property
    def saturation(self) -> Saturation:
        """How an index turns the counts of words into weights."""
        return replace(self._lexical.saturation, first_term=self._n_learned)

    @property
    def splits_words(self) -> bool:
        """Yes: words are among its terms."""
        return True

    @property
    def identity(self) -> dict[str, Any]:
        """Type, version, the identities of its parts, and its source if it has one."""
        parts = {
            "type": "hybrid",
            "version": _VERSION,
            "lexical": self._lexical.identity,
            "learned": self._learned.identity,
            "learned_weight": self._weight,
        }
        return parts if self._source is None else {**parts, "source": self._source}

    def made(self, identity: Mapping[str, Any]) -> bool:
        """Whether an encoder of this `identity` gives the same vectors; it may lie elsewhere."""
        return {**identity, "source": None} == {**self.identity, "source": None}

    def over(self, vocabulary: Vocabulary) -> HybridEncoder:
        """Return the same encoder with another vocabulary; raises as the class."""
        return HybridEncoder(self.lexical, self._learned, self._weight, vocabulary, self._source)

    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Return each text's learned weights and its counts of words; raises as both encoders."""
        checked = checked_texts(texts)
        # The learned part first: where it fails, the vocabulary has not grown.
        return self.complete_documents(checked, self._learned.encode_documents(checked))

    @property
    def keeps_ahead(self) -> bool:
        """Whether an index may use stored weights again: it may."""
        return True

    def encode_ahead(self, texts: Sequence[str]) -> SparseVectors:
        """Return each text's learned weights; raises as the learned encoder."""
        return self._learned.encode_documents(checked_texts(texts))

    def complete_documents(self, texts: Sequence[str], ahead: SparseVectors) -> SparseVectors:
        """Return each text's learned weights, as given, and its counts of words."""
        return self._joined(ahead, self._lexical.encode_documents(texts))

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseVectors:
        """Return each text's learned weights times `learned_weight`, and its words' idf.

        `statistics` are needed; raises as both encoders.
        """
        checked = checked_texts(texts)
        words = self._lexical.encode_queries(checked, statistics)
        learned = self._learned.encode_queries(checked, statistics)
        return self._joined(learned, words, np.float32(self._weight))

    def text_terms(self, text: str) -> dict[int, str]:
        """Return ids and names of the terms that the text itself holds: words and word pieces."""
        names = self._lexical.text_terms(text)
        if isinstance(self._learned, NamesTextTerms):
            pieces = self._learned.text_terms(text)
            names |= {piece: LEARNED_MARK + name for piece, name in pieces.items()}
        return names

    def _joined(
        self, learned: SparseVectors, words: SparseVectors, factor: np.float32 = _ONE
    ) -> SparseVectors:
        """Return rows with the entries of both, the learned ones, whose ids are lower, scaled."""
        offsets = learned.offsets + words.offsets
        term_ids = np.concatenate([learned.term_ids, words.term_ids])
        weights = np.concatenate([learned.weights * factor, words.weights])
        if len(offsets) > 2:  # of more than one row
            # An entry moves up by what the other part has in the rows before, or up to its own.
            shifts = words.offsets[:-1], learned.offsets[1:]
            at = np.concatenate([
                np.arange(part.nnz) + np.repeat(shift, np.diff(part.offsets))
                for part, shift in zip((learned, words), shifts, strict=True)
            ])  # fmt: skip
            order = np.empty_like(at)
            order[at] = np.arange(len(at))
            term_ids, weights = term_ids[order], weights[order]
        return SparseVectors.from_trusted(offsets, term_ids, weights, self.vocabulary)

    def __repr__(self) -> str:
        return f"HybridEncoder({self.lexical}, {self._learned}, {self._weight})"


def hybrid_saturation(identity: Mapping[str, Any], vocabulary: Vocabulary) -> Saturation:
    """Return the saturation of a hybrid encoder, of which only this is known.

    Raises
    ------
    InvalidInputError
        When the settings of its words are missing or malformed.
    """
    config = Bm25Config.from_identity(identity.get("lexical"))
    terms = range(len(vocabulary))
    first = bisect_left(
        terms, True, key=lambda term: not vocabulary.term(term).startswith(LEARNED_MARK)
    )
    return Saturation(config.k1, config.b, first, find_buckets(vocabulary))


def _checked_weight(value: object) -> float:
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and number > 0):
        reason = "it must be a finite number above 0"
        raise InvalidInputError(f"learned_weight is {shorten(value)}; {reason}")
    return number
