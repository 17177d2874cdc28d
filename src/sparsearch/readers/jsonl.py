"""JSON Lines: one object per line; and the BEIR layout, a folder with ``corpus.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sparsearch import strict_json
from sparsearch.errors import FileFormatError, InvalidInputError
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
        return strict_json.parse_object(line)
    except InvalidInputError as error:
        raise RecordError(str(error)) from error
