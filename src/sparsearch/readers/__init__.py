"""Readers: files on disk become documents, one at a time.

>>> from sparsearch.readers import open_source
>>> source = open_source("corpus.jsonl.gz")          # doctest: +SKIP
>>> for document in source.records():                # doctest: +SKIP
...     print(document["id"], source.position / source.size)
"""

from __future__ import annotations

from sparsearch.readers.fields import ID_FIELDS, TEXT_FIELDS, TITLE_FIELDS, FieldMapping
from sparsearch.readers.opening import FORMATS, open_source
from sparsearch.readers.source import ErrorHandler, Source

__all__ = [
    "FORMATS",
    "ID_FIELDS",
    "TEXT_FIELDS",
    "TITLE_FIELDS",
    "ErrorHandler",
    "FieldMapping",
    "Source",
    "open_source",
]
