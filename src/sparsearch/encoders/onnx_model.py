"""Running an ONNX model whose output is sparse: windows of tokens in, (row, term, weight) out.

The runtime's own threads share one small matrix product badly; so every core runs batches of its
own instead, and what it holds at a time is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sparsearch.encoders.batches import batches_at_once, batches_by_length, padded
from sparsearch.encoders.model_folder import ModelSettings
from sparsearch.errors import EncoderError, FileFormatError

__all__ = ["OnnxModel", "SparseEntries", "open_session"]

_BATCH_CELLS: Final = 1 << 24
"""Tokens times terms of a batch. A masked-LM head makes one float32 of each: 64 MiB a core."""

_BATCH_TOKENS: Final = 4096
"""Tokens of a batch where terms are few; larger batches are not faster."""

_INPUTS: Final = {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}
_OUTPUTS: Final = {"rows": "tensor(int64)", "term_ids": "tensor(int64)", "weights": "tensor(float)"}


@dataclass(frozen=True)
class SparseEntries:
    """Entries of a sparse matrix, in no particular order.

    Parameters
    ----------
    rows, term_ids : ndarray of int64 [n]
    weights : ndarray of float32 [n]
        Positive and finite.
    """

    rows: NDArray[np.int64]
    term_ids: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: Sequence[SparseEntries]) -> SparseEntries:
        """Return the entries of all parts."""
        if not parts:
            nothing = np.empty(0, np.int64)
            return cls(nothing, nothing, np.empty(0, np.float32))
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.term_ids for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )


class OnnxModel:
    """A sparse encoder as an ONNX graph, loaded when it is first run.

    Its inputs are ``input_ids`` and ``attention_mask``, int64 ``[batch, length]``; its outputs
    ``rows`` and ``term_ids``, int64 ``[entries]``, and ``weights``, float32 ``[entries]``. Several
    threads may run it at once.

    Parameters
    ----------
    path : Path
    settings : ModelSettings
        Its `dimension`, `pad_id` and `max_batch` are used.
    """

    def __init__(self, path: Path, settings: ModelSettings) -> None:
        self._path = path
        self._dimension = settings.dimension
        self._pad_id = settings.pad_id
        self._max_batch = settings.max_batch
        self._session: Any = None
        self._loading = Lock()

    def run(self, windows: Sequence[NDArray[np.int32]]) -> SparseEntries:
        """Encode windows of tokens, none of them empty.

        Parameters
        ----------
        windows : sequence of ndarray of int32
            Tokens of each, framed.

        Returns
        -------
        SparseEntries
            Rows are positions in `windows`.

        Raises
        ------
        FileFormatError
            When the file is no such model.
        EncoderError
            When the model fails, or its output is not what was promised.
        """
        session = self._loaded()
        lengths = [len(window) for window in windows]
        batches = list(self._batches(lengths))
        shapes = ((len(batch), lengths[batch[0]]) for batch in batches)  # the longest comes first
        at_once = batches_at_once(shapes, self._dimension)
        workers = min(os.cpu_count() or 1, len(batches), at_once)

        def work(batch: NDArray[np.int64]) -> SparseEntries:
            return self._run_batch(session, batch, [windows[i] for i in batch.tolist()])

        if workers <= 1:
            parts = [work(batch) for batch in batches]
        else:
            with ThreadPoolExecutor(workers) as pool:
                parts = list(pool.map(work, batches))
        return SparseEntries.joined(parts)

    def _batches(self, lengths: Sequence[int]) -> Iterator[NDArray[np.int64]]:
        """Yield positions of windows of about one length, as many as memory allows."""
        limit = max(1, min(_BATCH_TOKENS, _BATCH_CELLS // self._dimension))
        return batches_by_length(lengths, limit, self._max_batch)

    def _run_batch(
        self, session: Any, positions: NDArray[np.int64], windows: Sequence[NDArray[np.int32]]
    ) -> SparseEntries:
        tokens, mask = padded(windows, self._pad_id)
        try:
            outputs = session.run(list(_OUTPUTS), {"input_ids": tokens, "attention_mask": mask})
        except Exception as error:  # the runtime's errors have no common class
            raise EncoderError(f"{self._path} failed on a batch of texts: {error}") from error
        rows, term_ids, weights = self._checked(outputs, len(windows))
        kept = weights > 0
        return SparseEntries(positions[rows[kept]], term_ids[kept], weights[kept])

    def _checked(
        self, outputs: Sequence[Any], n_rows: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        rows, term_ids, weights = outputs
        if rows.ndim != 1 or not rows.shape == term_ids.shape == weights.shape:
            reason = f"shapes {rows.shape}, {term_ids.shape} and {weights.shape}; one is expected"
            raise EncoderError(f"{self._path} gave rows, term_ids and weights of {reason}")
        for name, values, limit in (
            ("row", rows, n_rows),
            ("term id", term_ids, self._dimension),
        ):
            if values.size and not 0 <= values.min() <= values.max() < limit:
                wrong = values[(values < 0) | (values >= limit)][0]
                raise EncoderError(
                    f"{self._path} gave the {name} {wrong}; it must be below {limit}"
                )
        usable = np.isfinite(weights) & (weights >= 0)
        if not usable.all():
            at = int((~usable).argmax())
            raise EncoderError(
                f"{self._path} gave term {term_ids[at]} the weight {weights[at]}; weights of a "
                "sparse encoder are finite and not negative"
            )
        return rows, term_ids, weights

    def _loaded(self) -> Any:
        with self._loading:
            if self._session is None:
                self._session = _open_sparse(self._path)
            return self._session


def open_session(model: str | bytes) -> Any:
    """Return a session, of one thread a run, of a model's file or of its bytes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Batches differ in shape: a pattern kept for each would only add up.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _open_sparse(path: Path) -> Any:
    """Return a session of a sparse encoder's file, whose inputs and outputs are checked."""
    try:
        session = open_session(str(path))
    except Exception as error:  # the runtime's errors have no common class
        raise FileFormatError(path, None, f"cannot be loaded by ONNX Runtime: {error}") from error
    for kind, expected, found in (
        ("inputs", _INPUTS, session.get_inputs()),
        ("outputs", _OUTPUTS, session.get_outputs()),
    ):
        types = {node.name: node.type for node in found}
        if types != expected:
            raise FileFormatError(path, None, f"has {kind} {types}; expected are {expected}")
    return session
