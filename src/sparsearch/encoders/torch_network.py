"""The networks of checkpoints in torch: token ids to the scores of all terms.

Weights are read from safetensors files only, and no code of a model is run. Imported where it is
needed only, since torch and transformers are the extra ``train``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils import logging as transformers_logging

from sparsearch.encoders.checkpoint_parts import Head, Network
from sparsearch.encoders.torch_activations import top_k
from sparsearch.encoders.torch_heads import GatedHead, TermWeightHead, VocabularyHead
from sparsearch.errors import EncoderUnavailableError, shorten

__all__ = ["SparseNetwork", "load_network", "quiet_transformers", "read_tensors"]

_OTHER_SHAPES = (
    "{folder} has weights of another shape than its config.json says; copy or download both again"
)

_LOADING: dict[str, Any] = {
    "local_files_only": True,
    "use_safetensors": True,
    "trust_remote_code": False,
    "dtype": torch.float32,
    # The plain form of attention makes a smaller ONNX graph, and is as exact.
    "attn_implementation": "eager",
    "output_loading_info": True,
}


class SparseNetwork(torch.nn.Module):  # type: ignore[misc]  # torch is not looked at
    """A transformer and the head on it; see `Network`.

    Parameters
    ----------
    network : Network
    transformer : torch.nn.Module
        With a head of its own where the network's has no weights, or a bare one.
    head : torch.nn.Module
        Of `sparsearch.encoders.torch_heads`.
    max_active : int, optional
        Most terms of a vector.
    """

    def __init__(
        self,
        network: Network,
        transformer: Any,
        head: torch.nn.Module,
        max_active: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.transformer = transformer
        self.head = head
        self.max_active = max_active
        own_head = network.head.weights is None
        self._states = "logits" if own_head else "last_hidden_state"
        # A masked language model's logits are too many to go through once more than needed.
        self._repeats_first = (
            own_head and network.reading == "once" and network.head.pooling == "max"
        )
        if self._repeats_first:
            if transformer.base_model is transformer:
                kind = type(transformer).__name__
                raise EncoderUnavailableError(f"{network.folder}: {kind} has no head of its own")
            transformer.base_model.register_forward_hook(_repeat_first_token, with_kwargs=True)

    @property
    def dimension(self) -> int:
        """Number of terms."""
        return int(self.transformer.config.vocab_size)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        device: torch.device = self.transformer.device
        return device

    @property
    def max_positions(self) -> int | None:
        """Longest input that its position embeddings allow; None when it has none."""
        for name, module in self.transformer.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
                # RoBERTa numbers positions from the one after its padding token.
                first = 0 if module.padding_idx is None else module.padding_idx + 1
                return int(module.num_embeddings) - first
        return None

    @property
    def configured_positions(self) -> int | None:
        """Longest input by its configuration, of whatever kind its positions are."""
        found = getattr(self.transformer.config, "max_position_embeddings", None)
        return int(found) if found else None

    def use_lean_attention(self) -> None:
        """Take the form of attention that never holds all pairs of tokens, if there is one.

        It is for running in torch: ONNX graphs are made of the plain form.
        """
        # Architectures without it, such as DeBERTa, keep the plain form.
        with quiet_transformers(), suppress(ValueError):
            self.transformer.set_attn_implementation("sdpa")

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the coordinates of all weights above 0, row by row.

        Parameters
        ----------
        input_ids, attention_mask : int64 tensor ``[batch, length]``

        Returns
        -------
        rows, term_ids : int64 tensor ``[nnz]``
        weights : float32 tensor ``[nnz]``
        """
        return self.entries(self.weights(input_ids, attention_mask, attention_mask))

    def weights(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, counted: torch.Tensor
    ) -> torch.Tensor:
        """Return the weights of all terms, float32 ``[batch, terms]``.

        Parameters
        ----------
        input_ids, attention_mask, counted : int64 tensor ``[batch, length]``
            `counted` is not 0 for tokens whose states count: all that are attended to, unless
            texts are read twice.
        """
        output = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        states = getattr(output, self._states)
        mask = None if self._repeats_first else counted
        weights: torch.Tensor = self.head(states, input_ids, mask)
        return weights

    def entries(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the coordinates of the largest weights above 0; see `forward`."""
        if self.max_active is not None:
            weights = top_k(weights, self.max_active)
        # Not-a-number is no weight either, but must not be lost.
        rows, term_ids = torch.nonzero(weights, as_tuple=True)
        return rows, term_ids, weights[rows, term_ids]


def _repeat_first_token(module: Any, arguments: Any, keywords: dict[str, Any], output: Any) -> Any:
    """Put the hidden state of the first token in the place of padding, ahead of the head.

    It changes no maximum over the tokens. The alternative, a mask on the logits, takes one more
    pass over an array of all tokens times all terms: an eighth of the time of encoding.
    """
    hidden = output.last_hidden_state
    real = keywords["attention_mask"].bool().unsqueeze(-1)
    output.last_hidden_state = torch.where(real, hidden, hidden[:, :1])
    return output


def load_network(
    network: Network, max_active: int | None = None, silent_ids: tuple[int, ...] = ()
) -> SparseNetwork:
    """Load the weights of a network.

    Parameters
    ----------
    network : Network
    max_active : int, optional
        Most terms of a vector.
    silent_ids : tuple of int
        Tokens that stand for no text.

    Raises
    ------
    EncoderUnavailableError
        When a file is damaged, weights are missing, not finite or of another shape, or the
        architecture is unknown.
    """
    with quiet_transformers(), _loading_faults(network.folder):
        if network.head.weights is not None:
            transformer, info = _without_pooler(network.folder)
        else:
            kind = AutoModelForCausalLM if network.reading == "prompted" else AutoModelForMaskedLM
            transformer, info = kind.from_pretrained(network.folder, **_LOADING)
        head = _load_head(network.head, transformer.config, silent_ids)
    _check_complete(network.folder, info)
    module = SparseNetwork(network, transformer, head, max_active)
    module.eval().requires_grad_(False)
    _check_finite(network.folder, module)
    return module


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file.

    Raises
    ------
    EncoderUnavailableError
        When it is damaged.
    """
    with _loading_faults(path.parent):
        return dict(load_file(path))


def _without_pooler(folder: Path) -> Any:
    try:
        return AutoModel.from_pretrained(folder, add_pooling_layer=False, **_LOADING)
    except TypeError:  # an architecture that has none
        return AutoModel.from_pretrained(folder, **_LOADING)


def _load_head(head: Head, config: Any, silent_ids: tuple[int, ...]) -> torch.nn.Module:
    if head.weights is None:
        return VocabularyHead(head.pooling, head.activation)
    terms, hidden = int(config.vocab_size), int(config.hidden_size)
    sizes = {
        "vocabulary": {"": terms},
        "term-weights": {"": 1},
        "gated": {"expansion.": terms, "importance.": 1, "quality.": 1},
    }[head.kind]
    expected: dict[str, tuple[int, ...]] = {}
    for part, size in sizes.items():
        expected |= {f"{part}weight": (size, hidden), f"{part}bias": (size,)}
    found = load_file(head.weights)
    tensors = {name.removeprefix("linear."): tensor.float() for name, tensor in found.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != expected:
        raise ValueError(f"{head.weights.name} holds {shapes}, not {expected}")
    if head.kind == "gated":
        return GatedHead(tensors)
    if head.kind == "vocabulary":
        return VocabularyHead(head.pooling, head.activation, tensors["weight"], tensors["bias"])
    silent = head.silent_ids
    if silent is None:  # a tokenizer may have more tokens than the transformer has terms
        silent = tuple(token for token in silent_ids if token < terms)
    return TermWeightHead(terms, head.activation, tensors["weight"], tensors["bias"], silent)


def _check_complete(folder: Path, info: dict[str, Any]) -> None:
    """Refuse a checkpoint that lacks weights: transformers would make up random ones."""
    missing = sorted(map(str, info["missing_keys"]))
    if missing:
        raise EncoderUnavailableError(
            f"{folder} lacks the weights {shorten(', '.join(missing))}, without which its vectors "
            "would be random; is it a sparse encoder, and complete?"
        )
    if info["mismatched_keys"]:
        raise EncoderUnavailableError(_OTHER_SHAPES.format(folder=folder))


def _check_finite(folder: Path, module: torch.nn.Module) -> None:
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise EncoderUnavailableError(
                f"{folder}: the weights {shorten(name)} hold NaN or infinite numbers; its training "
                "failed or the file is damaged: use another checkpoint"
            )


@contextmanager
def _loading_faults(folder: Path) -> Iterator[None]:
    """Turn what transformers and safetensors raise about a bad folder into one error."""
    try:
        yield
    except EncoderUnavailableError:
        raise
    except MemoryError:
        raise
    except SafetensorError as error:
        raise EncoderUnavailableError(
            f"{folder} has a damaged safetensors file ({error}); copy or download it again"
        ) from error
    except Exception as error:  # transformers raises dozens of kinds about the same thing
        if "mismatched_sizes" in str(error):
            raise EncoderUnavailableError(_OTHER_SHAPES.format(folder=folder)) from error
        reason = shorten(str(error).strip().partition("\n")[0], 300)
        raise EncoderUnavailableError(
            f"{folder} cannot be loaded ({type(error).__name__}: {reason})"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing bars and warning, such as about weights that are not used."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
