"""What the dimensions of an index mean: its encoder, or the vocabulary of vectors from outside."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from sparsearch.encoders import (
    Bm25Encoder,
    Encoder,
    NamesTextTerms,
    Saturation,
    encoder_from_identity,
    load_default,
    remembered_source,
    saturation_from_identity,
)
from sparsearch.errors import (
    EncoderError,
    EncoderUnavailableError,
    InvalidInputError,
    InvalidQueryError,
    SparsearchError,
    VocabularyMismatchError,
    shorten,
)
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.translate import checked_output, translate
from sparsearch.storage import Catalog
from sparsearch.strict_json import is_unicode
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["Terms"]


class Terms:
    """The encoder and vocabulary of an index, loaded when first needed.

    Parameters
    ----------
    catalog : Catalog
    encoder : Encoder, optional
        The index's encoder, if the caller has it at hand.

    Raises
    ------
    VocabularyMismatchError
        If `encoder` is not the one the index was created with.
    """

    def __init__(self, catalog: Catalog, encoder: Encoder | None = None) -> None:
        self._catalog = catalog
        self._guard = threading.RLock()
        self._given = encoder
        self._encoder = encoder
        self._vocabulary: Vocabulary | None = None
        if encoder is not None:
            self._check(encoder)
            self._vocabulary = encoder.vocabulary

    @property
    def _identity(self) -> Mapping[str, Any] | None:
        """Of the encoder, if there is one, as last committed: its model may have been moved."""
        identity: Mapping[str, Any] | None = self._catalog.settings["encoder"]
        return identity

    @staticmethod
    def resolve(encoder: Encoder | str | None) -> Encoder | None:
        """Return the encoder meant by the argument of `Index.create`."""
        if encoder is None or isinstance(encoder, Encoder):
            return encoder
        if encoder == "default":
            return load_default()
        if encoder == "bm25":
            return Bm25Encoder()
        raise InvalidInputError(
            f"unknown encoder {shorten(encoder)}; give 'default', 'bm25', an Encoder (as "
            "Encoder.load makes of a model's folder or name), or None for vectors only"
        )

    @property
    def encoder(self) -> Encoder:
        """The encoder; raises EncoderUnavailableError if the index has none."""
        if self._identity is None:
            raise EncoderUnavailableError(
                "this index was created without an encoder; give vectors instead of text "
                "(`sparsearch import` adds them, `--queries FILE` searches for them)"
            )
        with self._guard:
            if self._encoder is None:
                self._encoder = self._made_anew(self._identity)
                self._vocabulary = self._encoder.vocabulary
            return self._encoder

    def _made_anew(self, identity: Mapping[str, Any]) -> Encoder:
        """Return the encoder of an identity, or the one that was given if only the caller has it.

        That one may know terms of a write that failed; the next commit stores them, too.
        """
        try:
            return encoder_from_identity(identity, self.vocabulary or Vocabulary())
        except EncoderUnavailableError:
            if self._given is None:
                raise
            self._check(self._given)
            return self._given

    def moved(self, source: str | PathLike[str]) -> Mapping[str, Any]:
        """Return the identity of the encoder with its model where it lies now.

        Raises
        ------
        EncoderUnavailableError
            If the index has no encoder, or there is no model, or another.
        InvalidInputError
            If the encoder is none that `Encoder.load` made of a folder or name.
        """
        identity = self._identity
        if identity is None:
            raise EncoderUnavailableError("this index was created without an encoder")
        if identity.get("source") is None:
            reason = f"the encoder of this index ({identity.get('type')}) was not loaded as a model"
            raise InvalidInputError(f"{reason}, so there is none that could be elsewhere")
        now = {**identity, "source": remembered_source(source)}
        return encoder_from_identity(now, self.vocabulary or Vocabulary()).identity

    @property
    def reads_with_model(self) -> bool:
        """Whether there is an encoder and it reads documents with a model; raises as `encoder`."""
        return self._identity is not None and self.encoder.reads_with_model

    @property
    def splits_words(self) -> bool:
        """Whether there is an encoder and it takes text apart itself; raises as `encoder`."""
        return self._identity is not None and self.encoder.splits_words

    @property
    def saturation(self) -> Saturation | None:
        """How the encoder's counts become weights, if it has one and it gives counts."""
        encoder = self._given if self._encoder is None else self._encoder
        if self._identity is None or encoder is not None:
            return None if encoder is None else encoder.saturation
        return saturation_from_identity(self._identity, self.vocabulary or Vocabulary())

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Strings of the terms; None if the index knows only term ids, or nothing yet.

        They are read from the index, so that it can be searched by vectors and explained when its
        encoder is gone.
        """
        with self._guard:
            if self._vocabulary is None:
                size = self._catalog.state().vocabulary_size
                if size or self._identity is not None:
                    self._vocabulary = Vocabulary(self._catalog.terms(0, size))
            return self._vocabulary

    def encode_documents(
        self, texts: Sequence[str], ahead: SparseVectors | None = None
    ) -> SparseVectors:
        """Return the vectors of texts, without explicit zeros.

        Parameters
        ----------
        texts : sequence of str
        ahead : SparseVectors, optional
            What `Encoder.encode_ahead` made of them.

        Raises
        ------
        EncoderUnavailableError
            As `encoder`.
        EncoderError
            If the encoder does not return one vector a text, or gives a negative weight.
        """
        encoder = self.encoder
        if ahead is None:
            made = encoder.encode_documents(texts)
        else:
            made = encoder.complete_documents(texts, ahead)
        vectors = checked_output(made, len(texts), encoder.vocabulary, grow=True)
        if np.any(vectors.weights < 0):
            raise EncoderError("the encoder gave a document a negative weight")
        return vectors.drop_zeros()

    def text_terms(self, text: str) -> dict[int, str] | None:
        """Return ids and names of the terms that a text itself holds; None if that is unknown."""
        try:
            encoder = self.encoder
        except SparsearchError:  # gone, changed, or what it needs is not installed
            return None
        return encoder.text_terms(text) if isinstance(encoder, NamesTextTerms) else None

    def for_documents(self, vectors: SparseVectors, before: Snapshot | None) -> SparseVectors:
        """Return vectors from outside in terms of this index, without explicit zeros.

        Parameters
        ----------
        vectors : SparseVectors
        before : Snapshot or None
            What the index held before the first vectors of a call; None for those that follow.
        """
        if self._identity is not None:
            raise VocabularyMismatchError(
                f"this index makes its vectors from text with {self._identity.get('type')!r}; "
                "add text, or put the vectors into an index of their own, without an encoder"
            )
        vectors = vectors.drop_zeros()
        if before is not None and before.vocabulary_size == 0 and before.n_postings == 0:
            # Nothing stored says which kind of index it is: these vectors decide.
            self._vocabulary = None if vectors.vocabulary is None else Vocabulary()
        vocabulary = self.vocabulary
        _check_kind(vectors, vocabulary)
        if vectors.nnz == 0:  # of either kind
            csr = vectors.offsets, vectors.term_ids, vectors.weights
            return SparseVectors.from_trusted(*csr, vocabulary)
        return vectors if vocabulary is None else translate(vectors, vocabulary, grow=True)

    def for_queries(
        self, queries: Sequence[str] | SparseVectors, snapshot: Snapshot
    ) -> SparseVectors:
        """Return queries, text or vectors, in terms of this index; unknown terms are dropped."""
        if not isinstance(queries, SparseVectors):
            _check_texts(queries)
            if len(queries) == 0 and self._identity is None:
                return SparseVectors([0], [], [], self.vocabulary)  # of none, no text is missing
            encoder = self.encoder
            made = encoder.encode_queries(queries, snapshot)
            return checked_output(made, len(queries), encoder.vocabulary, grow=False)
        if self._identity is None and snapshot.n_postings == 0 and snapshot.vocabulary_size == 0:
            return queries  # nothing says yet how this index knows its terms
        # An index of vectors without term strings; this is known without asking the catalog.
        by_ids = self._identity is None and snapshot.vocabulary_size == 0
        vocabulary = None if by_ids else self.vocabulary
        _check_kind(queries, vocabulary)
        return queries if vocabulary is None else translate(queries, vocabulary, grow=False)

    def catch_up(self, before: Snapshot, now: Snapshot) -> None:
        """Take over the terms that other writers committed."""
        known = self._vocabulary
        if known is None:
            return
        if len(known) != before.vocabulary_size:
            # Others may have given the same ids, and to as many terms as a failed write had.
            with self._guard:
                self._encoder = self._vocabulary = None
            return
        known.extend(self._catalog.terms(before.vocabulary_size, now.vocabulary_size))

    def discard_uncommitted(self, snapshot: Snapshot) -> None:
        """Forget terms of a write that failed, so that their ids can be given to others."""
        size = snapshot.vocabulary_size
        with self._guard:
            undecided = self._identity is None and size == 0
            if self._vocabulary is not None and (undecided or len(self._vocabulary) != size):
                self._encoder = None
                self._vocabulary = None

    def _check(self, encoder: Encoder) -> None:
        if not isinstance(encoder, Encoder):
            reason = f"encoder is {shorten(encoder)}, not an Encoder"
            raise InvalidInputError(f"{reason}; leave it out: an index remembers its own")
        known = self._catalog.terms(0, self._catalog.state().vocabulary_size)
        given = encoder.vocabulary.terms()[: len(known)]
        same = self._identity is not None and encoder.made(self._identity)
        if not same or given != known[: len(given)]:
            raise VocabularyMismatchError(
                f"the encoder given ({shorten(encoder.identity)}) is not the one of this index "
                f"({shorten(self._identity)})"
            )
        encoder.vocabulary.extend(known[len(given) :])  # words of documents since it was new


def _check_texts(queries: object) -> None:
    """Refuse what is no sequence of texts; an array of NumPy is one, without being a Sequence."""
    listed = hasattr(queries, "__len__") and not isinstance(queries, (str, Mapping))
    if not listed or not all(isinstance(text, str) for text in queries):  # type: ignore[attr-defined]
        reason = f"queries are {shorten(queries)}; give a sequence of strings or SparseVectors"
        raise InvalidQueryError(f"{reason} (search_batch takes a mapping of ids to strings, too)")
    for position, text in enumerate(queries):  # type: ignore[arg-type, var-annotated]
        if not text.isascii() and not is_unicode(text):
            reason = f"query {position} holds a lone surrogate, which is not valid Unicode"
            raise InvalidQueryError(f"{reason}: {shorten(text)}")


def _check_kind(vectors: SparseVectors, vocabulary: Vocabulary | None) -> None:
    by_string = vectors.vocabulary is not None
    if vectors.nnz == 0 or by_string == (vocabulary is not None):
        return
    index_kind, given = ("ids", "strings") if by_string else ("strings", "ids")
    raise VocabularyMismatchError(
        f"this index knows its terms as {index_kind}, the vectors give {given}; "
        "give vectors of the same kind"
    )
