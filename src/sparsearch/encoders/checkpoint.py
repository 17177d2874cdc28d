"""What a folder of a trained model holds, found out from its JSON files alone.

No weight is read here and no code of the model is ever run: a folder either is one of the forms
that are known, or is refused with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from sparsearch.checks import is_whole
from sparsearch.errors import EncoderUnavailableError, InvalidInputError, shorten

__all__ = ["LEXICAL_HEAD", "Checkpoint", "Network", "Table", "read_checkpoint"]

Pooling = Literal["max", "sum"]
Activation = Literal["relu", "log1p_relu"]

LEXICAL_HEAD: Final = "sparse_linear.safetensors"
"""Weights of the head of BGE-M3: ``weight`` float32 ``[1, hidden]`` and ``bias`` ``[1]``."""

_RECIPES = ("splade",)
_MODULE_ROOT = "sentence_transformers."
_TRANSFORMERS = frozenset({"Transformer", "MLMTransformer"})
_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_WEIGHTS: Final = "model.safetensors"
_SHARDS: Final = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_IMPLEMENTATIONS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
_LARGEST_JSON = 64 * 1024 * 1024
_ADVICE_PICKLE = (
    "pickles can run code and are never read; where you trust the model, convert it with "
    "AutoModelForMaskedLM.from_pretrained(...).save_pretrained(...)"
)


@dataclass(frozen=True)
class Network:
    """A transformer, the head on it, and how the scores of its tokens become one vector.

    Parameters
    ----------
    folder : Path
        Configuration, weights and tokenizer.
    head : {"masked-lm", "lexical"}
        Scores of all terms for each token, or (BGE-M3) of the token itself.
    pooling : {"max", "sum"}
        Over the tokens of a text.
    activation : {"relu", "log1p_relu"}
        ``log(1 + relu(x))``, or the logarithm of one plus that again; a lexical head has
        ``relu(x)`` in any case.
    max_tokens : int, optional
        Longest input by the model's own settings, special tokens included.
    lower_case : bool
        Lower-case texts first.
    """

    folder: Path
    head: Literal["masked-lm", "lexical"] = "masked-lm"
    pooling: Pooling = "max"
    activation: Activation = "relu"
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


@dataclass(frozen=True)
class Checkpoint:
    """The parts of an encoder.

    Parameters
    ----------
    root : Path
        The model folder.
    documents, queries : Network or Table
    document_prompt, query_prompt : str
        Put before each text.
    max_active : int, optional
        Most terms of a vector; the heaviest are kept.
    """

    root: Path
    documents: Network | Table
    queries: Network | Table
    document_prompt: str = ""
    query_prompt: str = ""
    max_active: int | None = None


def read_checkpoint(root: Path, recipe: str | None = None) -> Checkpoint:
    """Find out what the model in a folder is made of.

    Parameters
    ----------
    root : Path
    recipe : {"splade"}, optional
        What to make of a masked language model.

    Raises
    ------
    InvalidInputError
        When a recipe is given for a model that has its own pooling, or is unknown.
    EncoderUnavailableError
        When it is no sparse encoder, a file is missing or malformed, or it needs code of its own.
    """
    if recipe is not None and recipe not in _RECIPES:
        raise InvalidInputError(f"unknown recipe {shorten(recipe)}; known: {', '.join(_RECIPES)}")
    if (root / "modules.json").is_file() and not (root / LEXICAL_HEAD).is_file():
        if recipe is not None:
            raise InvalidInputError(f"{root} has pooling of its own; leave out the recipe")
        return _sentence_transformers_plan(root)
    if not (root / "config.json").is_file() or (root / "model" / "modules.json").is_file():
        if (root / "model" / "modules.json").is_file():
            raise _refusal(root, "is the folder of a training run", f"give {root / 'model'}")
        raise _refusal(root, "is no model folder: it has neither modules.json nor config.json")
    if (root / LEXICAL_HEAD).is_file():
        _check_network(root)
        network = Network(root, head="lexical")
        return Checkpoint(root, network, network)
    network = _plain_network(root, recipe)
    return Checkpoint(root, network, network)


def _plain_network(root: Path, recipe: str | None) -> Network:
    if not _has_masked_lm_head(root):
        raise _refusal(root, "is a transformer without a masked-LM head", _advice_dense(root))
    if recipe is None:
        raise _refusal(
            root,
            "is a masked language model without pooling",
            "if it was trained as SPLADE, give recipe='splade'",
        )
    _check_network(root)
    return Network(root)


def _sentence_transformers_plan(root: Path) -> Checkpoint:
    """Read ``modules.json``: a pair of modules, or a router to such pairs."""
    modules = _read_json(root / "modules.json", list)
    chain = [(_class_name(root, entry), _inside(root, entry.get("path", ""))) for entry in modules]
    settings = _optional_json(root / "config_sentence_transformers.json")
    names = [name for name, _ in chain]
    if names == ["Router"]:
        plan = _routed_plan(root, chain[0][1])
    else:
        part = _part(root, chain)
        plan = Checkpoint(root, part, part)
    return _with_settings(plan, settings)


def _routed_plan(root: Path, folder: Path) -> Checkpoint:
    name = "router_config.json"
    config = _read_json(folder / (name if (folder / name).is_file() else "config.json"), dict)
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise _refusal(root, f"has a malformed {name}: no types or structure")
    parts: dict[str, Network | Table] = {}
    for route in ("document", "query"):
        members = structure.get(route)
        if not isinstance(members, list) or not set(map(str, members)) <= types.keys():
            raise _refusal(root, f"has a malformed {name}: no modules for route {route!r}")
        chain = [
            (_class_name(root, {"type": types[member]}), _inside(folder, member))
            for member in members
        ]
        parts[route] = _part(root, chain)
    return Checkpoint(root, parts["document"], parts["query"])


def _with_settings(plan: Checkpoint, settings: dict[str, Any]) -> Checkpoint:
    """Apply ``config_sentence_transformers.json``."""
    prompts = settings.get("prompts") or {}
    most = settings.get("max_active_dims")
    default_name = settings.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(
        isinstance(prompt, str) for prompt in prompts.values()
    ):
        raise _refusal(plan.root, f"has malformed prompts: {shorten(prompts)}")
    if most is not None and not is_whole(most, 1):
        raise _refusal(plan.root, f"has malformed max_active_dims: {shorten(most)}")

    def prompt(*names: str) -> str:
        return next((prompts[name] for name in (*names, default_name) if name in prompts), "")

    return replace(
        plan,
        document_prompt=prompt(*_DOCUMENT_PROMPTS),
        query_prompt=prompt("query"),
        max_active=most,
    )


def _part(root: Path, chain: list[tuple[str, Path]]) -> Network | Table:
    """Return what one chain of modules is: transformer and SPLADE pooling, or a table."""
    names = [name for name, _ in chain]
    if names == ["SparseStaticEmbedding"]:
        return _table(root, chain[0][1])
    if len(names) != 2 or names[0] not in _TRANSFORMERS or names[1] != "SpladePooling":
        shown = " > ".join(names) or "nothing"
        raise _refusal(root, f"is no sparse encoder (its modules: {shown})", _advice_dense(root))
    folder, pooling_folder = chain[0][1], chain[1][1]
    settings = _transformer_settings(folder)
    task = settings.get("transformer_task", "fill-mask" if names[0] == "MLMTransformer" else None)
    if task != "fill-mask" or not _has_masked_lm_head(folder):
        reason = "puts SPLADE pooling on a transformer without a masked-LM head"
        raise _refusal(root, reason, _advice_dense(root))
    _check_network(folder)
    pooling = _read_json(pooling_folder / "config.json", dict)
    strategy = pooling.get("pooling_strategy", "max")
    activation = pooling.get("activation_function", "relu")
    if strategy not in ("max", "sum") or activation not in ("relu", "log1p_relu"):
        reason = f"has unknown pooling {shorten(strategy)}, activation {shorten(activation)}"
        raise _refusal(root, reason)
    return Network(
        folder,
        pooling=cast(Pooling, strategy),
        activation=cast(Activation, activation),
        max_tokens=_longest_input(root, settings),
        lower_case=settings.get("do_lower_case") is True,
    )


def _longest_input(root: Path, settings: Mapping[str, Any]) -> int | None:
    """Return the most tokens a model was trained on, if its settings say so.

    Of a model with a length of its own for documents, that one: longer texts are read in windows
    of it, queries too, where sentence-transformers would cut them.
    """
    lengths = []
    for name in ("max_seq_length", "document_length"):
        length = settings.get(name)
        if length is not None and not is_whole(length, 1):
            raise _refusal(root, f"has malformed {name}: {shorten(length)}")
        lengths += [length] if length is not None else []
    return min(lengths, default=None)


def _table(root: Path, folder: Path) -> Table:
    path = _optional_json(folder / "config.json").get("path")
    if isinstance(path, str) and path.endswith(".json"):
        found = [at for at in (_inside(folder, path), _inside(root, path)) if at.is_file()]
        if not found:
            raise _refusal(root, f"lacks the table of query weights {shorten(path)}")
        return Table(folder, found[0])
    _check_weights(folder)
    return Table(folder, folder / _WEIGHTS)


def _transformer_settings(folder: Path) -> dict[str, Any]:
    for name in _TRANSFORMER_CONFIGS:
        if (folder / name).is_file():
            return _optional_json(folder / name)
    return {}


def _has_masked_lm_head(folder: Path) -> bool:
    architectures = _read_json(folder / "config.json", dict).get("architectures") or []
    return isinstance(architectures, list) and any(
        isinstance(name, str) and name.endswith("ForMaskedLM") for name in architectures
    )


def _check_network(folder: Path) -> None:
    """Refuse a transformer that needs code of its own, or whose weights are not safe to read."""
    _check_config(folder, _read_json(folder / "config.json", dict))
    if (folder / "adapter_config.json").exists():
        advice = "merge it into its model first (peft: merge_and_unload), and save that"
        raise _refusal(folder, "is an adapter, not a whole model", advice)
    _check_weights(folder)


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse settings that name code: transformers would fetch kernels from the hub, and run them.

    Nested configurations are looked at, too.
    """
    for name, value in config.items():
        plain = value is None or value in _IMPLEMENTATIONS
        if name == "auto_map" or (name.endswith("_implementation") and not plain):
            raise _refusal(
                folder,
                f"needs code of its own ({name} in config.json), which is never run",
                "encode with its own code and import the vectors: docs/vectors.md",
            )
        if name == "quantization_config":
            advice = "give the checkpoint in float32 or bfloat16; sparsearch rounds by itself"
            raise _refusal(folder, "is quantised in a form that is not read here", advice)
        if isinstance(value, dict):
            _check_config(folder, value)


