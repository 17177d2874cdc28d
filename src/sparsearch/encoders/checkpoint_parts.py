"""The parts that encoders are made of, read from the modules of sentence-transformers' format.

Modules are known by the names of their classes, its own and those of `sparsearch.training.modules`;
nothing is imported by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sparsearch.checks import is_whole
from sparsearch.encoders.checkpoint_files import (
    WEIGHTS,
    check_network,
    check_weights,
    inside,
    optional_json,
    read_json,
    refusal,
)
from sparsearch.errors import EncoderUnavailableError, shorten

__all__ = [
    "ACTIVATIONS",
    "ELEMENTWISE_ACTIVATIONS",
    "LEXICAL_HEAD",
    "POOLINGS",
    "SPLADE_ACTIVATIONS",
    "Head",
    "Network",
    "Reading",
    "Table",
    "advice_dense",
    "copies_of",
    "has_masked_lm_head",
    "module_name",
    "part_of",
]

LEXICAL_HEAD: Final = "sparse_linear.safetensors"
"""Weights of the head of BGE-M3: ``weight`` float32 ``[1, hidden]`` and ``bias`` ``[1]``."""

POOLINGS: tuple[str, ...] = ("max", "sum", "last")
ELEMENTWISE_ACTIVATIONS = (
    "identity",
    "relu",
    "log1p",  # log(1 + relu(x))
    "log1p_log1p",  # log(1 + log(1 + relu(x)))
    "log1p_softplus",  # log(1 + softplus(x))
)
ACTIVATIONS = (
    *ELEMENTWISE_ACTIVATIONS,
    "sparsemax",  # over the vocabulary, after pooling
    "entmax15",  # the same, alpha = 1.5
)
SPLADE_ACTIVATIONS: Final = {"relu": "log1p", "log1p_relu": "log1p_log1p"}
"""Names of `SpladePooling`, which always adds a ``log1p``, and ours."""

Reading = Literal["once", "twice", "prompted"]

_SPLADE_POOLINGS: Final = ("max", "sum")
_ROOTS: Final = ("sentence_transformers.", "sparsearch.training.modules.")
_READINGS: Final[Mapping[str, Reading]] = {
    "Transformer": "once",
    "MLMTransformer": "once",
    "EchoTransformer": "twice",
    "PromptTransformer": "prompted",
}
_POOLING_CHAINS: Final = (["SpladePooling"], ["VocabularyPooling"])
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True)
class Head:
    """What turns the states of a text's tokens into one vector.

    Parameters
    ----------
    kind : {"vocabulary", "term-weights", "gated"}
        Scores of all terms for each token; of the token itself; or those of EPIC.
    pooling : str
        Of `POOLINGS`, over the tokens of a text.
    activation : str
        Of `ACTIVATIONS`.
    weights : Path, optional
        Safetensors file. By default the head is that of the transformer's checkpoint.
    silent_ids : tuple of int, optional
        Tokens that are given no weight of their own; by default those that stand for no text.
    """

    kind: Literal["vocabulary", "term-weights", "gated"] = "vocabulary"
    pooling: str = "max"
    activation: str = "log1p"
    weights: Path | None = None
    silent_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Network:
    """A transformer and the head on it.

    Parameters
    ----------
    folder : Path
        Configuration, weights and tokenizer.
    head : Head
    reading : {"once", "twice", "prompted"}
        Decoders see what is before a token only: they read a text twice, of which the second copy
        counts, or in a prompt that asks for the next word.
    max_tokens : int, optional
        Longest input by the model's own settings, special tokens included.
    lower_case : bool
        Lower-case texts first.
    """

    folder: Path
    head: Head = Head()
    reading: Reading = "once"
    max_tokens: int | None = None
    lower_case: bool = False


@dataclass(frozen=True)
class Table:
    """One weight per token of the text, looked up; no network.

    Parameters
    ----------
    folder : Path
        The tokenizer.
    weights : Path
        Safetensors file with ``weight`` float32 ``[vocabulary]``, or JSON object of token to
        weight.
    """

    folder: Path
    weights: Path


def copies_of(reading: Reading) -> int:
    """Return how many times the length of a text its input may have; prompts take half of it."""
    return 1 if reading == "once" else 2


def module_name(root: Path, entry: object) -> str:
    """Return the name of a module's class; code from elsewhere is never run.

    Raises
    ------
    EncoderUnavailableError
        When it is none of sentence-transformers' or ours.
    """
    kind = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str):
        raise refusal(root, f"has a malformed module: {shorten(entry)}")
    if not kind.startswith(_ROOTS):
        raise refusal(
            root,
            f"needs Python code of its own ({shorten(kind)}), which is never run",
            "encode with its own code and import the vectors: docs/vectors.md",
        )
    return kind.rpartition(".")[2]


def part_of(root: Path, chain: Sequence[tuple[str, Path]]) -> Network | Table:
    """Return what one chain of modules is: a transformer and its head, or a table.

    Parameters
    ----------
    root : Path
        The model folder, for errors.
    chain : sequence of (str, Path)
        Class and folder of each module.

    Raises
    ------
    EncoderUnavailableError
        When it is no sparse encoder, or a file is missing or malformed.
    """
    names = [name for name, _ in chain]
    if names == ["SparseStaticEmbedding"]:
        return _table(root, chain[0][1])
    if not names or names[0] not in _READINGS:
        raise _no_encoder(root, names)
    head, reading, folder = _head(root, chain), _READINGS[names[0]], chain[0][1]
    settings = _transformer_settings(folder)
    if head.weights is None and reading == "once":
        implied = "fill-mask" if names[0] == "MLMTransformer" else None
        task = settings.get("transformer_task", implied)
        if task != "fill-mask" or not has_masked_lm_head(folder):
            reason = "puts SPLADE pooling on a transformer without a masked-LM head"
            raise refusal(root, reason, advice_dense(root))
    check_network(folder)
    return Network(
        folder,
        head,
        reading,
        max_tokens=_longest_input(root, settings, copies_of(reading)),
        lower_case=settings.get("do_lower_case") is True,
    )


def _head(root: Path, chain: Sequence[tuple[str, Path]]) -> Head:
    """Return the head that the modules after a transformer are."""
    names, folders = [name for name, _ in chain], [folder for _, folder in chain]
    reading, rest = _READINGS[names[0]], names[1:]
    if reading == "prompted" and not rest:
        return Head(pooling="last")
    if reading == "once" and rest in _POOLING_CHAINS:
        return _pooled_head(root, rest[0], folders[1], None)
    if reading != "prompted" and rest[:1] == ["TiedHead"] and rest[1:] in _POOLING_CHAINS:
        return _pooled_head(root, rest[1], folders[2], _weights(folders[1]))
    if reading == "once" and rest == ["EpicHead"]:
        return Head("gated", activation="log1p_softplus", weights=_weights(folders[1]))
    if reading == "once" and rest == ["TermWeights"]:
        return _term_weights(root, folders[1])
    raise _no_encoder(root, names)


def _pooled_head(root: Path, name: str, folder: Path, weights: Path | None) -> Head:
    config, known = read_json(folder / "config.json", dict), POOLINGS
    if name == "SpladePooling":
        known, pooling = _SPLADE_POOLINGS, config.get("pooling_strategy", "max")
        given = config.get("activation_function", "relu")
        activation = SPLADE_ACTIVATIONS.get(given) if isinstance(given, str) else None
    else:
        pooling = config.get("pooling", "max")
        given = activation = config.get("activation", "log1p")
    if pooling not in known or activation not in ACTIVATIONS:
        reason = f"has unknown pooling {shorten(pooling)}, activation {shorten(given)}"
        raise refusal(root, reason)
    return Head("vocabulary", pooling, activation, weights)


def _term_weights(root: Path, folder: Path) -> Head:
    config = read_json(folder / "config.json", dict)
    ignored, activation = config.get("ignored", []), config.get("activation", "relu")
    if not isinstance(ignored, list) or not all(is_whole(term, 0) for term in ignored):
        raise refusal(root, f"has malformed ignored terms: {shorten(ignored)}")
    if activation not in ELEMENTWISE_ACTIVATIONS:
        raise refusal(root, f"has an unknown activation of term weights: {shorten(activation)}")
    return Head("term-weights", "max", activation, _weights(folder), tuple(ignored))


def _weights(folder: Path) -> Path:
    check_weights(folder)
    return folder / WEIGHTS


def _longest_input(root: Path, settings: Mapping[str, Any], copies: int) -> int | None:
    """Return the most tokens a model was trained on, if its settings say so.

    Of a model with a length of its own for documents, that one: longer texts are read in windows
    of it, queries too, where sentence-transformers would cut them.
    """
    lengths = []
    for name, share in (("max_seq_length", copies), ("document_length", 1)):
        length = settings.get(name)
        if length is not None and not is_whole(length, 1):
            raise refusal(root, f"has malformed {name}: {shorten(length)}")
        lengths += [max(1, length // share)] if length is not None else []
    return min(lengths, default=None)


def _table(root: Path, folder: Path) -> Table:
    path = optional_json(folder / "config.json").get("path")
    if isinstance(path, str) and path.endswith(".json"):
        found = [at for at in (inside(folder, path), inside(root, path)) if at.is_file()]
        if not found:
            raise refusal(root, f"lacks the table of query weights {shorten(path)}")
        return Table(folder, found[0])
    check_weights(folder)
    return Table(folder, folder / WEIGHTS)


def _transformer_settings(folder: Path) -> dict[str, Any]:
    for name in _TRANSFORMER_CONFIGS:
        if (folder / name).is_file():
            return optional_json(folder / name)
    return {}


def has_masked_lm_head(folder: Path) -> bool:
    """Whether a transformer was saved with its masked-language-model head."""
    architectures = read_json(folder / "config.json", dict).get("architectures") or []
    return isinstance(architectures, list) and any(
        isinstance(name, str) and name.endswith("ForMaskedLM") for name in architectures
    )


def advice_dense(root: Path) -> str:
    """Return what to do about a model that is no sparse encoder."""
    pickled = (root / "sparse_linear.pt").is_file()
    if pickled:  # BGE-M3 as it is published
        return (
            f"its lexical head is a pickle (sparse_linear.pt), which is never read; where you "
            f"trust it, save its tensors with safetensors as {LEXICAL_HEAD}"
        )
    advice = (
        "dense models have no terms to index; give a sparse encoder (SPLADE family, inference-free)"
    )
    if optional_json(root / "config.json").get("model_type") == "xlm-roberta":
        # The pickle is never downloaded, so it is missing where the model comes from the hub.
        advice += (
            f"; if it is BGE-M3, save its lexical head, which is published as a pickle, as "
            f"{LEXICAL_HEAD}: docs/loading-models.md"
        )
    return advice


def _no_encoder(root: Path, names: Sequence[str]) -> EncoderUnavailableError:
    shown = " > ".join(names) or "nothing"
    return refusal(root, f"is no sparse encoder (its modules: {shown})", advice_dense(root))
