"""Test collections by their id in ir_datasets.

S. MacAvaney, A. Yates, S. Feldman, D. Downey, A. Cohan, N. Goharian. Simplified data wrangling
with ir_datasets. SIGIR 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sparsearch.errors import (
    InvalidInputError,
    MissingExtraError,
    NotFoundError,
    SparsearchError,
    shorten,
)
from sparsearch.runs import Qrels

__all__ = ["PublishedDataset"]


class PublishedDataset:
    """A dataset of ir_datasets that has judgements.

    Parameters
    ----------
    name : str
        Its id.
    split : str
        If there is an id ``<name>/<split>``, it is taken instead.

    Attributes
    ----------
    name : str
        The id taken.

    Raises
    ------
    NotFoundError
        When there is no such dataset, or it has no judgements.
    MissingExtraError
        When ir_datasets is not installed.
    """

    def __init__(self, name: str, split: str) -> None:
        registry = _import_registry()
        whole, part = _get(registry, name), _get(registry, f"{name}/{split}")
        if part is None and split != "test":
            raise _no_split(registry, name, split, whole is not None)
        self.name = name if part is None else f"{name}/{split}"
        self._dataset = part or whole
        if self._dataset is None or not self._dataset.has_qrels():
            raise _no_split(registry, name, split, whole is not None)

    def check_whole(self) -> None:
        """Raise NotFoundError if it has no documents or no queries."""
        if not (self._dataset.has_docs() and self._dataset.has_queries()):
            raise NotFoundError(f"ir_datasets {self.name} has no documents or no queries")

    def queries(self) -> dict[str, str]:
        """Return the text of each query; of topics with several fields, the default one.

        Raises
        ------
        InvalidInputError
            When a query id has two texts.
        """
        queries: dict[str, str] = {}
        with _download(self.name):
            for query in self._dataset.queries_iter():
                text = _text(query)
                if queries.setdefault(query.query_id, text) != text:
                    reason = f"query {shorten(query.query_id)} has two texts"
                    raise InvalidInputError(f"ir_datasets {self.name}: {reason}")
        return queries

    def qrels(self) -> Qrels:
        """Return the judgements.

        Raises
        ------
        InvalidInputError
            When a document has two grades for a query, as judgements by subtopic have.
        """
        judgements: dict[str, dict[str, int]] = {}
        with _download(self.name):
            for qrel in self._dataset.qrels_iter():
                grades = judgements.setdefault(qrel.query_id, {})
                if grades.setdefault(qrel.doc_id, qrel.relevance) != qrel.relevance:
                    reason = f"query {shorten(qrel.query_id)} gives document {shorten(qrel.doc_id)}"
                    raise InvalidInputError(f"ir_datasets {self.name}: {reason} two grades")
        return Qrels(judgements)

    def documents(self) -> Iterator[dict[str, object]]:
        """Yield the documents: id, text and title, or id and the default text if it has no text."""
        with _download(self.name):
            for document in self._dataset.docs_iter():
                record: dict[str, object] = {"id": document.doc_id}
                if hasattr(document, "text") and getattr(document, "title", None):
                    record["title"] = document.title
                yield record | {"text": _text(document)}


def _text(item: Any) -> str:
    return str(item.text if hasattr(item, "text") else item.default_text())


def _import_registry() -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtraError("ir-datasets", "eval") from error
    return ir_datasets.registry


def _get(registry: Any, name: str) -> Any:
    try:
        return registry[name]
    except KeyError:
        return None


def _no_split(registry: Any, name: str, split: str, is_known: bool) -> NotFoundError:
    if not is_known:
        reason = f"{shorten(name)} is neither a folder nor an id of ir_datasets"
        return NotFoundError(f"{reason}; the ids are listed at https://ir-datasets.com")
    below = sorted(id for id in registry if id.startswith(f"{name}/") and registry[id].has_qrels())
    known = f"ids with judgements: {', '.join(below)}" if below else "it has no judgements"
    return NotFoundError(f"ir_datasets {name} has no split {shorten(split)}; {known}")


@contextmanager
def _download(name: str) -> Iterator[None]:
    """Say what to do when ir_datasets cannot get its files."""
    try:
        yield
    except SparsearchError:
        raise
    except Exception as error:  # whatever the downloads and parsers of some hundred sets raise
        raise NotFoundError(
            f"ir_datasets cannot provide {name}: {error}; check the network connection, and "
            f"whether https://ir-datasets.com/{name.split('/')[0]} asks for a licence or a "
            "manual download"
        ) from error
