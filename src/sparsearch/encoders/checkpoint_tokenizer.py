"""The tokenizer of a checkpoint, and what an encoder must know about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

from sparsearch.errors import EncoderUnavailableError, shorten

__all__ = ["CheckpointTokenizer", "load_tokenizer"]

_NO_LIMIT: Final = 1_000_000
"""Tokenizers without a limit say some huge number."""


@dataclass(frozen=True)
class CheckpointTokenizer:
    """A tokenizer, and the tokens that frame a text.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Without truncation or padding.
    prefix_ids, suffix_ids : tuple of int
        Such as ``[CLS]`` and ``[SEP]``.
    pad_id : int
    silent_ids : tuple of int
        Tokens that stand for no text: those of the frame, padding, unknown.
    max_tokens : int or None
        Longest input by the tokenizer's own settings.
    """

    tokenizer: Tokenizer
    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    pad_id: int
    silent_ids: tuple[int, ...]
    max_tokens: int | None


def load_tokenizer(folder: Path, *, lower_case: bool = False) -> CheckpointTokenizer:
    """Load the tokenizer of a checkpoint, in whatever form transformers knows.

    Raises
    ------
    EncoderUnavailableError
        When there is none, it is damaged, or it needs code of its own.
    """
    try:
        found: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers and tokenizers raise dozens of kinds
        reason = shorten(str(error).strip().partition("\n")[0], 200)
        raise EncoderUnavailableError(
            f"{folder} has no tokenizer that can be loaded ({type(error).__name__}: {reason})"
        ) from error
    backend = getattr(found, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise EncoderUnavailableError(
            f"{folder} has a tokenizer of Python code only; a tokenizer.json is needed"
        )
    # A copy: changing it must not change what transformers keeps.
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if lower_case:
        parts = [normalizers.Lowercase()]
        if tokenizer.normalizer is not None:
            parts.append(tokenizer.normalizer)
        tokenizer.normalizer = normalizers.Sequence(parts)
    prefix, suffix = _frame(folder, tokenizer)
    pad = found.pad_token_id
    silent = {*prefix, *suffix, pad, found.unk_token_id} - {None}
    return CheckpointTokenizer(
        tokenizer,
        prefix,
        suffix,
        0 if pad is None else int(pad),
        tuple(sorted(map(int, silent))),
        _longest(folder, found.model_max_length),
    )


def _longest(folder: Path, limit: object) -> int | None:
    if not isinstance(limit, (int, float)) or isinstance(limit, bool) or not limit == limit // 1:
        raise EncoderUnavailableError(
            f"{folder} has a malformed model_max_length in tokenizer_config.json: {shorten(limit)}"
        )
    return int(limit) if limit < _NO_LIMIT else None


def _frame(folder: Path, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens put before and after a text."""
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    framed = tokenizer.encode("a", add_special_tokens=True).ids
    extra = len(framed) - len(bare)
    for before in range(extra + 1):
        if framed[before : before + len(bare)] == bare:
            return tuple(framed[:before]), tuple(framed[before + len(bare) :])
    raise EncoderUnavailableError(f"{folder}: its tokenizer changes a text when it frames it")
