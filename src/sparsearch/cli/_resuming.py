"""What is said and checked when a command goes on with a source that was read in part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparsearch.cli._console import counted, note
from sparsearch.errors import DuplicateIdError, InvalidInputError, SourceChangedError, shorten

if TYPE_CHECKING:
    from sparsearch.index import Index
    from sparsearch.storage import SourceProgress

__all__ = ["Resumable", "can_be_reread"]


def can_be_reread(path: Path) -> bool:
    """Whether a source can be gone on with: what comes out of a pipe is there only once."""
    named = not os.path.abspath(path).startswith(("/dev/", "/proc/"))  # as standard input is
    return named and (path.is_file() or path.is_dir())


@dataclass(frozen=True)
class Resumable:
    """A source on its way into an index.

    Parameters
    ----------
    index : Index
    path : Path
        As the user gave it.
    thing : str
        What it consists of.
    resumed : bool
        Whether the index remembers how much of it is stored.
    if_taken : str
        What the user can do when an id is taken.
    """

    index: Index
    path: Path
    thing: str = "document"
    resumed: bool = True
    if_taken: str = "give --upsert to replace documents of the same id"

    @property
    def label(self) -> str | None:
        """The name under which the index remembers it: its absolute path, as valid Unicode."""
        if not self.resumed:
            return None
        return os.fsencode(os.path.abspath(self.path)).decode("utf-8", "backslashreplace")

    def stored(self) -> SourceProgress | None:
        """Return how much of it is stored; None for nothing."""
        stored = None if self.label is None else self.index.source_progress(self.label)
        return stored if stored is not None and stored.consumed else None

    def announce(self, stored: SourceProgress | None) -> None:
        """Say that the command goes on where it was interrupted."""
        if stored is not None and not stored.finished:
            note(f"going on after {counted(stored.consumed, self.thing)}")

    def conclude(self, stored: SourceProgress | None, added: int) -> None:
        """Say what was found in a source that had been indexed to its end."""
        if stored is None or not stored.finished:
            return
        count = counted(stored.consumed, self.thing)
        if added:
            note(f"{self.path} has grown: {count} of it were indexed before")
        else:
            note(f"{self.path} is already indexed ({count}); --upsert reads it again")

    def check(self, stored: SourceProgress, found: int, last_id: str) -> None:
        """Make sure that what was read over is what is stored.

        Raises
        ------
        SourceChangedError
            When it is not; names both.
        """
        if (found, last_id) != (stored.consumed, stored.last_id):
            was = f"{self.thing} {stored.consumed:,} was {shorten(stored.last_id)}"
            now = shorten(last_id) if found == stored.consumed else f"but it has only {found:,}"
            raise SourceChangedError(
                f"{self.path} changed since it was indexed ({was}, now {now}); "
                "give --upsert to index all of it"
            )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say, when the work ends early, what is stored and what the user can do.

        Raises
        ------
        KeyboardInterrupt
            With how much is stored.
        InvalidInputError
            When an id is taken.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted()) from None
        except DuplicateIdError as error:
            raise InvalidInputError(f"{self.taken(error)}; {self.if_taken}") from error

    def taken(self, error: DuplicateIdError) -> str:
        """Return what to say of an id that is taken."""
        who = f"by the index or by an earlier {self.thing}"
        return f"{self.path}: the id {shorten(error.document_id)} is taken, {who}"

    def _interrupted(self) -> str:
        stored = self.stored()
        if stored is None:
            holds = f"{self.index.path} holds {counted(len(self.index), 'document')}"
            return f"{holds}; the same command starts again with the first"
        count = counted(stored.consumed, self.thing)
        return f"{count} of {self.path} stored; the same command goes on after them"
