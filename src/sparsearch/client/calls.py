"""Requests and their answers as values: what the clients, blocking or not, have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from sparsearch.errors import InvalidInputError, InvalidQueryError
from sparsearch.runs import Hit, Run
from sparsearch.vectors import SparseVectors

if TYPE_CHECKING:
    from sparsearch.index import Document, Explanation, Facet, Feedback, Page

__all__ = ["Call", "CollectionCalls", "How", "Query", "Stats", "list_collections"]

_Result = TypeVar("_Result", covariant=True)

Query = str | Mapping[Any, float] | SparseVectors
"""As `Index.search` takes it."""

_PORTION = 500
_PORTION_BYTES = 4 * 1024 * 1024
"""Of documents sent at once: a service takes 16 MB in one body, unless it is told otherwise."""


@dataclass(frozen=True)
class Call(Generic[_Result]):
    """A request, and how to read its answer.

    Parameters
    ----------
    method, path : str
    parse : callable
        From the answer's JSON value to the result.
    body : object
        Sent as JSON; None sends nothing.
    params : mapping of str to str, optional
        Query parameters.
    repeatable : bool
        Whether making it twice does no more than making it once.
    offset : int
        Position of its first document among all that the caller gave.
    """

    method: str
    path: str
    parse: Callable[[Any], _Result]
    body: Any = None
    params: Mapping[str, str] | None = None
    repeatable: bool = True
    offset: int = 0

    def content(self) -> bytes | None:
        """Return the body as bytes.

        Raises
        ------
        InvalidInputError
            If it cannot be sent as JSON.
        """
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInputError(f"it cannot be sent as JSON: {error}") from error


@dataclass(frozen=True)
class Stats:
    """Facts about a collection; see `IndexInfo` for those of the same names.

    Parameters
    ----------
    approximate : bool
        Whether ``recall`` makes a difference.
    writable : bool
        Whether this server and API key may write.
    writes_waiting : int
        Write requests that wait for their commit.
    """

    name: str
    documents: int
    deleted: int
    segments: int
    postings: int
    terms: int
    bytes: int
    generation: int
    fields: list[str]
    encoder: dict[str, Any] | None
    approximate: bool
    writable: bool
    writes_waiting: int

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> Stats:
        """Return the facts of an answer; those a newer server adds are left out."""
        return cls(**{name: answer[name] for name in cls.__dataclass_fields__})


def list_collections() -> Call[list[str]]:
    """Ask which collections there are."""
    return Call("GET", "/v1/collections", lambda answer: list(answer["collections"]))


@dataclass(frozen=True)
class How:
    """How to search; as `Index.search` takes it."""

    k: int
    filter: Mapping[str, Any] | None
    recall: float | None
    feedback: Feedback | None
    distinct: str | None

    def body(self) -> dict[str, Any]:
        """Return what is given as properties of a request."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return given if self.feedback is None else {**given, "feedback": asdict(self.feedback)}


