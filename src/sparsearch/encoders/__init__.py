"""Text to sparse vectors."""

from sparsearch.encoders.analysis import AnalysisConfig, Analyzer
from sparsearch.encoders.bm25 import Bm25Config, Bm25Encoder
from sparsearch.encoders.default import load_default
from sparsearch.encoders.hub import is_hub_name
from sparsearch.encoders.hybrid import HybridEncoder
from sparsearch.encoders.loading import LoadedEncoder, export_model, remembered_source
from sparsearch.encoders.onnx_encoder import OnnxEncoder
from sparsearch.encoders.protocol import (
    CollectionStatistics,
    Encoder,
    Saturation,
    inverse_document_frequencies,
)
from sparsearch.encoders.registry import encoder_from_identity, saturation_from_identity
from sparsearch.encoders.text_terms import NamesTextTerms

__all__ = [
    "AnalysisConfig",
    "Analyzer",
    "Bm25Config",
    "Bm25Encoder",
    "CollectionStatistics",
    "Encoder",
    "HybridEncoder",
    "LoadedEncoder",
    "NamesTextTerms",
    "OnnxEncoder",
    "Saturation",
    "encoder_from_identity",
    "export_model",
    "inverse_document_frequencies",
    "is_hub_name",
    "load_default",
    "remembered_source",
    "saturation_from_identity",
]
