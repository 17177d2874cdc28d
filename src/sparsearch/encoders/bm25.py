"""BM25: term counts for documents, inverse document frequencies for queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sparsearch.encoders.analysis import AnalysisConfig, Analyzer
from sparsearch.encoders.counting import TermCounter
from sparsearch.encoders.pairs import add_buckets
from sparsearch.encoders.protocol import (
    CollectionStatistics,
    Encoder,
    Saturation,
    inverse_document_frequencies,
)
from sparsearch.encoders.settings import check_number, checked_settings
from sparsearch.encoders.texts import checked_texts
from sparsearch.errors import EncoderError, EncoderUnavailableError, InvalidInputError, shorten
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Bm25Config", "Bm25Encoder"]

_VERSION: Final = 1
_LARGEST_PAIR_WEIGHT: Final = 100.0
_LARGEST_COUNT: Final = 2**24
"""Up to here every integer is a float32."""


@dataclass(frozen=True)
class Bm25Config:
    """Settings of BM25.

    Parameters
    ----------
    k1, b : float
        Saturation of repeated terms and discount of long documents; see `Saturation`.
    analysis : AnalysisConfig
        How text becomes terms.
    pair_weight : float
        How much a pair of neighbouring words counts, relative to a word: each that query and
        document share adds its own BM25 score times this. 0 for words alone, at most 100.

    Raises
    ------
    InvalidInputError
        When a setting is outside its range.
    """

    k1: float = 1.2
    b: float = 0.75
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    pair_weight: float = 0.0

    def __post_init__(self) -> None:
        Saturation(self.k1, self.b)  # checks them
        check_number("pair_weight", self.pair_weight, _LARGEST_PAIR_WEIGHT)
        if not isinstance(self.analysis, AnalysisConfig):
            raise InvalidInputError(f"analysis is {shorten(self.analysis)}, not an AnalysisConfig")

    @classmethod
    def from_identity(cls, identity: object) -> Bm25Config:
        """Return the settings of the encoder that has this `identity`.

        Raises
        ------
        EncoderUnavailableError
            When it was written by another version.
        InvalidInputError
            When a setting is missing, unknown or malformed; names it.
        """
        version = identity.get("version") if isinstance(identity, Mapping) else _VERSION
        if version != _VERSION:
            raise EncoderUnavailableError(
                f"this is a bm25 encoder of version {shorten(version)}; this sparsearch knows "
                f"version {_VERSION} only"
            )
        names = ("type", "version", "k1", "b", "analysis", "pair_weight")
        given = {"pair_weight": 0.0, **identity} if isinstance(identity, Mapping) else identity
        settings = checked_settings(given, "bm25", names)
        analysis = AnalysisConfig.from_dict(settings["analysis"])
        return cls(settings["k1"], settings["b"], analysis, settings["pair_weight"])


class Bm25Encoder(Encoder):
    """BM25 as sparse vectors [1]_, in Lucene's form.

    The vector of a document holds its term counts; an index turns them into weights by
    `saturation`, with the average length of the documents it holds. The vector of a query holds
    ``count * idf``, with ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``. Their inner product is
    the BM25 score.

    With a `pair_weight`, pairs of neighbouring words are terms as well, as in the sequential
    dependence model [2]_: see `pairs`. They are no part of a document's length.

    Several threads may encode queries while one encodes documents.

    Parameters
    ----------
    config : Bm25Config, optional
    vocabulary : Vocabulary, optional
        The terms so far, by default none; encoding documents adds to it.

    Raises
    ------
    VocabularyMismatchError
        When `vocabulary` holds pairs of words, but not as `config` has them.

    References
    ----------
    .. [1] S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
       2009. The variant is the one that C. Kamphuis et al., "Which BM25 Do You Mean?", 2020, call
       "Lucene (accurate)".
    .. [2] D. Metzler and W. B. Croft, "A Markov Random Field Model for Term Dependencies", 2005.
    """

    def __init__(
        self, config: Bm25Config | None = None, vocabulary: Vocabulary | None = None
    ) -> None:
        if config is not None and not isinstance(config, Bm25Config):
            raise InvalidInputError(f"config is {shorten(config)}, not a Bm25Config")
        self._config = Bm25Config() if config is None else config
        self._vocabulary = Vocabulary() if vocabulary is None else vocabulary
        self._buckets = add_buckets(self._vocabulary) if self._config.pair_weight else range(0)
        analyzer = Analyzer(self._config.analysis)
        self._counter = TermCounter(analyzer, self._vocabulary, self._buckets)

    @property
    def config(self) -> Bm25Config:
        """Its settings."""
        return self._config

    @property
    def vocabulary(self) -> Vocabulary:
        """The terms of all documents encoded so far."""
        return self._vocabulary

    @property
    def saturation(self) -> Saturation:
        """How an index turns term counts into weights."""
        return Saturation(self._config.k1, self._config.b, pairs=self._buckets)

    @property
    def reads_with_model(self) -> bool:
        """No: counting words is fast."""
        return False

    @property
    def splits_words(self) -> bool:
        """Yes: its terms are words."""
        return True

    @property
    def identity(self) -> dict[str, Any]:
        """Type, version and settings as JSON values; `from_identity` reads them."""
        settings = {
            "type": "bm25",
            "version": _VERSION,
            "k1": float(self._config.k1),
            "b": float(self._config.b),
            "analysis": self._config.analysis.to_dict(),
        }
        # Without pairs as it was before there were any, so that indexes of that time are read.
        pair_weight = float(self._config.pair_weight)
        return {**settings, "pair_weight": pair_weight} if pair_weight else settings

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], vocabulary: Vocabulary) -> Bm25Encoder:
        """Build the encoder that has this `identity`, over its vocabulary.

        Raises as `Bm25Config.from_identity`, and as the class.
        """
        return cls(Bm25Config.from_identity(identity), vocabulary)

    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Count the terms of each text, adding new ones to the vocabulary.

        The sum of a vector, pairs excepted, is the length of the document in tokens (stop words
        excepted).

        Raises
        ------
        InvalidInputError
            When a text is not a string, or holds a term more often than a float32 can count.
        """
        checked = checked_texts(texts)
        offsets, term_ids, counts = self._counter.count_growing(checked)
        if counts.max(initial=0) > _LARGEST_COUNT:
            position = int(counts.argmax())
            text = int(np.searchsorted(offsets, position, side="right")) - 1
            term = self._vocabulary.term(int(term_ids[position]))
            raise InvalidInputError(
                f"text {text} holds the term {shorten(term)} {counts[position]} times; "
                f"at most {_LARGEST_COUNT} can be represented: split the text"
            )
        weights = counts.astype(np.float32)
        return SparseVectors.from_trusted(offsets, term_ids, weights, self._vocabulary)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseVectors:
        """Weight the terms of each text by their inverse document frequencies.

        Terms that no document holds are left out, and the vocabulary does not grow.

        Parameters
        ----------
        texts : sequence of str
        statistics : CollectionStatistics
            Of the documents to be searched.

        Raises
        ------
        EncoderError
            When `statistics` is None.
        InvalidInputError
            When a text is not a string.
        """
        if statistics is None:
            raise EncoderError("BM25 queries need the statistics of the documents; give statistics")
        checked = checked_texts(texts)
        offsets, term_ids, counts = self._counter.count_known(checked)
        idf = inverse_document_frequencies(term_ids, statistics)
        shares = np.where(self.saturation.is_pair(term_ids), self._config.pair_weight, 1.0)
        weights = (counts * idf * shares).astype(np.float32)
        vectors = SparseVectors.from_trusted(offsets, term_ids, weights, self._vocabulary)
        return vectors.drop_zeros()

    def text_terms(self, text: str) -> dict[int, str]:
        """Return ids and names of the terms that the text holds, of those in the vocabulary."""
        return self._counter.names_of(text)
