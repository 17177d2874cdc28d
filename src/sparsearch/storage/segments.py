"""Segment folders: named arrays in one file, written once, memory-mapped, checksummed.

A segment is written to a temporary folder, flushed to the disk and renamed, so that a folder with
a segment's name is always whole. All arrays are in one file, because each file that is made durable
takes milliseconds, which small segments would feel; each stands there as a whole ``.npy`` file.
``meta.json`` holds place, dtype, shape and checksum of each array; the checksum of ``meta.json``
itself stands in the catalog, so every byte is covered.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from sparsearch.errors import IndexCorruptError, IndexVersionError
from sparsearch.storage.faults import storage_faults

__all__ = ["Blob", "SegmentFiles", "StoredSegment", "checksum", "release_pages", "sync_folder"]

Array = npt.NDArray[Any]
_META = "meta.json"
_ARRAYS = "arrays.bin"
_READ_CHUNK = 1 << 20
_ALIGNMENT = 64
"""Bytes; numpy pads the header of a ``.npy`` file to the same."""


def checksum(data: bytes) -> str:
    """Return the 128-bit BLAKE2b digest of ``data`` in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def release_pages(array: Array) -> None:
    """Let go of the pages of a memory-mapped array that were read; they are read again if needed.

    So that going through large files once does not fill the process's memory.
    """
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else base.base
    if base is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = array.__array_interface__["data"][0] - np.frombuffer(base, np.uint8).ctypes.data
    start = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE
    length = first + array.nbytes - start
    if length > 0:
        base.madvise(mmap.MADV_DONTNEED, start, length)


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
    """A file that digests what is written to it since `start`; large pieces in another thread."""

    def __init__(self, file: BinaryIO, helper: ThreadPoolExecutor) -> None:
        self._file = file
        self._helper = helper
        self.offset = 0
        self.start()

    def start(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.offset += size
        if size < _READ_CHUNK:
            self._digest.update(data)
            return self._file.write(data)
        digested = self._helper.submit(self._digest.update, data)
        written = self._file.write(data)
        digested.result()
        return written

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
                with ThreadPoolExecutor(1) as helper, _durable(temporary / _ARRAYS) as file:
                    target = _HashingFile(file, helper)
                    facts = {name: _write_array(target, array) for name, array in arrays.items()}
                meta = json.dumps({"attributes": attributes, "arrays": facts}, indent=1).encode()
                with _durable(temporary / _META) as file:
                    file.write(meta)
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
            If a file is missing, cut off or not what the catalog says.
        IndexVersionError
            If it was written by a version in between releases.
        """
        path = self.folder / segment.uid / _ARRAYS
        meta = self._meta(segment)
        with storage_faults(self.folder):
            mapped = _map(path, _size(meta["arrays"]))
        arrays = {name: _view(mapped, facts) for name, facts in meta["arrays"].items()}
        return arrays, meta["attributes"]

    def verify(self, segment: StoredSegment) -> list[str]:
        """Read every byte of a segment; return what is wrong, one line per damaged array."""
        path = self.folder / segment.uid / _ARRAYS
        try:
            arrays = self._meta(segment)["arrays"]
            _check_size(path, _size(arrays))
            with open(path, "rb") as file:
                intact = {name: _is_intact(file, facts) for name, facts in arrays.items()}
        except (IndexCorruptError, IndexVersionError, OSError) as error:
            return [str(error)]
        return [f"{path}: the checksum of {name} differs" for name in arrays if not intact[name]]

    def copy(self, segment: StoredSegment, target: Path) -> None:
        """Make a segment's files part of another ``segments`` folder, by hard links if possible.

        Raises
        ------
        FileNotFoundError
            If a file is gone (a merge replaced the segment since the catalog was read).
        """
        with storage_faults(target):
            folder = target / segment.uid
            folder.mkdir(parents=True)
            for name in (_META, _ARRAYS):
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
        if not isinstance(meta, dict) or not meta.keys() >= {"arrays", "attributes"}:
            reason = f"{path} is not of this format; it was written by an unreleased sparsearch"
            raise IndexVersionError(f"{reason}: index the documents again")
        return meta


@contextmanager
def _durable(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing; it is on the disk when the block is left."""
    with open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_array(target: _HashingFile, array: Array | Blob) -> dict[str, object]:
    """Write one array as a ``.npy`` file, padded to a whole number of `_ALIGNMENT` bytes."""
    shape = (array.size,) if isinstance(array, Blob) else array.shape
    dtype = np.dtype(np.uint8) if isinstance(array, Blob) else array.dtype
    chunks = array.chunks if isinstance(array, Blob) else (array,)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    start = target.offset
    target.start()
    np.lib.format.write_array_header_1_0(target, header)
    data = target.offset
    for chunk in chunks:
        target.write(np.ascontiguousarray(chunk).view(np.uint8).data)
    target.write(bytes(-target.offset % _ALIGNMENT))
    return {
        "dtype": dtype.str,
        "shape": list(shape),
        "start": start,
        "data": data,
        "stop": target.offset,
        "checksum": target.checksum,
    }


def _size(arrays: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of a file of these arrays."""
    return max((facts["stop"] for facts in arrays.values()), default=0)


def _map(path: Path, size: int) -> mmap.mmap | bytes:
    """Memory-map a file after checking its size."""
    _check_size(path, size)
    if size == 0:
        return b""  # an empty file cannot be mapped
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _view(mapped: mmap.mmap | bytes, facts: Mapping[str, Any]) -> Array:
    # The header need not be read: what it says is in meta.json, whose checksum was compared.
    shape = tuple(facts["shape"])
    view = np.frombuffer(mapped, facts["dtype"], math.prod(shape), facts["data"])
    return view.reshape(shape)


def _check_size(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise IndexCorruptError(f"{path} is missing; restore it from a backup") from None
    if size != expected:
        reason = f"{path} has {size} bytes instead of {expected}; restore it from a backup"
        raise IndexCorruptError(reason)


def _is_intact(file: BinaryIO, facts: Mapping[str, Any]) -> bool:
    """Return whether the bytes of an array, its padding included, have their checksum."""
    file.seek(facts["start"])
    left = facts["stop"] - facts["start"]
    digest = hashlib.blake2b(digest_size=16)
    while left and (chunk := file.read(min(left, _READ_CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest() == str(facts["checksum"])


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Another file system, or one without links.
        with open(source, "rb") as original, _durable(target) as copy:
            shutil.copyfileobj(original, copy, _READ_CHUNK)
