"""Teachers: models that score documents for a query, to learn from; their scores are kept on disk.

Scores of different teachers are normalised for each query before they are averaged, since a
cross-encoder's logits, a cosine and BM25 have nothing in common but the order they stand for.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparsearch.encoders import Encoder
from sparsearch.errors import (
    EncoderError,
    MissingExtraError,
    StorageUnavailableError,
    TrainingError,
)
from sparsearch.index import Index
from sparsearch.training.config import TeacherConfig, TeachersConfig
from sparsearch.training.examples import Example
from sparsearch.training.output import digest_of_model
from sparsearch.vectors import SparseVectors

__all__ = ["ScoreCache", "Teacher", "combine", "normalised", "open_teacher", "score_examples"]

_PORTION = 512
Pair = tuple[str, str]
"""A query and a document."""
_Row = tuple[NDArray[np.uint32], NDArray[np.float32]]
"""Term ids and weights of a vector."""


class Teacher(Protocol):
    """Scores pairs of query and document."""

    @property
    def name(self) -> str:
        """What tells its scores from those of others."""
        ...

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Return one score a pair."""
        ...


class ScoreCache:
    """Scores on disk, by teacher, query and document; use as a context manager.

    Parameters
    ----------
    path : str or Path
        An SQLite file; made when it is not there. Each portion of scores is committed at once, so
        that what was scored before an interruption is never scored again.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path)
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, score REAL NOT NULL)"
                " WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise StorageUnavailableError(f"cannot use {path} for scores: {error}") from error

    def __enter__(self) -> ScoreCache:
        return self

    def __exit__(self, *exc: object) -> None:
        self._base.close()

    def scores(self, teacher: Teacher, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Return the scores of pairs, asking the teacher only for those not known.

        Raises
        ------
        TrainingError
            When the teacher gives a score that is not finite.
        """
        keys = [_key(teacher.name, pair) for pair in pairs]
        known = self._known(keys)
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        if missing:
            fresh = teacher.score(list(missing.values()))
            if not np.all(np.isfinite(fresh)):
                bad = list(missing.values())[int(np.argmin(np.isfinite(fresh)))]
                raise TrainingError(f"teacher {teacher.name}: no finite score for {bad!r:.200}")
            rows = list(zip(missing, fresh.astype(float).tolist(), strict=True))
            with self._base:
                self._base.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)
            known.update(rows)
        return np.array([known[key] for key in keys], dtype=np.float32)

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        known: dict[bytes, float] = {}
        with closing(self._base.cursor()) as cursor:
            for key in keys:
                row = cursor.execute("SELECT score FROM scores WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    known[key] = row[0]
        return known


def open_teacher(config: TeacherConfig, documents: Iterable[str]) -> Teacher:
    """Load a teacher.

    Parameters
    ----------
    config : TeacherConfig
    documents : iterable of str
        All documents it may be asked about: what BM25 counts its statistics over.
    """
    if config.kind == "bm25":
        return _Bm25Teacher(documents)
    try:
        from sentence_transformers import CrossEncoder, SentenceTransformer
    except ImportError as error:
        raise MissingExtraError("sentence-transformers", "train") from error
    path = config.model or ""
    name = f"{config.kind}:{path}"
    if Path(path).is_dir():  # another model may come to lie there
        name += f"@{digest_of_model(path)[:16]}"
    loaders: dict[str, Callable[[], Teacher]] = {
        "cross-encoder": lambda: _CrossEncoderTeacher(name, CrossEncoder(path)),
        "dense": lambda: _EmbeddingTeacher(name, SentenceTransformer(path)),
        "sparse": lambda: _SparseTeacher(name, Encoder.load(path, backend="torch")),
    }
    try:
        return loaders[config.kind]()
    except (OSError, ValueError, EncoderError) as error:
        raise TrainingError(
            f"the {config.kind} teacher {path} cannot be loaded: {error}"
        ) from error


def score_examples(
    examples: Sequence[Example],
    config: TeachersConfig,
    cache: ScoreCache,
    progress: Callable[[int, int], None] | None = None,
) -> list[Example]:
    """Give each example the scores of an ensemble of teachers.

    Parameters
    ----------
    examples : sequence of Example
        Scores they have are replaced.
    config : TeachersConfig
    cache : ScoreCache
    progress : callable, optional
        Called with the number of examples scored by a teacher, and of all.
    """
    documents = list(dict.fromkeys(text for example in examples for text in example.documents))
    sizes = [len(example.documents) for example in examples]
    by_teacher = []
    for model in config.models:
        teacher = open_teacher(model, documents)
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(examples), _PORTION):
            portion = examples[start : start + _PORTION]
            pairs = [(e.query, text) for e in portion for text in e.documents]
            found.append(cache.scores(teacher, pairs))
            if progress is not None:
                progress(min(start + _PORTION, len(examples)), len(examples))
        by_teacher.append(np.split(np.concatenate(found), np.cumsum(sizes)[:-1]))
    weights = [model.weight for model in config.models]
    return [
        replace(example, scores=tuple(combine(rows, weights, config).tolist()))
        for example, *rows in zip(examples, *by_teacher, strict=True)
    ]


