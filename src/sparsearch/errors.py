"""Every error sparsearch raises on purpose, in one tree.

::

    SparsearchError
    ├── InvalidInputError (ValueError)     what the caller gave is wrong
    │   ├── InvalidVectorError             a sparse vector; names the row
    │   ├── InvalidDocumentError           a document; names its position and id
    │   │   └── DuplicateIdError           the id is taken
    │   ├── InvalidQueryError              a query or a search option
    │   ├── FilterError                    a metadata filter
    │   ├── FileFormatError                a file from outside; names file and line
    │   └── SourceChangedError             a resumed source is not the interrupted one
    ├── NotFoundError (LookupError)
    │   ├── IndexNotFoundError
    │   └── DocumentNotFoundError
    ├── StorageError                       the index folder
    │   ├── IndexExistsError
    │   ├── IndexLockedError               another process writes
    │   ├── IndexReplacedError             its folder was moved, removed or replaced while open
    │   ├── IndexVersionError              written by a newer sparsearch
    │   ├── IndexCorruptError              truncated or altered files
    │   └── StorageUnavailableError        full disk, read-only folder, no permission
    ├── EncoderError
    │   ├── EncoderUnavailableError        text given where only vectors can be used
    │   └── VocabularyMismatchError        vectors over another vocabulary
    ├── RemoteError                        the HTTP service, as its client sees it
    │   ├── AccessDeniedError              no API key, or one that does not allow this
    │   └── ServiceUnavailableError        not reachable, too busy, or about to end
    ├── TrainingError                      a model cannot be trained further
    │   └── CollapseError                  its vectors became empty
    └── MissingExtraError (ImportError)    an optional dependency; names the extra
"""

from __future__ import annotations

from os import PathLike

__all__ = [
    "AccessDeniedError",
    "CollapseError",
    "DocumentNotFoundError",
    "DuplicateIdError",
    "EncoderError",
    "EncoderUnavailableError",
    "FileFormatError",
    "FilterError",
    "IndexCorruptError",
    "IndexExistsError",
    "IndexLockedError",
    "IndexNotFoundError",
    "IndexReplacedError",
    "IndexVersionError",
    "InvalidDocumentError",
    "InvalidInputError",
    "InvalidQueryError",
    "InvalidVectorError",
    "MissingExtraError",
    "NotFoundError",
    "RemoteError",
    "ServiceUnavailableError",
    "SourceChangedError",
    "SparsearchError",
    "StorageError",
    "StorageUnavailableError",
    "TrainingError",
    "VocabularyMismatchError",
    "shorten",
]


def shorten(value: object, limit: int = 80) -> str:
    """Return ``repr(value)`` cut to ``limit`` characters, for messages about hostile input."""
    try:
        text = repr(value[: limit + 1] if isinstance(value, (str, bytes)) else value)
    except Exception:  # a huge integer, endless nesting, a broken __repr__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


class SparsearchError(Exception):
    """Base of every error sparsearch raises on purpose."""


class InvalidInputError(SparsearchError, ValueError):
    """What the caller gave cannot be used; the message says what, where and what to do."""


class InvalidVectorError(InvalidInputError):
    """A sparse vector is malformed.

    Parameters
    ----------
    row : int or None
        Row of the offending vector in the batch; None when the batch as a whole is malformed.
    reason : str
        What is wrong with it.
    """

    def __init__(self, row: int | None, reason: str) -> None:
        self.row = row
        self.reason = reason
        super().__init__(reason if row is None else f"row {row}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[int | None, str]]:
        return type(self), (self.row, self.reason)


class InvalidDocumentError(InvalidInputError):
    """A document is malformed.

    Parameters
    ----------
    position : int
        Zero-based position of the document among those given in this call.
    document_id : object
        Its id as given, or None when it has none.
    reason : str
        What is wrong with it.
    """

    def __init__(self, position: int, document_id: object, reason: str) -> None:
        self.position = position
        self.document_id = document_id
        self.reason = reason
        named = "" if document_id is None else f" (id {shorten(document_id)})"
        super().__init__(f"document {position}{named}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[int, object, str]]:
        return type(self), (self.position, self.document_id, self.reason)


class DuplicateIdError(InvalidDocumentError):
    """A document's id is already in the index, or twice in one call."""


class InvalidQueryError(InvalidInputError):
    """A query or a search option cannot be used."""


class FilterError(InvalidInputError):
    """A metadata filter is malformed or names an unknown field or operator."""


class FileFormatError(InvalidInputError):
    """A file from outside does not hold what its format promises.

    Parameters
    ----------
    path : str or PathLike
        The file.
    line : int or None
        One-based line (or record) number, None when the file as a whole is malformed.
    reason : str
        What is wrong.
    """

    def __init__(self, path: str | PathLike[str], line: int | None, reason: str) -> None:
        self.path = path
        self.line = line
        self.reason = reason
        where = str(path) if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str | PathLike[str], int | None, str]]:
        return type(self), (self.path, self.line, self.reason)


class SourceChangedError(InvalidInputError):
    """A source to resume from is not the one whose indexing was interrupted."""


class NotFoundError(SparsearchError, LookupError):
    """Something named does not exist."""


class IndexNotFoundError(NotFoundError):
    """The folder holds no index."""


class DocumentNotFoundError(NotFoundError):
    """No live document has this id."""


class StorageError(SparsearchError):
    """The index folder cannot be used as asked."""


class IndexExistsError(StorageError):
    """The folder already holds an index, or something else."""


class IndexLockedError(StorageError):
    """Another process or object is writing to the index."""


class IndexReplacedError(StorageError):
    """The folder of an open index was moved, removed or replaced by another one's."""


class IndexVersionError(StorageError):
    """The index needs a newer sparsearch, or a feature this one does not know."""


class IndexCorruptError(StorageError):
    """A file of the index is missing, truncated or altered."""


class StorageUnavailableError(StorageError):
    """The disk is full, the folder is read-only, or access is denied; nothing stored is lost."""


class EncoderError(SparsearchError):
    """Text cannot be turned into vectors."""


class EncoderUnavailableError(EncoderError):
    """Text was given to an index that has no encoder, or whose encoder cannot be loaded."""


class VocabularyMismatchError(EncoderError):
    """Vectors and index do not share a vocabulary."""


class RemoteError(SparsearchError):
    """The HTTP service does not do what its client asks for."""


class AccessDeniedError(RemoteError):
    """The service asks for an API key, or this one does not allow what was asked for."""


class ServiceUnavailableError(RemoteError):
    """The service cannot be reached, has too much to do, or is about to end."""


class TrainingError(SparsearchError):
    """A model cannot be trained as asked, or not any further."""


class CollapseError(TrainingError):
    """The vectors of queries or documents became empty: nothing is left to train on."""


class MissingExtraError(SparsearchError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package : str
        The package that could not be imported.
    extra : str
        The extra of sparsearch that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed; run: pip install 'sparsearch[{extra}]'")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.package, self.extra)
