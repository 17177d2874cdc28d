"""From a recipe and a checkpoint to a `SparseEncoder` of sentence-transformers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import (
    Router,
    SparseStaticEmbedding,
    SpladePooling,
)
from torch import nn
from transformers import AutoConfig

from sparsearch.encoders import is_hub_name
from sparsearch.encoders.checkpoint_parts import SPLADE_ACTIVATIONS
from sparsearch.encoders.torch_network import quiet_transformers
from sparsearch.errors import TrainingError
from sparsearch.training.forward import chain, tokenize
from sparsearch.training.fused import max_logits
from sparsearch.training.modules import (
    EchoTransformer,
    EpicHead,
    PromptTransformer,
    TermWeights,
    TiedHead,
    VocabularyPooling,
)
from sparsearch.training.recipe import EncoderPart, Recipe

__all__ = ["Base", "build_model"]

_SPLADE_NAMES = {ours: theirs for theirs, ours in SPLADE_ACTIVATIONS.items()}

_Dtype: TypeAlias = torch.dtype | str
"""Of weights; "auto" is what the checkpoint has."""

_ACTIVE_SHARE = 0.03
_CALIBRATION_TEXTS, _CALIBRATION_BATCH = 256, 32


@dataclass(frozen=True)
class Base:
    """Checkpoints to start from, and the longest texts in tokens.

    Parameters
    ----------
    model : str
        Folder or hub name.
    query_model : str, optional
        Another one for queries, for recipes that do not share a model.
    query_length, document_length : int
    """

    model: str
    query_model: str | None = None
    query_length: int = 32
    document_length: int = 256


def build_model(
    recipe: Recipe, base: Base, texts: Iterable[str] = (), device: str | None = None
) -> SparseEncoder:
    """Build the untrained model of a recipe.

    Parameters
    ----------
    recipe : Recipe
    base : Base
    texts : iterable of str
        Documents: to count inverse document frequencies over, and to see at what logits of an
        untrained head most terms are off.
    device : str, optional

    Returns
    -------
    SparseEncoder
        Of sentence-transformers' own modules, wherever they have what the recipe needs.

    Raises
    ------
    TrainingError
        When the checkpoint cannot be loaded or has no head of the kind that the recipe needs.
    """
    texts = list(texts)
    # A step of an optimizer is too small for weights of 16 bits; adapters are apart from these.
    dtype = torch.float32 if recipe.losses and recipe.lora_rank is None else "auto"
    document = _chain(recipe.document, base.model, base, dtype)
    chains = {"document": document}
    if recipe.shared:
        modules = document
    else:
        query_base = base.query_model or base.model
        tokenizer = _tokenizer(document[0])
        if recipe.query.inference_free:
            query: list[nn.Module] = [_static(recipe.query, tokenizer, texts)]
        else:
            query = _chain(recipe.query, query_base, base, dtype)
            _check_same_vocabulary(tokenizer, _tokenizer(query[0]), base)
        chains["query"] = query
        modules = [Router.for_query_document(query_modules=query, document_modules=document)]
    model = SparseEncoder(
        modules=modules,
        similarity_fn_name="dot",
        max_active_dims=recipe.top_k,
        device=device,
        local_files_only=True,
    )
    for task, parts in chains.items():
        if len(parts) > 1 and isinstance(parts[1], TiedHead):
            _calibrate(model, task, parts[1], texts[:_CALIBRATION_TEXTS])
    return model


def _token_idf(tokenizer: Any, texts: Iterable[str]) -> torch.Tensor:
    """Return ``ln(1 + (N - df + 0.5) / (df + 0.5))`` of each token; 0 for special tokens.

    Tokens in none of the texts get the weight of one in none of *N* texts. Without texts all
    weights are the same, ``ln 2``.
    """
    counts: Counter[int] = Counter()
    total = 0
    for text in texts:
        counts.update(set(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]))
        total += 1
    weights = torch.full((len(tokenizer),), math.log(1 + (total + 0.5) / 0.5))
    for term, count in counts.items():
        weights[term] = math.log(1 + (total - count + 0.5) / (count + 0.5))
    weights[tokenizer.all_special_ids] = 0.0
    return weights


def _static(part: EncoderPart, tokenizer: Any, texts: Iterable[str]) -> SparseStaticEmbedding:
    if part.kind == "binary":
        weights = torch.ones(len(tokenizer))
        weights[tokenizer.all_special_ids] = 0.0
    else:
        weights = _token_idf(tokenizer, texts)
    return SparseStaticEmbedding(tokenizer, weights, frozen=part.kind != "table")


def _chain(part: EncoderPart, path: str, base: Base, dtype: _Dtype) -> list[nn.Module]:
    """Return the modules that make vectors of texts, one after the other."""
    if part.kind == "masked_lm":
        return [_transformer(Transformer, path, base, dtype, "fill-mask"), _pooling(part)]
    if part.kind == "prompt_reps":
        return [_transformer(PromptTransformer, path, base, dtype, "text-generation")]
    kind = EchoTransformer if part.kind == "echo" else Transformer
    transformer = _transformer(kind, path, base, dtype, "feature-extraction")
    # sentence-transformers does so itself, but not for modules inside of a `Router`.
    heads = [head.to(transformer.model.dtype) for head in _heads(part, transformer, path)]
    return [transformer, *heads]


def _heads(part: EncoderPart, transformer: Transformer, path: str) -> list[nn.Module]:
    """Return what makes a vector of hidden states."""
    embeddings = transformer.model.get_input_embeddings().weight
    terms, width = embeddings.shape
    size = transformer.get_embedding_dimension()
    if part.kind == "term_weights":
        special = tuple(transformer.tokenizer.all_special_ids)
        return [TermWeights(size, terms, part.activation, special)]
    if width != size:
        raise TrainingError(
            f"{path} has input embeddings of size {width}, but hidden states of size {size}, so a "
            f"head of kind {part.kind} cannot start from them; take a checkpoint with one size for "
            "both, or a recipe with another head (splade-max, unicoil)"
        )
    if part.kind == "epic":
        head = EpicHead(terms, size)
        head.expansion.start_from(embeddings)
        return [head]
    return [TiedHead(terms, size).start_from(embeddings, centred=True), _pooling(part)]


@torch.no_grad()
def _calibrate(model: SparseEncoder, task: str, head: TiedHead, texts: Sequence[str]) -> None:
    """Set the biases of an untrained head so that a term is on in a small share of the texts.

    Without it nearly all terms of all texts would be on, by nothing but chance.
    """
    model.eval()
    transformer = chain(model, task)[0]
    pooled = []
    for start in range(0, len(texts), _CALIBRATION_BATCH):
        portion = texts[start : start + _CALIBRATION_BATCH]
        features = transformer(tokenize(model, portion, task, model.device))
        mask = features["attention_mask"]
        pooled.append(max_logits(features["token_embeddings"], head.weight, head.bias, mask))
    if pooled:
        head.bias.copy_(-torch.cat(pooled).quantile(1 - _ACTIVE_SHARE, dim=0))


def _pooling(part: EncoderPart) -> nn.Module:
    if part.pooling in SpladePooling.SPLADE_POOLING_MODES and part.activation in _SPLADE_NAMES:
        return SpladePooling(part.pooling, _SPLADE_NAMES[part.activation])
    return VocabularyPooling(part.pooling, part.activation)


def _transformer(
    kind: type[Transformer], path: str, base: Base, dtype: _Dtype, task: str
) -> Transformer:
    if not Path(path).is_dir() and not is_hub_name(path):
        reason = f"{path} does not exist; give the folder of a model, or its name"
        raise TrainingError(reason)
    try:
        config = AutoConfig.from_pretrained(path)
        if task == "fill-mask" and not _has_head(config, "ForMaskedLM"):
            raise TrainingError(
                f"{path} has no masked-language-model head (its architecture: "
                f"{config.architectures}), and a new one would start from noise; take a checkpoint "
                "with one, or a recipe with a tied head (sparta)"
            )
        with quiet_transformers():
            transformer = kind(
                path,
                transformer_task=task,
                model_kwargs={"dtype": dtype},
                query_length=base.query_length,
                document_length=base.document_length,
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(f"the model {path} cannot be loaded: {error}") from error
    _check_lengths(transformer, path, base, copies=1 if kind is Transformer else 2)
    _set_padding(transformer.tokenizer, path)
    terms = len(transformer.tokenizer)
    if transformer.model.get_input_embeddings().weight.shape[0] > terms:
        # Rows beyond the tokenizer's terms (padding to a round number) are no terms.
        transformer.model.resize_token_embeddings(terms)
    return transformer


def _check_lengths(transformer: Transformer, path: str, base: Base, copies: int) -> None:
    longest = transformer.max_seq_length
    for name in ("query_length", "document_length"):
        tokens = getattr(base, name)
        if longest is not None and tokens * copies > longest:
            raise TrainingError(
                f"{name} is {tokens}, but {path} takes at most {longest // copies} tokens"
            )


def _set_padding(tokenizer: Any, path: str) -> None:
    """Pad with the end of a text where there is no token for it, as decoders often have none."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise TrainingError(f"the tokenizer of {path} has no token to pad with, nor one of an end")


def _has_head(config: Any, ending: str) -> bool:
    return any(name.endswith(ending) for name in config.architectures or [])


def _tokenizer(module: nn.Module) -> Any:
    return module.tokenizer


def _check_same_vocabulary(documents: Any, queries: Any, base: Base) -> None:
    if documents.get_vocab() != queries.get_vocab():
        raise TrainingError(
            f"{base.query_model} and {base.model} have different vocabularies; vectors of queries "
            "and documents must be over the same terms"
        )
