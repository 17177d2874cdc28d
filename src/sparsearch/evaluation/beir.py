"""Folders in BEIR layout.

N. Thakur et al. BEIR: A heterogenous benchmark for zero-shot evaluation of information retrieval
models. NeurIPS Datasets and Benchmarks 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sparsearch.errors import InvalidInputError, NotFoundError, shorten
from sparsearch.readers import open_source
from sparsearch.runs import Qrels

__all__ = ["open_corpus", "read_qrels", "read_queries"]


def open_corpus(folder: Path) -> Iterator[dict[str, object]]:
    """Yield the documents of the folder."""
    return open_source(_find(folder, "corpus.jsonl"), format="jsonl").records()


def read_queries(folder: Path) -> dict[str, str]:
    """Read the text of each query.

    Raises
    ------
    InvalidInputError
        When the file is missing or malformed, or a query id is given twice.
    """
    path = _find(folder, "queries.jsonl")
    queries: dict[str, str] = {}
    for record in open_source(path, format="jsonl").records():
        query, text = str(record["id"]), record.get("text")
        if query in queries:
            raise InvalidInputError(f"{path}: query {shorten(query)} is given twice")
        if not isinstance(text, str):
            raise InvalidInputError(f"{path}: query {shorten(query)} has no text")
        queries[query] = text
    return queries


def read_qrels(folder: Path, split: str) -> Qrels:
    """Read the judgements of a split.

    Raises
    ------
    NotFoundError
        When there is no such split; lists those there are.
    InvalidInputError
        When there are no qrels at all, or the file is malformed.
    """
    # The plain file comes later and wins, as for corpus and queries.
    paths = sorted(folder.glob("qrels/*.tsv.gz")) + sorted(folder.glob("qrels/*.tsv"))
    splits = {path.name.removesuffix(".gz").removesuffix(".tsv"): path for path in paths}
    if not splits:
        raise InvalidInputError(f"{folder} has no qrels/*.tsv; it is not in BEIR layout")
    if split not in splits:
        known = ", ".join(sorted(splits))
        raise NotFoundError(f"{folder} has no split {shorten(split)}; it has {known}")
    return Qrels.read(splits[split])


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    reason = f"has no {name} or {name}.gz; it is not in BEIR layout"
    raise InvalidInputError(f"{folder} {reason} (corpus.jsonl, queries.jsonl, qrels/<split>.tsv)")
