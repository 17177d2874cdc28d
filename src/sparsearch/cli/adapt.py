"""``sparsearch adapt``: the default encoder, fitted to one's own documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._adding import Rejected, acceptable, open_documents
from sparsearch.cli._arguments import (
    DocumentSource,
    IdField,
    SkipInvalid,
    SourceFormat,
    TextField,
    TitleField,
)
from sparsearch.cli._console import counted, human_time, note, quoted
from sparsearch.cli._progress import Progress, steps
from sparsearch.readers import FieldMapping, Source

if TYPE_CHECKING:
    from sparsearch.training import AdaptingStep

EXAMPLES = (
    "sparsearch adapt papers.jsonl.gz adapted/",
    "sparsearch index papers papers.jsonl.gz --encoder adapted/",
)


def adapt(
    source: DocumentSource,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the new encoder.", show_default=False)
    ],
    format: SourceFormat = None,
    id_field: IdField = None,
    title_field: TitleField = None,
    text_field: TextField = None,
    skip_invalid: SkipInvalid = False,
) -> None:
    """Adapt the default encoder to documents.

    It learns, without labels or queries, how the documents use words; some minutes whatever their
    number. Nothing is sent anywhere. It needs the extra train.
    """
    from sparsearch.training import adapt_default

    fields = FieldMapping(id_field, title_field, tuple(text_field or ()))
    rejected = Rejected() if skip_invalid else None
    documents = _read(open_documents(source, format, fields, rejected), rejected)
    started = time.perf_counter()
    with closing(documents), _shown() as report:
        adapt_default(documents, out, report=report)
    if rejected and rejected.count:
        note(f"skipped {counted(rejected.count, 'malformed record')} in all")
    print(
        f"adapted in {human_time(time.perf_counter() - started)}; the encoder is in {quoted(out)}"
    )
    print(f"next: sparsearch index my-index {quoted(source)} --encoder {quoted(out)}")


def _read(source: Source, rejected: Rejected | None) -> Generator[dict[str, object], None, None]:
    records = source.records()
    progress = Progress("reading", source.size, lambda: source.position)
    with closing(records), progress:
        documents = progress.watch(records)
        yield from documents if rejected is None else acceptable(documents, rejected)


@contextmanager
def _shown() -> Iterator[Callable[[AdaptingStep], None]]:
    """Yield what shows steps: one bar after another, since only one can be on a terminal."""
    bars: dict[str, Callable[[int, int], None]] = {}
    with ExitStack() as shown:

        def show(step: AdaptingStep) -> None:
            if step.stage not in bars:
                shown.close()
                bars[step.stage] = shown.enter_context(steps(step.stage))
            bars[step.stage](step.done, step.total)

        yield show
