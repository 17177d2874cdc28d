"""Tiny models over real text: made here, nothing is downloaded."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch", reason="training needs the extra: sparsearch[train]")
pytest.importorskip("sentence_transformers", reason="training needs sparsearch[train]")

from sparsearch.demo import standard_library_documents  # noqa: E402
from sparsearch.training import (  # noqa: E402
    Example,
    OptimizerConfig,
    SparsityConfig,
    TrainConfig,
    write_examples,
)
from sparsearch.training.pseudo import pseudo_queries  # noqa: E402

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    torch.set_num_threads(1)
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def documents() -> list[dict[str, object]]:
    """Docstrings of some packages: few enough to be fast."""
    packages = {
        "asyncio",
        "collections",
        "json",
        "pathlib",
        "random",
        "sqlite3",
        "string",
        "zipfile",
    }
    return [d for d in standard_library_documents() if d["package"] in packages]


@pytest.fixture(scope="session")
def examples(documents: list[dict[str, object]]) -> list[Example]:
    """First sentences of docstrings with the rest, as pairs."""
    return list(pseudo_queries(documents))


@pytest.fixture(scope="session")
def tokenizer(documents: list[dict[str, object]]):
    """A WordPiece tokenizer of the docstrings' frequent words and all their characters.

    Not a trained one: training breaks ties differently in every process.
    """
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    blank = BertWordPieceTokenizer(lowercase=True)
    words: Counter[str] = Counter()
    for document in documents:
        text = blank.normalize(f"{document['title']} {document['text']}")
        words.update(word for word, _ in blank._tokenizer.pre_tokenizer.pre_tokenize_str(text))
    characters = sorted({character for word in words for character in word})
    continuations = [f"##{character}" for character in characters]
    frequent = sorted(words, key=lambda word: (-words[word], word))
    entries = dict.fromkeys([*SPECIAL, *characters, *continuations, *frequent])
    vocabulary = {entry: number for number, entry in enumerate(list(entries)[:1500])}
    word_pieces = BertWordPieceTokenizer(vocabulary, lowercase=True)
    return BertTokenizerFast(tokenizer_object=word_pieces._tokenizer, model_max_length=128)


@pytest.fixture(scope="session")
def tiny_bert(tokenizer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a BERT of two small layers with a masked-language-model head."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    model = BertForMaskedLM(config)
    with torch.no_grad():
        # What pretraining would bring: each token's logits prefer the token itself. The embedding
        # outweighs the position, the head starts from the identity, and most terms are off.
        model.get_input_embeddings().weight.mul_(5)
        torch.nn.init.eye_(model.cls.predictions.transform.dense.weight)
        model.cls.predictions.bias.fill_(-2.5)
    return _saved(model, tokenizer, tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="session")
def decoder_sizes(tokenizer) -> dict[str, int]:
    """Return the configuration of a decoder of two small layers."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
    }


@pytest.fixture(scope="session")
def tiny_decoder(tokenizer, decoder_sizes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a decoder of two small layers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(**decoder_sizes)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(5)
    return _saved(model, tokenizer, tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def unpadded_decoder(tiny_decoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of the same decoder in half precision, without a token to pad with: as many are."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(tiny_decoder, dtype=torch.bfloat16)
    model.config.pad_token_id = None
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder)
    tokenizer.add_special_tokens({"eos_token": tokenizer.pad_token})
    tokenizer.pad_token = None
    return _saved(model, tokenizer, tmp_path_factory.mktemp("unpadded") / "llama")


def _saved(model, tokenizer, folder: Path) -> str:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def development(examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test collection of examples that no test trains on."""
    folder = tmp_path_factory.mktemp("development")
    (folder / "qrels").mkdir()
    held_out = examples[120:150]
    rows = [{"_id": str(n), "text": e.positive} for n, e in enumerate(held_out)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"_id": str(n), "text": e.query} for n, e in enumerate(held_out)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{n}\t{n}\t1\n" for n in range(len(held_out))]
    (folder / "qrels" / "dev.tsv").write_text("".join(["query-id\tcorpus-id\tscore\n", *lines]))
    return folder


@pytest.fixture(scope="session")
def data(examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    write_examples(path, examples[:120])
    return str(path)


@pytest.fixture
def config(tiny_bert: str, data: str, tmp_path: Path) -> TrainConfig:
    """A run of some seconds."""
    return TrainConfig(
        recipe="df-flops",  # its regulariser has a state of its own
        model=tiny_bert,
        data=data,
        output=str(tmp_path / "run"),
        query_length=16,
        document_length=32,
        optimizer=OptimizerConfig(steps=12, batch_size=8, learning_rate=1e-3),
        sparsity=SparsityConfig(document_target=40),
        checkpoint_every=4,
        device="cpu",
    )
