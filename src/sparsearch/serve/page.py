"""The page at ``/``: a few files that come with the package.

They are read once and held in memory under their names, so that no request names a path.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sparsearch.serve.errors import ServiceError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Nothing inline, nothing from elsewhere, and no text ever parsed as markup: what a document holds
# could not run even if the page's scripts had a hole.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


@dataclass(frozen=True)
class _File:
    content: bytes
    headers: dict[str, str]


@cache
def _files() -> dict[str, _File]:
    return {
        entry.name: _file(entry.name, entry.read_bytes())
        for entry in (files("sparsearch.serve") / "static").iterdir()
        if entry.is_file()
    }


def _file(name: str, content: bytes) -> _File:
    headers = {
        "Content-Type": _KINDS[name.rpartition(".")[2]],
        "Content-Security-Policy": _POLICY,
        # Asked for again each time, so that after an upgrade all files are new. But the icon:
        # browsers ask for it whenever the address changes, which is at every key.
        "Cache-Control": "max-age=86400" if name.endswith(".svg") else "no-cache",
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    }
    return _File(content, headers)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Return the page."""
    return _answer(request, "index.html")


@router.api_route("/static/{name}", methods=["GET", "HEAD"])
async def page_file(request: Request, name: str) -> Response:
    """Return a style sheet, script or icon of the page."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    file = _files().get(name)
    if file is None:
        raise ServiceError(404, "not_found", "the page has no such file")
    if request.headers.get("if-none-match") == file.headers["ETag"]:
        return Response(None, 304, file.headers)
    return Response(file.content, 200, file.headers)
