"""Segment folders: named arrays as ``.npy`` files, written once, memory-mapped, checksummed.

A segment is written to a temporary folder, flushed to the disk and renamed, so that a folder with
a segment's name is always whole. ``meta.json`` holds dtype, shape, bytes and checksum of each file;
the checksum of ``meta.json`` itself stands in the catalog, so every byte is covered.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from sparsearch.errors import IndexCorruptError
from sparsearch.storage.faults import storage_faults

__all__ = ["Blob", "SegmentFiles", "StoredSegment", "checksum", "release_pages", "sync_folder"]

Array = npt.NDArray[Any]
_META = "meta.json"
_READ_CHUNK = 1 << 20


def checksum(data: bytes) -> str:
    """Return the 128-bit BLAKE2b digest of ``data`` in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def release_pages(array: Array) -> None:
    """Let go of the pages of a memory-mapped array that were read; they are read again if needed.

    So that going through large files once does not fill the process's memory.
    """
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.base
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system has such a call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Blob:
    """Bytes too many to hold in memory, given in chunks.

    Parameters
    ----------
    size : int
        Bytes in all.
    chunks : iterable of uint8 arrays
        The bytes, read once.
    """

    size: int
    chunks: Iterable[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class StoredSegment:
    """What the catalog remembers of a segment: its name and the checksum of its ``meta.json``."""

    uid: str
    meta_checksum: str


class _HashingFile:
    """A file that digests what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.blake2b(digest_size=16)
        self.size = 0

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self.size += memoryview(data).nbytes
        return self._file.write(data)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


class SegmentFiles:
    """The ``segments`` folder of an index.

    Parameters
    ----------
    folder : Path
        Folder that holds one folder per segment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self, arrays: Mapping[str, Array | Blob], attributes: Mapping[str, object]
    ) -> StoredSegment:
        """Write a new segment durably; it is not part of the index until the catalog says so.

        Parameters
        ----------
        arrays : mapping
            Arrays or blobs by name.
        attributes : mapping
            Further JSON-able facts kept in ``meta.json``.

        Raises
        ------
        StorageUnavailableError
            On a full disk or a read-only folder; nothing is left behind.
        """
        uid = uuid.uuid4().hex
        temporary = self.folder / f".writing-{uid}"
        with storage_faults(self.folder):
            if not self.folder.is_dir():
                self.folder.mkdir()
                sync_folder(self.folder.parent)
            temporary.mkdir()
            try:
                files = {name: _write_array(temporary, name, a) for name, a in arrays.items()}
                meta = json.dumps({"attributes": attributes, "files": files}, indent=1).encode()
                _write_bytes(temporary / _META, meta)
                sync_folder(temporary)
                temporary.rename(self.folder / uid)
                sync_folder(self.folder)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return StoredSegment(uid, checksum(meta))

    def open(self, segment: StoredSegment) -> tuple[dict[str, Array], dict[str, Any]]:
        """Memory-map a segment's arrays; sizes are checked, contents are not (see `verify`).

        Returns
        -------
        arrays : dict of str to ndarray
            Read-only.
        attributes : dict
            As given to `write`.

        Raises
        ------
        FileNotFoundError
            If the segment's folder is gone (a merge replaced it since the catalog was read).
        IndexCorruptError
            If a file is missing, cut off or not what ``meta.json`` says.
        """
        folder = self.folder / segment.uid
        meta = self._meta(segment)
        with storage_faults(self.folder):
            arrays = {
                name: _map_array(folder, name, facts) for name, facts in meta["files"].items()
            }
        return arrays, meta["attributes"]

    def verify(self, segment: StoredSegment) -> list[str]:
        """Read every byte of a segment; return what is wrong, one line per damaged file."""
        try:
            files = self._meta(segment)["files"]
        except (IndexCorruptError, FileNotFoundError) as error:
            return [str(error)]
        folder = self.folder / segment.uid
        problems = [_verify_file(folder / f"{name}.npy", facts) for name, facts in files.items()]
        return [problem for problem in problems if problem]

    def copy(self, segment: StoredSegment, target: Path) -> None:
        """Make a segment's files part of another ``segments`` folder, by hard links if possible.

        Raises
        ------
        FileNotFoundError, IndexCorruptError
            If a file is gone (a merge replaced the segment since the catalog was read).
        """
        names = [_META, *(f"{name}.npy" for name in self._meta(segment)["files"])]
        with storage_faults(target):
            folder = target / segment.uid
            folder.mkdir(parents=True)
            for name in names:
                _link_or_copy(self.folder / segment.uid / name, folder / name)
            sync_folder(folder)
            sync_folder(target)

    def remove_except(self, keep: Iterable[str]) -> None:
        """Delete segments that no catalog row names: leftovers of crashes and merges."""
        kept = set(keep)
        if not self.folder.is_dir():
            return
        for entry in self.folder.iterdir():
            if entry.name not in kept:
                shutil.rmtree(entry, ignore_errors=True)

    def size(self, segment: StoredSegment) -> int:
        """Return the bytes a segment takes on disk."""
        folder = self.folder / segment.uid
        return sum(entry.stat().st_size for entry in folder.iterdir())

    def _meta(self, segment: StoredSegment) -> dict[str, Any]:
        path = self.folder / segment.uid / _META
        with storage_faults(self.folder):
            try:
                raw = path.read_bytes()
            except FileNotFoundError:
                if path.parent.is_dir():
                    raise IndexCorruptError(
                        f"{path} is missing; restore it from a backup"
                    ) from None
                raise
        if checksum(raw) != segment.meta_checksum:
            raise IndexCorruptError(f"{path} was altered; restore it from a backup")
        meta: dict[str, Any] = json.loads(raw)
        return meta


