"""Searching and looking."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from sparsearch.serve import models
from sparsearch.serve.access import KeyDep, ReadDep, Service, ServiceDep
from sparsearch.serve.hits import answer_searches, feedback_of, group_of, query_of
from sparsearch.serve.rendering import (
    document_body,
    explanation_terms,
    json_bytes,
    json_response,
    vector_bodies,
)
from sparsearch.serve.sizes import check_filter, check_number, check_queries
from sparsearch.serve.strict_route import StrictRoute
from sparsearch.serve.words import TermsOfWords

__all__ = ["router"]

router = APIRouter(prefix="/v1/collections", route_class=StrictRoute)

_Id = Annotated[str, Query(min_length=1, description="Id of the document.")]
_NAME = "/{collection}"


@router.post(f"{_NAME}/search", response_model=models.SearchResponse, tags=["search"])
async def search(
    request: models.SearchRequest, collection: ReadDep, service: ServiceDep
) -> Response:
    """Return the best documents for a query."""
    limits = service.config.limits
    check_number("k", request.k, limits.k)
    check_queries([request.query], limits)
    if request.explain or request.snippet is not None:
        check_number("k with explain or snippet", request.k, limits.read_hits)
        check_queries([request.query] * request.k, limits, "of the query, for each hit to be read")
    check_filter(request.filter, limits)
    work = partial(answer_searches, collection, service.metrics, limits.answer_bytes)
    group = group_of(collection, request)
    return json_response(await service.pool.run_together(group, request, work))


@router.get("", response_model=models.CollectionList, tags=["collections"])
async def list_collections(service: ServiceDep, key: KeyDep) -> Response:
    """List the collections that the API key opens."""
    names = [name for name in service.collections if key is None or key.opens(name)]
    return json_response({"collections": names})


@router.get(_NAME, response_model=models.CollectionInfo, tags=["collections"])
async def get_collection(collection: ReadDep, service: ServiceDep, key: KeyDep) -> Response:
    """Return facts about a collection."""

    def work() -> dict[str, Any]:
        info = collection.index.info()
        return {
            "name": collection.name,
            "documents": info.documents,
            "deleted": info.deleted,
            "segments": info.segments,
            "postings": info.postings,
            "terms": info.terms,
            "bytes": info.bytes,
            "generation": info.generation,
            "fields": info.fields,
            "encoder": info.encoder,
            "can_approximate": collection.index.can_approximate,
            "writable": (key is None or key.may("write")) and collection.writer.can_write,
            "writes_waiting": collection.writer.waiting,
        }

    return await _answer(service, work)


@router.post(f"{_NAME}/search/batch", response_model=models.BatchResponse, tags=["search"])
async def search_batch(
    request: models.BatchRequest, collection: ReadDep, service: ServiceDep
) -> Response:
    """Return the rankings of many queries, ids and scores only."""
    limits = service.config.limits
    check_number("k", request.k, limits.k)
    check_number("queries", len(request.queries), limits.queries)
    check_number("queries times k", len(request.queries) * request.k, limits.hits)
    check_queries(request.queries, limits)
    check_filter(request.filter, limits)

    def work() -> dict[str, Any]:
        index = collection.index.view()
        start = time.perf_counter()
        queries = collection.queries(request.queries, index)
        run = index.search_batch(
            queries,
            request.k,
            request.filter,
            recall=request.recall,
            feedback=feedback_of(request),
            distinct=request.distinct,
        )
        rankings = [{"ids": run.ids(name), "scores": run.scores(name).tolist()} for name in run]
        seconds = time.perf_counter() - start
        return {"rankings": rankings, "seconds": seconds, "generation": index.generation}

    return await _answer(service, work)


@router.post(f"{_NAME}/explain", response_model=models.ExplainResponse, tags=["search"])
async def explain(
    request: models.ExplainRequest, collection: ReadDep, service: ServiceDep
) -> Response:
    """Return each term's contribution to a document's score."""
    check_queries([request.query], service.config.limits)
    check_filter(request.filter, service.config.limits)

    def work() -> dict[str, Any]:
        index = collection.index.view()
        query = query_of(collection.queries([request.query], index), 0)
        explanation = index.explain(
            query, request.id, request.filter, recall=request.recall, feedback=feedback_of(request)
        )
        document = index.get(request.id)
        words = TermsOfWords(index, collection.splits_words).words_by_term(
            (document.title, document.text)
        )
        terms = explanation_terms(explanation, words)
        facts = {"id": explanation.id, "score": explanation.score}
        return {**facts, "terms": terms, "missing": explanation.missing}

    return await _answer(service, work)


@router.post(f"{_NAME}/encode", response_model=models.EncodeResponse, tags=["search"])
async def encode(
    request: models.EncodeRequest, collection: ReadDep, service: ServiceDep
) -> Response:
    """Return the vectors that a search would use for some texts."""
    check_number("texts", len(request.texts), service.config.limits.queries)
    check_queries(request.texts, service.config.limits)

    def work() -> dict[str, Any]:
        index = collection.index
        collection.queries(request.texts, index)  # refuses text where there is no encoder
        return {"vectors": vector_bodies(index.encode_queries(request.texts))}

    return await _answer(service, work)


@router.get(f"{_NAME}/document", response_model=models.DocumentResponse, tags=["documents"])
async def get_document(id: _Id, collection: ReadDep, service: ServiceDep) -> Response:
    """Return a stored document."""
    return await _answer(service, lambda: document_body(collection.index.get(id)))


@router.post(f"{_NAME}/documents/list", response_model=models.ListResponse, tags=["documents"])
async def list_documents(
    request: models.ListRequest, collection: ReadDep, service: ServiceDep
) -> Response:
    """Return the documents page by page, in an order that means nothing and stays."""
    check_filter(request.filter, service.config.limits)
    limit = min(request.limit, service.config.limits.listed)

    def work() -> dict[str, Any]:
        page = collection.index.page(request.filter, after=request.after, limit=limit)
        bodies = [document_body(document, request.fields) for document in page.documents]
        return {"documents": bodies, "after": page.after}

    return await _answer(service, work)


@router.get(f"{_NAME}/vector", response_model=models.VectorResponse, tags=["documents"])
async def get_vector(id: _Id, collection: ReadDep, service: ServiceDep) -> Response:
    """Return a document's vector as it is stored."""

    def work() -> dict[str, Any]:
        index = collection.index
        (vector,) = vector_bodies(index.vector(id))
        return {"id": id, "vector": vector, "names": index.term_names(id)}

    return await _answer(service, work)


@router.post(f"{_NAME}/count", response_model=models.CountResponse, tags=["documents"])
async def count(request: models.CountRequest, collection: ReadDep, service: ServiceDep) -> Response:
    """Return how many documents there are, or how many meet a filter."""
    check_filter(request.filter, service.config.limits)
    return await _answer(service, lambda: {"count": collection.index.count(request.filter)})


@router.post(f"{_NAME}/facets", response_model=models.FacetsResponse, tags=["documents"])
async def facets(
    request: models.FacetsRequest, collection: ReadDep, service: ServiceDep
) -> Response:
    """Return the most frequent values of metadata fields."""
    check_filter(request.filter, service.config.limits)

    def work() -> dict[str, Any]:
        found = collection.index.facets(request.fields, request.filter, limit=request.limit)
        return {
            "facets": [
                {
                    "field": facet.field,
                    "values": [{"value": v, "count": n} for v, n in facet.values],
                    "complete": facet.complete,
                }
                for facet in found
            ]
        }

    return await _answer(service, work)


async def _answer(service: Service, work: Callable[[], dict[str, Any]]) -> Response:
    """Work and write the answer in a thread."""
    return json_response(await service.pool.run(lambda: json_bytes(work())))
