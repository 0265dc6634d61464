"""A span for each HTTP request and gRPC call, sent to an OpenTelemetry collector over OTLP/HTTP
(extra otel).

A request that brings a W3C `traceparent` becomes a child of the caller's span and is recorded when
the caller's is; of others a share is. Spans are sent by a thread of the library's, from a queue of
2,048 that drops what it has no place for.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from edgewright import __version__
from edgewright.device.serve.observing import Seen
from edgewright.device.serve.routes import find_route

_SEND_EVERY_MS = 1000
_EXPORT_TIMEOUT_S = 3
_NS = 1_000_000_000
_SERVER_FAULT = 500

_GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""gRPC's statuses in the order of their numbers."""

_SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Those that OpenTelemetry's conventions call a server's own error."""

Attributes = dict[str, str | int]


class Tracing:
    """An observer that makes spans."""

    def __init__(self, endpoint: str, *, share: float) -> None:
        resource = Resource.create({"service.name": "edgewright", "service.version": __version__})
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(share))
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=_SEND_EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("edgewright.serve", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def __call__(self, seen: Seen) -> None:
        name, attributes, is_failure = _of_call(seen) if seen.grpc_status else _of_request(seen)
        attributes["client.address"] = seen.peer
        begin_ns = int(seen.wall_s * _NS)
        span = self._tracer.start_span(
            name,
            context=self._propagator.extract(seen.headers),
            kind=SpanKind.SERVER,
            start_time=begin_ns,
            attributes=attributes,
        )
        if is_failure:
            span.set_status(StatusCode.ERROR)
        span.end(end_time=begin_ns + int(seen.took_s * _NS))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _of_request(seen: Seen) -> tuple[str, Attributes, bool]:
    """An HTTP request's span: its name, what it says, and whether the server is at fault."""
    attributes: Attributes = {
        "http.request.method": seen.method,
        "http.response.status_code": seen.status,
        "http.request.body.size": seen.request_bytes,
        "http.response.body.size": seen.response_bytes,
    }
    route = find_route(seen.path)
    if route is not None:
        attributes["url.path"] = seen.path
        if route.model:
            attributes["edgewright.model"] = route.model
    name = f"{seen.method} {route.action}" if route is not None else seen.method
    return name, attributes, seen.status >= _SERVER_FAULT


def _of_call(seen: Seen) -> tuple[str, Attributes, bool]:
    """The same of a gRPC call."""
    attributes: Attributes = {
        "rpc.system": "grpc",
        "rpc.service": seen.path.split("/")[1],
        "rpc.method": seen.method,
        "rpc.grpc.status_code": _GRPC_CODES.index(seen.grpc_status),
    }
    if seen.model:
        attributes["edgewright.model"] = seen.model
    return seen.path[1:], attributes, seen.grpc_status in _SERVER_FAULTS
