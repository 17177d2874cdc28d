"""What machines ask: is it alive, can it be used, how is it doing."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from sparsearch.serve import models
from sparsearch.serve.access import KeyDep, ServiceDep
from sparsearch.serve.rendering import json_response

__all__ = ["router"]

router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=models.Health)
async def health() -> Response:
    """Say that the process answers."""
    return json_response({"status": "ok"})


@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    response_model=models.Readiness,
    responses={503: {"model": models.Readiness, "description": "Not all of them."}},
)
async def ready(service: ServiceDep) -> Response:
    """Say whether all collections can be searched."""
    whole = all(collection.writer.alive for collection in service.collections.values())
    return json_response({"ready": whole}, 200 if whole else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(service: ServiceDep, key: KeyDep) -> Response:
    """Return metrics in the text format of Prometheus, of the collections that the key opens."""

    def opens(collection: str) -> bool:
        return key is None or key.opens(collection)

    # Not in the pool: what it tells of is wanted most when too many searches wait.
    content = await asyncio.to_thread(service.metrics.render, opens)
    return Response(content, media_type=CONTENT_TYPE_LATEST)
