"""A consistent copy of an index that may be written to meanwhile."""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import closing, suppress
from pathlib import Path

from sparsearch.errors import (
    IndexCorruptError,
    IndexExistsError,
    IndexLockedError,
    InvalidInputError,
    StorageUnavailableError,
)
from sparsearch.storage import Catalog, SegmentFiles, storage_faults, sync_folder, writer_lock

__all__ = ["copy_index"]

_ATTEMPTS = 20


def copy_index(catalog: Catalog, files: SegmentFiles, target: Path) -> None:
    """Copy the last committed state of an index to another folder.

    The catalog comes first: it says which segments make up the state. If a merge removed one of
    them before it was copied, the state has moved on, and the newer one is copied.

    Raises
    ------
    IndexExistsError
        If there is something at `target`.
    InvalidInputError
        If `target` lies in the index.
    IndexCorruptError
        If a file is missing for another reason.
    StorageUnavailableError
        On a full disk or a folder that cannot be written; nothing is left behind.
    """
    with storage_faults(target):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise IndexExistsError(f"{target} exists; give another path")
    if target.resolve().is_relative_to(files.folder.parent.resolve()):
        raise InvalidInputError(f"{target} lies in the index itself; give a folder outside of it")
    _make_folder(target.parent)
    with storage_faults(target):
        _clear_leftovers(target)
    for _ in range(_ATTEMPTS):
        temporary = target.parent / f".{target.name}-{uuid.uuid4().hex}"
        generation = catalog.generation()
        _make_folder(temporary)
        try:
            with writer_lock(temporary):
                _copy(catalog, files, temporary)
            with storage_faults(target):
                temporary.rename(target)  # takes the place of an empty folder, and of nothing else
                sync_folder(target.parent)
            return
        except (FileNotFoundError, IndexCorruptError) as error:
            if catalog.generation() == generation:
                reason = f"{files.folder}: a file is missing ({error}); restore it from a backup"
                raise IndexCorruptError(reason) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    raise StorageUnavailableError(
        f"{target}: the index was merged {_ATTEMPTS} times while it was copied; try again"
    )


def _make_folder(folder: Path) -> None:
    """Make a folder; that it cannot be has nothing to do with the files of the index."""
    try:
        with storage_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileNotFoundError, FileExistsError) as error:
        reason = f"{folder} cannot be made ({error.strerror}); give another path"
        raise StorageUnavailableError(reason) from error


def _clear_leftovers(target: Path) -> None:
    """Remove what copies to the same place left that were killed: nobody holds their locks."""
    pattern = re.compile(re.escape(f".{target.name}-") + "[0-9a-f]{32}")
    for folder in target.parent.iterdir():
        if pattern.fullmatch(folder.name) and folder.is_dir():
            with suppress(IndexLockedError, StorageUnavailableError), writer_lock(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _copy(catalog: Catalog, files: SegmentFiles, folder: Path) -> None:
    with storage_faults(folder):
        (folder / files.folder.name).mkdir()
    catalog.copy(folder)
    with closing(Catalog(folder)) as copied:
        segments = copied.state().segments
    for record in segments:
        files.copy(record.stored, folder / files.folder.name)
    with storage_faults(folder):
        sync_folder(folder)
