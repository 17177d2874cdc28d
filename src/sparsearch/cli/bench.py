"""``sparsearch bench``: how fast an index answers, exactly and for each recall."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sparsearch.cli._arguments import Hits, IndexFolder, JsonOutput, QueriesFile, share
from sparsearch.cli._console import counted, note, one_line, print_table, write_json
from sparsearch.cli._opening import open_index
from sparsearch.cli._progress import steps
from sparsearch.cli._queries import read_queries
from sparsearch.errors import InvalidQueryError

if TYPE_CHECKING:
    from rich.table import Table

    from sparsearch.index import Index, TopK
    from sparsearch.vectors import SparseVectors

EXAMPLES = (
    "sparsearch bench splade",
    "sparsearch bench splade --queries vectors.jsonl --recall 0.9 --recall 0.99 --threads 4",
)

_RECALLS = (0.9, 0.95, 0.98, 0.99)


def bench(
    index: IndexFolder,
    queries: QueriesFile = None,
    k: Hits = 10,
    recall: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE",
            parser=share,
            help="Recall to measure, besides exact search; may be repeated.  "
            "[default: 0.9, 0.95, 0.98, 0.99]",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=1, help="Threads for batches.  [default: all cores]"),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="NUMBER", min=0, max=3600, help="Least time to spend on each measurement."
        ),
    ] = 1.0,
    json: JsonOutput = False,
) -> None:
    """Measure how fast an index answers, and its recall.

    Without --queries, the heaviest terms of some of the documents are the queries. Times are those
    of finding the best k: neither turning text into vectors nor reading the documents found is in
    them. Run tune first, for recalls measured on this index.
    """
    with open_index(index) as target:
        vectors = target.sample_queries() if queries is None else read_queries(target, queries)
        facts = target.info()
        recalls = recall or list(_RECALLS)
        if not target.can_approximate:
            recalls = []
            note("an index of words (BM25, or the default encoder) is always searched exactly")
        counts = sorted({1, threads or os.cpu_count() or 1})
        trial = _Trial(target, vectors, k, counts, seconds)
        with steps("measuring") as progress:
            measured = list(trial.measurements([None, *recalls], progress))
    if json:
        write_json(
            {
                "index": str(index),
                "documents": facts.documents,
                "queries": len(vectors),
                "k": k,
                "measurements": [asdict(measurement) for measurement in measured],
            }
        )
        return
    given = "heaviest terms of documents" if queries is None else queries.name
    asked = f"{counted(len(vectors), 'query', 'queries')} ({one_line(given)})"
    print(f"{counted(facts.documents, 'document')}, {asked}, k {k}")
    print("latency in microseconds, one query at a time on one thread; batches in queries a second")
    print()
    print_table(_table(measured, counts))


@dataclass(frozen=True)
class Measurement:
    """What one way of searching gave.

    Parameters
    ----------
    wanted : float or None
        The recall asked for; None for exact search.
    recall : float
        Mean share of the exact best k that was found.
    mass, candidates : float and int, or None
        The effort (see `sparsearch.index.approximate`) for the median query; None where the search
        was exact.
    mean, p50, p99 : float
        Microseconds a query took.
    queries_per_second : dict of int to float
        Of a batch, by number of threads.
    """

    wanted: float | None
    recall: float
    mass: float | None
    candidates: int | None
    mean: float
    p50: float
    p99: float
    queries_per_second: dict[int, float]


@dataclass(frozen=True)
class _Trial:
    index: Index
    queries: SparseVectors
    k: int
    threads: list[int]
    seconds: float

    def measurements(
        self, wanted: list[float | None], progress: Callable[[int, int], None]
    ) -> Iterator[Measurement]:
        """Yield what each recall gave; None stands for exact search."""
        exact = self._batch(None, 1)
        if not exact.counts.any():
            raise InvalidQueryError("there is nothing to measure: no query finds a document")
        for done, recall in enumerate(wanted, start=1):
            yield self._measure(recall, exact)
            progress(done, len(wanted))

    def _batch(self, recall: float | None, threads: int) -> TopK:
        return self.index.top_k(self.queries, self.k, recall=recall, threads=threads)

    def _measure(self, recall: float | None, exact: TopK) -> Measurement:
        import numpy as np

        found = self._batch(recall, 1)  # compiles and reads what it needs; the rest is timed
        length = int(np.median(np.diff(self.queries.offsets)))
        effort = None if recall is None else self.index.tuning.efforts(recall).of(length)
        times = self._latencies(recall)
        p50, p99 = np.percentile(times, [50, 99]).tolist()
        return Measurement(
            recall,
            float(found.recalls(exact).mean()),
            None if effort is None else effort.mass,
            None if effort is None else effort.candidates,
            float(np.mean(times)),
            p50,
            p99,
            {threads: self._throughput(recall, threads) for threads in self.threads},
        )

    def _latencies(self, recall: float | None) -> list[float]:
        """Return the microseconds each query took by itself, of as many rounds as there is time."""
        rows = [self.queries[row : row + 1] for row in range(len(self.queries))]
        times: list[float] = []
        for _ in _rounds(self.seconds):
            for row in rows:
                start = time.perf_counter()
                self.index.top_k(row, self.k, recall=recall)
                times.append(1e6 * (time.perf_counter() - start))
        return times

    def _throughput(self, recall: float | None, threads: int) -> float:
        """Return how many queries of a batch were answered a second."""
        start = time.perf_counter()
        rounds = 0
        for _ in _rounds(self.seconds):
            self._batch(recall, threads)
            rounds += 1
        return rounds * len(self.queries) / (time.perf_counter() - start)


def _rounds(seconds: float) -> Iterator[None]:
    """Yield until the time is over, but at least once."""
    start = time.perf_counter()
    yield
    while time.perf_counter() - start < seconds:
        yield


def _table(measured: list[Measurement], threads: list[int]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("search")
    batches = [counted(count, "thread") for count in threads]
    for heading in ("recall", "p50", "p99", "mean", *batches, "mass", "candidates"):
        table.add_column(heading, justify="right")
    for row in measured:
        table.add_row(
            "exact" if row.wanted is None else f"recall {row.wanted:g}",
            f"{row.recall:.4f}",
            *(f"{value:,.0f}" for value in (row.p50, row.p99, row.mean)),
            *(f"{row.queries_per_second[count]:,.0f}" for count in threads),
            "exact" if row.mass is None else f"{row.mass:g}",
            "" if row.candidates is None else f"{row.candidates:,}",
        )
    return table
