"""The collections of a service; one whose folder is replaced is opened anew."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from sparsearch.errors import SparsearchError
from sparsearch.serve.collection import Collection
from sparsearch.serve.config import ServeConfig
from sparsearch.serve.metrics import Metrics

__all__ = ["Collections"]

_log = logging.getLogger("sparsearch.serve")
_GRACE_SECONDS = 60.0
"""How long a replaced index stays open for the requests that began with it."""


class Collections(Mapping[str, Collection]):
    """The collections of a service by name.

    Parameters
    ----------
    config : ServeConfig
    metrics : Metrics

    Raises
    ------
    SparsearchError
        As `Collection`, for the first that cannot be opened; those before it are closed again.
    """

    def __init__(self, config: ServeConfig, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._served: dict[str, Collection] = {}
        self._replaced: list[tuple[threading.Timer, Collection]] = []
        self._refused: dict[str, str] = {}
        self._guard = threading.Lock()
        self._closing = False
        try:
            for name, folder in config.indexes.items():
                self._served[name] = self._open(name, folder)
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name: str) -> Collection:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def close(self) -> None:
        """Commit what waits, then close all indexes."""
        with self._guard:
            self._closing = True
        for collection in reversed(self._served.values()):
            collection.close()
        for timer, collection in list(self._replaced):
            timer.cancel()
            self._close_replaced(collection)

    def _open(self, name: str, folder: Path) -> Collection:
        return Collection(
            name, folder, self._config, self._metrics, lambda: self._follow(name, folder)
        )

    def _follow(self, name: str, folder: Path) -> bool:
        """Serve the index that lies where another one lay; return whether there is one."""
        try:
            found = self._open(name, folder)
        except (SparsearchError, OSError) as error:
            if self._refused.get(name) != str(error):  # it is tried again and again
                self._refused[name] = str(error)
                _log.warning("%s: what is in its folder now cannot be served: %s", name, error)
            return False
        with self._guard:
            if not self._closing:
                before, self._served[name] = self._served[name], found
                timer = threading.Timer(_GRACE_SECONDS, self._close_replaced, [before])
                timer.daemon = True
                timer.start()
                self._replaced.append((timer, before))
                _log.info("%s: there is another index in %s now; it is served", name, folder)
                return True
        found.close()
        return False

    def _close_replaced(self, collection: Collection) -> None:
        collection.close()
        with self._guard:
            self._replaced = [entry for entry in self._replaced if entry[1] is not collection]
