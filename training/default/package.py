"""From a trained head to a model folder: ONNX graph, int8 weights, tokenizer, settings, card."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import save_file

from base_model import BASE_FOLDER, BASE_NAME, load_backbone
from config import TrainingConfig
from head import TOP_K, Head, Mixture
from sparsearch.encoders import Bm25Config, HybridEncoder, OnnxEncoder
from sparsearch.encoders.hybrid_folder import write_hybrid_settings
from sparsearch.encoders.model_folder import (
    MODEL_NAME,
    QUERY_WEIGHTS_NAME,
    SETTINGS_NAME,
    TOKENIZER_NAME,
    ModelSettings,
)
from sparsearch.encoders.onnx_export import drop_traces

MAX_LENGTH = 256
OVERLAP = 32
_CLS, _SEP, _PAD = 101, 102, 0


class SparseEncoder(torch.nn.Module):
    """Backbone, mean pooling, head, and the `TOP_K` largest weights, as coordinates.

    Parameters
    ----------
    backbone : torch.nn.Module
    head : Head
    """

    def __init__(self, backbone: torch.nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("directions", torch.from_numpy(head.directions.T.copy()))
        self.register_buffer("own", torch.from_numpy(head.thresholds.own))
        self.register_buffer("others", torch.from_numpy(head.thresholds.others))
        self.register_buffer("terms", torch.from_numpy(head.groups.terms))
        self.register_buffer("places", torch.from_numpy(head.groups.places))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return rows, term ids and weights of all entries."""
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask)[0]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1)
        pooled = pooled / pooled.norm(dim=1, keepdim=True)
        own = torch.zeros(input_ids.shape[0], self.terms.shape[0] + 1, dtype=torch.bool)
        own = own.scatter(1, self.places[input_ids], True)[:, :-1]
        thresholds = torch.where(own, self.own, self.others)
        weights, places = torch.topk(pooled @ self.directions - thresholds, TOP_K, dim=1)
        active = torch.nonzero(weights > 0)
        rows, columns = active[:, 0], active[:, 1]
        return rows, self.terms[places[rows, columns]], weights[rows, columns]


def write_package(mixture: Mixture, config: TrainingConfig, folder: Path) -> None:
    """Write the hybrid encoder with its model card into a folder, which is replaced."""
    tier = "tier 0" if config.epochs == 0 else "tier 1"
    name = f"sparsearch default, English, {tier}, seed {config.seed}"
    write_model_folder(mixture, name, folder)
    lexical = Bm25Config(pair_weight=config.pair_weight)
    encoder = HybridEncoder(lexical, OnnxEncoder(folder), config.learned_weight)
    write_hybrid_settings(encoder, folder)
    facts = {
        "base": BASE_NAME,
        "config": asdict(config),
        "top_k": TOP_K,
        "held_out_mrr10": mixture.measured,
        "packages": {
            name: metadata.version(name)
            for name in ("torch", "transformers", "onnx", "onnxruntime", "numpy", "scipy")
        },
    }
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("MODEL_CARD.md"), folder / "README.md")


def write_model_folder(mixture: Mixture, name: str, folder: Path) -> None:
    """Write a model folder, which is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    head = mixture.head
    module = SparseEncoder(load_backbone(attention="eager"), head).eval()
    _export(module, folder / MODEL_NAME)
    settings = ModelSettings(
        name=name,
        dimension=len(head.groups.places),
        max_length=MAX_LENGTH,
        overlap=OVERLAP,
        pad_id=_PAD,
        prefix_ids=(_CLS,),
        suffix_ids=(_SEP,),
        queries="idf",
        max_batch=1,
        idf_exponent=mixture.idf_exponent,
    )
    (folder / SETTINGS_NAME).write_text(settings.to_json(), encoding="utf-8")
    shutil.copyfile(BASE_FOLDER / "tokenizer.json", folder / TOKENIZER_NAME)
    table = {"terms": head.groups.term_of_each(), "weights": mixture.query_weights}
    save_file(table, folder / QUERY_WEIGHTS_NAME)
    (folder / QUERY_WEIGHTS_NAME).chmod(0o644)


def _export(module: SparseEncoder, path: Path) -> None:
    ids = torch.tensor([[_CLS, 2_000, 3_000, _SEP], [_CLS, 4_000, _SEP, _PAD]])
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=512)
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "full.onnx"
        torch.onnx.export(
            module,
            (ids, (ids != _PAD).long()),
            full,
            input_names=["input_ids", "attention_mask"],
            output_names=["rows", "term_ids", "weights"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        exported = onnx.load(full)
        del exported.graph.value_info[:]  # the quantiser transposes weights and trips over these
        onnx.save(exported, full)
        # Signed weights of 7 bits: the fast kernels of processors without VNNI add up pairs of
        # products in 16 bits, which 8 bits can overflow; so results are the same everywhere.
        quantize_dynamic(
            full, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        )  # fmt: skip
    drop_traces(path)
    onnx.checker.check_model(onnx.load(path))
