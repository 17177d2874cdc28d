"""Modules for sentence-transformers' `SparseEncoder` that it lacks.

A model that holds one of these loads with ``SparseEncoder(path, trust_remote_code=True)`` where
sparsearch is installed; models of sentence-transformers' own modules need neither.
"""

from sparsearch.training.modules.decoders import EchoTransformer, PromptTransformer
from sparsearch.training.modules.heads import EpicHead, TiedHead, VocabularyPooling
from sparsearch.training.modules.term_weights import TermWeights

__all__ = [
    "EchoTransformer",
    "EpicHead",
    "PromptTransformer",
    "TermWeights",
    "TiedHead",
    "VocabularyPooling",
]
