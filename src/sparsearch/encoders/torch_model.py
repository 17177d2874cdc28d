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
from tokenizers import Tokenizer

from sparsearch.encoders.batches import batches_by_length, padded
from sparsearch.encoders.checkpoint import Checkpoint
from sparsearch.encoders.checkpoint_parts import Network, Table, copies_of
from sparsearch.encoders.checkpoint_tokenizer import CheckpointTokenizer, load_tokenizer
from sparsearch.encoders.model_folder import ModelSettings, QueryTable
from sparsearch.encoders.onnx_encoder import NetworkEncoder
from sparsearch.encoders.onnx_model import SparseEntries
from sparsearch.encoders.prompting import PROMPT, content_words, split_prompt
from sparsearch.encoders.torch_network import SparseNetwork, load_network, read_tensors
from sparsearch.errors import EncoderError, EncoderUnavailableError, InvalidInputError, shorten

__all__ = ["CheckpointParts", "TorchModel", "torch_encoder"]

_BATCH_CELLS: Final = 1 << 25
"""Tokens times terms of a batch: 128 MiB of logits."""

_LONGEST_INPUT: Final = 2048
"""Most tokens of an input, whatever the model takes: attention's memory grows as their square."""

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
        documents, queries = self.checkpoint.documents, self.checkpoint.queries
        root, advice = self.checkpoint.root, "encode with sentence-transformers, import the vectors"
        if isinstance(documents, Table):
            reason = "encodes documents by a table of token weights, which is not supported"
            raise EncoderUnavailableError(f"{root} {reason}; {advice}")
        if isinstance(queries, Network) and queries.reading != documents.reading:
            reason = f"reads documents {documents.reading}, queries {queries.reading}"
            raise EncoderUnavailableError(f"{root} {reason}, which is not supported; {advice}")
        return documents

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

    @property
    def exportable(self) -> bool:
        """Whether an ONNX graph can be made of all networks: where texts are read as they are."""
        return self.network.reading == "once"

    @cached_property
    def settings(self) -> ModelSettings:
        """What an encoder must know about them."""
        tokenizer, reading = self.tokenizer, self.network.reading
        framed, queries = reading == "once", self.checkpoint.queries
        prefix_ids = tokenizer.prefix_ids if framed else ()
        suffix_ids = tokenizer.suffix_ids if framed else ()
        frame = len(prefix_ids) + len(suffix_ids)
        longest = self._longest_input()
        try:
            return ModelSettings(
                name=self.checkpoint.root.name or "model",
                dimension=self.documents.dimension,
                max_length=longest,
                overlap=max(0, min(_LONGEST_OVERLAP, (longest - frame) // 4)),
                # Padding is masked: any token will do where the transformer has no such term.
                pad_id=tokenizer.pad_id if tokenizer.pad_id < self.documents.dimension else 0,
                prefix_ids=prefix_ids,
                suffix_ids=suffix_ids,
                queries="weights" if isinstance(queries, Table) else "model",
                document_prompt=self._prompt_of(self.network, self.checkpoint.document_prompt),
                query_prompt=self._prompt_of(queries, self.checkpoint.query_prompt),
                max_query_terms=self.checkpoint.max_active if isinstance(queries, Table) else None,
            )
        except InvalidInputError as error:
            raise EncoderUnavailableError(f"{self.checkpoint.root}: {error}") from error

    @staticmethod
    def _prompt_of(part: Network | Table, prompt: str) -> str:
        """Return what to put before texts; a prompted network puts them into its prompt itself."""
        prompted = isinstance(part, Network) and part.reading == "prompted"
        return "" if prompted else prompt

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
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
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
        return load_network(network, self.checkpoint.max_active, self.tokenizer.silent_ids)

    def _longest_input(self) -> int:
        networks = [self.documents] if self.queries is None else [self.documents, self.queries]
        copies = copies_of(self.network.reading)
        inputs = [*(network.max_positions for network in networks), self.tokenizer.max_tokens]
        texts = [network.network.max_tokens for network in networks]
        texts += [None if limit is None else limit // copies for limit in inputs]
        longest = min((limit for limit in texts if limit is not None), default=512)
        configured = [_LONGEST_INPUT, *(network.configured_positions for network in networks)]
        return max(1, min([longest, *(n // copies for n in configured if n is not None)]))


class TorchModel:
    """A sparse network in torch, wherever that is; runs as `OnnxModel` does.

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
            When the model fails, or gives weights that are not finite.
        """
        limit = max(1, _BATCH_CELLS // self._network.dimension)
        inputs = [self._read(window) for window in windows]
        parts = []
        for positions in batches_by_length([len(tokens) for tokens in inputs], limit):
            rows = positions.tolist()
            batch = [windows[row] for row in rows], [inputs[row] for row in rows]
            parts.append(self._run_batch(positions, *batch))
        return SparseEntries.joined(parts)

    def _read(self, window: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the tokens that the network is given for a window."""
        return window

    def _weights(
        self, windows: Sequence[NDArray[np.int32]], inputs: Sequence[NDArray[np.int32]]
    ) -> torch.Tensor:
        """Return the weights of all terms, ``[windows, terms]``."""
        tokens, mask = padded(inputs, self._pad_id)
        return self._network.weights(*self._tensors(tokens, mask, mask))

    def _tensors(self, *arrays: NDArray[np.int64]) -> list[torch.Tensor]:
        return [torch.from_numpy(array).to(self._network.device) for array in arrays]

    def _run_batch(
        self,
        positions: NDArray[np.int64],
        windows: Sequence[NDArray[np.int32]],
        inputs: Sequence[NDArray[np.int32]],
    ) -> SparseEntries:
        folder = shorten(str(self._network.network.folder))
        try:
            with torch.inference_mode():
                outputs = self._network.entries(self._weights(windows, inputs))
            rows, term_ids, weights = (output.cpu().numpy() for output in outputs)
        except Exception as error:  # torch's errors have no common class
            raise EncoderError(f"{folder} failed on a batch of texts: {error}") from error
        if not np.isfinite(weights).all():
            raise EncoderError(f"{folder} gave a weight that is no finite number")
        return SparseEntries(positions[rows], term_ids, weights)


class EchoModel(TorchModel):
    """A decoder that reads each window twice, of which the second copy counts.

    The copies follow one another, and padding comes behind both: decoders whose attention reaches
    only so far count places, not tokens.
    """

    def _read(self, window: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.tile(window, 2)

    def _weights(
        self, windows: Sequence[NDArray[np.int32]], inputs: Sequence[NDArray[np.int32]]
    ) -> torch.Tensor:
        tokens, mask = padded(inputs, self._pad_id)
        counted = mask.copy()
        for row, window in enumerate(windows):
            counted[row, : len(window)] = 0
        return self._network.weights(*self._tensors(tokens, mask, counted))


class PromptedModel(TorchModel):
    """A decoder that is asked for the next word after a text: of the text's own words, each weight.

    A word that a window's edge cuts apart is seen as its parts.

    Parameters
    ----------
    network : SparseNetwork
    pad_id : int
    tokenizer : tokenizers.Tokenizer
    prompt : str
        Holds ``{text}``.
    """

    def __init__(
        self, network: SparseNetwork, pad_id: int, tokenizer: Tokenizer, prompt: str
    ) -> None:
        super().__init__(network, pad_id)
        self._tokenizer = tokenizer
        self._before, self._after = split_prompt(prompt)

    def _read(self, window: NDArray[np.int32]) -> NDArray[np.int32]:
        text = self._tokenizer.decode(window.tolist(), skip_special_tokens=False)
        return self._token_ids(self._before + text + self._after)

    def _weights(
        self, windows: Sequence[NDArray[np.int32]], inputs: Sequence[NDArray[np.int32]]
    ) -> torch.Tensor:
        weights = super()._weights(windows, inputs)
        occurring = torch.zeros_like(weights)
        for row, window in enumerate(windows):
            text = self._tokenizer.decode(window.tolist(), skip_special_tokens=True)
            occurring[row, self._token_ids(content_words(text)).tolist()] = 1.0
        return weights * occurring

    def _token_ids(self, text: str) -> NDArray[np.int32]:
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return np.asarray(encoded.ids, dtype=np.int32)


def torch_encoder(parts: CheckpointParts) -> NetworkEncoder:
    """Return the encoder of a checkpoint that runs in torch, on a GPU if there is one."""
    prompts = parts.checkpoint.document_prompt, parts.checkpoint.query_prompt
    documents = _model(parts, parts.documents, prompts[0])
    shared = parts.queries is parts.documents and prompts[0] == prompts[1]
    if parts.queries is None or shared:
        return NetworkEncoder(parts, documents, documents)
    return NetworkEncoder(parts, documents, _model(parts, parts.queries, prompts[1]))


def _model(parts: CheckpointParts, network: SparseNetwork, prompt: str) -> TorchModel:
    pad_id = parts.settings.pad_id
    network.use_lean_attention()
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    if network.network.reading != "prompted":
        kind = TorchModel if network.network.reading == "once" else EchoModel
        return kind(network, pad_id)
    try:
        return PromptedModel(network, pad_id, parts.load_tokenizer(), prompt or PROMPT)
    except InvalidInputError as error:
        raise EncoderUnavailableError(f"{parts.checkpoint.root}: {error}") from error
