"""Heads work where the model is: nothing of theirs stays on the CPU.

No GPU is needed: torch's device "meta" has shapes and no numbers, and refuses to mix with others.
"""

from __future__ import annotations

import pytest
import torch

from sparsearch.encoders.torch_activations import ELEMENTWISE, OVER_VOCABULARY, top_k
from sparsearch.encoders.torch_heads import GatedHead, TermWeightHead, VocabularyHead

TERMS, HIDDEN = 11, 4
VOCABULARY = [
    VocabularyHead(pooling, activation, torch.ones(TERMS, HIDDEN), torch.zeros(TERMS))
    for pooling in ("max", "sum", "last")
    for activation in (*ELEMENTWISE, *OVER_VOCABULARY)
]
GATES = {"expansion": TERMS, "importance": 1, "quality": 1}
GATED = GatedHead(
    {f"{name}.weight": torch.ones(size, HIDDEN) for name, size in GATES.items()}
    | {f"{name}.bias": torch.zeros(size) for name, size in GATES.items()}
)
TOKENS = TermWeightHead(TERMS, "relu", torch.ones(1, HIDDEN), torch.zeros(1), (0,))


@pytest.mark.parametrize("head", [*VOCABULARY, GATED, TOKENS])
def test_a_head_works_where_the_model_is(head: torch.nn.Module) -> None:
    states = torch.ones(2, 3, HIDDEN, device="meta")
    tokens = torch.ones(2, 3, dtype=torch.int64, device="meta")
    weights = top_k(head.to("meta")(states, tokens, tokens), 5)
    assert (weights.device.type, weights.shape) == ("meta", (2, TERMS))
