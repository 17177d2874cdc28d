"""``sparsearch delete``: take documents out of an index."""

from __future__ import annotations

from typing import Annotated

import typer

from sparsearch.cli._arguments import IndexFolder
from sparsearch.cli._console import counted
from sparsearch.cli._opening import open_index
from sparsearch.cli._queries import typed_lines

EXAMPLES = (
    "sparsearch delete papers doc-17 doc-18",
    "sparsearch delete papers --missing-ok < withdrawn-ids.txt",
)


def delete(
    index: IndexFolder,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Ids of the documents; without any, the lines of standard input.",
            show_default=False,
        ),
    ] = None,
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", help="Pass over ids that the index does not have.")
    ] = False,
) -> None:
    """Delete documents by their ids.

    All of them are deleted or, if an id is unknown, none. What they take up on disk is given back
    by sparsearch optimize.
    """
    with open_index(index) as target:
        count = target.delete(ids or typed_lines("id> "), missing_ok=missing_ok)
        print(f"deleted {counted(count, 'document')}; {len(target):,} remain")
