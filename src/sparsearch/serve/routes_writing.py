"""Adding, replacing and deleting documents. An answer means: durable, and found by searches."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sparsearch.serve import models
from sparsearch.serve.access import ServiceDep, WriteDep
from sparsearch.serve.collection import Collection
from sparsearch.serve.config import Limits
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.ndjson import Portion, portions, store_portions
from sparsearch.serve.rendering import json_response
from sparsearch.serve.sizes import check_filter, check_number
from sparsearch.serve.strict_route import StrictRoute
from sparsearch.serve.writes import Deletion, FilterDeletion, Put, Write

__all__ = ["router"]

router = APIRouter(
    prefix="/v1/collections/{collection}/documents", route_class=StrictRoute, tags=["documents"]
)

_TermIds = Annotated[bool, Query(description="As in the body of add_documents.")]
_STREAM_BODY = {
    "requestBody": {
        "required": True,
        "description": "One document a line, any number of lines.",
        "content": {
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": '{"id": "a", "text": "some text"}\n{"id": "b", "text": "more"}\n',
            }
        },
    }
}


@router.post("", response_model=models.Stored)
async def add_documents(
    request: models.DocumentsRequest, collection: WriteDep, http: Request
) -> Response:
    """Add documents. If an id is taken, nothing is added (409)."""
    return await _put(request, collection, http, replace=False)


@router.put("", response_model=models.Stored)
async def upsert_documents(
    request: models.DocumentsRequest, collection: WriteDep, http: Request
) -> Response:
    """Add documents, each replacing the one with its id, if any. May be repeated safely."""
    return await _put(request, collection, http, replace=True)


@router.post("/delete", response_model=models.Deleted)
async def delete_documents(
    request: models.DeleteRequest, collection: WriteDep, service: ServiceDep, http: Request
) -> Response:
    """Delete documents. May be repeated safely, unless missing ids are to be refused."""
    ids = request.ids or []
    check_number("ids", len(ids), service.config.limits.ids)
    check_filter(request.filter, service.config.limits)
    size = len(await http.body())
    deletion: Write = Deletion(ids, request.missing_ok)
    if request.filter is not None:
        deletion = FilterDeletion(request.filter)
    deleted = await _written(collection, deletion, size)
    return json_response({"deleted": deleted})


@router.post("/stream", response_model=models.Stored, openapi_extra=_STREAM_BODY)
async def add_stream(
    collection: WriteDep, service: ServiceDep, http: Request, term_ids: _TermIds = False
) -> Response:
    """Add a stream of documents, committed in portions.

    At the first bad line it ends: lines before its portion are stored, as many as the error says.
    """
    return await _put_stream(collection, service, http, replace=False, term_ids=term_ids)


@router.put("/stream", response_model=models.Stored, openapi_extra=_STREAM_BODY)
async def upsert_stream(
    collection: WriteDep, service: ServiceDep, http: Request, term_ids: _TermIds = False
) -> Response:
    """Upsert a stream of documents, committed in portions. May be repeated safely.

    At the first bad line it ends: lines before its portion are stored, as many as the error says.
    """
    return await _put_stream(collection, service, http, replace=True, term_ids=term_ids)


async def _put(
    request: models.DocumentsRequest, collection: Collection, http: Request, *, replace: bool
) -> Response:
    put = await asyncio.to_thread(collection.put, request.documents, replace, request.term_ids)
    stored = await _written(collection, put, len(await http.body())) if put.documents else 0
    return json_response({"stored": stored})


async def _put_stream(
    collection: Collection, service: ServiceDep, http: Request, *, replace: bool, term_ids: bool
) -> Response:
    media_type = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-ndjson":
        reason = "a stream needs the header 'Content-Type: application/x-ndjson'"
        raise ServiceError(415, "unsupported_media_type", reason)

    async def store(portion: Portion) -> int:
        def check() -> Put:
            return collection.put(portion.parse(), replace, term_ids)

        put = await asyncio.to_thread(check)
        return await _written(collection, put, portion.size, _patience(service.config.limits))

    parts = portions(http.stream(), service.config.limits)
    return json_response({"stored": await store_portions(parts, store)})


def _patience(limits: Limits) -> float:
    """Return how long a stream waits for room in the queue: it has been let in already."""
    return 3 * limits.grace_seconds


async def _written(collection: Collection, write: Write, size: int, patience: float = 0.0) -> int:
    """Return the number of documents written, once that is durable."""
    end = asyncio.get_running_loop().time() + patience
    while True:
        try:
            done = collection.writer.submit(write, size)
            break
        except ServiceError as error:
            if error.status_code != 429 or asyncio.get_running_loop().time() >= end:
                raise
            await asyncio.sleep(0.05)
    # Once taken it is carried out, whether or not who asked waits for it.
    return await asyncio.shield(asyncio.wrap_future(done))
