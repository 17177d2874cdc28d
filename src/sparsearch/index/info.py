"""What an index tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["IndexInfo"]


@dataclass(frozen=True)
class IndexInfo:
    """Facts about an index.

    Parameters
    ----------
    path : str
    format_version, generation : int
    documents : int
        Documents that can be found.
    deleted : int
        Deleted documents that still take space; see `Index.optimize`.
    segments, postings, terms : int
    bytes : int
        Size on disk.
    fields : list of str
        Metadata fields that can be filtered on.
    encoder : dict or None
        The encoder's identity.
    config : dict
    """

    path: str
    format_version: int
    generation: int
    documents: int
    deleted: int
    segments: int
    postings: int
    terms: int
    bytes: int
    fields: list[str]
    encoder: dict[str, Any] | None
    config: dict[str, object]
