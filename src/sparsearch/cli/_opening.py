"""Opening indexes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sparsearch.cli._console import note, quoted
from sparsearch.errors import IndexNotFoundError

if TYPE_CHECKING:
    from sparsearch.index import Index

__all__ = ["announce_compilation", "open_index"]


def open_index(folder: Path) -> Index:
    """Open the index that a verb works on.

    Raises
    ------
    IndexNotFoundError
        With the command that makes one.
    """
    from sparsearch.index import Index
    from sparsearch.storage import CATALOG_NAME

    announce_compilation()
    try:
        return Index.open(folder)
    except IndexNotFoundError as error:
        if (folder / CATALOG_NAME).exists():
            raise  # it says what is wrong with this one
        if folder.is_file():
            reason = f"{folder} is a file; give the folder of an index"
            raise IndexNotFoundError(reason) from error
        reason = f"no index in {folder}; make one with: sparsearch index {quoted(folder)} SOURCE"
        raise IndexNotFoundError(reason) from error


@cache
def announce_compilation() -> None:
    """Say so when the first use of a kernel on this machine has to wait for its compilation."""
    from numba.core import event

    class Announcement(event.Listener):
        said = False

        def on_start(self, event: object) -> None:
            if not self.said:
                self.said = True
                note("compiling for this machine, once: seconds, up to a minute for a service ...")

        def on_end(self, event: object) -> None:
            """Nothing to say."""

    event.register("numba:compile", Announcement())  # type: ignore[no-untyped-call]
