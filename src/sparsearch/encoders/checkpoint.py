"""What a folder of a trained model holds, found out from its JSON files alone.

No weight is read here and no code of the model is ever run: a folder either is one of the forms
that are known, or is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparsearch.checks import is_whole
from sparsearch.encoders.checkpoint_files import (
    check_network,
    inside,
    optional_json,
    read_json,
    refusal,
)
from sparsearch.encoders.checkpoint_parts import (
    LEXICAL_HEAD,
    Head,
    Network,
    Table,
    advice_dense,
    has_masked_lm_head,
    module_name,
    part_of,
)
from sparsearch.errors import InvalidInputError, shorten

__all__ = ["Checkpoint", "read_checkpoint"]

_RECIPES = ("splade",)


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
            raise refusal(root, "is the folder of a training run", f"give {root / 'model'}")
        raise refusal(root, "is no model folder: it has neither modules.json nor config.json")
    if (root / LEXICAL_HEAD).is_file():
        check_network(root)
        network = Network(root, Head("term-weights", "max", "relu", root / LEXICAL_HEAD))
        return Checkpoint(root, network, network)
    network = _plain_network(root, recipe)
    return Checkpoint(root, network, network)


def _plain_network(root: Path, recipe: str | None) -> Network:
    if not has_masked_lm_head(root):
        raise refusal(root, "is a transformer without a masked-LM head", advice_dense(root))
    if recipe is None:
        raise refusal(
            root,
            "is a masked language model without pooling",
            "if it was trained as SPLADE, give recipe='splade'",
        )
    check_network(root)
    return Network(root)


def _sentence_transformers_plan(root: Path) -> Checkpoint:
    """Read ``modules.json``: a chain of modules, or a router to such chains."""
    modules = read_json(root / "modules.json", list)
    chain = [(module_name(root, entry), inside(root, entry.get("path", ""))) for entry in modules]
    settings = optional_json(root / "config_sentence_transformers.json")
    names = [name for name, _ in chain]
    if names == ["Router"]:
        plan = _routed_plan(root, chain[0][1])
    else:
        part = part_of(root, chain)
        plan = Checkpoint(root, part, part)
    return _with_settings(plan, settings)


def _routed_plan(root: Path, folder: Path) -> Checkpoint:
    name = "router_config.json"
    config = read_json(folder / (name if (folder / name).is_file() else "config.json"), dict)
    types, structure = config.get("types"), config.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise refusal(root, f"has a malformed {name}: no types or structure")
    parts: dict[str, Network | Table] = {}
    for route in ("document", "query"):
        members = structure.get(route)
        if not isinstance(members, list) or not all(
            isinstance(member, str) and member in types for member in members
        ):
            raise refusal(root, f"has a malformed {name}: no modules for route {route!r}")
        chain = [
            (module_name(root, {"type": types[member]}), inside(folder, member))
            for member in members
        ]
        parts[route] = part_of(root, chain)
    return Checkpoint(root, parts["document"], parts["query"])


def _with_settings(plan: Checkpoint, settings: dict[str, Any]) -> Checkpoint:
    """Apply ``config_sentence_transformers.json``.

    Prompts of other names are never used: in sentence-transformers, too, every model has these two,
    if only empty ones, and they come before its default prompt.
    """
    prompts = settings.get("prompts") or {}
    most = settings.get("max_active_dims")
    if not isinstance(prompts, dict) or not all(
        prompt is None or isinstance(prompt, str) for prompt in prompts.values()
    ):
        raise refusal(plan.root, f"has malformed prompts: {shorten(prompts)}")
    if most is not None and not is_whole(most, 1):
        raise refusal(plan.root, f"has malformed max_active_dims: {shorten(most)}")
    return replace(
        plan,
        document_prompt=prompts.get("document") or "",
        query_prompt=prompts.get("query") or "",
        max_active=most,
    )
