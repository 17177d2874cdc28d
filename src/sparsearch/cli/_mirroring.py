"""Making an index hold what a source does, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparsearch.index import Index

__all__ = ["Mirror", "Mirrored"]


@dataclass(frozen=True)
class Mirrored:
    """What it took to make an index hold what a source does: numbers of documents."""

    added: int
    unchanged: int
    deleted: int


@dataclass
class Mirror:
    """A source as it is read, beside the index that is to hold it.

    Parameters
    ----------
    index : Index

    Attributes
    ----------
    seen : set of str
        Ids of the documents read.
    read, unchanged : int
        How many were read; and were stored just as they are.
    last_id : str
    """

    index: Index
    seen: set[str] = field(default_factory=set)
    read: int = 0
    unchanged: int = 0
    last_id: str = ""

    def changed(self, documents: Iterable[dict[str, object]]) -> Iterator[dict[str, object]]:
        """Yield the documents to be written; raises as `Index.holds`."""
        for document in documents:
            held = self.index.holds(document, self.read)
            self.read += 1
            self.last_id = str(document["id"])
            # Of several documents of one id the last counts, as it would without this.
            if held and self.last_id not in self.seen:
                self.unchanged += 1
            else:
                yield document
            self.seen.add(self.last_id)

    def remember(self, label: str | None) -> None:
        """Have the index remember that all of the source is stored, so that others go on there."""
        from sparsearch.storage import SourceProgress

        if label is not None:
            progress = SourceProgress(self.read, self.last_id, finished=True)
            self.index.set_source_progress(label, progress)

    def delete_others(self, kept: Collection[str]) -> int:
        """Delete the documents that were not read and are not to be kept; return how many.

        If there are any, the index forgets how much of each source it holds.
        """
        from sparsearch.index.passages import document_of

        in_passages = self.index.config.passage_length is not None
        stored = map(document_of, self.index.ids()) if in_passages else self.index.ids()
        gone = {name for name in stored if name not in self.seen and name not in kept}
        if not gone:
            return 0
        self.index.forget_sources()  # whatever else was indexed is not here any more
        return self.index.delete(gone)
