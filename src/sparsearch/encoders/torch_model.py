"""Encoders that run in torch, and what is needed of a checkpoint to export it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from sparsearch.encoders.batches import batches_by_length, padded
from sparsearch.encoders.checkpoint import Checkpoint, Network, Table
from sparsearch.encoders.checkpoint_tokenizer import CheckpointTokenizer, load_tokenizer
from sparsearch.encoders.model_folder import ModelSettings, QueryTable
from sparsearch.encoders.onnx_encoder import NetworkEncoder
from sparsearch.encoders.onnx_model import SparseEntries
from sparsearch.encoders.torch_network import SparseNetwork, load_network, read_tensors
from sparsearch.errors import EncoderError, EncoderUnavailableError, InvalidInputError, shorten

__all__ = ["CheckpointParts", "TorchModel", "torch_encoder"]

_BATCH_CELLS: Final = 1 << 25
"""Tokens times terms of a batch: 128 MiB of logits."""

_LONGEST_OVERLAP: Final = 64


@dataclass(frozen=True)
class CheckpointParts:
    """The parts of a checkpoint, each loaded when it is first asked for.

    Parameters
    ----------
    checkpoint : Checkpoint
    digest : str
        Of its files.

    Raises
    ------
    EncoderUnavailableError
        By every part, when a file is damaged or does not go with the others.
    """

    checkpoint: Checkpoint
    digest: str

    @cached_property
    def network(self) -> Network:
        """What encodes documents."""
        if isinstance(self.checkpoint.documents, Table):
            raise EncoderUnavailableError(
                f"{self.checkpoint.root} encodes documents by a table of token weights, which is "
                "not supported; encode with sentence-transformers and import the vectors"
            )
        return self.checkpoint.documents

    @cached_property
    def tokenizer(self) -> CheckpointTokenizer:
        """Of documents, and of queries too."""
        network = self.network
        found = load_tokenizer(network.folder, lower_case=network.lower_case)
        query_folder = self.checkpoint.queries.folder
        if query_folder != network.folder:
            of_queries = load_tokenizer(query_folder)
            if of_queries.tokenizer.get_vocab() != found.tokenizer.get_vocab():
                raise EncoderUnavailableError(
                    f"{self.checkpoint.root} has other tokens for queries than for documents"
                )
        return found

    @cached_property
    def documents(self) -> SparseNetwork:
        """The network of documents."""
        return self._load(self.network)

    @cached_property
    def queries(self) -> SparseNetwork | None:
        """The network of queries; None when they are looked up in a table."""
        part = self.checkpoint.queries
        if isinstance(part, Table):
            return None
        return self.documents if part == self.network else self._load(part)

    @cached_property
    def settings(self) -> ModelSettings:
        """What an encoder must know about them."""
        tokenizer = self.tokenizer
        frame = len(tokenizer.prefix_ids) + len(tokenizer.suffix_ids)
        longest = self._longest_input()
        try:
            return ModelSettings(
                name=self.checkpoint.root.name or "model",
                dimension=self.documents.dimension,
                max_length=longest,
                overlap=max(0, min(_LONGEST_OVERLAP, (longest - frame) // 4)),
                pad_id=tokenizer.pad_id,
                prefix_ids=tokenizer.prefix_ids,
                suffix_ids=tokenizer.suffix_ids,
                queries="weights" if isinstance(self.checkpoint.queries, Table) else "model",
                document_prompt=self.checkpoint.document_prompt,
                query_prompt=self.checkpoint.query_prompt,
            )
        except InvalidInputError as error:
            raise EncoderUnavailableError(f"{self.checkpoint.root}: {error}") from error

    def load_tokenizer(self) -> Any:
        """Return the ``tokenizers.Tokenizer``."""
        return self.tokenizer.tokenizer

    def load_query_table(self) -> QueryTable:
        """Return what each token weighs in a query."""
        return QueryTable.of_tokens(self._query_weights())

    def _query_weights(self) -> NDArray[np.float32]:
        table = self.checkpoint.queries
        assert isinstance(table, Table)
        dimension = self.settings.dimension
        if table.weights.suffix == ".json":
            return self._json_weights(table, dimension)
        tensors = read_tensors(table.weights)
        weight = tensors.get("weight")
        if weight is None or weight.ndim != 1 or len(weight) > dimension:
            raise EncoderUnavailableError(
                f"{table.weights} must hold 'weight', one number a token, at most {dimension}"
            )
        weights = np.zeros(dimension, np.float32)
        weights[: len(weight)] = weight.float().numpy()
        return self._checked(table, weights)

    def _json_weights(self, table: Table, dimension: int) -> NDArray[np.float32]:
        weights = np.zeros(dimension, np.float32)
        try:
            for token, weight in json.loads(table.weights.read_bytes()).items():
                token_id = self.tokenizer.tokenizer.token_to_id(token)
                if token_id is not None and token_id < dimension:
                    weights[token_id] = weight
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise EncoderUnavailableError(
                f"{table.weights} is no JSON object of token to weight: {error}"
            ) from error
        return self._checked(table, weights)

    @staticmethod
    def _checked(table: Table, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        unusable = ~(np.isfinite(weights) & (weights >= 0))
        if unusable.any():
            token_id = int(unusable.argmax())
            raise EncoderUnavailableError(
                f"{table.weights}: the weight of token {token_id} is {weights[token_id]}; "
                "it must be a finite number, at least 0"
            )
        return weights

    def _load(self, network: Network) -> SparseNetwork:
        silent = self.tokenizer.silent_ids if network.head == "lexical" else ()
        return load_network(network, self.checkpoint.max_active, silent)

    def _longest_input(self) -> int:
        networks = [self.documents] if self.queries is None else [self.documents, self.queries]
        limits = [network.max_positions for network in networks]
        limits += [network.network.max_tokens for network in networks]
        given = [limit for limit in (*limits, self.tokenizer.max_tokens) if limit is not None]
        return min(given, default=512)


class TorchModel:
    """A sparse network in torch; runs as `OnnxModel` does.

    Parameters
    ----------
    network : SparseNetwork
    pad_id : int
    """

    def __init__(self, network: SparseNetwork, pad_id: int) -> None:
        self._network = network
        self._pad_id = pad_id

    def run(self, windows: Sequence[NDArray[np.int32]]) -> SparseEntries:
        """Encode windows of tokens, none of them empty; see `OnnxModel.run`.

        Raises
        ------
        EncoderError
            When the model gives weights that are not finite.
        """
        limit = max(1, _BATCH_CELLS // self._network.dimension)
        parts = [
            self._run_batch(positions, [windows[i] for i in positions.tolist()])
            for positions in batches_by_length([len(window) for window in windows], limit)
        ]
        return SparseEntries.joined(parts)

    def _run_batch(
        self, positions: NDArray[np.int64], windows: Sequence[NDArray[np.int32]]
    ) -> SparseEntries:
        tokens, mask = padded(windows, self._pad_id)
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(tokens), torch.from_numpy(mask))
        rows, term_ids, weights = (output.numpy() for output in outputs)
        if not np.isfinite(weights).all():
            folder = shorten(str(self._network.network.folder))
            raise EncoderError(f"{folder} gave a weight that is no finite number")
        return SparseEntries(positions[rows], term_ids, weights)


def torch_encoder(parts: CheckpointParts) -> NetworkEncoder:
    """Return the encoder of a checkpoint that runs in torch."""
    pad_id = parts.settings.pad_id
    documents = TorchModel(parts.documents, pad_id)
    if parts.queries is None or parts.queries is parts.documents:
        return NetworkEncoder(parts, documents, documents)
    return NetworkEncoder(parts, documents, TorchModel(parts.queries, pad_id))
