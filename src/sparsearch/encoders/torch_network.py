"""The networks of checkpoints in torch: token ids to the scores of all terms.

Weights are read from safetensors files only, and no code of a model is run. Imported where it is
needed only, since torch and transformers are the extra ``train``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM
from transformers.utils import logging as transformers_logging

from sparsearch.encoders.checkpoint import LEXICAL_HEAD, Network
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
    """A transformer with its head and pooling; see `Network`.

    Parameters
    ----------
    network : Network
    transformer : torch.nn.Module
        A masked language model, or for a lexical head a bare transformer.
    head : torch.nn.Linear, optional
        The lexical head.
    max_active : int, optional
        Most terms of a vector.
    silent_ids : tuple of int
        Tokens that a lexical head gives no weight.
    """

    def __init__(
        self,
        network: Network,
        transformer: Any,
        head: torch.nn.Linear | None = None,
        max_active: int | None = None,
        silent_ids: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.transformer = transformer
        self.head = head
        self.max_active = max_active
        self.silent_ids = silent_ids
        if head is None and network.pooling == "max":
            if transformer.base_model is transformer:
                kind = type(transformer).__name__
                raise EncoderUnavailableError(f"{network.folder}: {kind} has no head of its own")
            transformer.base_model.register_forward_hook(_repeat_first_token, with_kwargs=True)

    @property
    def dimension(self) -> int:
        """Number of terms."""
        return int(self.transformer.config.vocab_size)

    @property
    def max_positions(self) -> int | None:
        """Longest input that its position embeddings allow; None when it has none."""
        for name, module in self.transformer.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
                # RoBERTa numbers positions from the one after its padding token.
                first = 0 if module.padding_idx is None else module.padding_idx + 1
                return int(module.num_embeddings) - first
        return None

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
        if self.head is None:
            weights = self._masked_lm_weights(input_ids, attention_mask)
        else:
            weights = self._lexical_weights(input_ids, attention_mask)
        if self.max_active is not None and self.max_active < self.dimension:
            best, places = weights.topk(self.max_active)
            weights = torch.zeros_like(weights).scatter(1, places, best)
        # Not-a-number is no weight either, but must not be lost.
        rows, term_ids = torch.nonzero(weights, as_tuple=True)
        return rows, term_ids, weights[rows, term_ids]

    def _masked_lm_weights(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        logits = self.transformer(input_ids=input_ids, attention_mask=attention_mask).logits
        if self.network.pooling == "max":
            # The activation is monotone: the maximum may as well be taken first, which leaves
            # one logarithm a term instead of one a term and token.
            return self._activate(logits.amax(dim=1))
        return self._activate(logits * attention_mask.unsqueeze(-1).to(logits.dtype)).sum(dim=1)

    def _activate(self, logits: torch.Tensor) -> torch.Tensor:
        weights = torch.log1p(torch.relu(logits))
        return torch.log1p(weights) if self.network.activation == "log1p_relu" else weights

    def _lexical_weights(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        assert self.head is not None
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask)
        heard = attention_mask.bool()
        for silent in self.silent_ids:
            heard = heard & (input_ids != silent)
        scores = torch.relu(self.head(hidden.last_hidden_state)).squeeze(-1)
        scores = scores * heard.to(scores.dtype)
        nothing = torch.zeros((input_ids.shape[0], self.dimension), dtype=scores.dtype)
        return nothing.scatter_reduce(1, input_ids, scores, reduce="amax")


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

    Raises
    ------
    EncoderUnavailableError
        When a file is damaged, weights are missing, not finite or of another shape, or the
        architecture is unknown.
    """
    lexical = network.head == "lexical"
    kind = AutoModel if lexical else AutoModelForMaskedLM
    with quiet_transformers(), _loading_faults(network.folder):
        if lexical:
            transformer, info = _without_pooler(kind, network.folder)
            head = _lexical_head(network.folder, int(transformer.config.hidden_size))
        else:
            transformer, info = kind.from_pretrained(network.folder, **_LOADING)
            head = None
    _check_complete(network.folder, info)
    module = SparseNetwork(network, transformer, head, max_active, silent_ids)
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


def _without_pooler(kind: Any, folder: Path) -> Any:
    try:
        return kind.from_pretrained(folder, add_pooling_layer=False, **_LOADING)
    except TypeError:  # an architecture that has none
        return kind.from_pretrained(folder, **_LOADING)


def _lexical_head(folder: Path, hidden: int) -> torch.nn.Linear:
    tensors = load_file(folder / LEXICAL_HEAD)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {"weight": (1, hidden), "bias": (1,)}:
        raise ValueError(f"{LEXICAL_HEAD} holds {shapes}, not weight [1, {hidden}] and bias [1]")
    head = torch.nn.Linear(hidden, 1)
    head.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return head


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
