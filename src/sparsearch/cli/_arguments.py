"""Arguments and options of verbs: those that several have, and what an index is made with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sparsearch.cli._creation import ENCODER_NAMES

__all__ = [
    "K1",
    "B",
    "Conditions",
    "Distinct",
    "DocumentFormat",
    "DocumentSource",
    "EncoderName",
    "Hits",
    "IdField",
    "IndexFolder",
    "JsonOutput",
    "Language",
    "Mirror",
    "Optimize",
    "PairWeight",
    "PassageLength",
    "Quantize",
    "QueriesFile",
    "Recall",
    "Recipe",
    "SegmentDocuments",
    "SkipInvalid",
    "SourceFormat",
    "StopWords",
    "TextField",
    "TitleField",
    "Upsert",
    "UseFeedback",
    "VectorFormat",
    "VectorQuery",
    "WeightBits",
    "measure_option",
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


def measure_option(default: str) -> Any:
    """Return the option of measures; its help names those that are taken where none is given."""
    return typer.Option(
        "--measure",
        "-m",
        metavar="NAME",
        help=f"Measure, as ir-measures writes it; may be repeated.  [default: {default}]",
        show_default=False,
    )


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

EncoderName = Annotated[
    str | None,
    typer.Option(
        metavar="default|bm25|MODEL",
        autocompletion=lambda: list(ENCODER_NAMES),
        help="What makes vectors of text: the English encoder that comes with sparsearch; BM25 "
        "alone, many times faster; or a model, its folder or its name on the Hugging Face "
        "hub.  [default: default; bm25 with any option of BM25]",
    ),
]

Language = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="BM25: language of the stemmer, or none.  [default: english]"
    ),
]

StopWords = Annotated[
    bool | None,
    typer.Option(
        "--stop-words/--no-stop-words",
        help="BM25: leave out the most common words.  [default: where there is a list]",
    ),
]

K1 = Annotated[
    float | None,
    typer.Option(metavar="NUMBER", help="BM25: how slowly repetition saturates.  [default: 1.2]"),
]

B = Annotated[
    float | None,
    typer.Option(metavar="NUMBER", help="BM25: discount of long documents.  [default: 0.75]"),
]

PairWeight = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="BM25: how much a pair of neighbouring words counts beside a word.  [default: 0]",
    ),
]

PassageLength = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="Cut texts into passages of so many characters at most, each found by itself.  "
        "[default: texts stay whole]",
    ),
]

WeightBits = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", help="Bits of a stored weight, 8 or 12.  [default: 12]"),
]

SegmentDocuments = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="Documents held in memory before a commit.  [default: 50000; 5000 where a "
        "model reads them, 1000000 of vectors]",
    ),
]

Upsert = Annotated[
    bool,
    typer.Option("--upsert", help="Read the whole source; replace documents whose ids are taken."),
]

Mirror = Annotated[
    bool,
    typer.Option(
        "--mirror",
        help="Make the index hold what the source does: replace documents that have changed, "
        "delete those it no longer has.",
    ),
]

SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Report malformed records and leave them out.")
]

Optimize = Annotated[bool, typer.Option(help="Merge segments at the end, for faster searches.")]

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
