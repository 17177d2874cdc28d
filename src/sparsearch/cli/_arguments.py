"""Arguments and options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Hits",
    "IndexFolder",
    "JsonOutput",
    "QueriesFile",
    "SegmentDocuments",
    "VectorFormat",
    "VectorQuery",
    "WeightBits",
]

IndexFolder = Annotated[
    Path, typer.Argument(metavar="INDEX", help="Folder of the index.", show_default=False)
]

JsonOutput = Annotated[bool, typer.Option("--json", help="Write JSON, for other programs.")]

VectorQuery = Annotated[
    bool,
    typer.Option("--vector", help="The query is a JSON object of terms and their weights."),
]

QueriesFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Queries: JSON lines (_id, text), or lines of id<tab>text; for an index of vectors "
        "a file of vectors, as for import.",
        show_default=False,
    ),
]

Hits = Annotated[int, typer.Option("--k", "-k", metavar="NUMBER", min=1, help="Hits per query.")]

WeightBits = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", help="Bits of a stored weight, 8 or 12.  [default: 12]"),
]

SegmentDocuments = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER", help="Documents held in memory before a commit.  [default: 50000]"
    ),
]

VectorFormat = Literal["jsonl", "npz", "csr"]
