"""A corpus that needs no download, the docstrings of Python's standard library, and questions."""

from __future__ import annotations

from sparsearch.demo.corpus import standard_library_documents
from sparsearch.demo.questions import QUESTIONS, Question

__all__ = ["QUESTIONS", "Question", "standard_library_documents"]
