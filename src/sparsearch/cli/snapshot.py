"""``sparsearch snapshot``: a consistent copy of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparsearch.cli._arguments import IndexFolder
from sparsearch.cli._opening import open_index

EXAMPLES = ("sparsearch snapshot papers backups/papers-monday",)


def snapshot(
    index: IndexFolder,
    target: Annotated[Path, typer.Argument(help="Folder to make; nothing is ever replaced.")],
) -> None:
    """Copy an index while it may be written to.

    The copy is an index of its own, as of the last commit. On the same file system it shares its
    files with the original and takes next to no space.
    """
    with open_index(index) as source:
        source.snapshot(target)
        print(f"copied {len(source):,} documents to {target}")
