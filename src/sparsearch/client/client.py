"""`Client` and `AsyncClient`: collections over HTTP, with the verbs of `Index`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sparsearch.client.calls import (
    Call,
    CollectionCalls,
    CollectionInfo,
    How,
    Rankings,
    list_collections,
)
from sparsearch.client.queries import Query
from sparsearch.client.transport import Patience, httpx_module, read_answer, settings
from sparsearch.runs import Run
from sparsearch.vectors import SparseVectors

if TYPE_CHECKING:
    from sparsearch.index import Document, Explanation, Facet, Feedback
    from sparsearch.runs import Hit

__all__ = ["AsyncClient", "AsyncCollection", "Client", "RemoteCollection"]

_Result = TypeVar("_Result")


class Client:
    """A connection to a service; threads may share it.

    Parameters
    ----------
    url : str
        Where the service is, for example ``http://127.0.0.1:8080``.
    key : str, optional
        API key.
    timeout : float
        Seconds to wait for an answer.
    patience : float
        Seconds within which a request is repeated if the service has too much to do or cannot be
        reached. A request that may not be repeated (`add`, `delete_matching`) is repeated only
        if it was refused.

    Raises
    ------
    MissingExtraError
        If httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 30.0,
    ) -> None:
        self._http = httpx_module().Client(**settings(url, key, timeout))
        self._patience = patience

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def collections(self) -> list[str]:
        """Return the names of the collections that the API key opens."""
        return self.call(list_collections())

    def collection(self, name: str) -> RemoteCollection:
        """Return a collection; whether there is one turns out when it is used."""
        return RemoteCollection(self, name)

    def call(self, call: Call[_Result]) -> _Result:
        """Make a request and return what its answer says.

        Raises
        ------
        SparsearchError
            As `Index` would raise it, or `AccessDeniedError` or `ServiceUnavailableError`.
        """
        patience = Patience(self._patience, call)
        content = call.content()
        while True:
            try:
                answer = self._http.request(
                    call.method, call.path, content=content, params=call.params
                )
            except httpx_module().TransportError as error:
                pause = patience.after_fault(error)
            else:
                wait = patience.after_answer(answer.status_code, answer.headers)
                if wait is None:
                    return read_answer(call, answer.status_code, answer.content)
                pause = wait
            time.sleep(pause)


