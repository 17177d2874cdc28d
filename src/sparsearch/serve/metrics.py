"""What Prometheus may ask: requests and their latencies, queues, and the state of collections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from sparsearch.serve.collection import Collection
    from sparsearch.serve.searching import SearchPool

__all__ = ["Metrics", "RequestMetrics"]

_SECONDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip


class Metrics:
    """All metrics of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Its memory, processor time and open files, where the system tells.
        ProcessCollector(registry=self.registry)
        self.requests = Histogram(
            "sparsearch_request_seconds",
            "Time from the request's headers to the end of the answer.",
            ["operation", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.searches = Histogram(
            "sparsearch_search_seconds",
            "Time of searches alone, without waiting and transport.",
            ["collection", "mode"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commits = Histogram(
            "sparsearch_commit_seconds",
            "Time of group commits.",
            ["collection"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.committed = Counter(
            "sparsearch_committed_requests",
            "Write requests in those commits.",
            ["collection"],
            registry=self.registry,
        )
        self.refused_keys = Counter(
            "sparsearch_refused_keys",
            "Requests refused for their API key, or for lack of one.",
            registry=self.registry,
        )

    def watch(self, collections: Mapping[str, Collection], pool: SearchPool) -> None:
        """Tell of collections and queues, as they are whenever asked."""
        self.registry.register(_State(collections, pool))

    def render(self, opens: Callable[[str], bool]) -> bytes:
        """Return metrics in the text format of Prometheus.

        Parameters
        ----------
        opens : callable
            Whether those of a collection, given by name, are to be seen.
        """
        return generate_latest(_Seen(self.registry, opens))


class _Seen(Collector):
    """The metrics of a registry, less those of collections that are not to be seen."""

    def __init__(self, registry: CollectorRegistry, opens: Callable[[str], bool]) -> None:
        self._registry = registry
        self._opens = opens

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if self._shows(sample.labels)]
            yield metric

    def _shows(self, labels: Mapping[str, str]) -> bool:
        return "collection" not in labels or self._opens(labels["collection"])


class _State(Collector):
    """Gauges that are read when asked for."""

    def __init__(self, collections: Mapping[str, Collection], pool: SearchPool) -> None:
        self._collections = collections
        self._pool = pool

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "sparsearch_searches_pending",
            "Searches that run or wait for a thread.",
            self._pool.pending,
        )
        yield GaugeMetricFamily(
            "sparsearch_search_threads", "Searches that can run at once.", self._pool.threads
        )
        gauges = {
            "documents": "Documents that can be found.",
            "deleted_documents": "Deleted documents that still take space.",
            "segments": "Segments of the index.",
            "postings": "Postings of the index.",
            "generation": "The last commit that is searched.",
            "writes_waiting": "Write requests that wait for their commit.",
            "writable": "1 if this server may write to the index.",
        }
        numbers = {name: collection.gauges() for name, collection in self._collections.items()}
        for gauge, text in gauges.items():
            family = GaugeMetricFamily(f"sparsearch_{gauge}", text, labels=["collection"])
            for name, values in numbers.items():
                family.add_metric([name], values[gauge])
            yield family


class RequestMetrics:
    """Measures every request.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            # The route, not the path: what clients make up must not become labels.
            operation = getattr(scope.get("route"), "name", None) or "none"
            seconds = time.perf_counter() - start
            self._metrics.requests.labels(operation, str(status)).observe(seconds)
            if status in (401, 403):
                self._metrics.refused_keys.inc()
