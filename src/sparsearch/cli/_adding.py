"""Bringing a source of documents into an index, again and again until all of it is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

from sparsearch.cli._console import counted, note
from sparsearch.cli._progress import Progress
from sparsearch.errors import (
    DuplicateIdError,
    InvalidDocumentError,
    InvalidInputError,
    SourceChangedError,
    SparsearchError,
    shorten,
)
from sparsearch.readers import Source

if TYPE_CHECKING:
    from sparsearch.index import Index
    from sparsearch.storage import SourceProgress

__all__ = ["Adding", "Rejected"]

_SHOWN = 10

Documents = Iterator[dict[str, object]]


class Rejected:
    """Reports the first records that cannot be used, and counts all."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: SparsearchError) -> None:
        self.count += 1
        if self.count <= _SHOWN:
            note(f"skipped: {error}")
        elif self.count == _SHOWN + 1:
            note("skipped: more, which are only counted")


class Adding:
    """One source and the index it goes into.

    Parameters
    ----------
    index : Index
    source : Source
    rejected : Rejected, optional
        Told of each document that the index would refuse, which is then left out; without it such
        a document is an error. Whether an id is taken is not among the reasons: that depends on
        the state of the index, and what is left out must be the same when the source is resumed.
    """

    def __init__(self, index: Index, source: Source, rejected: Rejected | None) -> None:
        self._index = index
        self._source = source
        self._rejected = rejected

    def add(self, *, resumable: bool) -> int:
        """Add what is not stored yet; return how many documents that were.

        Raises
        ------
        SourceChangedError
            When the source is not the one whose documents are stored.
        """
        name = _label(self._source) if resumable else None
        stored = None if name is None else self._index.source_progress(name)
        if stored is not None and stored.finished:
            count = counted(stored.consumed, "document")
            note(f"{self._source.path} is already indexed ({count}); --upsert reads it again")
            return 0
        if stored is not None:
            note(f"going on after {counted(stored.consumed, 'document')}")
        try:
            return self._feed(lambda found: self._index.add(found, source=name), stored)
        except KeyboardInterrupt:
            kept = None if name is None else self._index.source_progress(name)
            raise KeyboardInterrupt(self._stored(kept)) from None
        except DuplicateIdError as error:
            reason = f"the id {shorten(error.document_id)} is taken, by the index or by an earlier"
            advice = "give --upsert to replace documents of the same id"
            raise InvalidInputError(f"{self._source.path}: {reason} document; {advice}") from error

    def upsert(self) -> int:
        """Add all documents, each replacing the one of its id; return how many."""
        try:
            return self._feed(self._index.upsert, None)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._stored(None)) from None

    def _feed(
        self, add: Callable[[Iterable[dict[str, object]]], int], stored: SourceProgress | None
    ) -> int:
        source = self._source
        # Closed here, since after an error its traceback would keep the file open.
        records = cast("Generator[dict[str, object], None, None]", source.records())
        progress = Progress("reading", source.size, lambda: source.position)
        with closing(records), progress:
            documents: Documents = progress.watch(records)
            if self._rejected is not None:
                documents = _acceptable(documents, self._rejected)
            if stored is not None:
                documents = _after(documents, stored, source)
            return add(documents)

    def _stored(self, kept: SourceProgress | None) -> str:
        if kept is None:
            holds = f"{self._index.path} holds {counted(len(self._index), 'document')}"
            return f"{holds}; the same command starts again with the first"
        count = counted(kept.consumed, "document")
        return f"{count} of {self._source.path} stored; the same command goes on after them"


def _label(source: Source) -> str:
    """Return the name under which the index remembers a source: a path, as valid Unicode."""
    return os.fsencode(source.name).decode("utf-8", "backslashreplace")


def _acceptable(documents: Documents, rejected: Rejected) -> Documents:
    """Leave out, and report, what the index would refuse."""
    from sparsearch.index.documents import check_documents

    for position, document in enumerate(documents):
        try:
            next(check_documents([document], position))
        except InvalidDocumentError as error:  # noqa: PERF203 - each bad document is reported
            rejected(error)
        else:
            yield document


def _after(documents: Documents, stored: SourceProgress, source: Source) -> Documents:
    """Read over the documents that are stored, making sure that they are the ones stored."""
    last_id, found = "", 0
    while found < stored.consumed and (document := next(documents, None)) is not None:
        last_id = str(document["id"])
        found += 1
    if (found, last_id) != (stored.consumed, stored.last_id):
        was = f"document {stored.consumed:,} was {shorten(stored.last_id)}"
        now = shorten(last_id) if found == stored.consumed else f"but it has only {found:,}"
        raise SourceChangedError(
            f"{source.path} changed since it was partly indexed ({was}, now {now}); "
            "give --upsert to index all of it"
        )
    yield from documents
