"""JSON Lines: one object per line; and the BEIR layout, a folder with ``corpus.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isinf
from pathlib import Path
from typing import NoReturn

from sparsearch.errors import FileFormatError, shorten
from sparsearch.files import TextFile
from sparsearch.readers.fields import RecordError
from sparsearch.readers.source import LineSource

__all__ = ["BeirSource", "JsonlSource", "beir_corpus", "parse_object"]


class JsonlSource(LineSource):
    """A file of one JSON object per line, plain or gzip. Blank lines mean nothing.

    Stricter than `json.loads`: NaN, infinite numbers, a key given twice and lone surrogates are
    malformed, since none of them can be stored and given back.
    """

    format = "jsonl"

    def _read_file(self, file: TextFile) -> Iterator[dict[str, object]]:
        for number, line in file.lines():
            if not line.strip():
                continue
            try:
                record = self._record(file.decode(line, number))
            except FileFormatError as error:
                self._report(error)
            except RecordError as error:
                self._report_record(file, number, error)
            else:
                yield record

    def _record(self, line: str) -> dict[str, object]:
        return self.fields.record(parse_object(line))


class BeirSource(JsonlSource):
    """A folder in BEIR layout; its ``corpus.jsonl`` or ``corpus.jsonl.gz`` is read."""

    format = "beir"

    def _find_text(self) -> Path:
        corpus = beir_corpus(self.path)
        if corpus is None:
            reason = "no corpus.jsonl or corpus.jsonl.gz in this folder; it is not in BEIR layout"
            raise FileFormatError(self.path, None, reason)
        return corpus


def beir_corpus(folder: Path) -> Path | None:
    """Return the corpus file of a folder in BEIR layout, the plain one first; None without one."""
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    return None


def parse_object(line: str) -> dict[str, object]:
    """Parse one line strictly; raise RecordError when it is not an object."""
    try:
        value = _DECODER.decode(line)
        # The parser pairs surrogate escapes; one left alone cannot be encoded.
        if "\\" in line and "\\ud" in line.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except UnicodeEncodeError as error:
        reason = f"lone surrogate {error.object[error.start]!a} is not a character"
        raise RecordError(reason) from error
    except RecursionError as error:
        raise RecordError("nested too deeply") from error
    except RecordError:
        raise
    except ValueError as error:  # an integer of more digits than Python converts
        raise RecordError(f"a number is too long: {error}") from error
    if not isinstance(value, dict):
        raise RecordError(f"not a JSON object but {shorten(value)}")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise RecordError(f"key {shorten(key)} is given twice")
        seen.add(key)
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if isinf(value):
        raise RecordError(f"number {shorten(digits)} is too large")
    return value


def _refuse(constant: str) -> NoReturn:
    raise RecordError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)
