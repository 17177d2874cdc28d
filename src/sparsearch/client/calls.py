"""Requests and their answers as values: what the clients, blocking or not, have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from sparsearch.client.documents import PORTION, portions, with_vectors
from sparsearch.client.queries import (
    Query,
    portions_of_queries,
    queries_body,
    query_body,
    texts_body,
)
from sparsearch.errors import (
    DocumentNotFoundError,
    FilterError,
    InvalidInputError,
    InvalidQueryError,
    shorten,
)
from sparsearch.runs import Hit
from sparsearch.strict_json import is_unicode
from sparsearch.vectors import SparseVectors

if TYPE_CHECKING:
    from sparsearch.index import Document, Explanation, Facet, Feedback, Page

__all__ = [
    "Call",
    "CollectionCalls",
    "CollectionInfo",
    "How",
    "Rankings",
    "list_collections",
]

_Result = TypeVar("_Result", covariant=True)

Rankings = dict[str, tuple[Sequence[str], Sequence[float]]]
"""Ids and scores of each query."""

_IDS = 5_000
"""Documents that are deleted at once."""

_ERRORS: dict[str, type[InvalidInputError]] = {
    "query": InvalidQueryError,
    "queries": InvalidQueryError,
    "filter": FilterError,
}

_LONGEST_ID = 50_000
"""Bytes of an id in a URL; a service takes about 64 KiB of headers."""


@dataclass(frozen=True)
class Call(Generic[_Result]):
    """A request, and how to read its answer.

    Parameters
    ----------
    method, path : str
    parse : callable
        From the answer's JSON value to the result.
    body : object
        Sent as JSON, bytes as they are; None sends nothing.
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
            If it cannot be sent as JSON: InvalidQueryError or FilterError, if that is why.
        """
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        try:
            return _encoded(self.body)
        except InvalidInputError:
            for name, value in self.body.items():
                _encoded(value, name, _ERRORS.get(name, InvalidInputError))
            raise


@dataclass(frozen=True)
class CollectionInfo:
    """Facts about a collection; see `IndexInfo` for those of the same names.

    Parameters
    ----------
    can_approximate : bool
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
    can_approximate: bool
    writable: bool
    writes_waiting: int

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> CollectionInfo:
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

    def info(self) -> Call[CollectionInfo]:
        """Ask for facts."""
        return Call("GET", self.path(), CollectionInfo.from_answer)

    def puts(
        self, documents: Iterable[Mapping[str, Any]], *, replace: bool, term_ids: bool = False
    ) -> Iterator[Call[int]]:
        """Store any number of documents, some hundreds or some megabytes at a time.

        Of those in one request, all or none are stored.
        """
        for portion in portions(documents):
            end = b'], "term_ids": true}' if term_ids else b"]}"
            yield Call(
                "PUT" if replace else "POST",
                self.path("documents"),
                lambda answer: int(answer["stored"]),
                b'{"documents": [' + b", ".join(portion.documents) + end,
                repeatable=replace,
                offset=portion.offset,
            )

    def put_vectors(
        self,
        ids: Sequence[str],
        vectors: SparseVectors,
        documents: Sequence[Mapping[str, Any]] | None,
        *,
        replace: bool,
    ) -> Iterator[Call[int]]:
        """Store documents by their vectors."""
        joined = with_vectors(ids, vectors, documents)
        return self.puts(joined, replace=replace, term_ids=vectors.vocabulary is None)

    def deletes(self, ids: Iterable[str], *, missing_ok: bool) -> Iterator[Call[int]]:
        """Delete documents: all in one request, unless missing ones are no error."""
        if not isinstance(ids, Iterable):
            raise InvalidInputError(f"ids must be strings, not {shorten(ids)}")
        given = [ids] if isinstance(ids, str) else list(ids)
        most = _IDS if missing_ok else max(len(given), 1)
        for start in range(0, max(len(given), 1), most):
            yield Call(
                "POST",
                self.path("documents", "delete"),
                lambda answer: int(answer["deleted"]),
                {"ids": given[start : start + most], "missing_ok": missing_ok},
                repeatable=missing_ok,
            )

    def delete_matching(self, filter: Mapping[str, Any]) -> Call[int]:
        """Delete documents by a condition."""
        return Call(
            "POST",
            self.path("documents", "delete"),
            lambda answer: int(answer["deleted"]),
            {"filter": filter},
            repeatable=False,  # when it has been carried out, nothing is left to be counted
        )

    def search(self, query: Query, how: How, fields: Sequence[str] | None) -> Call[list[Hit]]:
        """Search."""
        names = _names(fields)
        body = {"query": query_body(query), **how.body(), "fields": names}
        return Call("POST", self.path("search"), lambda answer: _hits(answer["hits"]), body)

    def search_batches(
        self,
        queries: Mapping[str, str] | Sequence[str] | SparseVectors,
        how: How,
    ) -> Iterator[Call[Rankings]]:
        """Search for any number of queries, some hundreds at a time."""
        given = queries_body(queries)
        names = list(queries) if isinstance(queries, Mapping) else list(map(str, range(len(given))))
        for part in portions_of_queries(given, how.k):

            def parse(answer: Any, own: Sequence[str] = tuple(names[part])) -> Rankings:
                rows = zip(own, answer["rankings"], strict=True)
                return {name: (row["ids"], row["scores"]) for name, row in rows}

            body = {"queries": given[part], **how.body()}
            yield Call("POST", self.path("search", "batch"), parse, body)

    def explain(
        self,
        query: Query,
        document_id: str,
        filter: Mapping[str, Any] | None,
        recall: float | None,
        feedback: Feedback | None,
    ) -> Call[Explanation]:
        """Ask why a document has its score."""
        body = {"query": query_body(query), "id": document_id, "filter": filter, "recall": recall}
        body["feedback"] = None if feedback is None else asdict(feedback)
        return Call("POST", self.path("explain"), _explanation, body)

    def encode_queries(self, texts: Sequence[str]) -> Iterator[Call[list[dict[str, float]]]]:
        """Ask for the vectors of any number of queries, some hundreds at a time."""
        given = texts_body(texts)
        for part in portions_of_queries(given, 1):
            yield Call(
                "POST",
                self.path("encode"),
                lambda answer: list(map(dict, answer["vectors"])),
                {"texts": given[part]},
            )

    def get(self, document_id: str) -> Call[Document]:
        """Ask for a document."""
        return Call("GET", self.path("document"), _document, params=_by_id(document_id))

    def page(
        self, filter: Mapping[str, Any] | None, after: str | None, fields: Sequence[str] | None
    ) -> Call[Page]:
        """Ask for some of the documents."""
        names = _names(fields)
        body = {"filter": filter, "after": after, "limit": PORTION, "fields": names}
        return Call("POST", self.path("documents", "list"), _page, body)

    def vector(self, document_id: str) -> Call[SparseVectors]:
        """Ask for a document's vector."""
        params = _by_id(document_id)
        return Call("GET", self.path("vector"), lambda a: _vectors([a["vector"]]), params=params)

    def count(self, filter: Mapping[str, Any] | None) -> Call[int]:
        """Count documents."""
        return Call("POST", self.path("count"), lambda a: int(a["count"]), {"filter": filter})

    def facets(
        self, fields: Sequence[str] | None, filter: Mapping[str, Any] | None, limit: int
    ) -> Call[list[Facet]]:
        """Count the values of fields."""
        names = _names(fields)
        body = {"fields": names, "filter": filter, "limit": limit}
        return Call("POST", self.path("facets"), _facets, body)


def _encoded(
    value: object, name: str = "it", kind: type[InvalidInputError] = InvalidInputError
) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise kind(f"{name} cannot be sent as JSON: {error}") from error


def _names(fields: Sequence[str] | None) -> list[str] | None:
    """Return names of fields; raise InvalidInputError if one string is given, as `Index` does."""
    if isinstance(fields, str) or not (fields is None or isinstance(fields, Iterable)):
        raise InvalidInputError(f"fields are {shorten(fields)}; give a list of field names")
    return None if fields is None else list(fields)


def _by_id(document_id: str) -> dict[str, str]:
    """Return the parameters that name a document; raise DocumentNotFoundError where none can."""
    if not isinstance(document_id, str) or not document_id or not is_unicode(document_id):
        raise DocumentNotFoundError(f"no document has the id {shorten(document_id)}")
    if len(quote(document_id)) > _LONGEST_ID:
        reason = (
            f"the id {shorten(document_id)} is too long to be sent in a URL; list the documents"
        )
        raise InvalidInputError(reason)
    return {"id": document_id}


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
