"""OpenTelemetry traces: one span per request, with one for the queue and one per stage.

They go where the standard variables say: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER. A caller's `traceparent` makes the request part of the caller's own trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.errors import MissingExtra

try:
    from opentelemetry import propagate
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
except ImportError as error:
    raise MissingExtra(
        "traces need the OpenTelemetry packages: pip install 'reranker[otel]'"
    ) from error

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AttributeValue

    from reranker_server.observability.request_log import RequestRecord

_NANOSECONDS = 1e9


class TraceExporter:
    """Exports records as spans.

    Args:
        exporter: where they go; by default to an OTLP collector over HTTP.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        # Resource.create lets OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "reranker"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("reranker_server")

    def export(self, record: RequestRecord) -> None:
        """Export the spans of a finished request."""
        end = record.start_ns + int(record.seconds * _NANOSECONDS)
        span = self._tracer.start_span(
            f"{record.verb} {record.route}",
            context=propagate.extract(record.trace),
            kind=SpanKind.SERVER,
            start_time=record.start_ns,
            attributes=_attributes(record),
        )
        if record.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        self._add_children(span, record, end)
        span.end(end)

    def _add_children(self, parent: Span, record: RequestRecord, end: int) -> None:
        """Add the wait and the stages, which follow each other up to the end."""
        context = set_span_in_context(parent)
        parts = {} if record.queue is None else {"queue": record.queue}
        parts |= {f"stage {name}": seconds for name, seconds in record.stages.items()}
        start = end - int(sum(parts.values()) * _NANOSECONDS)
        for name, seconds in parts.items():
            part = self._tracer.start_span(name, context=context, start_time=start)
            start += int(seconds * _NANOSECONDS)
            part.end(start)

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


def _attributes(record: RequestRecord) -> dict[str, AttributeValue]:
    return {
        "http.request.method": record.verb,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "reranker.request_id": record.id,
        "reranker.method": record.method,
        "reranker.dialect": record.dialect,
        "reranker.documents": record.documents,
        "reranker.tokens": record.tokens,
        "reranker.truncated": record.truncated,
    }
