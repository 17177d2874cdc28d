"""Encoders that are a folder: a tokenizer, an ONNX model and perhaps a table for queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sparsearch.encoders.model_folder import ModelFolder, ModelSettings, QueryTable
from sparsearch.encoders.onnx_model import OnnxModel, SparseEntries
from sparsearch.encoders.protocol import (
    CollectionStatistics,
    Encoder,
    inverse_document_frequencies,
)
from sparsearch.encoders.texts import checked_texts
from sparsearch.errors import EncoderError, InvalidInputError
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["EncoderParts", "NetworkEncoder", "OnnxEncoder", "SparseModel"]

_VERSION: Final = 1
_TOKENIZED_AT_ONCE: Final = 256
_CHARACTERS_AT_ONCE: Final = 1 << 22
"""Of the texts that are tokenised at once; the tokenizer takes some 100 bytes a token."""

_WINDOWS_AT_ONCE: Final = 2048
"""Of the texts whose windows are encoded before they are pooled."""


class SparseModel(Protocol):
    """Windows of tokens to sparse entries: an `OnnxModel`, or one that runs elsewhere."""

    def run(self, windows: Sequence[NDArray[np.int32]], /) -> SparseEntries:
        """Encode windows of tokens, none of them empty; rows are positions in `windows`."""
        ...


class EncoderParts(Protocol):
    """What an encoder needs besides its models: a `ModelFolder`, or a checkpoint."""

    @property
    def settings(self) -> ModelSettings:
        """Lengths, frame, kind of queries."""
        ...

    @property
    def digest(self) -> str:
        """Of all files that vectors depend on."""
        ...

    def load_tokenizer(self) -> Any:
        """Return the ``tokenizers.Tokenizer``, without truncation or padding."""
        ...

    def load_query_table(self) -> QueryTable:
        """Return what the tokens of a query weigh; only asked where no model encodes queries."""
        ...


class NetworkEncoder(Encoder):
    """A learned sparse encoder around models that encode windows of tokens.

    Documents longer than the model's input are encoded window by window, and each term has the
    largest of its weights; nothing is cut off. Queries are encoded by a model too, or are the
    tokens of their text with weights from a table, as the folder's settings say.

    The model is loaded when the first text needs it. Several threads may encode at once.

    Parameters
    ----------
    parts : EncoderParts
    documents, queries : SparseModel
        May be the same one; `queries` is not used where the settings name a table.
    """

    def __init__(self, parts: EncoderParts, documents: SparseModel, queries: SparseModel) -> None:
        self._parts = parts
        self._documents = documents
        self._queries = queries

    @property
    def settings(self) -> ModelSettings:
        """What the folder says about the model."""
        return self._parts.settings

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The model's terms; always the same."""
        settings = self.settings
        if settings.terms == "latents":
            return Vocabulary(f"latent {i}" for i in range(settings.dimension))
        names = {i: token for token, i in self._tokenizer.get_vocab(True).items()}
        # Output layers are often padded to a round size; and ids may lie further up than terms do.
        return Vocabulary(names.get(i, f"[token {i}]") for i in range(settings.dimension))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Type, version, name, and the digest of the files that vectors depend on."""
        return {
            "type": "onnx",
            "version": _VERSION,
            "name": self.settings.name,
            "digest": self._parts.digest,
        }

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return the token ids of each text, without those that frame a window.

        Raises
        ------
        InvalidInputError
            When a text is not a string, or not valid Unicode.
        """
        checked = checked_texts(texts)
        parts = _portions([len(text) for text in checked], _CHARACTERS_AT_ONCE, _TOKENIZED_AT_ONCE)
        return list(
            chain.from_iterable(self._tokenize(checked[start:stop], start) for start, stop in parts)
        )

    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vector of each text; empty for a text without tokens.

        Raises
        ------
        InvalidInputError
            When a text is not a string, or not valid Unicode.
        FileFormatError
            When the model cannot be loaded.
        EncoderError
            When the model fails.
        """
        prompted = _prompted(texts, self.settings.document_prompt)
        return self._encode(self._documents, self.tokens(prompted))

    @property
    def keeps_ahead(self) -> bool:
        """Whether an index may use stored weights again: it may."""
        return True

    def encode_ahead(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vectors themselves; raises as `encode_documents`."""
        return self.encode_documents(texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseVectors:
        """Return the vector of each text.

        Parameters
        ----------
        texts : sequence of str
        statistics : CollectionStatistics, optional
            Of the documents to be searched; needed where the settings say ``"idf"``.

        Raises
        ------
        EncoderError
            When statistics are needed and not given, or the model fails.
        InvalidInputError, FileFormatError
            As in `encode_documents`.
        """
        tokens = self.tokens(_prompted(texts, self.settings.query_prompt))
        if self.settings.queries == "model":
            return self._encode(self._queries, tokens)
        return self._look_up(tokens, statistics)

    def text_terms(self, text: str) -> dict[int, str]:
        """Return the ids and names of the terms that the text's tokens stand for.

        There are none where terms are latent.
        """
        if self.settings.terms == "latents":
            return {}
        tokens = self.tokens([text])[0]
        tokens = tokens[tokens < self.settings.dimension]
        terms = tokens if self.settings.queries == "model" else self.query_terms[tokens]
        return {term: self.vocabulary.term(term) for term in terms.tolist()}

    @property
    def query_terms(self) -> NDArray[np.int32]:
        """The term that each token stands for; where no model encodes queries."""
        return self._query_table.terms

    @cached_property
    def _tokenizer(self) -> Any:
        return self._parts.load_tokenizer()

    @cached_property
    def _query_table(self) -> QueryTable:
        return self._parts.load_query_table()

    def _tokenize(self, texts: list[str], start: int) -> list[NDArray[np.int32]]:
        tokenizer = self._tokenizer
        try:
            encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except Exception as error:
            for position, text in enumerate(texts, start):
                if any("\ud800" <= letter <= "\udfff" for letter in text):
                    reason = f"text {position} is not valid Unicode: it has a lone surrogate"
                    raise InvalidInputError(reason) from None
            raise EncoderError(f"the tokenizer of {self.settings.name} failed: {error}") from error
        return [np.asarray(one.ids, dtype=np.int32) for one in encoded]

    def _encode(self, model: SparseModel, texts: Sequence[NDArray[np.int32]]) -> SparseVectors:
        windows = self.settings.windows
        sizes = [len(windows.cut(len(tokens))) for tokens in texts]
        return SparseVectors.concatenate(
            self._encode_portion(model, texts[start:stop])
            for start, stop in _portions(sizes, _WINDOWS_AT_ONCE)
        )

    def _encode_portion(
        self, model: SparseModel, texts: Sequence[NDArray[np.int32]]
    ) -> SparseVectors:
        settings = self.settings
        prefix = np.asarray(settings.prefix_ids, np.int32)
        suffix = np.asarray(settings.suffix_ids, np.int32)
        windows, owners = [], []
        for row, tokens in enumerate(texts):
            if len(tokens) == 0:
                continue  # there is nothing to say about no text
            for start, stop in settings.windows.cut(len(tokens)):
                windows.append(np.concatenate([prefix, tokens[start:stop], suffix]))
                owners.append(row)
        entries = model.run(windows)
        rows = np.asarray(owners, dtype=np.int64)[entries.rows]
        return self._pooled(SparseEntries(rows, entries.term_ids, entries.weights), len(texts))

    def _pooled(self, entries: SparseEntries, n_rows: int) -> SparseVectors:
        """Keep the largest weight of each term in each row."""
        dimension = self.settings.dimension
        keys = entries.rows * dimension + entries.term_ids
        order = np.argsort(keys, kind="stable")
        keys, weights = keys[order], entries.weights[order]
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        if len(firsts):
            weights = np.maximum.reduceat(weights, firsts)
        return self._vectors(keys[firsts], weights, n_rows)

    def _look_up(
        self, texts: Sequence[NDArray[np.int32]], statistics: CollectionStatistics | None
    ) -> SparseVectors:
        dimension = self.settings.dimension
        lengths = [len(tokens) for tokens in texts]
        rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
        tokens = np.concatenate([np.empty(0, np.int32), *texts])
        known = tokens < dimension
        found = np.unique(rows[known] * dimension + tokens[known])
        distinct = found % dimension
        # Tokens that stand for the same term add up.
        asked = found - distinct + self.query_terms[distinct]
        order = np.argsort(asked, kind="stable")
        keys, weights = asked[order], self._query_table.weights[distinct[order]]
        again = keys[1:] == keys[:-1]
        if again.any():
            firsts = np.flatnonzero(np.concatenate([[True], ~again]))
            keys, weights = keys[firsts], np.add.reduceat(weights, firsts)
        term_ids = keys % dimension
        if self.settings.queries == "idf":
            if statistics is None:
                reason = "its queries need the statistics of the documents; give statistics"
                raise EncoderError(f"{self.settings.name}: {reason}")
            idf = inverse_document_frequencies(term_ids.astype(np.uint32), statistics)
            weights = weights * idf**self.settings.idf_exponent
        if self.settings.max_query_terms is not None:
            kept = _heaviest(keys // dimension, weights, self.settings.max_query_terms)
            keys, weights = keys[kept], weights[kept]
        return self._vectors(keys, weights.astype(np.float32), len(texts)).drop_zeros()

    def _vectors(
        self, keys: NDArray[np.int64], weights: NDArray[np.float32], n_rows: int
    ) -> SparseVectors:
        """Return the batch whose entries have these keys, ascending: row times dimension + term."""
        dimension = self.settings.dimension
        bounds = np.arange(n_rows + 1, dtype=np.int64) * dimension
        return SparseVectors.from_trusted(
            np.searchsorted(keys, bounds),
            (keys % dimension).astype(np.uint32),
            weights,
            self.vocabulary,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.name})"


class OnnxEncoder(NetworkEncoder):
    """A learned sparse encoder on ONNX Runtime; see `NetworkEncoder`.

    Parameters
    ----------
    path : str or Path
        A model folder; see docs/encoders.md.

    Raises
    ------
    FileFormatError
        When a file is missing or malformed; names it.
    """

    def __init__(self, path: str | Path) -> None:
        folder = ModelFolder(path)
        settings = folder.settings
        documents = OnnxModel(folder.model_path, settings)
        own_query_model = folder.query_model_path != folder.model_path
        queries = OnnxModel(folder.query_model_path, settings) if own_query_model else documents
        super().__init__(folder, documents, queries)


def _portions(
    sizes: Sequence[int], most: int, most_items: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the ranges of items in portions, at least one of them, together all items.

    The sizes of a portion add up to at most `most`; an item that is larger is a portion of its own.
    """
    start = total = 0
    for position, size in enumerate(sizes):
        if position > start and (total + size > most or position - start == most_items):
            yield start, position
            start, total = position, 0
        total += size
    yield start, len(sizes)


def _prompted(texts: Sequence[str], prompt: str) -> list[str]:
    checked = checked_texts(texts)
    return [prompt + text for text in checked] if prompt else checked


def _heaviest(
    rows: NDArray[np.int64], weights: NDArray[np.floating[Any]], count: int
) -> NDArray[np.intp]:
    """Return the places of each row's heaviest entries, ascending; `rows` is."""
    order = np.lexsort((-weights, rows))
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    return np.sort(order[ranks < count])
