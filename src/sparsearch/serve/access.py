"""What routes are given: the service, and a collection that the request's API key opens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sparsearch.serve.auth import Gate
from sparsearch.serve.collection import Collection
from sparsearch.serve.config import COLLECTION_NAME, ServeConfig
from sparsearch.serve.errors import ServiceError
from sparsearch.serve.keys import Key, Role
from sparsearch.serve.metrics import Metrics
from sparsearch.serve.searching import SearchPool

__all__ = ["KeyDep", "ReadDep", "Service", "ServiceDep", "WriteDep", "admit"]

# For the OpenAPI description; `admit` reads the header itself, before the body is read.
_bearer = HTTPBearer(auto_error=False, description="API key; see sparsearch keys create.")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass(frozen=True)
class Service:
    """All that a running service consists of."""

    config: ServeConfig
    collections: Mapping[str, Collection]
    gate: Gate
    pool: SearchPool
    metrics: Metrics

    def collection(self, name: str, key: Key | None) -> Collection:
        """Return a collection that a key opens.

        Raises
        ------
        ServiceError
            404 if there is none, or not for this key: it does not tell what else there is.
        """
        found = self.collections.get(name)
        if found is None or (key is not None and not key.opens(name)):
            reason = f"there is no collection {name!r}, or not for this API key"
            raise ServiceError(404, "collection_not_found", reason)
        return found


async def _service(request: Request) -> Service:
    return _service_of(request)


def _service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(_service)]


def admit(request: Request, role: Role) -> Key | None:
    """Return the key that a request shows; None where none is needed.

    Raises
    ------
    ServiceError
        As `Gate.admit`.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = token.strip() if scheme.lower() == "bearer" else None
    address = request.client.host if request.client else ""
    return _service_of(request).gate.admit(shown, address, role)


async def _any_key(request: Request, _: _Credentials) -> Key | None:
    return admit(request, "read")


KeyDep = Annotated[Key | None, Depends(_any_key)]

_Name = Annotated[str, Path(description="Name of the collection.", pattern=f"^{COLLECTION_NAME}$")]


def _opened(role: Role) -> Callable[..., Awaitable[Collection]]:
    async def opened(request: Request, given: _Credentials, collection: _Name) -> Collection:
        return _service_of(request).collection(collection, admit(request, role))

    return opened


ReadDep = Annotated[Collection, Depends(_opened("read"))]
WriteDep = Annotated[Collection, Depends(_opened("write"))]
