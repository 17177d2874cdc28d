"""What an index asks of an encoder, and an encoder of an index."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsearch.encoders.settings import check_number
from sparsearch.errors import InvalidInputError, shorten
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["CollectionStatistics", "Encoder", "Saturation", "inverse_document_frequencies"]


class CollectionStatistics(Protocol):
    """What a query encoder may ask of the documents that will be searched.

    An index counts deleted documents in `n_documents` and `document_frequencies` until they are
    merged away, as Lucene does, so that the two always fit each other.
    """

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        ...

    @property
    def average_length(self) -> float:
        """Mean number of tokens of a document; 0 when there are none."""
        ...

    def document_frequencies(self, term_ids: NDArray[np.uint32], /) -> NDArray[np.int64]:
        """Return in how many documents each of the terms occurs: int64, of the same shape."""
        ...


def inverse_document_frequencies(
    term_ids: NDArray[np.uint32], statistics: CollectionStatistics
) -> NDArray[np.float64]:
    """Return BM25's ``ln(1 + (N - df + 0.5) / (df + 0.5))`` of terms: float64, of the same shape.

    It is 0 for terms that no document holds any more.
    """
    frequencies = statistics.document_frequencies(term_ids)
    others = statistics.n_documents - frequencies
    idf = np.log1p((others + 0.5) / (frequencies + 0.5))
    idf[frequencies == 0] = 0.0
    return np.asarray(idf)


@dataclass(frozen=True)
class Saturation:
    """How term counts become weights once the lengths of all documents are known.

    Parameters
    ----------
    k1 : float
        How slowly repetition of a term saturates; 0 counts presence only. Finite, not negative.
    b : float
        How far long documents are discounted: from 0, not at all, to 1, in proportion.
    first_term : int
        Terms below it have final weights; only those from it on are counted.
    pairs : range
        Counted terms that stand for pairs of words: no part of a document's length.

    Raises
    ------
    InvalidInputError
        When a parameter is outside its range.
    """

    k1: float
    b: float
    first_term: int = 0
    pairs: range = range(0)

    def __post_init__(self) -> None:
        check_number("k1", self.k1, math.inf)
        check_number("b", self.b, 1.0)
        if isinstance(self.first_term, bool) or not isinstance(self.first_term, int):
            raise InvalidInputError(f"first_term is {shorten(self.first_term)}, not an integer")
        check_number("first_term", self.first_term, math.inf)

    def is_pair(self, term_ids: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Return which terms stand for pairs of words: bool, of the same shape."""
        return (term_ids >= self.pairs.start) & (term_ids < self.pairs.stop)

    def lengths(self, vectors: SparseVectors) -> NDArray[np.int64]:
        """Return the number of counted tokens of each document, int64 ``[n]``."""
        terms = vectors.term_ids
        is_word = (terms >= self.first_term) & ~self.is_pair(terms)
        counts = np.where(is_word, vectors.weights, 0)
        totals = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
        return np.diff(totals[vectors.offsets]).astype(np.int64)

    def weights(
        self, counts: ArrayLike, lengths: ArrayLike, average_length: float
    ) -> NDArray[np.float32]:
        """Return the term-frequency part of BM25, in Lucene's form.

        It is ``count / (count + k1 * (1 - b + b * length / average_length))``, computed in double
        precision and rounded once.

        Parameters
        ----------
        counts : array-like of float
            Occurrences of a term in a document, above 0.
        lengths : array-like of float
            Numbers of tokens of those documents; broadcast against `counts`.
        average_length : float
            Mean number of tokens of a document; 0 (no document has any) discounts nothing.

        Returns
        -------
        ndarray of float32
            In ``(0, 1]``, of the broadcast shape.
        """
        frequency = np.asarray(counts, dtype=np.float64)
        scale = self.b / average_length if average_length > 0 else 0.0
        penalty = self.k1 * (1.0 - self.b + scale * np.asarray(lengths, dtype=np.float64))
        return np.asarray(frequency / (frequency + penalty), dtype=np.float32)


