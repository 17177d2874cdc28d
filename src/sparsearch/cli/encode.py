"""``sparsearch encode``: texts to files of vectors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparsearch.cli._adding import Rejected, open_documents
from sparsearch.cli._arguments import (
    DocumentSource,
    IdField,
    Quantize,
    Recipe,
    SkipInvalid,
    SourceFormat,
    TextField,
    TitleField,
)
from sparsearch.cli._console import counted, note, quoted
from sparsearch.cli._creation import ENCODER_NAMES, load_encoder
from sparsearch.cli._encoding import EncodableText, EncodedParts, remaining
from sparsearch.cli._progress import Progress
from sparsearch.cli._queries import read_text_queries
from sparsearch.cli._vector_files import FreeNames
from sparsearch.errors import InvalidDocumentError, InvalidInputError
from sparsearch.files import STANDARD_INPUT
from sparsearch.readers import FieldMapping

if TYPE_CHECKING:
    from sparsearch.encoders import Encoder

EXAMPLES = (
    "sparsearch encode papers.jsonl.gz vectors.jsonl.gz --encoder naver/splade-v3",
    "sparsearch encode papers.jsonl.gz vectors/ --encoder my-model/",
    "sparsearch encode queries.tsv queries.jsonl --queries --encoder my-model/",
)


def encode(
    source: DocumentSource,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="JSON lines as Anserini has them if it ends in .jsonl or .jsonl.gz; otherwise a "
            "folder of .npz files.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Folder of a model, or its name on the Hugging Face hub.",
            show_default=False,
        ),
    ],
    queries: Annotated[
        bool,
        typer.Option(
            "--queries", help="Encode queries: JSON lines (_id, text), or lines of id<tab>text."
        ),
    ] = False,
    format: SourceFormat = None,
    id_field: IdField = None,
    title_field: TitleField = None,
    text_field: TextField = None,
    backend: Annotated[
        Literal["onnx", "torch"] | None,
        typer.Option(
            help="What runs the model; torch takes a GPU if there is one.  [default: onnx]",
            show_default=False,
        ),
    ] = None,
    recipe: Recipe = None,
    quantize: Quantize = True,
    skip_invalid: SkipInvalid = False,
) -> None:
    """Encode texts with a trained model, to files of vectors.

    Other tools read them, and import does. If the command is interrupted, the same command goes on
    where it stopped, and the result is the same. A file of JSON lines also holds the text and all
    other fields; a folder of .npz files holds ids and vectors only.
    """
    fields = FieldMapping(id_field, title_field, tuple(text_field or ()))
    if queries:
        _refuse_options(fields, format, skip_invalid)
    rejected = Rejected() if skip_invalid else None
    reader = None if queries else open_documents(source, format, fields, rejected)
    chosen = _load(encoder, backend=backend, recipe=recipe, quantize=quantize)
    parts = EncodedParts(out, {"encoder": chosen.identity, "queries": queries})
    started = time.perf_counter()
    with parts.locked():
        if parts.state.texts:
            note(f"going on after {counted(parts.state.texts, 'text')}")
        if reader is None:
            encoded = _encode_all(iter(_queries(source)), parts, chosen, Progress("encoding"))
        else:
            progress = Progress("encoding", reader.size, lambda: reader.position)
            records = reader.records()
            with closing(records):
                encoded = _encode_all(_documents(records, rejected), parts, chosen, progress)
    if rejected and rejected.count:
        note(f"skipped {counted(rejected.count, 'malformed record')} in all")
    _summarize(parts, encoded, time.perf_counter() - started, queries)


def _refuse_options(fields: FieldMapping, format: str | None, skip_invalid: bool) -> None:
    """Raise InvalidInputError if an option is given that reading queries does not have."""
    given = {
        "--format": format,
        "--id-field": fields.id,
        "--title-field": fields.title,
        "--text-field": fields.text,
        "--skip-invalid": skip_invalid,
    }
    for option in (name for name, value in given.items() if value):
        raise InvalidInputError(f"{option} is for documents; leave it out with --queries")


def _load(source: str, **options: Any) -> Encoder:
    chosen = None if source in ENCODER_NAMES else load_encoder(source, **options)
    if chosen is None or chosen.saturation is not None:
        raise InvalidInputError(
            f"the weights of {source} depend on the whole collection: index the documents, then "
            "sparsearch export INDEX OUT --what vectors"
        )
    return chosen


def _encode_all(
    texts: Iterator[EncodableText], parts: EncodedParts, encoder: Encoder, progress: Progress
) -> int:
    """Encode what is not encoded yet; return how many texts that were."""
    encode = encoder.encode_queries if parts.of_queries else encoder.encode_documents
    before = parts.state.texts
    try:
        with progress:
            for chunk in remaining(texts, parts):
                parts.add(chunk, encode([text.content for text in chunk]))
                progress.advance(len(chunk))
        parts.finish()
    except KeyboardInterrupt:
        done = counted(parts.state.texts, "text")
        raise KeyboardInterrupt(f"{done} encoded; the same command goes on after them") from None
    return parts.state.texts - before


def _documents(
    records: Iterator[dict[str, object]], rejected: Rejected | None
) -> Iterator[EncodableText]:
    from sparsearch.index.documents import check_documents

    freed = FreeNames()
    for position, record in enumerate(records):
        try:
            checked = next(check_documents([record], position))
        except InvalidDocumentError as error:
            if rejected is None:
                raise
            rejected(error)
            continue
        metadata = {name: value for name, value in record.items() if name not in ("id", "text")}
        text = str(record.get("text") or "")
        yield EncodableText(checked.id, checked.content, text, freed(metadata))


def _queries(source: str) -> list[EncodableText]:
    path = Path(STANDARD_INPUT if source == "-" else source)
    return [EncodableText(query, text, text) for query, text in read_text_queries(path).items()]


def _summarize(parts: EncodedParts, encoded: int, seconds: float, queries: bool) -> None:
    kind = ("query", "queries") if queries else ("document", "documents")
    speed = f"{encoded / seconds:,.0f} per second"
    print(f"encoded {counted(encoded, *kind)} in {seconds:.1f} s ({speed})")
    if not parts.state.texts:
        note(f"there are no {kind[1]} in it")
    print(f"{parts.out} holds {counted(parts.state.texts, *kind)}")
    if not queries and parts.state.texts:
        print(f"next: sparsearch import my-index {quoted(parts.out)}")
