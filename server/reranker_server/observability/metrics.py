"""Prometheus metrics: requests, load of the server, batches and caches of the models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from reranker.hub.base import ModelStatus
    from reranker_server.handler import RequestHandler
    from reranker_server.observability.request_log import RequestRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ModelMetric = CounterMetricFamily | GaugeMetricFamily
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts requests as they finish, and reads the state of server and models at each scrape.

    Args:
        handler: whose queue and models are read.
    """

    def __init__(self, handler: RequestHandler) -> None:
        # Otherwise each series has a second one with its creation time.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        registry.register(_StateCollector(handler))

        def histogram(name: str, help_: str, *labels: str) -> Histogram:
            return Histogram(
                f"reranker_{name}_seconds", help_, labels, buckets=_SECONDS, registry=registry
            )

        def counter(name: str, help_: str, *labels: str) -> Counter:
            return Counter(f"reranker_{name}", help_, labels, registry=registry)

        self._requests = counter("requests", "Requests.", "method", "dialect", "status")
        self._request = histogram("request", "From request to response.", "method", "dialect")
        self._queue = histogram("queue", "Waiting for a permit.")
        self._tokenize = histogram("tokenize", "Tokenizing for one request.", "method")
        self._stage = histogram("stage", "One stage of a ranking.", "method", "stage")
        self._documents = counter("documents", "Documents in requests.", "method")
        self._tokens = counter("tokens", "Tokens read for requests.", "method")
        self._truncations = counter("truncations", "Documents that were cut.", "method")

    def count(self, record: RequestRecord) -> None:
        """Count a finished request."""
        method, dialect = record.method, record.dialect
        self._requests.labels(method, dialect, str(record.status)).inc()
        if dialect == "none":
            return
        self._request.labels(method, dialect).observe(record.seconds)
        if record.queue is not None:
            self._queue.observe(record.queue)
        if record.tokenize is not None:
            self._tokenize.labels(method).observe(record.tokenize)
        for stage, seconds in record.stages.items():
            self._stage.labels(method, stage).observe(seconds)
        self._documents.labels(method).inc(record.documents)
        self._tokens.labels(method).inc(record.tokens)
        self._truncations.labels(method).inc(record.truncated)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _StateCollector:
    """Gauges that are read from the server at each scrape."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    def describe(self) -> Iterable[Metric]:
        """Describe nothing beforehand, so that registering reads nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read the metrics."""
        handler = self._handler
        admission = handler.admission
        yield _gauge("ready", "1 if requests are served.", int(handler.ready.is_set()))
        yield _gauge("working_requests", "Requests that run.", admission.running)
        yield _gauge("queued_requests", "Requests that wait.", admission.waiting)
        yield _gauge("queued_tokens", "Estimated tokens that wait.", admission.waiting_tokens)
        yield _gauge("buffered_bytes", "Request bodies in memory.", handler.body_budget.reserved)
        models = handler.engine.models
        yield from _model_metrics(models.loaded())
        states = GaugeMetricFamily("reranker_model_ready", "1 if it is.", labels=["model"])
        for name, state in models.states().items():
            states.add_metric([name], int(state == "ready"))
        yield states


def _model_metrics(models: Sequence[ModelStatus]) -> Iterator[Metric]:
    """Yield the counts of the loaded models' schedulers and caches."""
    metrics: tuple[tuple[_ModelMetric, Callable[[ModelStatus], float]], ...] = (
        (_counter("batches", "Batches planned."), lambda m: m.scheduler.batches),
        (_counter("items", "Texts and pairs in them."), lambda m: m.scheduler.items),
        (
            _counter("failed_items", "Texts and pairs that a model failed on."),
            lambda m: m.scheduler.failed_items,
        ),
        (
            _counter("out_of_memory", "Times that batches shrank after running out of memory."),
            lambda m: m.scheduler.halvings,
        ),
        (_counter("cache_hits", "Results found in the cache."), lambda m: m.cache.hits),
        (_counter("cache_misses", "Results not found in the cache."), lambda m: m.cache.misses),
        (_counter("shared_cache_hits", "Of those, found in Redis."), lambda m: m.cache.shared_hits),
        (
            _counter("shared_cache_misses", "Of those, not found in Redis either."),
            lambda m: m.cache.shared_misses,
        ),
        (_gauge("padding_ratio", "Padded tokens over read tokens."), lambda m: m.scheduler.padding),
        (_gauge("cache_bytes", "Memory of the cache."), lambda m: m.cache.bytes),
        (_gauge("model_memory_bytes", "Memory of the weights."), lambda m: m.weight_bytes),
    )
    for metric, value in metrics:
        for model in models:
            metric.add_metric([model.id], value(model))
        yield metric


def _counter(name: str, help_: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"reranker_{name}", help_, labels=["model"])


def _gauge(name: str, help_: str, value: float | None = None) -> GaugeMetricFamily:
    labels = ["model"] if value is None else None
    return GaugeMetricFamily(f"reranker_{name}", help_, value, labels)
