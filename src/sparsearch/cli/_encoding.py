"""Vectors written part by part, so that an interrupted encoding goes on where it stopped.

Beside the output there is, while it is being made, a folder of finished parts and a file that says
how much of the source they hold. That file is replaced after each part: it is the commit point,
and a part that it does not know is written again. Parts end after a fixed number of texts and are
encoded alone, so that the result does not depend on interruptions.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sparsearch.errors import (
    InvalidInputError,
    SourceChangedError,
    StorageError,
    shorten,
)
from sparsearch.files import replacing

if TYPE_CHECKING:
    from sparsearch.vectors import SparseVectors

__all__ = ["PART_TEXTS", "EncodableText", "EncodedParts", "remaining"]

PART_TEXTS: Final = 1024
"""Texts of a part: encoded together, and lost when the work is interrupted."""

_STATE: Final = "progress.json"
_COPY_BYTES: Final = 1 << 20
_OF_FILES: Final = frozenset({".csr", ".csv", ".gz", ".json", ".npz", ".parquet", ".tsv", ".txt"})
"""Who names the output so expects a file of that kind, and not a folder."""


@dataclass(frozen=True)
class EncodableText:
    """A text to encode, and what is written beside its vector.

    Parameters
    ----------
    id : str
    content : str
        What is encoded.
    text : str
        What is written as contents.
    metadata : dict
    """

    id: str
    content: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _State:
    """How far the work got.

    Parameters
    ----------
    texts, parts, size : int
        Of the finished parts; the size of their files in bytes.
    digest : str
        Of the texts in them, and of what is written beside their vectors.
    complete : bool
        Whether they hold the whole source.
    """

    texts: int = 0
    parts: int = 0
    size: int = 0
    digest: str = ""
    complete: bool = False


class EncodedParts:
    """The parts of an output that is being made.

    Parameters
    ----------
    out : Path
        A file of JSON lines if its name ends in ``.jsonl`` or ``.jsonl.gz``; otherwise a folder of
        ``.npz`` files, which appears when the work is done.
    facts : dict
        JSON values that must be the same when the work is taken up again: the ``encoder``, and
        whether the texts are ``queries``.

    Raises
    ------
    StorageError
        When the output exists already.
    InvalidInputError
        When parts are there that were made with other facts, or the output's name will not do.
    """

    def __init__(self, out: Path, facts: dict[str, Any]) -> None:
        self._as_lines = out.name.endswith((".jsonl", ".jsonl.gz"))
        if out.name in ("", "..", "-") or (not self._as_lines and out.suffix in _OF_FILES):
            reason = "name a file that ends in .jsonl or .jsonl.gz, or a folder of .npz files"
            raise InvalidInputError(f"vectors cannot be written to {str(out)!r}; {reason}")
        self.out = out
        self.folder = out.with_name(f"{out.name}.partial")
        self.of_queries = bool(facts["queries"])
        self._facts = facts
        self._parts = self.folder / "parts"
        self.state = self._read_state()
        if out.exists() and not self.state.complete:
            raise StorageError(f"{out} exists; remove it, or give another name")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from making the same output.

        Raises
        ------
        StorageError
            When another process makes it, or the folder cannot be written.
        """
        from sparsearch.storage import storage_faults, writer_lock

        with storage_faults(self.folder):
            self._parts.mkdir(parents=True, exist_ok=True)
        with writer_lock(self.folder):
            self.state = self._read_state()
            self._check_parts()
            yield
        if not (self.folder / _STATE).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, texts: list[EncodableText], vectors: SparseVectors) -> None:
        """Write the vectors of some texts as one part."""
        from sparsearch.vectors import VectorBatch, VectorFile, save_npz, write_json_vectors

        part = self._part(self.state.parts)
        ids = [text.id for text in texts]
        if self._as_lines:
            contents = [text.text for text in texts]
            metadata = [text.metadata for text in texts]
            write_json_vectors(part, [VectorBatch(ids, contents, vectors, metadata)])
        else:
            save_npz(part, VectorFile(vectors, ids))
        done = self.state
        self._commit(
            _State(
                done.texts + len(ids),
                done.parts + 1,
                done.size + part.stat().st_size,
                _chained_digest(done.digest, texts),
            )
        )

    def finish(self) -> None:
        """Make the output of the parts, and remove them."""
        from sparsearch.storage import storage_faults

        made_before = self._is_made()
        self._check_parts()
        self._commit(replace(self.state, complete=True))
        if not made_before:
            self._make_output()
        with storage_faults(self.folder):
            if self._parts.exists():
                shutil.rmtree(self._parts)
            (self.folder / _STATE).unlink()

    def _is_made(self) -> bool:
        return self.state.complete and self.out.exists()

    def _check_parts(self) -> None:
        """Raise StorageError if the finished parts are not there as they were written."""
        if self._is_made():
            return
        size = 0
        for number in range(self.state.parts):
            part = self._part(number)
            try:
                size += part.stat().st_size
            except OSError as error:
                reason = f"{part} cannot be read ({error.strerror})"
                raise StorageError(f"{reason}; remove {self.folder} to start again") from error
        if size != self.state.size:
            reason = f"the files in {self._parts} have {size:,} bytes, not the {self.state.size:,}"
            raise StorageError(f"{reason} they were made with; remove {self.folder} to start again")

    def _make_output(self) -> None:
        from sparsearch.storage import storage_faults

        if not self._as_lines:
            with storage_faults(self.out):
                self._parts.rename(self.out)
            return
        with replacing(self.out) as file:
            for number in range(self.state.parts):  # of gzip files, too, the sum is one
                with self._part(number).open("rb") as part:
                    shutil.copyfileobj(part, file, _COPY_BYTES)

    def _part(self, number: int) -> Path:
        kind = ".npz"
        if self._as_lines:
            kind = ".jsonl.gz" if self.out.suffix == ".gz" else ".jsonl"
        return self._parts / f"part-{number:06d}{kind}"

    def _commit(self, state: _State) -> None:
        with replacing(self.folder / _STATE) as file:
            file.write(json.dumps({"facts": self._facts, **asdict(state)}).encode())
        self.state = state

    def _read_state(self) -> _State:
        path = self.folder / _STATE
        try:
            stored = json.loads(path.read_bytes())
            facts = stored.pop("facts")
            state = _State(**stored)
        except FileNotFoundError:
            return _State()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"{path} is unreadable ({error}); remove {self.folder} to start again"
            ) from error
        for name, value in self._facts.items():
            if facts.get(name) != value:
                was, now = _differences(facts.get(name), value)
                raise InvalidInputError(
                    f"{self.folder} was begun with {name} {shorten(was, 200)}, not "
                    f"{shorten(now, 200)}; remove it to start again, or give another name"
                )
        return state


