"""A model folder small enough to check by hand: each token's weights are a row of a table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.parser import parse_model
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "dog", "sat", "mat")
SETTINGS = {
    "format": 1,
    "name": "tiny",
    "dimension": len(TOKENS),
    "max_length": 6,
    "overlap": 1,
    "pad_id": 0,
    "prefix_ids": [2],
    "suffix_ids": [3],
    "terms": "tokens",
    "queries": "weights",
}
TABLE = np.zeros((len(TOKENS), len(TOKENS)), np.float32)
TABLE[4, [4, 5]] = [2.0, 0.5]  # "cat" also means a little "dog"
TABLE[5, [5, 4]] = [3.0, 0.25]
TABLE[6, 6] = 1.0
TABLE[7, [7, 6]] = [1.5, -1.0]
TABLE[0, 7] = 9.0  # padding must not show
QUERY_WEIGHTS = np.array([0, 0, 0, 0, 1, 1.25, 1.5, 1.75], np.float32)

_GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[b,l] input_ids, int64[b,l] attention_mask)
  => (int64[n] rows, int64[n] term_ids, float[n] weights)
<int64[1] last = {2}, int64[1] first = {0}>
{
  logits = Gather<axis=0>(table, input_ids)
  wide = Unsqueeze(attention_mask, last)
  mask = Cast<to=1>(wide)
  masked = Mul(logits, mask)
  pooled = ReduceMax<axes=[1], keepdims=0>(masked)
  active = Relu(pooled)
  places = NonZero(active)
  row_part, term_part = Split<axis=0>(places)
  rows = Squeeze(row_part, first)
  term_ids = Squeeze(term_part, first)
  pairs = Transpose(places)
  weights = GatherND(active, pairs)
}
"""


def tokenizer() -> Tokenizer:
    """Words of `TOKENS`, in any case."""
    made = Tokenizer(WordLevel({token: i for i, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    made.normalizer = Lowercase()
    made.pre_tokenizer = Whitespace()
    return made


def write_model(path: Path, table: np.ndarray = TABLE) -> None:
    """Write the graph with this table of token weights, float32 ``[tokens, terms]``."""
    graph = _GRAPH.replace("int64[1] last", "float[{},{}] table = {{{}}}, int64[1] last")
    numbers = ",".join("0" for _ in range(table.size))
    model = parse_model(
        graph.replace("{}", str(table.shape[0]), 1)
        .replace("{}", str(table.shape[1]), 1)
        .replace("{{{}}}", "{" + numbers + "}", 1)
    )
    for tensor in model.graph.initializer:
        if tensor.name == "table":
            tensor.CopyFrom(numpy_helper.from_array(table, "table"))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_folder(folder: Path, **changes: object) -> Path:
    """Write a model folder with `SETTINGS`, some of them changed; None leaves a setting out."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**SETTINGS, **changes}
    kept = {name: value for name, value in settings.items() if value is not None}
    (folder / "sparsearch_encoder.json").write_text(json.dumps(kept))
    tokenizer().save(str(folder / "tokenizer.json"))
    write_model(folder / "model.onnx")
    save_file({"weights": QUERY_WEIGHTS}, folder / "query_weights.safetensors")
    return folder
