"""Test collections: documents, queries and the judgements that go with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path

from sparsearch.errors import InvalidInputError, NotFoundError, shorten
from sparsearch.evaluation.beir import open_corpus, read_qrels, read_queries
from sparsearch.evaluation.published import PublishedDataset
from sparsearch.files import as_path
from sparsearch.runs import Qrels

__all__ = ["Dataset", "Judgements", "load_dataset", "load_judgements"]


@dataclass(frozen=True)
class Judgements:
    """The judgements of a test collection, for queries that are not its own.

    Parameters
    ----------
    name : str
        What the collection is called: the folder's name or the id in ir_datasets.
    qrels : Qrels
        The judgements of one split.
    """

    name: str
    qrels: Qrels


@dataclass(frozen=True)
class Dataset:
    """A test collection.

    Parameters
    ----------
    name : str
        What it is called: the folder's name or the id in ir_datasets.
    queries : Mapping of str to str
        Text per query id; also of queries without judgements.
    qrels : Qrels
        The judgements of one split.
    open_documents : callable
        Returns an iterator over the documents from the first one on.

    Raises
    ------
    InvalidInputError
        When a judged query has no text.
    """

    name: str
    queries: Mapping[str, str]
    qrels: Qrels
    open_documents: Callable[[], Iterator[dict[str, object]]] = field(repr=False)

    def __post_init__(self) -> None:
        unknown = [query for query in self.qrels if query not in self.queries]
        if unknown:
            reason = f"{len(unknown)} judged queries have no text, such as {shorten(unknown[0])}"
            raise InvalidInputError(
                f"{self.name}: {reason}; the qrels belong to other queries than those given"
            )

    def documents(self) -> Iterator[dict[str, object]]:
        """Yield the documents; every call starts again with the first.

        Yields
        ------
        dict
            ``id`` and ``text``, ``title`` where there is one, and metadata (BEIR layout only).
        """
        return self.open_documents()

    def judged_queries(self) -> dict[str, str]:
        """Return the queries that have judgements: only they can be measured."""
        return {query: self.queries[query] for query in self.qrels}


def load_dataset(name: str | PathLike[str], split: str = "test") -> Dataset:
    """Load a test collection from a folder or from ir_datasets.

    A folder is in BEIR layout: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``, each
    of them plain or with ``.gz`` added. Everything else is an id of ir_datasets, such as
    ``vaswani`` or ``msmarco-passage/trec-dl-2019/judged``; if there is an id ``<name>/<split>``,
    that is taken (``beir/scifact`` becomes ``beir/scifact/test``). ir_datasets downloads what it
    does not have yet.

    Parameters
    ----------
    name : str or PathLike
        The folder or id.
    split : str
        Which judgements to load.

    Returns
    -------
    Dataset
        Queries and judgements in memory; documents are read when asked for.

    Raises
    ------
    NotFoundError
        When there is no such folder or id, no such split (the message lists those there are), or
        the download fails.
    InvalidInputError
        When the folder is in another layout, or a file of it is malformed.
    MissingExtraError
        When the name is not a folder and ir_datasets is not installed.
    """
    folder = _folder(name)
    if folder is not None:
        return Dataset(
            name=folder.resolve().name,
            queries=read_queries(folder),
            qrels=read_qrels(folder, split),
            open_documents=partial(open_corpus, folder),
        )
    published = PublishedDataset(str(name), split)
    published.check_whole()
    return Dataset(
        name=published.name,
        queries=published.queries(),
        qrels=published.qrels(),
        open_documents=published.documents,
    )


def load_judgements(name: str | PathLike[str], split: str = "test") -> Judgements:
    """Load the judgements of a test collection alone; queries and documents need not be there.

    Parameters
    ----------
    name : str or PathLike
        The folder or id, as for `load_dataset`.
    split : str
        Which judgements to load.

    Raises
    ------
    NotFoundError, InvalidInputError, MissingExtraError
        As `load_dataset`.
    """
    folder = _folder(name)
    if folder is not None:
        return Judgements(folder.resolve().name, read_qrels(folder, split))
    published = PublishedDataset(str(name), split)
    return Judgements(published.name, published.qrels())


def _folder(name: str | PathLike[str]) -> Path | None:
    """Return the folder of that name; None where the name must be an id of ir_datasets."""
    folder = as_path(name)
    if os.path.isdir(folder):
        return folder
    if not isinstance(name, str) or os.path.exists(folder):
        raise NotFoundError(f"{name} is not a folder; give one in BEIR layout or an ir_datasets id")
    return None
