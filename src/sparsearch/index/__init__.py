"""The index: documents on disk, searchable by sparse vectors while they change."""

from sparsearch.index.config import IndexConfig
from sparsearch.index.documents import Document
from sparsearch.index.explain import Explanation, TermContribution
from sparsearch.index.facets import Facet
from sparsearch.index.feedback import Feedback
from sparsearch.index.feeding import EncodedAhead
from sparsearch.index.index import Index
from sparsearch.index.info import IndexInfo
from sparsearch.index.paging import Page
from sparsearch.index.topk import TopK
from sparsearch.index.warmup import warm_up

__all__ = [
    "Document",
    "EncodedAhead",
    "Explanation",
    "Facet",
    "Feedback",
    "Index",
    "IndexConfig",
    "IndexInfo",
    "Page",
    "TermContribution",
    "TopK",
    "warm_up",
]
