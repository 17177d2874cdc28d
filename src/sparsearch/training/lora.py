"""Low-rank adapters (Hu et al., ICLR 2022), for models too large to train whole."""

from __future__ import annotations

import warnings
from typing import Any

from sentence_transformers.base.modules import Transformer

from sparsearch.errors import MissingExtraError
from sparsearch.training.modules import TiedHead

__all__ = ["add_adapters", "merge_adapters"]


def add_adapters(model: Any, rank: int) -> None:
    """Put adapters on all linear layers of the transformers; everything else is frozen.

    Raises
    ------
    MissingExtraError
        When peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("peft", "train") from error
    for module in list(model.modules()):
        if isinstance(module, Transformer):
            config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
            with warnings.catch_warnings():
                # peft asks transformers for an attribute by its old name.
                warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
                module.model = get_peft_model(module.model, config)
        elif isinstance(module, TiedHead):
            module.requires_grad_(False)
    model.to(model.device)


def merge_adapters(model: Any) -> None:
    """Add the adapters to the weights they adapt, so that the model is a plain one again."""
    for module in list(model.modules()):
        if isinstance(module, Transformer) and hasattr(module.model, "merge_and_unload"):
            module.model = module.model.merge_and_unload()
