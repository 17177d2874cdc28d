"""Sparse vectors in an ``.npz`` file: exact, self-contained, free of pickles.

The members are ``header`` (format version, whether there is a vocabulary, whether there are ids),
``offsets``, ``term_ids``, ``weights`` and, when there are any, the vocabulary (``terms``,
``term_offsets``) and the external ids (``ids``, ``id_offsets``), each as one block of UTF-8 bytes
and where each string starts in it. They are stored without compression, so that no small file can
expand to take all memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sparsearch.errors import FileFormatError, InvalidInputError, InvalidVectorError, shorten
from sparsearch.files import as_path, replacing
from sparsearch.vectors._checks import as_offsets
from sparsearch.vectors.batch import SparseVectors
from sparsearch.vectors.vocabulary import Vocabulary

__all__ = ["VectorFile", "load_npz", "save_npz"]

_VERSION = 1
_VOCABULARY_MEMBERS = {"terms", "term_offsets"}
_ID_MEMBERS = {"ids", "id_offsets"}
_MEMBERS = {"header", "offsets", "term_ids", "weights"}

Members = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class VectorFile:
    """What a vector file holds.

    Parameters
    ----------
    vectors : SparseVectors
        The vectors, with their vocabulary if known.
    ids : sequence of str, optional
        The document or query id of each vector.

    Raises
    ------
    InvalidInputError
        When there is not one id per vector, or an id is not a non-empty string of valid Unicode.
    """

    vectors: SparseVectors
    ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.ids is None:
            return
        if len(self.ids) != len(self.vectors):
            raise InvalidInputError(f"{len(self.ids)} ids for {len(self.vectors)} vectors")
        for row, identifier in enumerate(self.ids):
            if not isinstance(identifier, str) or not identifier:
                reason = f"the id of row {row} is {shorten(identifier)}, not a non-empty string"
                raise InvalidInputError(reason)
            if not _is_unicode(identifier):
                reason = f"the id of row {row}, {shorten(identifier)}, is not valid Unicode"
                raise InvalidInputError(reason)


def save_npz(path: str | PathLike[str], content: VectorFile) -> None:
    """Write vectors, their vocabulary and their ids; the file appears whole or not at all.

    Parameters
    ----------
    path : str or PathLike
        The file, used as given: no suffix is added.
    content : VectorFile
        What to write.
    """
    vectors = content.vectors
    members: dict[str, Any] = {
        "header": np.array([_VERSION, vectors.vocabulary is not None, content.ids is not None]),
        "offsets": vectors.offsets,
        "term_ids": vectors.term_ids,
        "weights": vectors.weights,
    }
    if vectors.vocabulary is not None:
        members["terms"], members["term_offsets"] = _pack(vectors.vocabulary.terms())
    if content.ids is not None:
        members["ids"], members["id_offsets"] = _pack(content.ids)
    with replacing(path) as file:
        np.savez(file, **members)


def load_npz(path: str | PathLike[str]) -> VectorFile:
    """Read what `save_npz` wrote, checking all of it.

    Raises
    ------
    FileFormatError
        When the file cannot be read, is truncated, altered, or something else.
    """
    checked = as_path(path)
    try:
        with open(checked, "rb") as file:
            return _content(_read_members(file))
    except InvalidInputError as error:
        raise FileFormatError(path, None, str(error)) from error
    except Exception as error:
        # Garbage makes zipfile and numpy raise a dozen kinds of exceptions, all to one effect.
        reason = f"not a readable .npz file of vectors ({type(error).__name__}: {error})"
        raise FileFormatError(path, None, reason) from error


def _read_members(file: BinaryIO) -> Members:
    with zipfile.ZipFile(file) as archive:
        infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if {"indptr", "indices", "data"} <= infos.keys():
            raise InvalidInputError(
                "this is a scipy.sparse.save_npz file; use scipy.sparse.load_npz and "
                "SparseVectors.from_scipy"
            )
        if len(infos) != len(archive.infolist()) or "header" not in infos:
            raise InvalidInputError("not sparsearch vectors: no member 'header', or a name twice")
        names = _promised_members(_read_member(archive, infos["header"]))
        if names != infos.keys():
            missing, unknown = sorted(names - infos.keys()), sorted(infos.keys() - names)
            reason = f"members {missing} are missing, members {shorten(unknown)} unknown"
            raise InvalidInputError(reason)
        return {name: _read_member(archive, info) for name, info in infos.items()}


def _promised_members(header: NDArray[Any]) -> set[str]:
    """Return the names that the header tells; the zip directory alone may have lost some."""
    if not header.size or header[0] != _VERSION:
        reason = f"header {shorten(header.tolist())} is not of format version {_VERSION}"
        raise InvalidInputError(f"{reason}; a newer sparsearch may be needed")
    _, has_vocabulary, has_ids = header.tolist()
    return {
        *_MEMBERS,
        *(_VOCABULARY_MEMBERS if has_vocabulary else ()),
        *(_ID_MEMBERS if has_ids else ()),
    }


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array; allocates no more than the file holds, whatever its header says."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise InvalidInputError(f"member {shorten(info.filename)} is compressed; store it plain")
    with archive.open(info) as member:
        if npy.read_magic(member) != (1, 0):
            raise InvalidInputError(f"member {shorten(info.filename)} has another .npy version")
        shape, _, dtype = npy.read_array_header_1_0(member)
        data = member.read()  # to the end, where the checksum is verified
    if len(shape) != 1 or dtype.hasobject or shape[0] * dtype.itemsize != len(data):
        reason = f"member {shorten(info.filename)} is not the array that its header promises"
        raise InvalidInputError(reason)
    return np.frombuffer(data, dtype=dtype, count=shape[0])


def _content(members: Members) -> VectorFile:
    terms, ids = _unpack(members, "terms", "term_offsets"), _unpack(members, "ids", "id_offsets")
    vocabulary = None if terms is None else Vocabulary(terms)
    csr = members["offsets"], members["term_ids"], members["weights"]
    return VectorFile(SparseVectors(*csr, vocabulary), ids)


def _pack(strings: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes of all strings, and where each starts and the last one ends."""
    encoded = [string.encode() for string in strings]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(string) for string in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def _unpack(members: Members, name: str, offsets_name: str) -> list[str] | None:
    if name not in members:
        return None
    if members[name].dtype != np.uint8:
        raise InvalidInputError(f"{name!r} has dtype {members[name].dtype}, not uint8")
    try:
        offsets = as_offsets(members[offsets_name], members[name].size)
    except InvalidVectorError as error:
        raise InvalidInputError(f"{offsets_name!r}: {error.reason}") from error
    data, bounds = members[name].tobytes(), offsets.tolist()
    try:
        return [data[a:b].decode() for a, b in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{name!r} is not UTF-8") from error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
