"""What clients ask to have written."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sparsearch.index import EncodedAhead
from sparsearch.vectors import SparseVectors

__all__ = ["Deletion", "FilterDeletion", "Put", "Request", "Write"]


@dataclass(frozen=True)
class Put:
    """Documents to add or, where `replace`, to put in the place of those with their ids.

    Parameters
    ----------
    documents : sequence of mapping
        Checked, with their ids.
    vectors : SparseVectors or None
        One row a document; None where the index's encoder makes them.
    replace : bool
    for_model : bool
        Whether the encoder's model is to read the documents before they are committed.
    ahead : EncodedAhead or None
        What the encoder's model made of the documents (see `Index.encode_ahead`).
    """

    documents: Sequence[Mapping[str, Any]]
    vectors: SparseVectors | None
    replace: bool
    for_model: bool = False
    ahead: EncodedAhead | None = None


@dataclass(frozen=True)
class Deletion:
    """Documents to delete, by their ids.

    Parameters
    ----------
    ids : sequence of str
        Unknown ones are refused unless `missing_ok`.
    missing_ok : bool
    """

    ids: Sequence[str]
    missing_ok: bool


@dataclass(frozen=True)
class FilterDeletion:
    """Documents to delete: all that meet a filter.

    Parameters
    ----------
    filter : mapping
    """

    filter: Mapping[str, Any]


Write = Put | Deletion | FilterDeletion


@dataclass(frozen=True)
class Request:
    """A write, and what comes of it.

    Parameters
    ----------
    write : Put, Deletion or FilterDeletion
    done : Future
        How many documents it added or deleted, or why it was refused.
    """

    write: Write
    done: Future[int] = field(default_factory=Future)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless it is answered."""
        _forget_locals(error)
        if not self.done.done():
            self.done.set_exception(error)


def _forget_locals(error: BaseException | None) -> None:
    """Let go of what the functions that raised an error held, such as maps of deleted segments.

    The answer refers to the error, and the error to its answer: without this, all of it would wait
    for a collection of garbage, which may come hours later.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
