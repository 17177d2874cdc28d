"""Tiny models with random weights, written to folders as published models are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

_TEXT = """
sparse dense retrieval index inverted posting list term weight query document vector search engine
learned expansion the of and a in to with for cat dog sits mat runs quickly über
"""
WORDS = _TEXT.split()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HIDDEN = 32


def texts(count: int, seed: int = 0, longest: int = 12) -> list[str]:
    """Return texts of random words and lengths, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count)]


@cache
def word_pieces(vocabulary_size: int = 200) -> Tokenizer:
    """Return a WordPiece tokenizer as BERT's, trained on a few words: once, since it is not the
    same each time."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts(200), trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    return tokenizer


def hf_tokenizer(longest: int = 64):
    """Return the tokenizer as transformers wants it."""
    from transformers import PreTrainedTokenizerFast

    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=word_pieces(),
        model_max_length=longest,
        **dict(zip(names, SPECIAL, strict=True)),
    )


def masked_lm(folder: Path, architecture: str = "bert", seed: int = 0, longest: int = 64) -> Path:
    """Write a masked language model as transformers does: config, tokenizer, safetensors."""
    import torch
    import transformers

    tokenizer = hf_tokenizer(longest)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2}
    if architecture in ("albert", "electra"):
        sizes["embedding_size"] = HIDDEN
    config = transformers.AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer),
        intermediate_size=64,
        max_position_embeddings=longest + 2,  # RoBERTa numbers positions from 2
        pad_token_id=0,
        bos_token_id=2,
        cls_token_id=2,
        eos_token_id=3,
        sep_token_id=3,
        # Larger than usual, so that the outputs of a random model differ between texts.
        initializer_range=0.3,
        **sizes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForMaskedLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def splade(folder: Path, architecture: str = "bert", **pooling: str) -> Path:
    """Write a model of the SPLADE family, by sentence-transformers."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    modules = [_fill_mask(folder, architecture), SpladePooling(**pooling)]
    SparseEncoder(modules=modules, device="cpu").save(str(folder))
    return folder


def inference_free(folder: Path, prompts: dict[str, str] | None = None) -> Path:
    """Write a model whose queries are a table of weights, by sentence-transformers."""
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    tokenizer = hf_tokenizer()
    weights = torch.linspace(0, 3, len(tokenizer))
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(tokenizer, weights, frozen=True)],
        document_modules=[_fill_mask(folder), SpladePooling("max", "log1p_relu")],
    )
    SparseEncoder(modules=[router], device="cpu", prompts=prompts).save(str(folder))
    return folder


def bge_m3(folder: Path) -> Path:
    """Write a model in the layout of BGE-M3, its lexical head as safetensors."""
    import torch
    import transformers

    masked_lm(folder, "roberta")
    (folder / "model.safetensors").unlink()
    config = transformers.AutoConfig.from_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    rng = np.random.default_rng(0)
    head = {
        "weight": rng.normal(size=(1, HIDDEN)).astype(np.float32),
        "bias": np.array([2.0], dtype=np.float32),
    }
    save_file(head, folder / "sparse_linear.safetensors")
    return folder


def dense(folder: Path) -> Path:
    """Write a dense embedding model, by sentence-transformers."""
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    config = transformers.AutoConfig.from_pretrained(masked_lm(folder / "plain"))
    bare = folder / "bare"
    transformers.BertModel(config).save_pretrained(bare)
    hf_tokenizer().save_pretrained(bare)
    modules = [Transformer(str(bare)), Pooling(HIDDEN)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "dense"))
    return folder / "dense"


def edit_json(path: Path, /, **changes: object) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def _fill_mask(folder: Path, architecture: str = "bert"):
    from sentence_transformers.base.modules import Transformer

    plain = masked_lm(folder.with_name(folder.name + "-base"), architecture)
    return Transformer(str(plain), transformer_task="fill-mask")