def _differences(was: Any, now: Any) -> tuple[Any, Any]:
    """Return two values; of two mappings only what they differ in."""
    if not (isinstance(was, dict) and isinstance(now, dict)):
        return was, now
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return {n: was.get(n) for n in names}, {n: now.get(n) for n in names}


def remaining(texts: Iterator[EncodableText], parts: EncodedParts) -> Iterator[list[EncodableText]]:
    """Yield the texts that are not encoded yet, in lists of `PART_TEXTS`.

    Raises
    ------
    SourceChangedError
        When those that are encoded are not the first of `texts`.
    """
    done = parts.state
    found, digest = 0, ""
    while chunk := list(islice(texts, min(PART_TEXTS, done.texts - found))):
        found, digest = found + len(chunk), _chained_digest(digest, chunk)
    if (found, digest) != (done.texts, done.digest):
        raise SourceChangedError(
            f"the source, or what is read of it, changed since {done.texts:,} of its texts were "
            f"encoded; remove {parts.folder} to start again"
        )
    while chunk := list(islice(texts, PART_TEXTS)):
        yield chunk


def _chained_digest(before: str, texts: list[EncodableText]) -> str:
    """Return the digest of some texts and of all before them."""
    digest = hashlib.sha256(before.encode())
    for text in texts:
        digest.update(repr(text).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
