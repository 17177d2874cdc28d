"""Queries from the command line, from standard input and from files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsearch.errors import (
    FileFormatError,
    InvalidInputError,
    InvalidQueryError,
    InvalidVectorError,
    shorten,
)
from sparsearch.strict_json import parse_json

if TYPE_CHECKING:
    from sparsearch.index import Index
    from sparsearch.runs import Run
    from sparsearch.vectors import SparseVectors

__all__ = [
    "How",
    "example_query",
    "parse_query",
    "read_queries",
    "read_text_queries",
    "search_file",
    "typed_lines",
]


def parse_query(index: Index, text: str, is_vector: bool) -> str | SparseVectors:
    """Return a query as the index takes it.

    Parameters
    ----------
    index : Index
    text : str
        Text, or a JSON object of weights by term (by decimal term id, for an index that knows
        its terms by their ids only).
    is_vector : bool

    Raises
    ------
    InvalidQueryError
        When it is not valid Unicode, or not such an object.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"the query {shorten(text)} is not UTF-8 text") from error
    return _parse_vector(index, text) if is_vector else text


def _parse_vector(index: Index, text: str) -> SparseVectors:
    from sparsearch.vectors import SparseVectors, vectors_by_term_id

    try:
        weights: Any = parse_json(text)
    except InvalidInputError as error:
        raise InvalidQueryError(f"the query {shorten(text)}: {error}") from error
    if not isinstance(weights, dict) or not weights:
        reason = f"the query {shorten(text)} is not a JSON object of terms and their weights"
        raise InvalidQueryError(f'{reason}; write for example {{"sparse": 1.5, "search": 0.7}}')
    try:
        if index.has_term_ids:
            return vectors_by_term_id([weights])
        return SparseVectors.from_dicts([weights])
    except InvalidVectorError as error:
        raise InvalidQueryError(f"the query {shorten(text)}: {error.reason}") from error


def typed_lines(prompt: str) -> Iterator[str]:
    """Yield the lines of standard input that are not blank, as they are; on a terminal, ask.

    Raises
    ------
    FileFormatError
        When a line is not UTF-8.
    """
    lines = _asked(prompt) if sys.stdin.isatty() else sys.stdin.buffer
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise FileFormatError("standard input", number, "not UTF-8 text") from error
        if text.strip():
            yield text


def _asked(prompt: str) -> Iterator[bytes]:
    # Where standard output is no terminal, it is for results alone.
    shown = sys.stdout if sys.stdout.isatty() else sys.stderr
    with suppress(EOFError):
        while True:
            with redirect_stdout(shown):
                line = input(prompt)
            yield line.encode("utf-8", "surrogateescape")
    print(file=shown)


@dataclass(frozen=True)
class How:
    """How queries are searched; as the options of the command line.

    Parameters
    ----------
    k : int
    filter : dict, optional
    recall : float, optional
    feedback : bool
        Whether they are widened by what their best documents say.
    distinct : str, optional
        The field by which hits are distinct.
    """

    k: int = 10
    filter: dict[str, Any] | None = None
    recall: float | None = None
    feedback: bool = False
    distinct: str | None = None

    def run(self, index: Index, queries: Mapping[str, str] | SparseVectors) -> Run:
        """Return the rankings of many queries."""
        from sparsearch.index import Feedback

        feedback = Feedback() if self.feedback else None
        return index.search_batch(
            queries,
            self.k,
            self.filter,
            recall=self.recall,
            feedback=feedback,
            distinct=self.distinct,
        )

    def searched(self, index: Index, query: str | SparseVectors) -> str | SparseVectors:
        """Return what is searched for a query: itself or, with feedback, what it becomes."""
        if not self.feedback:
            return query
        queries = [query] if isinstance(query, str) else query
        return index.expand(queries, self.filter, recall=self.recall)


def example_query(index: Index) -> str:
    """Return what ``sparsearch search`` may be given for a query, as one would type it."""
    if index.info().encoder is not None:
        return '"your question"'
    term = "1012" if index.has_term_ids else "term"
    return f"""--vector '{{"{term}": 1.0}}'"""


def search_file(index: Index, path: Path, how: How) -> Run:
    """Return the rankings of all queries of a file: of text or, without an encoder, of vectors."""
    if index.info().encoder is None:
        return _search_vectors(index, path, how)
    run = how.run(index, read_text_queries(path))
    run.name = "sparsearch"
    return run


def _search_vectors(index: Index, path: Path, how: How) -> Run:
    from sparsearch.cli._vector_files import read_vector_batches
    from sparsearch.runs import Run

    rankings: dict[str, Any] = {}
    for batch in read_vector_batches(path):
        found = how.run(index, batch.vectors)
        for query, row in zip(batch.ids, found, strict=True):
            if query in rankings:
                raise FileFormatError(path, None, f"query {shorten(query)} is given twice")
            rankings[query] = found.ids(row), found.scores(row)
    return Run.from_rankings(rankings, "sparsearch")


def read_queries(index: Index, path: Path) -> SparseVectors:
    """Return the queries of a file as vectors: of text or, without an encoder, of vectors.

    Raises
    ------
    FileFormatError
        When it is malformed or holds no query.
    """
    from sparsearch.cli._vector_files import read_vector_batches
    from sparsearch.vectors import SparseVectors

    if index.info().encoder is not None:
        vectors = index.encode_queries(list(read_text_queries(path).values()))
    else:
        batches = [batch.vectors for batch in read_vector_batches(path)]
        vectors = SparseVectors.concatenate(batches or [SparseVectors([0], [], [])])
    if len(vectors) == 0:
        raise FileFormatError(path, None, "it holds no query")
    return vectors


def read_text_queries(path: Path) -> dict[str, str]:
    """Read queries: JSON lines in BEIR layout or, from ``.tsv`` and ``.txt``, id and text.

    Blank lines mean nothing.

    Returns
    -------
    dict of str to str
        Text per query id.

    Raises
    ------
    FileFormatError
        When a line is malformed or a query is given twice.
    """
    is_table = Path(path.name.lower().removesuffix(".gz")).suffix in (".tsv", ".tab", ".txt")
    queries: dict[str, str] = {}
    for number, query, text in _table_rows(path) if is_table else _json_rows(path):
        if query in queries:
            raise FileFormatError(path, number, f"query {shorten(query)} is given twice")
        queries[query] = text
    return queries


def _table_rows(path: Path) -> Iterator[tuple[int | None, str, str]]:
    from sparsearch.files import TextFile

    with TextFile(path) as file:
        for number, line in file:
            if not line.strip():
                continue
            query, tab, text = line.partition("\t")
            if not (query and tab):
                reason = f"cannot read {shorten(line)} as a query; each line is id<tab>text"
                raise FileFormatError(path, number, reason)
            yield number, query, text


def _json_rows(path: Path) -> Iterator[tuple[int | None, str, str]]:
    from sparsearch.readers import open_source

    for record in open_source(path, format="jsonl").records():
        query, text = str(record["id"]), record.get("text")
        if not isinstance(text, str):
            raise FileFormatError(path, None, f"query {shorten(query)} has no text")
        yield None, query, text
