"""Exported graphs: what rounding to 8 bits may do to a model, and what it must not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

pytest.importorskip("torch", reason="exporting needs the extra: sparsearch[train]")

import onnx
from onnx import numpy_helper

from sparsearch import Encoder
from sparsearch.encoders import export_model
from sparsearch.errors import EncoderError


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2", "modernbert"])
def test_two_products_of_8_bits_fit_into_16(models, tmp_path: Path, architecture: str) -> None:
    """Without VNNI a processor adds up two of them there: 2 * 255 * 64 < 2^15."""
    export_model(models("splade", architecture), tmp_path / "exported")
    graph = onnx.load(tmp_path / "exported" / "model.onnx").graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    names = [node.input[1] for node in graph.node if node.op_type == "MatMulInteger"]
    assert len(names) > 5
    for name in names:
        weights = numpy_helper.to_array(tensors[name])
        assert weights.dtype == np.int8
        assert abs(weights.astype(int)).max() == 64


def test_a_model_that_rounding_would_ruin(models, tmp_path: Path) -> None:
    """One input of the last product is so large that the others are rounded away."""
    folder = shutil.copytree(models("splade"), tmp_path / "model")
    tensors = {
        name: array.copy() for name, array in load_file(folder / "model.safetensors").items()
    }
    tensors["cls.predictions.transform.LayerNorm.weight"][0] = 1e4
    tensors["bert.embeddings.word_embeddings.weight"][:, 0] = 0  # and has no say in the scores
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match=r"too much .*use quantize=False"):
        Encoder.load(folder)
    in_torch = Encoder.load(folder, backend="torch").encode_documents(["cat dog"])
    exact = Encoder.load(folder, quantize=False).encode_documents(["cat dog"])
    np.testing.assert_allclose(exact.to_scipy().toarray(), in_torch.to_scipy().toarray(), atol=1e-4)
