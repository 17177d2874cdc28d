"""``sparsearch delete``: take documents out of an index."""

from __future__ import annotations

from typing import Annotated

import typer

from sparsearch.cli._arguments import Conditions, IndexFolder
from sparsearch.cli._console import counted, stored_thing
from sparsearch.cli._filters import typed_filter
from sparsearch.cli._opening import open_index
from sparsearch.cli._queries import typed_lines

EXAMPLES = (
    "sparsearch delete papers doc-17 doc-18",
    "sparsearch delete papers --missing-ok < withdrawn-ids.txt",
    "sparsearch delete papers --filter 'year<1990'",
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
    filter: Conditions = None,
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", help="Pass over ids that the index does not have.")
    ] = False,
) -> None:
    """Delete documents by their ids, or all that meet a condition.

    All of them are deleted or, if an id is unknown, none. What they take up on disk is given back
    by sparsearch optimize.
    """
    condition = typed_filter(filter)
    if ids and condition is not None:
        raise typer.BadParameter("give either ids or --filter")
    with open_index(index) as target:
        if condition is not None:
            count = target.delete_matching(condition)
        else:
            count = target.delete(ids or typed_lines("id> "), missing_ok=missing_ok)
        rest = counted(len(target), stored_thing(target.config))
        print(f"deleted {counted(count, 'document')}; {rest} left")
