"""The reading half of an index: searching one committed state of it, and looking around."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from sparsearch.checks import is_whole
from sparsearch.encoders import Encoder
from sparsearch.errors import InvalidInputError, shorten
from sparsearch.index.documents import Document, check_documents
from sparsearch.index.facets import Facet, count_values
from sparsearch.index.info import IndexInfo
from sparsearch.index.paging import Page, read_page
from sparsearch.index.passages import passage_id
from sparsearch.index.searcher import Searcher
from sparsearch.index.snapshot import Snapshot
from sparsearch.storage import FORMAT_VERSION, Catalog
from sparsearch.vectors import SparseVectors

__all__ = ["IndexReader"]

_Reader = TypeVar("_Reader", bound="IndexReader")


class IndexReader(Searcher):
    """What `Index` does without writing; parameters as for `Searcher`."""

    def __init__(self, path: Path, catalog: Catalog, encoder: Encoder | None = None) -> None:
        super().__init__(path, catalog, encoder)
        self._guard = threading.RLock()
        self._is_writing = False

    def __enter__(self: _Reader) -> _Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index; safe to call twice."""
        with self._guard:
            self._catalog.close()

    def __len__(self) -> int:
        return self._snapshot.n_live

    def __contains__(self, document_id: object) -> bool:
        """Whether there is a document or, where texts are cut, a passage of this id."""
        if self.has_document(document_id):
            return True
        return isinstance(document_id, str) and bool(self._snapshot.find([document_id])[0] >= 0)

    def has_document(self, document_id: object) -> bool:
        """Whether a document of this id was added: a whole one, where texts are cut."""
        if not isinstance(document_id, str):
            return False
        cut = self.config.passage_length is not None
        stored_id = passage_id(document_id, 1) if cut else document_id
        return bool(self._snapshot.find([stored_id])[0] >= 0)

    def holds(self, document: Mapping[str, Any], position: int = 0) -> bool:
        """Whether a document is stored just as it is given, with all its fields in this order.

        Parameters
        ----------
        document : mapping
        position : int
            Its place among others, for messages.

        Raises
        ------
        InvalidDocumentError
            If it is malformed.
        """
        snapshot = self._snapshot
        (record,) = check_documents([document], position, self.config.passage_length)
        numbers = snapshot.find([part.id for part in record.stored]).tolist()
        one_more = passage_id(record.id, len(numbers) + 1)
        if record.passages and snapshot.find([one_more])[0] >= 0:
            return False
        return all(
            number >= 0 and snapshot.payload(number) == part.payload
            for number, part in zip(numbers, record.stored, strict=True)
        )

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, {len(self)} documents)"

    def get(self, document_id: str) -> Document:
        """Return a stored document; raise DocumentNotFoundError if there is none."""
        snapshot = self._snapshot
        return snapshot.document(self._number(document_id, snapshot))

    def documents(self, filter: Mapping[str, Any] | None = None) -> Iterator[Document]:
        """Yield all documents or, with a filter, those that meet it, in insertion order.

        They are those that are there when this is called, whatever is written meanwhile.
        """
        snapshot = self._snapshot
        numbers = snapshot.matching(filter).tolist()
        return (snapshot.document(number) for number in numbers)

    def ids(self) -> Iterator[str]:
        """Yield the ids of all documents, as they are now, in insertion order."""
        snapshot = self._snapshot
        return (snapshot.id(number) for number in snapshot.matching().tolist())

    def page(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Return some documents, for going through all of them while others write.

        A document that is there from the first page to the last is on exactly one of them, whatever
        is written meanwhile. The order means nothing.

        Parameters
        ----------
        filter : mapping, optional
        after : str, optional
            What the page before said; by default, this is the first.
        limit : int
            Documents at most, at least 1. A page of more than 8 MB of stored fields ends earlier.

        Raises
        ------
        FilterError
            If the filter is malformed or, on the first page, names a field that no document has.
        InvalidInputError
            If `after` or `limit` is none.
        """
        _check_limit(limit)
        if after is not None and not isinstance(after, str):
            raise InvalidInputError(f"after is {shorten(after)}; give what the last page said")
        snapshot = self._snapshot
        # After the first page, the last document that has a field of the filter may be gone.
        allowed = snapshot.allowed(filter, may_lack_fields=after is not None)
        return read_page(snapshot, allowed, after, limit)

    def vectors(self, start: int = 0, stop: int | None = None) -> SparseVectors:
        """Return the stored vectors of the documents in ``[start, stop)`` of insertion order.

        Raises
        ------
        InvalidInputError
            If they are no whole numbers.
        """
        for bound in (start, stop):
            if bound is not None and not isinstance(bound, (int, np.integer)):
                raise InvalidInputError(f"{shorten(bound)} is no place in insertion order")
        snapshot = self._snapshot
        return snapshot.vectors(snapshot.matching()[start:stop], self._terms.vocabulary)

    def vector(self, document_id: str) -> SparseVectors:
        """Return the stored vector of a document, one row.

        Raises
        ------
        DocumentNotFoundError
            If no document has this id.
        """
        snapshot = self._snapshot
        number = self._number(document_id, snapshot)
        return snapshot.vectors(np.array([number]), self._terms.vocabulary)

    def term_names(self, document_id: str) -> dict[str, str]:
        """Return what terms of a document's vector are called in its text, where that differs.

        That is so for pairs of words, whose terms are numbered; see `Bm25Config`.

        Raises
        ------
        DocumentNotFoundError
            If no document has this id.
        """
        snapshot = self._snapshot
        number = self._number(document_id, snapshot)
        named = self._terms.text_terms(snapshot.document(number).content)
        vocabulary = self._terms.vocabulary
        if named is None or vocabulary is None:
            return {}
        terms = ((vocabulary.term(term_id), name) for term_id, name in named.items())
        return {term: name for term, name in terms if name != term}

    def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are or, with a filter (docs/filters.md), meet it."""
        snapshot = self._snapshot
        masks = snapshot.allowed(filter).masks
        counts = (
            int(mask.sum()) if mask.size else segment.n_documents
            for segment, mask in zip(snapshot.segments, masks, strict=True)
        )
        return sum(counts)

    def facets(
        self,
        fields: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int = 20,
    ) -> list[Facet]:
        """Return the most frequent values of metadata fields.

        Parameters
        ----------
        fields : sequence of str, optional
            All fields by default.
        filter : mapping, optional
            Count only the documents that meet it.
        limit : int
            Values of each field, at most.

        Raises
        ------
        FilterError
            If the filter is malformed, or there are documents, but none has a field.
        InvalidInputError
            If `fields` are no list of names, or `limit` is not at least 1.
        """
        _check_limit(limit)
        if isinstance(fields, str) or not (fields is None or isinstance(fields, Iterable)):
            raise InvalidInputError(f"fields are {shorten(fields)}; give a list of field names")
        snapshot = self._snapshot
        allowed = snapshot.allowed(filter)
        names = snapshot.fields if fields is None else fields
        return [count_values(snapshot, name, allowed, limit) for name in names]

    def view(self: _Reader) -> _Reader:
        """Return this index as it is now, for several readings that must agree.

        What is written or refreshed later does not show in it. It costs nothing, shares everything
        with this object and ends with it: neither write to it nor close it.
        """
        return copy.copy(self)

    def refresh(self) -> bool:
        """Move on to the last committed state; return whether there was a newer one.

        While another thread writes through this object, there is nothing to do: its commits show at
        once.

        Raises
        ------
        IndexReplacedError
            If the folder was moved, removed or replaced. What was opened can still be searched.
        """
        if self._is_writing:
            return False
        with self._guard:
            if self._catalog.generation() == self._snapshot.generation:
                return False
            snapshot = Snapshot.open(self._catalog, self._files, self._snapshot.segments)
            self._catalog.reload_settings()
            self._terms.catch_up(self._snapshot, snapshot)
            self._snapshot = snapshot
            return True

    def info(self) -> IndexInfo:
        """Return facts about the state this `Index` searches."""
        snapshot = self._snapshot
        return IndexInfo(
            path=str(self.path),
            format_version=FORMAT_VERSION,
            generation=snapshot.generation,
            documents=snapshot.n_live,
            deleted=snapshot.n_documents - snapshot.n_live,
            segments=len(snapshot.segments),
            postings=snapshot.n_postings,
            terms=snapshot.n_terms,
            bytes=_size_on_disk(self.path),
            fields=snapshot.fields,
            encoder=self._catalog.settings["encoder"],
            config=self.config.to_settings(),
        )

    def verify(self) -> list[str]:
        """Read every byte of the index; return what is damaged, one line each, or nothing."""
        problems = self._catalog.problems()
        if problems:
            return problems  # it does not say reliably which segments there should be
        damaged = {s.stored: self._files.verify(s.stored) for s in self._catalog.state().segments}
        # A writer may have merged segments away meanwhile; these are no longer of interest.
        for record in self._catalog.state().segments:
            problems += damaged.get(record.stored, [])
        return problems


def _check_limit(limit: object) -> None:
    if not is_whole(limit, 1):
        raise InvalidInputError(f"limit is {shorten(limit)}; it must be a positive integer")


def _size_on_disk(folder: Path) -> int:
    """Return the bytes of all files; one that a writer removes meanwhile counts as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total
