"""Files of vectors, batch by batch, whatever their format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sparsearch.cli._arguments import VectorFormat
from sparsearch.cli._console import note
from sparsearch.errors import InvalidInputError

if TYPE_CHECKING:
    from sparsearch.vectors import SparseVectors, VectorBatch

__all__ = ["FreeNames", "read_vector_batches", "vector_format"]

_BATCH = 50_000
_SUFFIXES: Final[Mapping[str, VectorFormat]] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".npz": "npz",
    ".csr": "csr",
}


def vector_format(path: Path) -> VectorFormat:
    """Return the format of a file of vectors by its name.

    Raises
    ------
    InvalidInputError
        When the name tells none.
    """
    if path.is_dir():
        return "npz"  # parts, as `sparsearch encode` writes them
    name = path.name.lower().removesuffix(".gz")
    found = _SUFFIXES.get(Path(name).suffix)
    if found is None:
        known = ".jsonl, .jsonl.gz, .npz or .csr"
        raise InvalidInputError(f"{path}: no known format of vectors by its name; name it {known}")
    return found


def read_vector_batches(path: Path, format: VectorFormat | None = None) -> Iterator[VectorBatch]:
    """Yield the vectors of a file; where it has no ids, rows are numbered from "0".

    Parameters
    ----------
    path : Path
        A file, or a folder of ``.npz`` parts, which are read in the order of their names.
    format : {"jsonl", "npz", "csr"}, optional
        Told by the name when left out.

    Raises
    ------
    FileFormatError
        When the file is not of that format.
    InvalidInputError
        When the format cannot be told.
    """
    from sparsearch.vectors import load_npz, read_bigann_csr, read_json_vectors

    format = format or vector_format(path)
    if format == "jsonl":
        yield from read_json_vectors(path, batch_size=_BATCH)
    elif format == "csr":
        yield from _slices(None, read_bigann_csr(path))
    else:
        before = 0
        for part in _npz_parts(path):
            content = load_npz(part)
            yield from _slices(content.ids, content.vectors, before)
            before += len(content.vectors)


def _npz_parts(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    parts = sorted(path.glob("*.npz"))
    if not parts:
        raise InvalidInputError(f"{path} is a folder without .npz files")
    return parts


def _slices(
    ids: Sequence[str] | None, vectors: SparseVectors, before: int = 0
) -> Iterator[VectorBatch]:
    """Yield vectors in batches; without ids, by number, so many rows having come before."""
    from sparsearch.vectors import VectorBatch

    for start in range(0, len(vectors), _BATCH):
        rows = vectors[start : start + _BATCH]
        numbers = range(before + start, before + start + len(rows))
        names = [str(i) for i in numbers] if ids is None else ids[start : start + _BATCH]
        yield VectorBatch(names, [""] * len(rows), rows)


class FreeNames:
    """Changes names of metadata that a line of vectors has for itself, and says so once each."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata under names that can be written."""
        from sparsearch.vectors import free_names

        free = free_names(metadata)
        for name, other in zip(metadata, free, strict=True):
            if name != other and name not in self._told:
                self._told.add(name)
                note(f"the field {name!r} is written as {other!r}: a line of vectors has its own")
        return free
