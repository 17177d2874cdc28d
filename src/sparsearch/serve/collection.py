"""A collection: an index under a name, with its writer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsearch.errors import InvalidDocumentError, StorageUnavailableError
from sparsearch.index import Index, warm_up
from sparsearch.index.documents import check_documents, check_vectors
from sparsearch.serve.config import ServeConfig
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.metrics import Metrics
from sparsearch.serve.role import WriterRole
from sparsearch.serve.writes import Put
from sparsearch.serve.writing import GroupWriter, WriterEvents
from sparsearch.vectors import SparseVectors, vectors_by_term_id

__all__ = ["Collection"]

_log = logging.getLogger("sparsearch.serve")


class Collection:
    """An index under a name.

    Parameters
    ----------
    name : str
    folder : Path
    config : ServeConfig
    metrics : Metrics
    on_replaced : callable, optional
        Called when there is another index in the folder, or none; returns whether that one is
        served now, and this collection is to write no more.

    Raises
    ------
    IndexNotFoundError, IndexVersionError, IndexCorruptError
    EncoderUnavailableError
        If its encoder cannot be loaded.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        config: ServeConfig,
        metrics: Metrics,
        on_replaced: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.index = Index.open(folder)
        self.encoder: dict[str, Any] | None = self.index.info().encoder
        if self.encoder is not None:
            self.index.encode_queries(["warm up"])  # loads it now, and says now if it cannot
        _compile_kernels(self.index)
        self.splits_words = self.index.splits_words
        role = WriterRole(folder, config.read_only)

        def on_commit(requests: int, seconds: float) -> None:
            metrics.commits.labels(name).observe(seconds)
            metrics.committed.labels(name).inc(requests)

        events = WriterEvents(on_commit, on_replaced)
        self.writer = GroupWriter(self.index, role, config.limits, config.refresh_seconds, events)

    def close(self) -> None:
        """Commit what waits, then close the index."""
        self.writer.close()
        self.index.close()

    def gauges(self) -> dict[str, int]:
        """Return the numbers that metrics show."""
        info = self.index.info()
        return {
            "documents": info.documents,
            "deleted_documents": info.deleted,
            "segments": info.segments,
            "postings": info.postings,
            "generation": info.generation,
            "writes_waiting": self.writer.waiting,
            "writable": int(self.writer.can_write),
        }

    def queries(
        self, queries: Sequence[str | Mapping[str, float]], index: Index
    ) -> Sequence[str] | SparseVectors:
        """Return queries, all text or all weights, as a view of the index takes them.

        Raises
        ------
        InvalidVectorError
            If a weight is no float32; names the row.
        ServiceError
            422 if text is given and there is no encoder.
        """
        rows = [query for query in queries if not isinstance(query, str)]
        if rows:
            return self.vectors(rows, index.has_term_ids)
        if queries and self.encoder is None:
            reason = "this collection has no encoder; give the weights of terms instead of text"
            raise ServiceError(422, "encoder_unavailable", reason)
        return [query for query in queries if isinstance(query, str)]

    def vectors(self, rows: Sequence[Mapping[str, float]], term_ids: bool) -> SparseVectors:
        """Return vectors given by term, or by term id in decimal where `term_ids`.

        Raises
        ------
        InvalidVectorError
            Naming the row.
        """
        return vectors_by_term_id(rows) if term_ids else SparseVectors.from_dicts(rows)

    def put(self, documents: Sequence[Any], replace: bool, term_ids: bool = False) -> Put:
        """Check documents from outside, all of them, before any is stored.

        Raises
        ------
        InvalidDocumentError, InvalidVectorError
        EncoderError, FileFormatError
            If the encoder has to be loaded again, and cannot.
        """
        if self.encoder is not None:
            for position, document in enumerate(documents):
                if isinstance(document, Mapping) and "vector" in document:
                    reason = "it has a vector, but this collection makes its own from the text"
                    raise InvalidDocumentError(position, document.get("id"), reason)
            for _ in check_documents(documents, passage_length=self.index.config.passage_length):
                pass
            return Put(documents, None, replace, self.index.reads_with_model)
        rows = [_vector_of(position, document) for position, document in enumerate(documents)]
        vectors = self.vectors(rows, term_ids or self.index.has_term_ids)
        fields = [
            {name: value for name, value in document.items() if name != "vector"}
            for document in documents
        ]
        check_vectors([document.get("id") for document in documents], vectors, fields)
        return Put(fields, vectors, replace)


def _compile_kernels(index: Index) -> None:
    """Compile what an index needs now, so that no request waits for it."""
    try:
        warm_up(index=index)
    except (OSError, StorageUnavailableError) as error:
        _log.warning("not warmed up, the first requests may take long: %s", error)


def _vector_of(position: int, document: object) -> Mapping[str, float]:
    if not isinstance(document, Mapping):
        kind = type(document).__name__
        raise InvalidDocumentError(position, None, f"a document must be an object, not {kind}")
    vector = document.get("vector")
    if not isinstance(vector, Mapping):
        reason = "it has no vector, which this collection needs: an object of term to weight"
        raise InvalidDocumentError(position, document.get("id"), reason)
    for term, weight in vector.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            reason = f"the weight of term {term[:80]!r} is not a number"
            raise InvalidDocumentError(position, document.get("id"), reason)
    return vector