class RemoteCollection:
    """A collection of a service, with the verbs and results of `Index`.

    What they raise is what `Index` raises, and `AccessDeniedError` and `ServiceUnavailableError`.

    Parameters
    ----------
    client : Client
    name : str
    """

    def __init__(self, client: Client, name: str) -> None:
        self.name = name
        self._client = client
        self._calls = CollectionCalls(name)

    def __len__(self) -> int:
        return self.count()

    def add(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Add documents, some hundreds at a time; return how many. See `Index.add`."""
        return sum(map(self._client.call, self._calls.puts(documents, replace=False)))

    def upsert(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Add documents, each replacing the one with its id, if any. See `Index.upsert`."""
        return sum(map(self._client.call, self._calls.puts(documents, replace=True)))

    def add_vectors(
        self,
        ids: Sequence[str],
        vectors: SparseVectors,
        documents: Sequence[Mapping[str, Any]] | None = None,
        *,
        replace: bool = False,
    ) -> int:
        """Add documents by their vectors. See `Index.add_vectors`."""
        calls = self._calls.put_vectors(ids, vectors, documents, replace=replace)
        return sum(map(self._client.call, calls))

    def delete(self, ids: Iterable[str], *, missing_ok: bool = False) -> int:
        """Delete documents; return how many. See `Index.delete`."""
        return sum(map(self._client.call, self._calls.deletes(ids, missing_ok=missing_ok)))

    def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Delete documents by a condition; return how many. See `Index.delete_matching`."""
        return self._client.call(self._calls.delete_matching(filter))

    def search(
        self,
        query: Query,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
        distinct: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[Hit]:
        """Return the best documents for a query. See `Index.search`.

        Parameters
        ----------
        query, k, filter, recall, feedback, distinct
            As for `Index.search`.
        fields : sequence of str, optional
            What of each hit to send: ``title``, ``text`` and metadata fields; everything by
            default.
        """
        how = How(k, filter, recall, feedback, distinct)
        return self._client.call(self._calls.search(query, how, fields))

    def search_batch(
        self,
        queries: Mapping[str, str] | Sequence[str] | SparseVectors,
        k: int = 100,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
        distinct: str | None = None,
    ) -> Run:
        """Return the rankings of many queries, some hundreds at a time. See `Index.search_batch`.

        What is written meanwhile may be found by those that are asked last.
        """
        how = How(k, filter, recall, feedback, distinct)
        found: Rankings = {}
        for call in self._calls.search_batches(queries, how):
            found.update(self._client.call(call))
        return Run.from_rankings(found)

    def explain(
        self,
        query: Query,
        document_id: str,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
    ) -> Explanation:
        """Return each query term's contribution to a score. See `Index.explain`."""
        call = self._calls.explain(query, document_id, filter, recall, feedback)
        return self._client.call(call)

    def encode_queries(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vectors that `search` would use. See `Index.encode_queries`."""
        rows: list[Mapping[str, float]] = []
        for call in self._calls.encode_queries(texts):
            rows += self._client.call(call)
        return SparseVectors.from_dicts(rows)

    def get(self, document_id: str) -> Document:
        """Return a stored document."""
        return self._client.call(self._calls.get(document_id))

    def documents(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> Iterator[Document]:
        """Yield all documents, or those that meet a filter, in an order that means nothing.

        They are asked for page by page. A document that is there all the while is yielded once,
        whatever is written meanwhile.

        Parameters
        ----------
        filter : mapping, optional
        fields : sequence of str, optional
            What of each to send: ``title``, ``text`` and metadata fields; everything by default.
        """
        after: str | None = None
        while True:
            page = self._client.call(self._calls.page(filter, after, fields))
            yield from page.documents
            if (after := page.after) is None:
                return

    def vector(self, document_id: str) -> SparseVectors:
        """Return the stored vector of a document, one row."""
        return self._client.call(self._calls.vector(document_id))

    def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are, or meet a filter."""
        return self._client.call(self._calls.count(filter))

    def facets(
        self,
        fields: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int = 20,
    ) -> list[Facet]:
        """Return the most frequent values of metadata fields. See `Index.facets`."""
        return self._client.call(self._calls.facets(fields, filter, limit))

    def info(self) -> CollectionInfo:
        """Return facts about the collection."""
        return self._client.call(self._calls.info())


class AsyncClient:
    """A connection to a service, for asyncio; parameters and errors are those of `Client`."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 30.0,
    ) -> None:
        self._http = httpx_module().AsyncClient(**settings(url, key, timeout))
        self._patience = patience

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def collections(self) -> list[str]:
        """Return the names of the collections that the API key opens."""
        return await self.call(list_collections())

    def collection(self, name: str) -> AsyncCollection:
        """Return a collection; whether there is one turns out when it is used."""
        return AsyncCollection(self, name)

    async def call(self, call: Call[_Result]) -> _Result:
        """Make a request and return what its answer says; raises as `Client.call`."""
        patience = Patience(self._patience, call)
        content = call.content()
        while True:
            try:
                answer = await self._http.request(
                    call.method, call.path, content=content, params=call.params
                )
            except httpx_module().TransportError as error:
                pause = patience.after_fault(error)
            else:
                wait = patience.after_answer(answer.status_code, answer.headers)
                if wait is None:
                    return read_answer(call, answer.status_code, answer.content)
                pause = wait
            await asyncio.sleep(pause)


class AsyncCollection:
    """A collection of a service, for asyncio; verbs, results and errors of `RemoteCollection`."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self.name = name
        self._client = client
        self._calls = CollectionCalls(name)

    async def add(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Add documents, some hundreds at a time; return how many."""
        return await self._sum(self._calls.puts(documents, replace=False))

    async def upsert(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Add documents, each replacing the one with its id, if any."""
        return await self._sum(self._calls.puts(documents, replace=True))

    async def add_vectors(
        self,
        ids: Sequence[str],
        vectors: SparseVectors,
        documents: Sequence[Mapping[str, Any]] | None = None,
        *,
        replace: bool = False,
    ) -> int:
        """Add documents by their vectors."""
        calls = self._calls.put_vectors(ids, vectors, documents, replace=replace)
        return await self._sum(calls)

    async def delete(self, ids: Iterable[str], *, missing_ok: bool = False) -> int:
        """Delete documents; return how many."""
        return await self._sum(self._calls.deletes(ids, missing_ok=missing_ok))

    async def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Delete documents by a condition; return how many."""
        return await self._client.call(self._calls.delete_matching(filter))

    async def search(
        self,
        query: Query,
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
        distinct: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[Hit]:
        """Return the best documents for a query."""
        how = How(k, filter, recall, feedback, distinct)
        return await self._client.call(self._calls.search(query, how, fields))

    async def search_batch(
        self,
        queries: Mapping[str, str] | Sequence[str] | SparseVectors,
        k: int = 100,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
        distinct: str | None = None,
    ) -> Run:
        """Return the rankings of many queries."""
        how = How(k, filter, recall, feedback, distinct)
        found: Rankings = {}
        for call in self._calls.search_batches(queries, how):
            found.update(await self._client.call(call))
        return Run.from_rankings(found)

    async def explain(
        self,
        query: Query,
        document_id: str,
        filter: Mapping[str, Any] | None = None,
        *,
        recall: float | None = None,
        feedback: Feedback | None = None,
    ) -> Explanation:
        """Return each query term's contribution to a score."""
        call = self._calls.explain(query, document_id, filter, recall, feedback)
        return await self._client.call(call)

    async def encode_queries(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vectors that `search` would use."""
        rows: list[Mapping[str, float]] = []
        for call in self._calls.encode_queries(texts):
            rows += await self._client.call(call)
        return SparseVectors.from_dicts(rows)

    async def get(self, document_id: str) -> Document:
        """Return a stored document."""
        return await self._client.call(self._calls.get(document_id))

    async def documents(
        self,
        filter: Mapping[str, Any] | None = None,
        *,
        fields: Sequence[str] | None = None,
    ) -> AsyncIterator[Document]:
        """Yield all documents, or those that meet a filter, in an order that means nothing."""
        after: str | None = None
        while True:
            page = await self._client.call(self._calls.page(filter, after, fields))
            for document in page.documents:
                yield document
            if (after := page.after) is None:
                return

    async def vector(self, document_id: str) -> SparseVectors:
        """Return the stored vector of a document, one row."""
        return await self._client.call(self._calls.vector(document_id))

    async def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """Return how many documents there are, or meet a filter."""
        return await self._client.call(self._calls.count(filter))

    async def facets(
        self,
        fields: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,
        *,
        limit: int = 20,
    ) -> list[Facet]:
        """Return the most frequent values of metadata fields."""
        return await self._client.call(self._calls.facets(fields, filter, limit))

    async def info(self) -> CollectionInfo:
        """Return facts about the collection."""
        return await self._client.call(self._calls.info())

    async def _sum(self, calls: Iterable[Call[int]]) -> int:
        total = 0
        for call in calls:
            total += await self._client.call(call)
        return total
