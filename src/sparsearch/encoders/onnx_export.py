"""Checkpoints written as model folders: an ONNX graph from token ids to sparse entries.

Pooling, activation and the choice of non-zeros are part of the graph, so that only the sparse
result leaves the runtime.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from sparsearch.encoders.model_folder import (
    MODEL_NAME,
    QUERY_MODEL_NAME,
    QUERY_WEIGHTS_NAME,
    SETTINGS_NAME,
    TOKENIZER_NAME,
)
from sparsearch.encoders.onnx_encoder import OnnxEncoder
from sparsearch.encoders.onnx_model import OnnxModel, SparseEntries
from sparsearch.encoders.torch_model import CheckpointParts, TorchModel
from sparsearch.encoders.torch_network import SparseNetwork
from sparsearch.errors import (
    EncoderError,
    MissingExtraError,
    StorageError,
    StorageUnavailableError,
    shorten,
)

__all__ = ["drop_traces", "export_checkpoint"]

_TOLERANCE: Final = 1e-3
"""Most that a weight of the exported graph, not quantised, may differ from torch's."""

_LEAST_COSINE: Final = 0.8
"""Least similarity of rounded weights to torch's, over windows of random tokens.

Of a transformer under an untrained head it is .86.
"""

_OPSET: Final = 20
_LARGEST_BATCH: Final = 1 << 15

_Weights: TypeAlias = dict[tuple[int, int], float]
"""By row and term."""


def export_checkpoint(parts: CheckpointParts, folder: Path, *, quantize: bool = True) -> None:
    """Write a checkpoint as a model folder; it appears whole or not at all.

    Parameters
    ----------
    parts : CheckpointParts
    folder : Path
        Must not exist, or be empty.
    quantize : bool
        Store the matrices as 8-bit integers and multiply in them, one scale a column, tables of
        embeddings one in all; the inputs of each product are rounded to 8 bits on the way. Windows
        are then run one by one (`ModelSettings.max_batch`), so that a text's vector is a function
        of the text alone.

    Raises
    ------
    MissingExtraError
        When the packages that write ONNX are not installed.
    StorageError
        When the folder is not empty or cannot be written.
    EncoderUnavailableError
        When the checkpoint is damaged.
    EncoderError
        When the graph cannot be made, or does not give what torch gives.
    """
    if not parts.exportable:
        reason = "is a decoder that reads its texts twice or in a prompt, which runs in torch only"
        raise EncoderError(f"{parts.checkpoint.root} {reason}; use backend='torch'")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists and is not an empty folder; give another")
    with _folder_in_the_making(folder) as made:
        # 8-bit products round on a scale that their batch shares: run one by one, a window's vector
        # does not depend on what it happens to be encoded with.
        settings = replace(parts.settings, max_batch=1) if quantize else parts.settings
        (made / SETTINGS_NAME).write_text(settings.to_json(), "utf-8")
        parts.load_tokenizer().save(str(made / TOKENIZER_NAME))
        _export_network(parts, parts.documents, made / MODEL_NAME, quantize)
        if parts.queries is None:
            table = save({"weights": parts.load_query_table().weights})
            (made / QUERY_WEIGHTS_NAME).write_bytes(table)
        elif parts.queries is not parts.documents:
            _export_network(parts, parts.queries, made / QUERY_MODEL_NAME, quantize)
        OnnxEncoder(made).encode_documents(["a"])


def _export_network(
    parts: CheckpointParts, network: SparseNetwork, path: Path, quantize: bool
) -> None:
    settings = parts.settings
    windows = _sample(settings.dimension, settings.max_length)
    expected = _dense(TorchModel(network, settings.pad_id).run(windows))
    _write_graph(network, settings.max_length, path)
    _check_equal(expected, _dense(OnnxModel(path, settings).run(windows)))
    if quantize:
        _quantize(path)
        rounded = OnnxModel(path, replace(settings, max_batch=1))
        _check_close(expected, _dense(rounded.run(windows)))
    drop_traces(path)


