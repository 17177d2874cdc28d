"""``sparsearch import``: vectors that a model made elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import (
    IndexFolder,
    Optimize,
    SegmentDocuments,
    Upsert,
    VectorFormat,
    WeightBits,
)
from sparsearch.cli._console import counted, human_bytes, note, quoted, working
from sparsearch.cli._creation import CreationOptions, create_or_open
from sparsearch.cli._opening import announce_compilation
from sparsearch.cli._progress import Progress
from sparsearch.cli._queries import example_query
from sparsearch.cli._resuming import Resumable, can_be_reread
from sparsearch.cli._vector_files import read_vector_batches, vector_format
from sparsearch.errors import (
    FileFormatError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    shorten,
)

if TYPE_CHECKING:
    from sparsearch.index import Index
    from sparsearch.storage import SourceProgress
    from sparsearch.vectors import VectorBatch

EXAMPLES = (
    "sparsearch import splade-index splade-vectors.jsonl.gz",
    "sparsearch import bigann-index base_small.csr --weight-bits 8",
)


def import_(
    index: IndexFolder,
    vectors: Annotated[
        Path,
        typer.Argument(
            metavar="VECTORS",
            help="JSON lines as Anserini has them (.jsonl, .jsonl.gz), .npz, or BigANN's .csr.",
            show_default=False,
        ),
    ],
    format: Annotated[
        VectorFormat | None, typer.Option(help="Format of the file.  [default: by its name]")
    ] = None,
    weight_bits: WeightBits = None,
    segment_documents: SegmentDocuments = None,
    upsert: Upsert = False,
    optimize: Optimize = True,
) -> None:
    """Add vectors made elsewhere to an index.

    The index is created if there is none, and is searched by vectors. If the command is
    interrupted, the same command goes on where it stopped. The contents of a record
    become the text of the document, its other fields metadata; rows of a file without ids are
    called 0, 1, 2, ...
    """
    chosen = format or vector_format(vectors)
    options = CreationOptions(weight_bits=weight_bits, segment_documents=segment_documents)
    announce_compilation()
    started = time.perf_counter()
    batches = read_vector_batches(vectors, chosen)
    first = next(batches, None)  # of a file that is no good no index is made
    with create_or_open(index, options, of_text=False) as target:
        added = _add_all(target, vectors, chain([first] if first else [], batches), upsert)
        seconds = time.perf_counter() - started
        if optimize and added:
            with working("merging segments"):
                target.optimize()
        facts, example = target.info(), example_query(target)
    if first is None:
        note(f"{vectors} holds no vectors")
    if added:
        print(f"added {counted(added, 'vector')} in {seconds:.1f} s")
    print(f"{index} holds {counted(facts.documents, 'document')} in {human_bytes(facts.bytes)}")
    print(f"next: sparsearch search {quoted(index)} {example}")


def _add_all(index: Index, path: Path, batches: Iterator[VectorBatch], upsert: bool) -> int:
    resuming = Resumable(index, path, "vector", resumed=can_be_reread(path) and not upsert)
    stored = resuming.stored()
    resuming.announce(stored)
    before = 0
    if stored is not None:
        batches, before = _after(batches, stored, resuming), stored.consumed
    reading = _Reading(path, batches, before)
    try:
        with resuming.explained():
            added = index.add_vector_batches(reading, source=resuming.label, replace=upsert)
    except (InvalidDocumentError, InvalidVectorError) as error:
        raise reading.located(error) from error
    resuming.conclude(stored, added)
    return added


def _after(
    batches: Iterator[VectorBatch], stored: SourceProgress, resuming: Resumable
) -> Iterator[VectorBatch]:
    """Read over the vectors that are stored, making sure that they are the ones stored."""
    last_id, found = "", 0
    rest: list[VectorBatch] = []
    while found < stored.consumed and (batch := next(batches, None)) is not None:
        known = min(len(batch), stored.consumed - found)
        last_id, found = batch.ids[known - 1], found + known
        rest = [batch[known:]] if known < len(batch) else []
    resuming.check(stored, found, last_id)
    yield from chain(rest, batches)


class _Reading:
    """Batches of a file on their way into an index, and where in the file an error is.

    Parameters
    ----------
    path : Path
    batches : iterable of VectorBatch
    before : int
        Rows of the file that precede them.
    """

    def __init__(self, path: Path, batches: Iterable[VectorBatch], before: int) -> None:
        self._path = path
        self._batches = batches
        self._before = before
        self._given = 0
        self._last: VectorBatch | None = None

    def __iter__(self) -> Iterator[VectorBatch]:
        with Progress("reading") as progress:
            for batch in self._batches:
                self._last = batch
                yield batch
                self._given += len(batch)
                progress.advance(len(batch))

    def located(self, error: InvalidDocumentError | InvalidVectorError) -> InvalidInputError:
        """Return an error of the batch that was last given as one of the file."""
        row = error.position if isinstance(error, InvalidDocumentError) else error.row
        if row is None or self._last is None:
            return InvalidInputError(f"{self._path}: {error}")
        name = shorten(self._last.ids[row - self._given])
        return FileFormatError(self._path, self._before + row + 1, f"id {name}: {error.reason}")
