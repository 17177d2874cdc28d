"""Going through all documents page by page, while others write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import chain, dropwhile, groupby
from operator import itemgetter

import numpy as np

from sparsearch.index.allowed import Allowed
from sparsearch.index.documents import Document, decode_payload
from sparsearch.index.filters import Mask
from sparsearch.index.segment import Segment, hash_ids
from sparsearch.index.snapshot import Snapshot

__all__ = ["Page", "read_page"]

_Entry = tuple[int, str, int]
"""Hash of a document's id, the id and the document's number."""
_CHUNK = 1024
_PAGE_BYTES = 8 * 1024 * 1024
"""Stored fields after which a page ends, however few documents it has."""


@dataclass(frozen=True)
class Page:
    """Some of the documents of an index.

    Parameters
    ----------
    documents : tuple of Document
    after : str or None
        What to ask for the next page with; None if this is the last.
    """

    documents: tuple[Document, ...]
    after: str | None


def read_page(snapshot: Snapshot, allowed: Allowed, after: str | None, limit: int) -> Page:
    """Return the documents that follow an id, in the order of their ids' hashes.

    That order does not depend on what is written between two pages: a document that is there all
    the while is on one page, even if it is replaced. The id need not be there any more.
    """
    last = (-1, "") if after is None else (int(hash_ids([after])[0]), after)
    parts = [
        _ordered(_entries(segment, base, mask, last[0]))
        for segment, base, mask in zip(
            snapshot.segments, snapshot.bases, allowed.masks, strict=False
        )
    ]
    following = dropwhile(lambda entry: entry[:2] <= last, merge(*parts))
    documents: list[Document] = []
    size = 0
    for _, document_id, number in following:
        if len(documents) == limit or size >= _PAGE_BYTES:
            return Page(tuple(documents), documents[-1].id)
        payload = snapshot.payload(number)
        documents.append(decode_payload(document_id, payload))
        size += len(payload)
    return Page(tuple(documents), None)


def _entries(segment: Segment, base: int, mask: Mask, least: int) -> Iterator[_Entry]:
    """Yield the live documents of a segment by hash, from a hash on."""
    hashes, rows = segment.arrays["id_hashes"], segment.arrays["id_rows"]
    start = int(np.searchsorted(hashes, np.uint64(least))) if least >= 0 else 0
    for begin in range(start, len(rows), _CHUNK):
        part = rows[begin : begin + _CHUNK]
        try:
            places = np.flatnonzero(mask[part]) if mask.size else np.arange(len(part))
        except IndexError as error:
            raise segment.damage("ids") from error
        for place in places.tolist():
            row = int(part[place])
            yield int(hashes[begin + place]), segment.id(row), base + row


def _ordered(entries: Iterator[_Entry]) -> Iterator[_Entry]:
    """Order entries of one hash by id."""
    return chain.from_iterable(sorted(group) for _, group in groupby(entries, key=itemgetter(0)))