def _check_weights(folder: Path) -> None:
    names = [_WEIGHTS]
    if (folder / _SHARDS).is_file():
        shards = _read_json(folder / _SHARDS, dict).get("weight_map")
        if not isinstance(shards, dict):
            raise _refusal(folder, f"has a malformed {_SHARDS}: no weight_map")
        names = sorted({str(shard) for shard in shards.values()})
    for name in names:
        if _inside(folder, name).is_file():
            continue
        pickles = sorted(path.name for kind in _PICKLES for path in folder.glob(kind))
        if pickles:
            raise _refusal(folder, f"has its weights as a pickle ({pickles[0]})", _ADVICE_PICKLE)
        raise _refusal(folder, f"lacks {name}", "copy or download the whole model")


def _class_name(root: Path, entry: object) -> str:
    """Return the name of a sentence-transformers class; code from elsewhere is never run."""
    kind = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str):
        raise _refusal(root, f"has a malformed module: {shorten(entry)}")
    if kind.startswith("sparsearch.training.modules."):
        raise _refusal(
            root,
            f"has modules of a recipe ({kind.rpartition('.')[2]}) that are loaded in Python only",
            "index with sparsearch.training.LiveEncoder: docs/training.md",
        )
    if not kind.startswith(_MODULE_ROOT):
        raise _refusal(
            root,
            f"needs Python code of its own ({shorten(kind)}), which is never run",
            "encode with its own code and import the vectors: docs/vectors.md",
        )
    return kind.rpartition(".")[2]


