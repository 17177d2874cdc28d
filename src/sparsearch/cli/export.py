"""``sparsearch export``: documents or vectors, in formats that others read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparsearch.cli._arguments import IndexFolder
from sparsearch.cli._console import counted, note
from sparsearch.cli._opening import open_index
from sparsearch.cli._progress import Progress
from sparsearch.cli._vector_files import FreeNames
from sparsearch.cli._writing import write_text

if TYPE_CHECKING:
    from sparsearch.index import Document, Index
    from sparsearch.vectors import VectorBatch

EXAMPLES = (
    "sparsearch export papers papers.jsonl.gz",
    "sparsearch export papers - | jq .title",
    "sparsearch export papers vectors.jsonl.gz --what vectors",
    "sparsearch export papers vectors.npz --what vectors",
)

_BATCH = 10_000
_OTHERS = frozenset({".csr", ".csv", ".parquet", ".tsv"})
"""Names of files that are read, but not written."""


def export(
    index: IndexFolder,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write, compressed if it ends in .gz; for documents, - is standard "
            "output.",
            show_default=False,
        ),
    ],
    what: Annotated[
        Literal["documents", "vectors"], typer.Option(help="What to write.")
    ] = "documents",
    format: Annotated[
        Literal["jsonl", "npz"] | None,
        typer.Option(help="Format of vectors.  [default: npz for *.npz, else jsonl]"),
    ] = None,
) -> None:
    """Write the documents or the vectors of an index to a file.

    Documents become JSON lines in BEIR layout, which sparsearch index reads back where they have
    text. Vectors become JSON lines as Anserini has them, in which terms are strings, or one .npz
    file, which keeps term ids as such; sparsearch import reads both back. The file appears when it
    is complete.
    """
    chosen = format or ("npz" if what == "vectors" and out.suffix == ".npz" else "jsonl")
    if what == "documents" and chosen == "npz":
        raise typer.BadParameter("documents are written as jsonl", param_hint="--format")
    kind = Path(out.stem).suffix if out.suffix == ".gz" else out.suffix
    if kind in _OTHERS or (kind == ".npz" and chosen != "npz"):
        reason = f"{what} are not written as {kind}; name a file that ends in .jsonl or .jsonl.gz"
        raise typer.BadParameter(reason, param_hint="OUT")
    if chosen == "npz" and out.suffix == ".gz":
        reason = "vectors in .npz are not compressed; name a file that ends in .npz"
        raise typer.BadParameter(reason, param_hint="OUT")
    if what == "vectors" and str(out) == "-":
        raise typer.BadParameter("vectors are written to a file", param_hint="OUT")
    with open_index(index) as target, Progress("writing", len(target)) as progress:
        if what == "documents":
            write_text(out, (_line(document) for document in progress.watch(target.documents())))
        else:
            _write_vectors(target, out, chosen, progress)
    note(f"wrote {counted(len(target), what[:-1])} to {out}")


def _line(document: Document) -> str:
    """Return a document as a line that reads back as the same document.

    Metadata stays an object of its own, so that none of its fields can be taken for the text.
    """
    fields: dict[str, Any] = {"id": document.id}
    if document.title is not None:
        fields["title"] = document.title
    if document.text is not None:
        fields["text"] = document.text
    if document.metadata:
        fields["metadata"] = dict(document.metadata)
    return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"


def _write_vectors(index: Index, out: Path, format: str, progress: Progress) -> None:
    from sparsearch.vectors import VectorFile, save_npz, write_json_vectors

    if format == "jsonl":
        write_json_vectors(out, _batches(index, progress))
        return
    ids = [document.id for document in progress.watch(index.documents())]
    save_npz(out, VectorFile(index.vectors(), ids))


def _batches(index: Index, progress: Progress) -> Iterator[VectorBatch]:
    from sparsearch.vectors import VectorBatch

    documents = progress.watch(index.documents())
    freed = FreeNames()
    for start in range(0, len(index), _BATCH):
        vectors = index.vectors(start, start + _BATCH)
        rows = [next(documents) for _ in range(len(vectors))]
        titles = [{} if row.title is None else {"title": row.title} for row in rows]
        yield VectorBatch(
            [row.id for row in rows],
            [row.text or "" for row in rows],
            vectors,
            [freed({**title, **row.metadata}) for title, row in zip(titles, rows, strict=True)],
        )
