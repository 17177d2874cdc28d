"""Arguments and options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Conditions",
    "Distinct",
    "DocumentFormat",
    "DocumentSource",
    "Hits",
    "IdField",
    "IndexFolder",
    "JsonOutput",
    "Quantize",
    "QueriesFile",
    "Recall",
    "Recipe",
    "SegmentDocuments",
    "SourceFormat",
    "TextField",
    "TitleField",
    "UseFeedback",
    "VectorFormat",
    "VectorQuery",
    "WeightBits",
    "share",
]


def share(text: str) -> float:
    """Return the share of the best documents that an option asks for."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{text!r} is not a number above 0 and at most 1")
    return value


IndexFolder = Annotated[
    Path, typer.Argument(metavar="INDEX", help="Folder of the index.", show_default=False)
]

Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Only documents that meet it: year>=2020, kind=class, or JSON; may be repeated.",
        show_default=False,
    ),
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

Recall = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        parser=share,
        help="Search approximately: expect this share of the exact best k, above 0 and at most 1.  "
        "[default: exact search]",
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
        metavar="NUMBER",
        help="Documents held in memory before a commit.  [default: 50000; 5000 where a "
        "model reads them, 250000 of vectors]",
    ),
]

VectorFormat = Literal["jsonl", "npz", "csr"]

UseFeedback = Annotated[
    bool,
    typer.Option(
        "--feedback",
        help="Widen each query by what its best documents say: finds more, takes longer.",
    ),
]

Distinct = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD",
        help="Return only the best of the documents that have the same value of a field; "
        "--distinct document for the best passage of each document.",
        show_default=False,
    ),
]

DocumentSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="File or folder to read, plain or gzip; - for JSON lines from standard input.",
        show_default=False,
    ),
]

DocumentFormat = Literal["jsonl", "csv", "tsv", "parquet", "beir", "text"]

SourceFormat = Annotated[
    DocumentFormat | None,
    typer.Option(help="Format of the source.  [default: by its name]"),
]

IdField = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Field of the id.  [default: id, _id, docid or doc_id]"),
]

TitleField = Annotated[
    str | None, typer.Option(metavar="NAME", help="Field of the title.  [default: title]")
]

TextField = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Field of the text; may be repeated.  "
        "[default: text, contents, body, passage or abstract]",
    ),
]

Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="What to make of a masked language model without pooling: splade."
    ),
]

Quantize = Annotated[
    bool, typer.Option(help="Compute with 8-bit integers: faster, at a small loss.")
]
