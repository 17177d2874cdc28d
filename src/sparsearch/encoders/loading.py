"""`Encoder.load`: from a folder or a name to an encoder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sparsearch.encoders.checkpoint import Checkpoint, read_checkpoint
from sparsearch.encoders.checkpoint_parts import Table
from sparsearch.encoders.default import load_default
from sparsearch.encoders.hub import OTHER_FORMS, fetch_model, is_hub_name
from sparsearch.encoders.hybrid import HybridEncoder
from sparsearch.encoders.hybrid_folder import is_hybrid_folder, load_hybrid
from sparsearch.encoders.model_folder import SETTINGS_NAME, ModelFolder
from sparsearch.encoders.onnx_encoder import NetworkEncoder, OnnxEncoder
from sparsearch.encoders.protocol import CollectionStatistics, Encoder
from sparsearch.encoders.settings import checked_settings
from sparsearch.errors import (
    EncoderUnavailableError,
    FileFormatError,
    InvalidInputError,
    MissingExtraError,
    StorageError,
    VocabularyMismatchError,
    shorten,
)
from sparsearch.files import as_path, cache_folder, digest_of_files
from sparsearch.vectors import SparseVectors, Vocabulary

if TYPE_CHECKING:
    from sparsearch.encoders.torch_model import CheckpointParts

__all__ = [
    "LoadOptions",
    "LoadedEncoder",
    "export_model",
    "hybrid_from_identity",
    "load_encoder",
    "remembered_source",
]

_VERSION: Final = 2
_CACHE_VERSION: Final = "3"
"""Changes when exporting does, so that what an older version exported is not used."""

_READ: Final = (
    "modules.json",
    "router_config.json",
    "config.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "*vocab*.json",
    "*vocab*.txt",
    "merges.txt",
    "*.model",
)
"""Names of the files that a checkpoint's vectors may depend on, tables of query weights aside."""


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded; see `Encoder.load`.

    Parameters
    ----------
    backend : {"onnx", "torch"}, optional
    recipe : str, optional
    quantize : bool

    Raises
    ------
    InvalidInputError
        When an option is unknown.
    """

    backend: str | None = None
    recipe: str | None = None
    quantize: bool = True

    def __post_init__(self) -> None:
        if self.backend not in (None, "onnx", "torch"):
            raise InvalidInputError(
                f"unknown backend {shorten(self.backend)}; known: 'onnx', 'torch'"
            )
        if not isinstance(self.quantize, bool):
            raise InvalidInputError(f"quantize is {shorten(self.quantize)}, not True or False")


class LoadedEncoder(Encoder):
    """A trained encoder, and where it came from, so that an index can load it again.

    Parameters
    ----------
    encoder : NetworkEncoder
    source : str
        Absolute path of the folder, or name on the hub.
    digest : str
        Of the files of the model as they were found there.
    options : LoadOptions
    """

    def __init__(
        self,
        encoder: NetworkEncoder,
        source: str,
        digest: str,
        options: LoadOptions,
    ) -> None:
        self._encoder = encoder
        self._source = source
        self._digest = digest
        self._options = options

    @property
    def identity(self) -> dict[str, Any]:
        """Type, version, source, digest of its files, and options of loading."""
        return {
            "type": "model",
            "version": _VERSION,
            "source": self._source,
            "digest": self._digest,
            **asdict(self._options),
        }

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], vocabulary: Vocabulary) -> Encoder:
        """Load the model again, and make sure that it is the same one.

        Raises
        ------
        EncoderUnavailableError
            When the model is gone, cannot be fetched or has changed.
        VocabularyMismatchError
            When the terms of the index are not its terms.
        """
        if identity.get("version") != _VERSION:
            raise EncoderUnavailableError(
                f"this is a loaded model of version {shorten(identity.get('version'))}; this "
                f"sparsearch knows version {_VERSION} only"
            )
        names = ("type", "version", "source", "digest", "backend", "recipe", "quantize")
        given = checked_settings(identity, "model", names)
        options = {name: given[name] for name in ("backend", "recipe", "quantize")}
        loaded = _load_again(identity, options)
        if len(vocabulary) and vocabulary != loaded.vocabulary:
            raise VocabularyMismatchError(f"{given['source']} has other terms than the index")
        return loaded

    def made(self, identity: Mapping[str, Any]) -> bool:
        """Whether an encoder of this `identity` gives the same vectors; it may lie elsewhere."""
        return {**identity, "source": None} == {**self.identity, "source": None}

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's terms; always the same."""
        return self._encoder.vocabulary

    def encode_documents(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vector of each text; see `NetworkEncoder.encode_documents`."""
        return self._encoder.encode_documents(texts)

    @property
    def keeps_ahead(self) -> bool:
        """Whether an index may use stored weights again: it may."""
        return True

    def encode_ahead(self, texts: Sequence[str]) -> SparseVectors:
        """Return the vectors themselves; raises as `encode_documents`."""
        return self.encode_documents(texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseVectors:
        """Return the vector of each text; see `NetworkEncoder.encode_queries`."""
        return self._encoder.encode_queries(texts, statistics)

    def text_terms(self, text: str) -> dict[int, str]:
        """Return ids and names of the terms that the text itself holds."""
        return self._encoder.text_terms(text)

    def export_onnx(self, folder: str | PathLike[str], *, quantize: bool = True) -> None:
        """Write the encoder as a folder that loads without torch; see docs/encoders.md.

        Parameters
        ----------
        folder : str or PathLike
            Must not exist, or be empty.
        quantize : bool
            Store and multiply matrices as 8-bit integers: a fourth of the size, and faster.

        Raises
        ------
        InvalidInputError
            When the model is in that form already.
        MissingExtraError
            When torch, transformers or onnx are not installed.
        StorageError
            When the folder is not empty or cannot be written.
        EncoderError
            When the model cannot be exported.
        """
        export_model(
            self._source,
            folder,
            recipe=self._options.recipe,
            quantize=quantize,
            expected_digest=self._digest,
        )

    def __repr__(self) -> str:
        return f"LoadedEncoder({shorten(self._source)})"


def hybrid_from_identity(identity: Mapping[str, Any], vocabulary: Vocabulary) -> HybridEncoder:
    """Return the hybrid encoder of this identity over a vocabulary: the default, or another's.

    Raises
    ------
    EncoderUnavailableError
        When it is the default of another version of sparsearch, or is gone or has changed.
    VocabularyMismatchError
        When the vocabulary does not begin with its learned terms.
    """
    if identity.get("source") is not None:
        loaded = _load_again(identity, {})
        assert isinstance(loaded, HybridEncoder), "what made a hybrid's identity is a hybrid"
        return loaded.over(vocabulary)
    encoder = _load_default()
    if not encoder.made(identity):
        learned = identity.get("learned")
        name = learned.get("name") if isinstance(learned, Mapping) else None
        raise EncoderUnavailableError(
            f"this index was made with the hybrid encoder of {name!r}, which is not the one that "
            "comes with this sparsearch; give it: Index.open(path, encoder=...)"
        )
    return encoder.over(vocabulary)


def _load_again(identity: Mapping[str, Any], options: Mapping[str, Any]) -> Encoder:
    """Load an encoder from the source that its identity names; make sure that it is the same."""
    source = identity["source"]
    if not isinstance(source, str):
        raise InvalidInputError(f"the source of a model is {shorten(source)}, not a string")
    try:
        loaded = load_encoder(source, **options)
    except EncoderUnavailableError as error:
        advice = "if it was moved: sparsearch relocate INDEX MODEL; or give vectors instead of text"
        raise EncoderUnavailableError(f"{error}; {advice}") from error
    if not loaded.made(identity):
        raise EncoderUnavailableError(
            f"{source} is not the model that the index was made with, or has changed since, so "
            "that its vectors would not fit; bring the old files back, or index the documents anew"
        )
    return loaded


def load_encoder(source: str | PathLike[str] | None, **options: Any) -> Encoder:
    """Load an encoder; see `Encoder.load`."""
    chosen = LoadOptions(**options)
    if source is None:
        if chosen != LoadOptions():
            raise InvalidInputError("options of loading go with a model; name one")
        return _load_default()
    root = _folder_of(source)
    name = remembered_source(source)
    if (root / SETTINGS_NAME).is_file():
        return _load_model_folder(root, name, chosen)
    parts = _parts(root, chosen.recipe)
    in_torch = chosen.backend == "torch" or (chosen.backend is None and not parts.exportable)
    encoder = _in_torch(parts) if in_torch else _exported(parts, chosen)
    return LoadedEncoder(encoder, name, parts.digest, chosen)


def export_model(
    source: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    recipe: str | None = None,
    quantize: bool = True,
    expected_digest: str | None = None,
) -> None:
    """Write a model as a folder that loads without torch; see `LoadedEncoder.export_onnx`."""
    root = _folder_of(source)
    if (root / SETTINGS_NAME).is_file():
        raise InvalidInputError(f"{root} is an ONNX model folder already; copy it")
    parts = _parts(root, recipe)
    if expected_digest not in (None, parts.digest):
        raise EncoderUnavailableError(f"{root} changed since it was loaded; load it again")
    _exporter()(parts, Path(folder), quantize=quantize)


def remembered_source(source: str | PathLike[str]) -> str:
    """Return a source as an identity names it: a folder by its whole path, to be found anywhere."""
    path = as_path(source)
    return str(path.resolve()) if path.is_dir() else os.fspath(source)


def _folder_of(source: str | PathLike[str]) -> Path:
    path = as_path(source)
    if path.is_dir():
        return path
    if path.exists():
        raise EncoderUnavailableError(f"{path} is a file; give the folder of the model")
    if isinstance(source, str) and is_hub_name(source):
        return fetch_model(source)
    raise EncoderUnavailableError(f"{path} does not exist; give the folder of a model, or its name")


def _load_model_folder(root: Path, name: str, options: LoadOptions) -> Encoder:
    if options.backend == "torch" or options.recipe is not None or not options.quantize:
        raise InvalidInputError(
            f"{root} is an ONNX model folder and runs as it is; leave out backend, recipe and "
            "quantize"
        )
    try:
        if is_hybrid_folder(root):
            return load_hybrid(root, name)
        folder = ModelFolder(root)
        return LoadedEncoder(OnnxEncoder(root), name, folder.digest, options)
    except FileFormatError as error:
        raise EncoderUnavailableError(str(error)) from error


def _exported(parts: CheckpointParts, options: LoadOptions) -> OnnxEncoder:
    """Return the encoder of a checkpoint in ONNX form, from the cache or exported now."""
    choice = f"{parts.digest}:{options.recipe}:{options.quantize}:{_CACHE_VERSION}"
    folder = _models_folder() / hashlib.sha256(choice.encode()).hexdigest()[:32]
    try:
        return OnnxEncoder(folder)
    except FileFormatError:
        shutil.rmtree(folder, ignore_errors=True)  # not there, or damaged
    try:
        _exporter()(parts, folder, quantize=options.quantize)
    except StorageError as error:
        if not (folder / SETTINGS_NAME).is_file():  # another process was faster otherwise
            raise StorageError(
                f"{error}; set SPARSEARCH_CACHE to a folder to keep models in"
            ) from error
    return OnnxEncoder(folder)


def _in_torch(parts: CheckpointParts) -> NetworkEncoder:
    from sparsearch.encoders.torch_model import torch_encoder

    return torch_encoder(parts)


def _parts(root: Path, recipe: str | None) -> CheckpointParts:
    checkpoint = read_checkpoint(root, recipe)  # first: what is no sparse encoder needs no torch
    try:
        from sparsearch.encoders.torch_model import CheckpointParts
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train") from error
    return CheckpointParts(checkpoint, _digest(checkpoint))


def _exporter() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401

        from sparsearch.encoders.onnx_export import export_checkpoint
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "train") from error
    return export_checkpoint


def _digest(checkpoint: Checkpoint) -> str:
    """Return the SHA-256 of the files that the vectors of a checkpoint depend on.

    Notes, or what other tools put beside them, are nothing that an index should be refused for.
    """
    root, queries = checkpoint.root, checkpoint.queries
    files = {path.relative_to(root): path for path in root.rglob("*") if _is_read(root, path)}
    if isinstance(queries, Table):
        files[queries.weights.relative_to(root)] = queries.weights
    return digest_of_files({name.as_posix(): path for name, path in files.items()})


def _is_read(root: Path, path: Path) -> bool:
    known = any(fnmatchcase(path.name, pattern) for pattern in _READ)
    return known and path.relative_to(root).parts[0] not in OTHER_FORMS and path.is_file()


def _models_folder() -> Path:
    chosen = os.environ.get("SPARSEARCH_CACHE", "")
    return (Path(chosen) if chosen else cache_folder()) / "models"


def _load_default() -> HybridEncoder:
    try:
        return load_default()
    except FileFormatError as error:
        raise EncoderUnavailableError(
            f"the default encoder of this installation cannot be loaded: {error}; install "
            "sparsearch again, or give the folder or the hub name of a model"
        ) from error
