"""Making the folder of a new index."""

from __future__ import annotations

from pathlib import Path

from sparsearch.encoders import Encoder
from sparsearch.errors import (
    IndexExistsError,
    IndexNotFoundError,
    InvalidInputError,
    StorageUnavailableError,
    shorten,
)
from sparsearch.index.config import IndexConfig
from sparsearch.storage import (
    CATALOG_NAME,
    Catalog,
    storage_faults,
    sync_folder,
    writer_lock,
)
from sparsearch.vectors import Vocabulary

__all__ = ["create_catalog"]

_OWN_ENTRIES = (
    "lock",
    "cleaner.lock",
    CATALOG_NAME,
    f"{CATALOG_NAME}-journal",
    f"{CATALOG_NAME}-wal",
    f"{CATALOG_NAME}-shm",
)
"""What a creation that was killed may leave behind, besides which a folder must be empty."""


def create_catalog(folder: Path, encoder: Encoder | None, config: IndexConfig) -> Catalog:
    """Make the folder of an empty index and return its catalog.

    Raises
    ------
    IndexExistsError
        If the folder holds an index or anything else.
    InvalidInputError
        If it lies in another index.
    StorageUnavailableError
        If the folder cannot be written.
    """
    if encoder is not None and not isinstance(encoder.vocabulary, Vocabulary):
        reason = f"the encoder's vocabulary is {shorten(encoder.vocabulary)}, not a Vocabulary"
        raise InvalidInputError(f"{reason}; give an empty one if its vectors bring their own")
    settings = {
        "config": config.to_settings(),
        "encoder": None if encoder is None else encoder.identity,
    }
    terms = [] if encoder is None else encoder.vocabulary.terms()
    with storage_faults(folder):
        if folder.exists() and not folder.is_dir():
            raise IndexExistsError(f"{folder} is a file; give another path")
        for parent in folder.resolve().parents:
            if (parent / CATALOG_NAME).exists():  # which would remove it as a leftover
                raise InvalidInputError(f"{folder} lies in the index {parent}; give another path")
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError) as error:
            reason = f"{folder}: the folder cannot be made ({error.strerror}); give another path"
            raise StorageUnavailableError(reason) from error
        for path in made:
            sync_folder(path.parent)
    if not (folder / CATALOG_NAME).exists():
        _refuse_foreign(folder)  # before a lock file is made in somebody else's folder
    with writer_lock(folder):
        _clear_leftovers(folder)
        return Catalog.create(folder, settings, terms)


def _refuse_foreign(folder: Path) -> None:
    foreign = [entry.name for entry in folder.iterdir() if entry.name not in _OWN_ENTRIES]
    if foreign:
        raise IndexExistsError(f"{folder} is not empty (it holds {shorten(foreign[0])})")


def _clear_leftovers(folder: Path) -> None:
    """Remove what a creation that was killed left; refuse an index and the files of others."""
    try:
        Catalog(folder).close()
    except IndexNotFoundError:
        _refuse_foreign(folder)
        with storage_faults(folder):
            for path in folder.glob(f"{CATALOG_NAME}*"):
                path.unlink()
        return
    raise IndexExistsError(f"{folder} holds an index; open it with Index.open")
