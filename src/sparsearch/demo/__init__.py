"""A corpus that needs no download: the docstrings of Python's standard library."""

from __future__ import annotations

from sparsearch.demo.corpus import standard_library_documents

__all__ = ["standard_library_documents"]
