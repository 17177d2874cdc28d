"""``sparsearch demo``: something to search in, at once and without a download."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import Hits
from sparsearch.cli._console import human_bytes, note, one_line, output, quoted
from sparsearch.cli._creation import CreationOptions, OwnEncoder, create_or_open
from sparsearch.cli._hits import HitPrinter
from sparsearch.cli._opening import announce_compilation
from sparsearch.cli._progress import Progress
from sparsearch.cli._queries import parse_query
from sparsearch.errors import (
    EncoderUnavailableError,
    IndexCorruptError,
    IndexVersionError,
    InvalidInputError,
)
from sparsearch.files import cache_folder

if TYPE_CHECKING:
    from sparsearch.index import Index

EXAMPLES = (
    "sparsearch demo",
    'sparsearch demo --ask "cache the results of a function"',
    "sparsearch demo --encoder bm25",
)

_SOURCE = "standard library"
_SEGMENT_DOCUMENTS = 1_000
_UNUSABLE = (EncoderUnavailableError, IndexCorruptError, IndexVersionError, InvalidInputError)
"""What opening an index of another version may end in; the last, if its settings were others."""
_OPTIONS = {
    "default": CreationOptions(segment_documents=_SEGMENT_DOCUMENTS, encoder="default"),
    # k1 and b that suit short texts (those of Anserini); questions are full of stop words.
    "bm25": CreationOptions(
        language="english",
        stop_words=True,
        k1=0.9,
        b=0.4,
        segment_documents=_SEGMENT_DOCUMENTS,
        encoder="bm25",
    ),
}


def demo(
    path: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to keep the index.  [default: a folder below ~/.cache/sparsearch]",
            show_default=False,
        ),
    ] = None,
    ask: Annotated[
        str | None, typer.Option(metavar="QUESTION", help="Ask this, not the demo's questions.")
    ] = None,
    encoder: Annotated[
        OwnEncoder,
        typer.Option(
            help="What makes vectors of text: the encoder that comes with sparsearch, or BM25, "
            "which takes seconds, not minutes."
        ),
    ] = "default",
    k: Hits = 3,
) -> None:
    """Search the docstrings of Python's standard library.

    The first time they are indexed, which takes a minute or two; later the index is there.
    """
    from sparsearch.demo import QUESTIONS

    announce_compilation()
    folder = path or _demo_folder(encoder)
    with _open_index(folder, _OPTIONS[encoder], disposable=path is None) as index:
        _fill(index)
        questions = [question.text for question in QUESTIONS] if ask is None else [ask]
        index.search(QUESTIONS[0].text, 1)  # loads all that is loaded once; the rest is timed
        for question in questions:
            _answer(index, question, k)
    print("Ask your own, compare with BM25, see why a document matched, index your own documents:")
    print('  sparsearch demo --ask "..."')
    print("  sparsearch demo --encoder bm25")
    example = QUESTIONS[0]
    print(f'  sparsearch explain {quoted(folder)} "{example.text}" {example.answer}')
    print("  sparsearch index my-index my-documents.jsonl")


def _demo_folder(encoder: OwnEncoder) -> Path:
    return cache_folder() / f"demo-{encoder}-{platform.python_version()}"


def _open_index(folder: Path, options: CreationOptions, *, disposable: bool) -> Index:
    """Open or create the index; a disposable one that this version cannot use is made anew."""
    try:
        index = create_or_open(folder, options, of_text=True)
        try:
            index.encode_queries(["is its encoder still there?"])
        except BaseException:
            index.close()
            raise
    except _UNUSABLE as error:
        if not disposable:
            raise
        note(f"making the demo's index anew: {error}")
        shutil.rmtree(folder)
        index = create_or_open(folder, options, of_text=True)
    return index


def _fill(index: Index) -> None:
    """Index the docstrings, or those that an interrupted run left."""
    from sparsearch.demo import standard_library_documents

    stored = index.source_progress(_SOURCE)
    if stored is None or not stored.finished:
        started = time.perf_counter()
        note(f"indexing the docstrings of Python {platform.python_version()} ...")
        documents = list(standard_library_documents())[stored.consumed if stored else 0 :]
        with Progress("reading", len(documents)) as progress:
            count = index.add(progress.watch(documents), source=_SOURCE)
        index.optimize()
        print(f"indexed {count:,} docstrings in {time.perf_counter() - started:.1f} s")
    facts = index.info()
    print(f"{index.path} holds {facts.documents:,} docstrings in {human_bytes(facts.bytes)}\n")


def _answer(index: Index, question: str, k: int) -> None:
    from rich.text import Text

    console = output()
    query = parse_query(index, question, is_vector=False)
    started = time.perf_counter()
    hits = index.search(query, k)
    milliseconds = 1000 * (time.perf_counter() - started)
    explanations = [index.explain(query, hit.id) for hit in hits]
    heading = Text(f"? {one_line(question)}", style="bold cyan")
    console.print(heading.append(f"  ({milliseconds:.1f} ms)", style="dim"), soft_wrap=True)
    page = HitPrinter(index, query, console.width).render(hits, explanations)
    console.print(page if hits else "no docstring matches\n", end="\n", soft_wrap=True)
    sys.stdout.flush()
