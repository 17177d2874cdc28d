"""One search result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Hit"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found by a search.

    Parameters
    ----------
    id : str
        Id of the document.
    score : float
        Inner product of the query and the stored document.
    title, text : str or None
        As the document was added; None where it had none.
    metadata : Mapping
        All other fields of the document.
    """

    id: str
    score: float
    title: str | None = None
    text: str | None = None
    # A mapping has no hash; a hit can still be put into a set.
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
