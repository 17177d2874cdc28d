"""What the loads on our service and on its peers share: the writer, and figures of latencies."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engines_data import Dataset
from sparsearch import SparseVectors

K = 10
WRITE_BATCH = 50
SEED = 1

Put = Callable[[Sequence[int], SparseVectors], object]
"""Gives the documents of some numbers new vectors, one row each."""


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the tail, in milliseconds."""
    p50, p99, p999 = (np.quantile(seconds, [0.5, 0.99, 0.999]) * 1000).tolist()
    return {"p50 ms": p50, "p99 ms": p99, "p99.9 ms": p999}


def recall(dataset: Dataset, search: Callable[[int], Sequence[int]], queries: int) -> float:
    """Return the mean recall of the first queries against exact search in double precision.

    Parameters
    ----------
    dataset : Dataset
    search : callable
        Returns the numbers of the documents found for a query, given its number.
    queries : int
    """
    truth = dataset.truth()
    found = (np.array(search(query), dtype=np.int64) for query in range(queries))
    return float(np.mean([truth.recall(query, ids, K) for query, ids in enumerate(found)]))


class Writer(threading.Thread):
    """Replaces documents at a steady rate, and notes how long each request took.

    Parameters
    ----------
    put : callable
    dataset : Dataset
        Documents anywhere in it get the vectors of others.
    rate : int
        Documents a second.
    """

    def __init__(self, put: Put, dataset: Dataset, rate: int) -> None:
        super().__init__(daemon=True)
        self._put, self._rate = put, rate
        self._documents = dataset.documents()
        self._seconds: list[float] = []
        self._errors = self._written = 0
        self._stopped = threading.Event()

    def run(self) -> None:
        """Write until stopped."""
        rng = np.random.default_rng(SEED)
        count = len(self._documents)
        due = time.perf_counter()
        while not self._stopped.is_set():
            first = int(rng.integers(count - WRITE_BATCH))
            numbers = rng.choice(count, WRITE_BATCH, replace=False).tolist()
            rows = self._documents[first : first + WRITE_BATCH]
            start = time.perf_counter()
            try:
                self._put(numbers, rows)
                self._written += WRITE_BATCH
            except Exception as error:
                print(f"writer: {error}", file=sys.stderr)
                self._errors += 1
            self._seconds.append(time.perf_counter() - start)
            due += WRITE_BATCH / self._rate
            self._stopped.wait(max(0.0, due - time.perf_counter()))

    def stop(self) -> dict[str, Any]:
        """Stop, and return figures."""
        self._stopped.set()
        self.join()
        return {"written": self._written, "errors": self._errors, **quantiles(self._seconds)}
