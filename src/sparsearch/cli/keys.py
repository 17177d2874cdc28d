"""``sparsearch keys``: API keys of the service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from sparsearch.cli._arguments import JsonOutput
from sparsearch.cli._console import one_line, write_json

EXAMPLES = (
    "sparsearch keys create keys.json --name app",
    "sparsearch keys create keys.json --name feeder --role write --collection papers",
    "sparsearch keys list keys.json",
    "sparsearch keys revoke keys.json 1a2b3c4d5e6f",
)

_File = Annotated[
    Path, typer.Argument(metavar="FILE", help="File of API keys.", show_default=False)
]


def create(
    file: _File,
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="What the key is for.", show_default=False)
    ],
    role: Annotated[
        Literal["read", "write"], typer.Option(help="What it allows; write includes reading.")
    ] = "read",
    collection: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only for this collection; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make an API key and print it, this once.

    The file holds only a digest of it.
    """
    from sparsearch.serve import KeyFile

    _, token = KeyFile(file).create(name, role, collection or [])
    print(token)


def list_(file: _File, json: JsonOutput = False) -> None:
    """List the API keys of a file, without their secrets."""
    from sparsearch.serve import KeyFile

    for key in KeyFile(file).read():
        if json:
            write_json(
                {
                    "id": key.id,
                    "name": key.name,
                    "role": key.role,
                    "collections": list(key.collections),
                    "created": key.created,
                }
            )
        else:
            collections = ",".join(key.collections) or "all"
            print(f"{key.id}  {key.role:5}  {collections}  {key.created}  {one_line(key.name)}")


def revoke(
    file: _File,
    id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the key, as listed.", show_default=False)
    ],
) -> None:
    """Revoke an API key; running servers notice within a second."""
    from sparsearch.serve import KeyFile

    key = KeyFile(file).revoke(id)
    print(f"revoked {key.id} ({one_line(key.name)})")


ACTIONS: dict[str, Callable[..., None]] = {"create": create, "list": list_, "revoke": revoke}
"""Function of each action, in the order of the help."""
