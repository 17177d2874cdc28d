"""Bringing a source of documents into an index, again and again until all of it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from sparsearch.cli._console import note
from sparsearch.cli._mirroring import Mirror, Mirrored
from sparsearch.cli._progress import Progress
from sparsearch.cli._resuming import Resumable, can_be_reread
from sparsearch.errors import (
    DuplicateIdError,
    InvalidDocumentError,
    InvalidInputError,
    SparsearchError,
)
from sparsearch.files import STANDARD_INPUT
from sparsearch.readers import FieldMapping, Source, open_source

if TYPE_CHECKING:
    from sparsearch.index import Index
    from sparsearch.storage import SourceProgress

__all__ = ["Adding", "Rejected", "acceptable", "begun", "open_documents"]

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


def open_documents(
    source: str, format: str | None, fields: FieldMapping, rejected: Rejected | None
) -> Source:
    """Open what a user named: a file, a folder, or "-" for standard input."""
    from_stdin = source == "-"
    return open_source(
        STANDARD_INPUT if from_stdin else source,
        format="jsonl" if from_stdin and format is None else format,
        fields=fields,
        on_error=rejected,
    )


def begun(documents: Documents, rejected: Rejected | None, passage_length: int | None) -> Documents:
    """Read the first document, so that of a source that is no good no index is made.

    Parameters
    ----------
    documents : iterator of dict
    rejected : Rejected, optional
        Without it the document must be one that an index takes.
    passage_length : int, optional
        Of the index to be made.

    Returns
    -------
    iterator of dict
        All documents, the first one included.
    """
    from sparsearch.index import IndexConfig
    from sparsearch.index.documents import check_documents

    first = list(islice(documents, 1))
    if first and rejected is None:
        config = IndexConfig(passage_length=passage_length)  # refuses what no text can be cut to
        next(check_documents(first, 0, config.passage_length))
    return chain(first, documents)


class Adding:
    """One source and the index it goes into.

    Parameters
    ----------
    index : Index
    source : Source
    documents : iterator of dict
        Its documents, from the first one on.
    rejected : Rejected, optional
        Told of each document that the index would refuse, which is then left out; without it such
        a document is an error.
    """

    def __init__(
        self, index: Index, source: Source, documents: Documents, rejected: Rejected | None
    ) -> None:
        self._index = index
        self._source = source
        self._documents = documents
        self._rejected = rejected

    def add(self) -> int:
        """Add what is not stored yet; return how many documents that were.

        Raises
        ------
        SourceChangedError
            When the source is not the one whose documents are stored.
        """
        advice = f"{Resumable.if_taken}, or --skip-invalid to leave out the later one"
        path = self._source.path
        resuming = Resumable(self._index, path, resumed=can_be_reread(path), if_taken=advice)
        stored = resuming.stored()
        resuming.announce(stored)
        rejected = self._rejected

        def leave_out(error: DuplicateIdError) -> None:
            assert rejected is not None
            rejected(InvalidInputError(resuming.taken(error)))

        def add(documents: Iterable[dict[str, object]]) -> int:
            on_taken = None if rejected is None else leave_out
            return self._index.add(documents, source=resuming.label, on_taken=on_taken)

        with resuming.explained():
            added = self._feed(add, resuming, stored)
        resuming.conclude(stored, added)
        return added

    def upsert(self) -> int:
        """Add all documents, each replacing the one of its id; return how many."""
        resuming = Resumable(self._index, self._source.path, resumed=False)
        with resuming.explained():
            return self._feed(self._index.upsert, resuming, None)

    def mirror(self) -> Mirrored:
        """Make the index hold what the source does, and nothing else.

        Documents that are stored just as they are stay where they are. Nothing is deleted if the
        source is empty or a record of it could not be used. No other process writes meanwhile.

        Raises
        ------
        InvalidInputError
            When the source is empty.
        """
        index, source = self._index, self._source
        resuming = Resumable(index, source.path)
        mirror = Mirror(index)
        with resuming.explained(), index.locked():
            added = self._feed(lambda given: index.upsert(mirror.changed(given)), resuming, None)
            if not mirror.seen:
                reason = f"{source.path} holds no documents, so nothing was deleted"
                raise InvalidInputError(f"{reason}; if that is meant, remove {index.path}")
            if self._rejected is not None and self._rejected.count:
                note("nothing was deleted, since not all records could be used")
                return Mirrored(added, mirror.unchanged, 0)
            deleted = mirror.delete_others({name for name, _ in source.skipped})
            mirror.remember(resuming.label)
            return Mirrored(added, mirror.unchanged, deleted)

    def _feed(
        self,
        add: Callable[[Iterable[dict[str, object]]], int],
        resuming: Resumable,
        stored: SourceProgress | None,
    ) -> int:
        source = self._source
        progress = Progress("reading", source.size, lambda: source.position)
        with progress:
            documents = progress.watch(self._documents)
            if self._rejected is not None:
                length = self._index.config.passage_length
                documents = acceptable(documents, self._rejected, length)
            if stored is not None:
                documents = _after(documents, stored, resuming)
            added = add(documents)
        if progress.count == 0 and stored is None:
            note(f"{source.path} holds no documents")
        return added


def acceptable(
    documents: Documents, rejected: Rejected, passage_length: int | None = None
) -> Documents:
    """Leave out, and report, what an index would refuse whatever it holds."""
    from sparsearch.index.documents import check_documents

    for position, document in enumerate(documents):
        try:
            next(check_documents([document], position, passage_length))
        except InvalidDocumentError as error:  # noqa: PERF203 - each bad document is reported
            rejected(error)
        else:
            yield document


def _after(documents: Documents, stored: SourceProgress, resuming: Resumable) -> Documents:
    """Read over the documents that are stored, making sure that they are the ones stored."""
    last_id, found = "", 0
    while found < stored.consumed and (document := next(documents, None)) is not None:
        last_id = str(document["id"])
        found += 1
    resuming.check(stored, found, last_id)
    yield from documents
