"""Telling what of a run cannot be measured, so that no one takes a wrong file for a bad run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsearch.cli._console import counted, note

if TYPE_CHECKING:
    from sparsearch.runs import Qrels, Run

__all__ = ["note_identical", "note_what_is_missing"]

_FEW = 0.1
"""Share of the queries that may rank a document of their own id first by coincidence."""


def note_what_is_missing(
    run: Run, qrels: Qrels, missing: int, question: str, where: str = ""
) -> None:
    """Say so if nothing that was found is judged, or judged queries found nothing.

    Parameters
    ----------
    run : Run
    qrels : Qrels
    missing : int
        How many judged queries found nothing.
    question : str
        What may be the reason why nothing is judged.
    where : str
        Put before what is said.
    """
    searched = run.keys() & qrels.keys()
    if all(qrels[query].keys().isdisjoint(run.ids(query)) for query in searched):
        note(f"{where}nothing found is judged: {question}")
    if missing:
        note(f"{where}{missing:,} of the judged queries found nothing, which counts as zero")


def note_identical(run: Run) -> None:
    """Say so if many queries find themselves, as they do where they are documents as well."""
    found = sum(run.ids(query)[:1] == (query,) for query in run)
    if found > _FEW * len(run):
        share = f"{found:,} of {counted(len(run), 'query', 'queries')}"
        advice = "if the queries are documents of the collection, give --ignore-identical"
        note(f"{share} rank the document of their own id first; {advice}")
