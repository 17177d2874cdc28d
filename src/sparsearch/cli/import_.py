"""``sparsearch import``: vectors that a model made elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsearch.cli._arguments import IndexFolder, SegmentDocuments, VectorFormat, WeightBits
from sparsearch.cli._console import counted, human_bytes, quoted, working
from sparsearch.cli._creation import CreationOptions, create_or_open
from sparsearch.cli._opening import announce_compilation
from sparsearch.cli._progress import Progress
from sparsearch.cli._vector_files import read_vector_batches, vector_format
from sparsearch.errors import (
    DuplicateIdError,
    FileFormatError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    shorten,
)

if TYPE_CHECKING:
    from sparsearch.index import Index
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
    upsert: Annotated[
        bool, typer.Option("--upsert", help="Replace documents whose ids are taken.")
    ] = False,
    optimize: Annotated[
        bool, typer.Option(help="Merge segments at the end, for faster searches.")
    ] = True,
) -> None:
    """Add vectors made elsewhere to an index.

    The index is created if there is none, and is searched by vectors. The contents of a record
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
        facts = target.info()
    print(f"added {counted(added, 'vector')} in {seconds:.1f} s")
    print(f"{index} holds {counted(facts.documents, 'document')} in {human_bytes(facts.bytes)}")
    print(f"""next: sparsearch search {quoted(index)} --vector '{{"term": 1.0}}'""")


def _add_all(index: Index, path: Path, batches: Iterable[VectorBatch], upsert: bool) -> int:
    added = 0
    with Progress("reading") as progress:
        for batch in batches:
            try:
                _add(index, batch, upsert)
            except KeyboardInterrupt:
                holds = f"{index.path} holds {counted(len(index), 'document')}"
                advice = "the same command with --upsert starts again"
                raise KeyboardInterrupt(f"{holds}; {advice}") from None
            except (InvalidDocumentError, InvalidVectorError) as error:
                raise _located(error, path, batch, added) from error
            added += len(batch)
            progress.advance(len(batch))
    return added


def _add(index: Index, batch: VectorBatch, upsert: bool) -> None:
    index.add_vectors(batch.ids, batch.vectors, _documents(batch), replace=upsert)


def _documents(batch: VectorBatch) -> list[Mapping[str, Any]]:
    return [
        {**metadata, **({"text": contents} if contents else {})}
        for contents, metadata in zip(batch.contents, batch.metadata, strict=True)
    ]


def _located(
    error: InvalidDocumentError | InvalidVectorError, path: Path, batch: VectorBatch, before: int
) -> InvalidInputError:
    """Return the error of a batch as one of the file."""
    if isinstance(error, DuplicateIdError):
        reason = f"the id {shorten(error.document_id)} is taken, by the index or by an earlier"
        return InvalidInputError(f"{path}: {reason} vector; give --upsert to replace documents")
    row = error.position if isinstance(error, InvalidDocumentError) else error.row
    if row is None:
        return InvalidInputError(f"{path}: {error}")
    return FileFormatError(path, before + row + 1, f"id {shorten(batch.ids[row])}: {error.reason}")
