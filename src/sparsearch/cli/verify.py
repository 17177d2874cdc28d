"""``sparsearch verify``: whether every byte of an index is as it was written."""

from __future__ import annotations

import typer

from sparsearch.cli._arguments import IndexFolder
from sparsearch.cli._console import counted, human_bytes, note, one_line, working
from sparsearch.cli._opening import open_index

EXAMPLES = ("sparsearch verify papers",)


def verify(index: IndexFolder) -> None:
    """Compare all of an index with its checksums.

    Exits with 1 if anything is damaged, naming each damaged file.
    """
    with open_index(index) as target:
        with working("reading all files"):
            problems = target.verify()
        facts = target.info()
    if problems:
        for problem in problems:
            print(one_line(problem))
        note(f"error: {index} is damaged; restore it from a backup or index the documents again")
        raise typer.Exit(1)
    size = human_bytes(facts.bytes)
    print(f"{index} is undamaged: {counted(facts.documents, 'document')}, {size} read")
