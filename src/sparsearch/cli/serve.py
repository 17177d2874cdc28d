"""``sparsearch serve``: indexes over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparsearch.cli._opening import announce_compilation, open_index
from sparsearch.errors import MissingExtraError

EXAMPLES = (
    "sparsearch serve papers",
    "sparsearch serve papers old=backup/papers --port 9000",
    "sparsearch serve papers --host 0.0.0.0 --keys keys.json",
)


def serve(
    indexes: Annotated[
        list[str],
        typer.Argument(
            metavar="INDEX...",
            help="Folders of indexes, each called by its last part, or NAME=FOLDER.",
            show_default=False,
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="NUMBER", min=0, max=65535, help="0 chooses a free one.")
    ] = 8080,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API keys, made by 'sparsearch keys'; needed for other than loopback addresses.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Let the pages of an origin call it from browsers (CORS); may be repeated.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Never write; follow what others write.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=1, help="Searches at once.  [default: one a core]"),
    ] = None,
    trusted_proxies: Annotated[
        str,
        typer.Option(
            metavar="ADDRESSES",
            help="Proxies whose X-Forwarded-For is believed, separated by commas.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Serve indexes over HTTP.

    Each index is a collection under http://ADDRESS:PORT/v1/collections/NAME. Several servers may
    read an index; one of them writes to it. SIGTERM ends the service, and loses nothing that was
    acknowledged.
    """
    from sparsearch.serve import ServeConfig

    try:
        from sparsearch.serve.server import run_server
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    folders = _folders(indexes)
    config = ServeConfig(
        folders,
        host=host,
        port=port,
        keys=keys,
        origins=tuple(allow_origin or ()),
        read_only=read_only,
        threads=threads,
        trusted_proxies=trusted_proxies,
    )
    announce_compilation()
    for folder in folders.values():
        open_index(folder).close()  # says what is wrong in one line
    run_server(config)


def _folders(texts: list[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        folder = Path(path if equals else text)
        name = name if equals else folder.resolve().name
        if name in folders:
            raise typer.BadParameter(f"{name!r} is given twice; write NAME=FOLDER")
        folders[name] = folder
    return folders