def drop_traces(path: Path) -> None:
    """Remove from an ONNX file what the exporter notes of the machine it ran on.

    Each node has the stack it came from, with the paths of files,
    which are nothing that others should read.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    del model.metadata_props[:]
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
            for attribute in node.attribute:
                graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.doc_string = ""
            del value.metadata_props[:]
    path.write_bytes(model.SerializeToString())


def _write_graph(network: SparseNetwork, longest: int, path: Path) -> None:
    example = torch.zeros((2, min(8, longest)), dtype=torch.int64)
    batch = torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)
    length = torch.export.Dim("length", min=1, max=longest)
    axes = {0: batch, 1: length}
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                network,
                (example, torch.ones_like(example)),
                input_names=["input_ids", "attention_mask"],
                output_names=["rows", "term_ids", "weights"],
                dynamic_shapes=(axes, axes),
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
            program.save(path, external_data=_is_large(network))
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "train") from error
    except Exception as error:  # the exporter's errors have no common class
        reason = shorten(str(error).strip().partition("\n")[0], 300)
        raise EncoderError(
            f"{network.network.folder} cannot be exported ({type(error).__name__}: {reason}); "
            "use backend='torch'"
        ) from error


def _quantize(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = path.with_name(f"plain-{path.name}")
    path.rename(plain)
    with _quiet_exporter():
        # Weights of 7 bits: the kernels of processors without VNNI add up pairs of products in 16
        # bits, which full ones overflow, so that vectors would be wrong there.
        quantize_dynamic(
            plain, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )
    for leftover in path.parent.glob(f"{path.name}.data*"):
        leftover.unlink()
    plain.unlink()


def _sample(dimension: int, longest: int) -> list[NDArray[np.int32]]:
    """Return a few windows of tokens, of different lengths."""
    rng = np.random.default_rng(0)
    lengths = [min(length, longest) for length in (3, 17, 40)]
    return [rng.integers(0, dimension, length).astype(np.int32) for length in lengths]


def _check_equal(wanted: _Weights, found: _Weights) -> None:
    """Make sure that the graph computes what torch computes."""
    worst = max(
        (abs(wanted.get(key, 0.0) - found.get(key, 0.0)) for key in wanted.keys() | found.keys()),
        default=0.0,
    )
    if worst > _TOLERANCE:
        raise EncoderError(
            f"the exported graph differs from torch by {worst:.2g}; use backend='torch'"
        )


def _check_close(wanted: _Weights, found: _Weights) -> None:
    """Make sure that rounding left the vectors about what they were.

    All windows together: one that has a few light terms says little.
    """
    product = sum(weight * found.get(key, 0.0) for key, weight in wanted.items())
    norms = _norm(wanted) * _norm(found)
    cosine = product / norms if norms else float(wanted.keys() == found.keys())
    if cosine < _LEAST_COSINE:
        raise EncoderError(
            f"8-bit integers change the vectors of this model too much (their cosine to torch's is "
            f"{cosine:.2f}, less than {_LEAST_COSINE}); use quantize=False"
        )


def _norm(weights: _Weights) -> float:
    return math.sqrt(sum(weight * weight for weight in weights.values()))


def _dense(entries: SparseEntries) -> _Weights:
    places = zip(entries.rows.tolist(), entries.term_ids.tolist(), strict=True)
    return dict(zip(places, entries.weights.tolist(), strict=True))


def _is_large(network: SparseNetwork) -> bool:
    """Whether its weights are too many for one protobuf message, which holds 2 GiB."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    return bool(total > (1 << 31) - (1 << 27))


@contextmanager
def _folder_in_the_making(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder` that takes its place when the block ends without error."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{uuid4().hex[:8]}-", dir=folder.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            yield made
            if folder.is_dir():
                folder.rmdir()
            os.replace(made, folder)
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot write {folder}: {error.strerror or error}"
        ) from error


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter and the quantiser from talking about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