class Encoder(ABC):
    """Turns texts into sparse vectors; `Encoder.load` makes one of a trained model.

    An encoder of one's own is a subclass of it.
    """

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Type, version and settings, as JSON values: enough to build the encoder again."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The terms of all vectors it makes; encoding documents may add to it."""

    @property
    def saturation(self) -> Saturation | None:
        """How an index turns document weights into final ones; None when they are final."""
        return None

    @property
    def reads_with_model(self) -> bool:
        """Whether a model reads the documents, so that thousands of them take a minute.

        An index then encodes fewer at a time and commits more often, unless told otherwise.
        """
        return True

    @property
    def splits_words(self) -> bool:
        """Whether it takes text apart into words itself, as BM25 does.

        To show readers which words of a text stand for a term, the service then has each word
        encoded. By default terms are taken to be word pieces, named as in the vocabularies of BERT.
        """
        return False

    def made(self, identity: Mapping[str, Any]) -> bool:
        """Whether an encoder of this `identity` gives the same vectors as this one."""
        return self.identity == identity

    @abstractmethod
    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Return one vector per text."""

    def encode_ahead(self, texts: Sequence[str]) -> SparseVectors | None:
        """Return what a model makes of texts, which takes long and depends on nothing else.

        `complete_documents` makes their vectors of it. None where there is nothing of the kind; by
        default there is not. It may be called while other threads encode.
        """
        return None

    @property
    def keeps_ahead(self) -> bool:
        """Whether what `encode_ahead` makes of a text stands in its vector just as it is.

        And whether all else in it are counts (see `Saturation.first_term`), which
        `complete_documents` adds. An index then takes the weights it has stored for a text that it
        holds already, instead of having the model read it again. By default it does not.
        """
        return False

    def complete_documents(self, texts: Sequence[str], ahead: SparseVectors) -> SparseVectors:
        """Return what `encode_documents` would, given what `encode_ahead` made of the texts.

        By default that is what was made ahead.
        """
        return ahead

    @abstractmethod
    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseVectors:
        """Return one vector per text; never adds to the vocabulary."""

    @staticmethod
    def load(
        source: str | PathLike[str] | None = None,
        *,
        backend: Literal["onnx", "torch"] | None = None,
        recipe: str | None = None,
        quantize: bool = True,
    ) -> Encoder:
        """Load a trained encoder; see docs/loading-models.md.

        Nothing of a model is ever run as code: weights are read from safetensors and ONNX files
        only.

        Parameters
        ----------
        source : str or PathLike, optional
            A folder in sparsearch's own form (`sparsearch export-onnx` writes it); a folder or
            the hub name of a model in sentence-transformers' ``SparseEncoder`` form, or of a
            masked language model, which needs a `recipe`. None for the encoder that comes with
            sparsearch.
        backend : {"onnx", "torch"}, optional
            What runs the model. By default ONNX: a model in another form is exported once, which
            needs the extra ``train``, and kept in the user's cache folder. Decoders run in torch,
            which takes a GPU if there is one.
        recipe : {"splade"}, optional
            What to make of a masked language model without pooling of its own.
        quantize : bool
            Whether a model that is exported computes with 8-bit integers: a fourth of the size
            and several times faster, at a small loss.

        Raises
        ------
        InvalidInputError
            When an option is unknown, or does not go with the model.
        EncoderUnavailableError
            When there is no such model, it cannot be fetched, it is not a sparse encoder, or a
            file of it is missing, damaged or not safe to read.
        EncoderError
            When the model cannot be exported; `backend` ``"torch"`` runs it.
        MissingExtraError
            When torch and sentence-transformers are needed and not installed.
        """
        from sparsearch.encoders.loading import load_encoder

        return load_encoder(source, backend=backend, recipe=recipe, quantize=quantize)
