"""``sparsearch info``: facts about an index."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sparsearch.cli._arguments import IndexFolder, JsonOutput
from sparsearch.cli._console import human_bytes, one_line, stored_thing, write_json
from sparsearch.cli._opening import open_index

if TYPE_CHECKING:
    from sparsearch.index import IndexConfig, IndexInfo

EXAMPLES = ("sparsearch info papers",)


def info(index: IndexFolder, json: JsonOutput = False) -> None:
    """Show size, settings and fields of an index."""
    with open_index(index) as target:
        facts, config = target.info(), target.config
    if json:
        write_json(asdict(facts))
        return
    for name, value in _lines(facts, config):
        print(f"{name:<10}  {one_line(value)}")


def _lines(facts: IndexInfo, config: IndexConfig) -> list[tuple[str, str]]:
    deleted = f" ({facts.deleted:,} deleted; optimize drops them)" if facts.deleted else ""
    length = config.passage_length
    return [
        ("path", facts.path),
        (f"{stored_thing(config)}s", f"{facts.documents:,}{deleted}"),
        *([("cut at", f"{length:,} characters")] if length else []),
        ("terms", f"{facts.terms:,}"),
        ("postings", f"{facts.postings:,}"),
        ("segments", f"{facts.segments:,}"),
        ("size", human_bytes(facts.bytes)),
        ("fields", ", ".join(facts.fields) or "none"),
        ("encoder", _encoder(facts.encoder)),
        ("weights", f"{config.weight_bits} bits"),
        ("format", f"version {facts.format_version}, generation {facts.generation}"),
    ]


def _encoder(identity: dict[str, Any] | None) -> str:
    if identity is None:
        return "none: made of vectors, to be searched by vectors"
    settings = {**identity, **identity.get("analysis", {})}
    shown = [
        f"{name} ({_encoder(value)})" if isinstance(value, dict) else f"{name} {value}"
        for name, value in settings.items()
        if name not in ("type", "version", "analysis")
    ]
    return f"{identity.get('type')}: {', '.join(shown)}"