def combine(
    rows: Sequence[NDArray[np.float32]], weights: Sequence[float], config: TeachersConfig
) -> NDArray[np.float64]:
    """Return the scaled weighted mean of the teachers' normalised scores of one query."""
    stacked = np.stack([normalised(row, config.normalise) for row in rows])
    return config.scale * np.average(stacked, axis=0, weights=weights)


def normalised(scores: NDArray[np.float32], how: str) -> NDArray[np.float64]:
    """Return the scores of one query's documents on a common scale; all alike become 0.

    Parameters
    ----------
    scores : ndarray of float32
    how : str
        ``minmax``: from 0 to 1; ``standard``: mean 0, standard deviation 1; ``none``: as they are.
    """
    values = np.asarray(scores, dtype=np.float64)
    if how == "none":
        return values
    centre = values.min() if how == "minmax" else values.mean()
    spread = np.ptp(values) if how == "minmax" else values.std()
    return (values - centre) / spread if spread > 0 else np.zeros_like(values)


class _Bm25Teacher:
    """BM25 with the statistics of the documents given."""

    def __init__(self, documents: Iterable[str]) -> None:
        texts = list(documents)
        self._rows = {text: row for row, text in enumerate(texts)}
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
        self.name = f"bm25:{digest}"  # scores depend on the collection
        self._folder = TemporaryDirectory(prefix="sparsearch-")
        self._index = Index.create(Path(self._folder.name) / "index", "bm25")
        self._index.add({"id": str(row), "text": text} for row, text in enumerate(texts))
        self._vectors = self._index.vectors()

    def __del__(self) -> None:
        if hasattr(self, "_index"):
            self._index.close()
        self._folder.cleanup()

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        return _inner_products(
            pairs, self._index.encode_queries, lambda text: self._vectors.row(self._rows[text])
        )


class _SparseTeacher:
    """A sparse encoder, which reads long documents in windows.

    The vector of each document is kept, since many queries ask about the same documents.
    """

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name = name
        self._encoder = encoder
        self._documents: dict[str, _Row] = {}

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        new = list(dict.fromkeys(text for _, text in pairs if text not in self._documents))
        vectors = self._encoder.encode_documents(new)
        self._documents.update((text, vectors.row(row)) for row, text in enumerate(new))
        return _inner_products(pairs, self._encoder.encode_queries, self._documents.__getitem__)


def _inner_products(
    pairs: Sequence[Pair],
    encode_queries: Callable[[Sequence[str]], SparseVectors],
    document: Callable[[str], _Row],
) -> NDArray[np.float32]:
    by_query: dict[str, list[int]] = {}
    for number, (query, _) in enumerate(pairs):
        by_query.setdefault(query, []).append(number)
    encoded = encode_queries(list(by_query))
    rows = [document(text) for _, text in pairs]
    last = max((int(terms[-1]) for terms, _ in rows if len(terms)), default=0)
    weights = np.zeros(max(encoded.dimension, last + 1), dtype=np.float32)
    scores = np.zeros(len(pairs), dtype=np.float32)
    for row, numbers in enumerate(by_query.values()):
        terms, values = encoded.row(row)
        weights[terms] = values
        for number in numbers:
            held, impacts = rows[number]
            scores[number] = weights[held] @ impacts
        weights[terms] = 0
    return scores


class _CrossEncoderTeacher:
    """A cross-encoder of sentence-transformers; raw logits."""

    def __init__(self, name: str, model: Any) -> None:
        from torch import nn

        self.name = name
        self._model = model
        self._activation = nn.Identity()

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        scores = self._model.predict(
            list(pairs), activation_fn=self._activation, show_progress_bar=False
        )
        return np.asarray(scores, dtype=np.float32).reshape(len(pairs))


class _EmbeddingTeacher:
    """A dense bi-encoder of sentence-transformers, with its own similarity.

    The vector of each document is kept, since many queries ask about the same documents.
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self._model = model
        self._documents: dict[str, Any] = {}

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        import torch

        options = {"convert_to_tensor": True, "show_progress_bar": False}
        queries = list(dict.fromkeys(query for query, _ in pairs))
        new = list(dict.fromkeys(text for _, text in pairs if text not in self._documents))
        rows = dict(zip(queries, self._model.encode_query(queries, **options), strict=True))
        if new:
            vectors = self._model.encode_document(new, **options)
            self._documents.update(zip(new, vectors, strict=True))
        scores = self._model.similarity_pairwise(
            torch.stack([rows[query] for query, _ in pairs]),
            torch.stack([self._documents[text] for _, text in pairs]),
        )
        return np.asarray(scores.float().cpu(), dtype=np.float32)


def _key(teacher: str, pair: Pair) -> bytes:
    digest = hashlib.sha256()
    for part in (teacher, *pair):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()[:16]