@dataclass(frozen=True)
class CollectionCalls:
    """The requests that can be made of a collection."""

    name: str

    def path(self, *parts: str) -> str:
        """Return the path of something of the collection."""
        return "/".join(["/v1/collections", quote(self.name, safe=""), *parts])

    def stats(self) -> Call[Stats]:
        """Ask for facts."""
        return Call("GET", self.path(), Stats.from_answer)

    def put(
        self,
        documents: Sequence[Mapping[str, Any]],
        *,
        replace: bool,
        term_ids: bool = False,
        offset: int = 0,
    ) -> Call[int]:
        """Store documents, all or none of them."""
        body = {"documents": documents, "term_ids": term_ids}
        return Call(
            "PUT" if replace else "POST",
            self.path("documents"),
            lambda answer: int(answer["stored"]),
            body,
            repeatable=replace,
            offset=offset,
        )

    def puts(
        self, documents: Iterable[Mapping[str, Any]], *, replace: bool, term_ids: bool = False
    ) -> Iterator[Call[int]]:
        """Store any number of documents, some hundreds or some megabytes at a time."""
        offset = 0
        for portion in _portions(documents):
            yield self.put(portion, replace=replace, term_ids=term_ids, offset=offset)
            offset += len(portion)

    def put_vectors(
        self,
        ids: Sequence[str],
        vectors: SparseVectors,
        documents: Sequence[Mapping[str, Any]] | None,
        *,
        replace: bool,
    ) -> Iterator[Call[int]]:
        """Store documents by their vectors."""
        if isinstance(ids, str) or len(ids) != len(vectors):
            raise InvalidInputError(f"{len(ids)} ids were given for {len(vectors)} vectors")
        fields = [{}] * len(ids) if documents is None else documents
        if len(fields) != len(vectors):
            reason = f"{len(fields)} documents were given for {len(vectors)} vectors"
            raise InvalidInputError(reason)
        joined = (
            {**field, "id": identifier, "vector": _weights(row)}
            for identifier, field, row in zip(ids, fields, vectors.to_dicts(), strict=True)
        )
        return self.puts(joined, replace=replace, term_ids=vectors.vocabulary is None)

    def delete(self, ids: Iterable[str], *, missing_ok: bool) -> Call[int]:
        """Delete documents."""
        body = {"ids": [ids] if isinstance(ids, str) else list(ids), "missing_ok": missing_ok}
        return Call(
            "POST",
            self.path("documents", "delete"),
            lambda answer: int(answer["deleted"]),
            body,
            repeatable=missing_ok,
        )

    def delete_matching(self, filter: Mapping[str, Any]) -> Call[int]:
        """Delete documents by a condition."""
        return Call(
            "POST",
            self.path("documents", "delete"),
            lambda answer: int(answer["deleted"]),
            {"filter": filter},
            repeatable=False,  # when it has been carried out, no document may have the field
        )

    def search(self, query: Query, how: How, fields: Sequence[str] | None) -> Call[list[Hit]]:
        """Search."""
        names = None if fields is None else list(fields)
        body = {"query": _query(query), **how.body(), "fields": names}
        return Call("POST", self.path("search"), lambda answer: _hits(answer["hits"]), body)

    def search_batch(
        self,
        queries: Mapping[str, str] | Sequence[str] | SparseVectors,
        how: How,
    ) -> Call[Run]:
        """Search for many queries."""
        given: list[Any]
        if isinstance(queries, Mapping):
            given = list(queries.values())
        elif isinstance(queries, SparseVectors):
            given = [_weights(row) for row in queries.to_dicts()]
        else:
            given = list(queries)
        names = list(queries) if isinstance(queries, Mapping) else list(map(str, range(len(given))))

        def parse(answer: Any) -> Run:
            rows = zip(names, answer["rankings"], strict=True)
            return Run.from_rankings({name: (row["ids"], row["scores"]) for name, row in rows})

        return Call("POST", self.path("search", "batch"), parse, {"queries": given, **how.body()})

    def explain(
        self,
        query: Query,
        document_id: str,
        filter: Mapping[str, Any] | None,
        recall: float | None,
        feedback: Feedback | None,
    ) -> Call[Explanation]:
        """Ask why a document has its score."""
        body = {"query": _query(query), "id": document_id, "filter": filter, "recall": recall}
        body["feedback"] = None if feedback is None else asdict(feedback)
        return Call("POST", self.path("explain"), _explanation, body)

    def encode_queries(self, texts: Sequence[str]) -> Call[SparseVectors]:
        """Ask for the vectors of queries."""
        body = {"texts": list(texts)}
        return Call("POST", self.path("encode"), lambda a: _vectors(a["vectors"]), body)

    def get(self, document_id: str) -> Call[Document]:
        """Ask for a document."""
        return Call("GET", self.path("document"), _document, params={"id": document_id})

    def page(
        self, filter: Mapping[str, Any] | None, after: str | None, fields: Sequence[str] | None
    ) -> Call[Page]:
        """Ask for some of the documents."""
        names = None if fields is None else list(fields)
        body = {"filter": filter, "after": after, "limit": _PORTION, "fields": names}
        return Call("POST", self.path("documents", "list"), _page, body)

    def vector(self, document_id: str) -> Call[SparseVectors]:
        """Ask for a document's vector."""
        params = {"id": document_id}
        return Call("GET", self.path("vector"), lambda a: _vectors([a["vector"]]), params=params)

    def count(self, filter: Mapping[str, Any] | None) -> Call[int]:
        """Count documents."""
        return Call("POST", self.path("count"), lambda a: int(a["count"]), {"filter": filter})

    def facets(
        self, fields: Sequence[str] | None, filter: Mapping[str, Any] | None, limit: int
    ) -> Call[list[Facet]]:
        """Count the values of fields."""
        names = None if fields is None else list(fields)
        body = {"fields": names, "filter": filter, "limit": limit}
        return Call("POST", self.path("facets"), _facets, body)


def _portions(
    documents: Iterable[Mapping[str, Any]],
) -> Iterator[list[Mapping[str, Any]]]:
    """Gather documents that fit into one request."""
    portion: list[Mapping[str, Any]] = []
    size = 0
    for document in documents:
        added = _size(document)
        if portion and (len(portion) == _PORTION or size + added > _PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(document)
        size += added
    if portion:
        yield portion


def _size(document: object) -> int:
    """Return the bytes that a document takes; 0 for what is refused when it is to be sent."""
    try:
        return len(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError, RecursionError):
        return 0


def _query(query: Query) -> object:
    if isinstance(query, str):
        return query
    if isinstance(query, SparseVectors):
        if len(query) != 1:
            raise InvalidQueryError("a query must be SparseVectors of one row; use search_batch")
        return _weights(query.to_dicts()[0])
    return _weights(query)


def _weights(row: Mapping[Any, float]) -> dict[str, float]:
    return {str(term): float(weight) for term, weight in row.items()}


def _hits(answer: Iterable[Mapping[str, Any]]) -> list[Hit]:
    return [
        Hit(h["id"], h["score"], h.get("title"), h.get("text"), h.get("metadata", {}))
        for h in answer
    ]


def _document(answer: Mapping[str, Any]) -> Document:
    from sparsearch.index import Document

    return Document(answer["id"], answer.get("title"), answer.get("text"), answer["metadata"])


def _page(answer: Mapping[str, Any]) -> Page:
    from sparsearch.index import Page

    return Page(tuple(map(_document, answer["documents"])), answer["after"])


def _explanation(answer: Mapping[str, Any]) -> Explanation:
    from sparsearch.index import Explanation, TermContribution

    names = ("term", "query_weight", "document_weight", "contribution", "in_text")
    terms = (TermContribution(*(term[name] for name in names)) for term in answer["terms"])
    return Explanation(answer["id"], answer["score"], tuple(terms), tuple(answer["missing"]))


def _facets(answer: Mapping[str, Any]) -> list[Facet]:
    from sparsearch.index import Facet

    return [
        Facet(
            facet["field"],
            tuple((entry["value"], entry["count"]) for entry in facet["values"]),
            facet["complete"],
        )
        for facet in answer["facets"]
    ]


def _vectors(rows: Sequence[Mapping[str, float]]) -> SparseVectors:
    return SparseVectors.from_dicts(rows)
