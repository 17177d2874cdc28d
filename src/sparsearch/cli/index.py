"""``sparsearch index``: add documents to an index, making it if need be."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._adding import Adding, Rejected, begun, open_documents
from sparsearch.cli._arguments import (
    K1,
    B,
    DocumentSource,
    EncoderName,
    IdField,
    IndexFolder,
    Language,
    Mirror,
    Optimize,
    PairWeight,
    PassageLength,
    Recipe,
    SegmentDocuments,
    SourceFormat,
    StopWords,
    TextField,
    TitleField,
    Upsert,
    WeightBits,
)
from sparsearch.cli._console import counted, human_bytes, note, quoted, stored_thing, working
from sparsearch.cli._creation import CreationOptions, create_or_open
from sparsearch.cli._mirroring import Mirrored
from sparsearch.cli._opening import announce_compilation
from sparsearch.cli._resuming import can_be_reread
from sparsearch.errors import InvalidInputError
from sparsearch.readers import FieldMapping, Source

if TYPE_CHECKING:
    from sparsearch.index import Index

EXAMPLES = (
    "sparsearch index papers papers.jsonl.gz",
    "sparsearch index papers more.csv --id-field doi --text-field abstract",
    "sparsearch index notes my-notes/ --format text --language german",
    "sparsearch index papers papers.jsonl.gz --encoder naver/splade-v3",
    "sparsearch index manuals manuals/ --passage-length 1000",
    "sparsearch index notes my-notes/ --mirror",
    "zcat dump.jsonl.gz | sparsearch index papers -",
)


def index(
    index: IndexFolder,
    source: DocumentSource,
    format: SourceFormat = None,
    id_field: IdField = None,
    title_field: TitleField = None,
    text_field: TextField = None,
    encoder: EncoderName = None,
    recipe: Recipe = None,
    language: Language = None,
    stop_words: StopWords = None,
    k1: K1 = None,
    b: B = None,
    pair_weight: PairWeight = None,
    passage_length: PassageLength = None,
    weight_bits: WeightBits = None,
    segment_documents: SegmentDocuments = None,
    upsert: Upsert = False,
    mirror: Mirror = False,
    skip_invalid: Annotated[
        bool,
        typer.Option(
            "--skip-invalid",
            help="Report records that are malformed or whose id is taken, and leave them out.",
        ),
    ] = False,
    optimize: Optimize = True,
) -> None:
    """Add documents to an index, creating it if there is none.

    Documents are committed as they are read. If the command is interrupted, the same command goes
    on where it stopped. All other fields of a document are kept as metadata, to be filtered on.

    The options --encoder, --recipe, --language, --stop-words, --k1, --b, --pair-weight,
    --passage-length, --weight-bits and --segment-documents belong to the index and are fixed when
    it is created.
    Those that begin with "BM25" make an index of BM25.
    """
    options = CreationOptions(
        language=language,
        stop_words=stop_words,
        k1=k1,
        b=b,
        pair_weight=pair_weight,
        weight_bits=weight_bits,
        segment_documents=segment_documents,
        encoder=encoder,
        recipe=recipe,
        passage_length=passage_length,
    )
    rejected = Rejected() if skip_invalid else None
    fields = FieldMapping(id_field, title_field, tuple(text_field or ()))
    reader = open_documents(source, format, fields, rejected)
    if mirror and not can_be_reread(reader.path):
        what = "standard input" if source == "-" else str(reader.path)
        reason = f"{what} may end early without anybody knowing"
        raise InvalidInputError(f"{reason}; --mirror takes a file or a folder")
    announce_compilation()
    started = time.perf_counter()
    # Closed here, since after an error its traceback would keep the file open.
    with closing(reader.records()) as records:
        documents = begun(records, rejected, passage_length)
        with create_or_open(index, options, of_text=True) as target:
            adding = Adding(target, reader, documents, rejected)
            mirrored = adding.mirror() if mirror else None
            added = mirrored.added if mirrored else adding.upsert() if upsert else adding.add()
            seconds = time.perf_counter() - started
            if optimize and (added or (mirrored and mirrored.deleted)):
                with working("merging segments"):
                    target.optimize()
            _note_what_was_not_added(reader, rejected, mirrored)
            _summarize(target, added, seconds)


def _note_what_was_not_added(
    reader: Source, rejected: Rejected | None, mirrored: Mirrored | None
) -> None:
    if reader.skipped:
        name, reason = reader.skipped[0]
        left_out = counted(len(reader.skipped), "file")
        note(f"left out {left_out} that no text could be read from, such as {name} ({reason})")
    if rejected and rejected.count:
        note(f"skipped {counted(rejected.count, 'record')} in all")
    if mirrored:
        kept = f"{counted(mirrored.unchanged, 'document')} unchanged"
        note(f"{kept}, {mirrored.deleted:,} deleted")


def _summarize(index: Index, added: int, seconds: float) -> None:
    info = index.info()
    if added:
        speed = f"{added / seconds:,.0f} per second"
        print(f"added {counted(added, 'document')} in {seconds:.1f} s ({speed})")
    holds = counted(info.documents, stored_thing(index.config))
    print(f"{index.path} holds {holds} in {human_bytes(info.bytes)}")
    print(f'next: sparsearch search {quoted(index.path)} "your question"')
