"""Telling what of a run cannot be measured, so that no one takes a wrong file for a bad run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsearch.cli._console import note

if TYPE_CHECKING:
    from sparsearch.runs import Qrels, Run

__all__ = ["note_what_is_missing"]


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