def _inside(folder: Path, name: object) -> Path:
    """Return a path inside `folder`; a model must not name files anywhere else."""
    if not isinstance(name, str) or "\0" in name:
        raise _refusal(folder, f"names a malformed path: {shorten(name)}")
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise _refusal(folder, f"names a path outside of itself: {shorten(name)}")
    return folder / relative


def _optional_json(path: Path) -> dict[str, Any]:
    return _read_json(path, dict) if path.is_file() else {}


def _read_json(path: Path, kind: type) -> Any:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError("too large")
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        advice = "copy or download the whole model"
        raise _refusal(path.parent, f"lacks {path.name}", advice) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _refusal(path.parent, f"has an unreadable {path.name} ({error})") from error
    if not isinstance(value, kind):
        raise _refusal(path.parent, f"has a malformed {path.name}: {shorten(value)}")
    return value


def _advice_dense(root: Path) -> str:
    pickled = (root / "sparse_linear.pt").is_file()
    if pickled:  # BGE-M3 as it is published
        return (
            f"its lexical head is a pickle (sparse_linear.pt), which is never read; where you "
            f"trust it, save its tensors with safetensors as {LEXICAL_HEAD}"
        )
    return (
        "dense models have no terms to index; give a sparse encoder (SPLADE family, inference-free)"
    )


def _refusal(folder: Path, reason: str, advice: str = "") -> EncoderUnavailableError:
    return EncoderUnavailableError(f"{folder} {reason}" + (f"; {advice}" if advice else ""))
