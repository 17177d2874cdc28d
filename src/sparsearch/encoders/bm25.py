"""BM25: term counts for documents, inverse document frequencies for queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sparsearch.encoders.analysis import AnalysisConfig, Analyzer
from sparsearch.encoders.counting import TermCounter
from sparsearch.encoders.protocol import (
    CollectionStatistics,
    Encoder,
    Saturation,
    inverse_document_frequencies,
)
from sparsearch.encoders.settings import checked_settings
from sparsearch.encoders.texts import checked_texts
from sparsearch.errors import EncoderError, EncoderUnavailableError, InvalidInputError, shorten
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Bm25Config", "Bm25Encoder"]

_VERSION: Final = 1
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

    Raises
    ------
    InvalidInputError
        When a setting is outside its range.
    """

    k1: float = 1.2
    b: float = 0.75
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)

    def __post_init__(self) -> None:
        Saturation(self.k1, self.b)  # checks them
        if not isinstance(self.analysis, AnalysisConfig):
            raise InvalidInputError(f"analysis is {shorten(self.analysis)}, not an AnalysisConfig")


class Bm25Encoder(Encoder):
    """BM25 as sparse vectors [1]_, in Lucene's form.

    The vector of a document holds its term counts; an index turns them into weights by
    `saturation`, with the average length of the documents it holds. The vector of a query holds
    ``count * idf``, with ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``. Their inner product is
    the BM25 score.

    Several threads may encode queries while one encodes documents.

    Parameters
    ----------
    config : Bm25Config, optional
    vocabulary : Vocabulary, optional
        The terms so far, by default none; encoding documents adds to it.

    References
    ----------
    .. [1] S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
       2009. The variant is the one that C. Kamphuis et al., "Which BM25 Do You Mean?", 2020, call
       "Lucene (accurate)".
    """

    def __init__(
        self, config: Bm25Config | None = None, vocabulary: Vocabulary | None = None
    ) -> None:
        self._config = Bm25Config() if config is None else config
        self._vocabulary = Vocabulary() if vocabulary is None else vocabulary
        self._counter = TermCounter(Analyzer(self._config.analysis), self._vocabulary)

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
        return Saturation(self._config.k1, self._config.b)

    @property
    def reads_with_model(self) -> bool:
        """No: counting words is fast."""
        return False

    @property
    def identity(self) -> dict[str, Any]:
        """Type, version and settings as JSON values; `from_identity` reads them."""
        return {
            "type": "bm25",
            "version": _VERSION,
            "k1": float(self._config.k1),
            "b": float(self._config.b),
            "analysis": self._config.analysis.to_dict(),
        }

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], vocabulary: Vocabulary) -> Bm25Encoder:
        """Build the encoder that has this `identity`, over its vocabulary.

        Raises
        ------
        EncoderUnavailableError
            When it was written by a newer version.
        InvalidInputError
            When a setting is missing, unknown or malformed; names it.
        """
        version = identity.get("version")
        if version != _VERSION:
            raise EncoderUnavailableError(
                f"this is a bm25 encoder of version {shorten(version)}; this sparsearch knows "
                f"version {_VERSION} only"
            )
        names = ("type", "version", "k1", "b", "analysis")
        settings = checked_settings(identity, "bm25", names)
        analysis = AnalysisConfig.from_dict(settings["analysis"])
        return cls(Bm25Config(settings["k1"], settings["b"], analysis), vocabulary)

    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Count the terms of each text, adding new ones to the vocabulary.

        The sum of a vector is the length of the document in tokens (stop words excepted).

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
        weights = (counts * idf).astype(np.float32)
        vectors = SparseVectors.from_trusted(offsets, term_ids, weights, self._vocabulary)
        return vectors.drop_zeros()

    def text_terms(self, text: str) -> frozenset[int]:
        """Return the ids of the terms that the text holds, of those in the vocabulary."""
        _, term_ids, _ = self._counter.count_known([text])
        return frozenset(term_ids.tolist())