def _write_array(folder: Path, name: str, array: Array | Blob) -> dict[str, object]:
    shape = (array.size,) if isinstance(array, Blob) else array.shape
    dtype = np.dtype(np.uint8) if isinstance(array, Blob) else array.dtype
    chunks = array.chunks if isinstance(array, Blob) else (array,)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with open(folder / f"{name}.npy", "xb") as file:
        target = _HashingFile(file)
        np.lib.format.write_array_header_1_0(target, header)
        for chunk in chunks:
            target.write(np.ascontiguousarray(chunk).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())
    return {
        "dtype": dtype.str,
        "shape": list(shape),
        "bytes": target.size,
        "checksum": target.checksum,
    }


def _write_bytes(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Another file system, or one without links.
        with open(source, "rb") as original, open(target, "xb") as copy:
            shutil.copyfileobj(original, copy, _READ_CHUNK)
            copy.flush()
            os.fsync(copy.fileno())


def _map_array(folder: Path, name: str, facts: Mapping[str, Any]) -> Array:
    path = folder / f"{name}.npy"
    _check_size(path, facts)
    dtype, shape = np.dtype(facts["dtype"]), tuple(facts["shape"])
    size = dtype.itemsize * math.prod(shape)
    if size == 0:
        # An empty file region cannot be mapped.
        empty = np.empty(shape, dtype)
        empty.flags.writeable = False
        return empty
    # The header need not be read: what it says is in meta.json, whose checksum was compared.
    mapped = np.memmap(path, dtype, "r", offset=facts["bytes"] - size, shape=shape)
    return mapped.view(np.ndarray)


def _check_size(path: Path, facts: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise IndexCorruptError(f"{path} is missing; restore it from a backup") from None
    if size != facts["bytes"]:
        reason = f"{path} has {size} bytes instead of {facts['bytes']}; restore it from a backup"
        raise IndexCorruptError(reason)


def _verify_file(path: Path, facts: Mapping[str, Any]) -> str:
    try:
        _check_size(path, facts)
        digest = hashlib.blake2b(digest_size=16)
        with open(path, "rb") as file:
            while chunk := file.read(_READ_CHUNK):
                digest.update(chunk)
    except (IndexCorruptError, OSError) as error:
        return str(error)
    return "" if digest.hexdigest() == facts["checksum"] else f"{path}: checksum differs"
