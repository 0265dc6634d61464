"""Requests to actions: the server's table of routes at work."""

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec
import orjson

from edgewright.device.serve import descriptions, openapi
from edgewright.device.serve.access import OPEN_ACTIONS, Access
from edgewright.device.serve.compat import Compat
from edgewright.device.serve.edgeinfer import EDGEINFER_ACTIONS, EdgeInfer
from edgewright.device.serve.friendly import Friendly
from edgewright.device.serve.gathering import Door
from edgewright.device.serve.metrics import render_metrics
from edgewright.device.serve.models import Models
from edgewright.device.serve.ports import Timer
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.routes import Route, find_route
from edgewright.device.serve.serving import refuse_as_v2
from edgewright.device.serve.splits import parameters_of
from edgewright.errors import InputError
from edgewright.transports.http1 import Exchange, Head, Server, Take, preamble
from edgewright.wire.v2 import HEADER_LENGTH, parse_header_length

logger = logging.getLogger(__name__)

_OK = preamble(200)
_METRICS = preamble(200, "text/plain; version=0.0.4; charset=utf-8")
_KEPT_ROUTES = 256

Page = Callable[[], bytes]
"""More Prometheus text, for the metrics page."""

_Action = Callable[[Exchange, Route], None]
_BodyAction = Callable[[Exchange, Head, bytes, Route], None]


class InferenceApplication:
    """Answers requests of clients; loading and unloading are another socket's business."""

    def __init__(
        self,
        models: Models,
        servers: list[Server],
        timer: Timer,
        *,
        friendly: Friendly,
        edgeinfer: EdgeInfer,
        access: Access | None = None,
        pages: Sequence[Page] = (),
    ) -> None:
        self._models = models
        self._access = access
        self._pages = pages
        self._friendly: Mapping[str, _BodyAction] = {
            "predict": friendly.predict,
            "classify": friendly.classify,
            "segment": friendly.segment,
            "predictions": friendly.predictions,
            "invocations": friendly.invocations,
            **dict.fromkeys(EDGEINFER_ACTIONS, edgeinfer.answer),
            "compat_health": lambda exchange, head, _, __: self._compat.health(exchange, head),
        }
        self._edgeinfer = edgeinfer
        self._servers = servers
        self._compat = Compat(models, timer, edgeinfer.tally)
        self._routes: dict[str, Route] = {}
        self._actions: Mapping[str, _Action] = {
            "server_metadata": lambda exchange, _: _send(exchange, descriptions.server_metadata()),
            "live": lambda exchange, _: exchange.reply(_OK, b'{"live":true}'),
            "ready": self._ready,
            "metrics": self._metrics,
            "openapi": lambda exchange, _: _send(exchange, openapi.describe()),
            "index": lambda exchange, _: _send(exchange, descriptions.repository_index(models)),
            "all_statistics": self._all_statistics,
            "model_metadata": self._model_metadata,
            "model_ready": self._model_ready,
            "model_config": self._model_config,
            "model_statistics": self._model_statistics,
            "status": friendly.status,
            "ping": lambda exchange, _: friendly.ping(exchange),
        }

    def __call__(self, exchange: Exchange, head: Head, body: bytes) -> None:
        try:
            route = self._routes.get(head.target) or self._find(head)
            if head.method not in route.methods:
                raise RefusalError(
                    405, f"{head.method} {head.path}: use {route.methods[0]}", reason="method"
                )
            if not self._may(head, route):
                raise RefusalError(401, "the API key is missing or unknown", reason="access")
            if route.action == "infer":
                self._infer(exchange, head, body, route)
            elif route.action == "compat_infer":
                self._compat.infer(exchange, head, body)
            elif route.action == "compat_encode":
                self._compat.encode(exchange, head, body)
            elif route.action in self._friendly:
                self._friendly[route.action](exchange, head, body, route)
            else:
                self._actions[route.action](exchange, route)
        except RefusalError as refusal:
            refuse_as_v2(exchange, refusal)
        except Exception as error:  # noqa: BLE001 - the top of a task: it must not end the server
            _log_failed(head, error)
            refuse_as_v2(exchange, RefusalError(500, "internal error", reason="internal"))

    def prepare(self, head: Head) -> Take | None:
        """Who takes the requests of a head that will come again: inference, found once."""
        route = _route_of(head)
        if (
            route is None
            or route.action != "infer"
            or route.version is not None
            or head.method != "POST"
            or "content-encoding" in head.headers
            or not self._models.is_known(route.model)
            or not self._may(head, route)
        ):
            return None
        try:
            header_bytes = parse_header_length(head.headers.get(HEADER_LENGTH))
        except InputError:
            return None
        newest = self._models.newest(route.model)

        def care(exchange: Exchange, body: bytes) -> None:
            model = newest.model
            if model is None:
                self(exchange, head, body)
            else:
                model.infer_with_care(exchange, body, header_bytes)

        def fail(exchange: Exchange, error: Exception) -> None:
            _log_failed(head, error)
            refuse_as_v2(exchange, RefusalError(500, "internal error", reason="internal"))

        return Door(newest if header_bytes is None else _NoLanes(), care, fail)

    def _may(self, head: Head, route: Route) -> bool:
        return (
            self._access is None
            or route.action in OPEN_ACTIONS
            or self._access.allows(head.headers)
        )

    def _infer(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        header_bytes = None
        if HEADER_LENGTH in head.headers:
            try:
                header_bytes = parse_header_length(head.headers[HEADER_LENGTH])
            except InputError as error:
                raise refusal_of(error) from error
        if head.headers.get("content-encoding", "identity") != "identity":
            raise RefusalError(415, "compressed bodies are not taken", reason="encoding")
        model = self._models.choose(
            route.model,
            route.version,
            head.headers,
            lambda: parameters_of(body, header_bytes),
        )
        model.infer(exchange, body, header_bytes)

    def _find(self, head: Head) -> Route:
        route = _route_of(head)
        if route is None:
            raise RefusalError(404, f"there is nothing at {head.path[:200]}", reason="path")
        if len(self._routes) < _KEPT_ROUTES:
            self._routes[head.target] = route
        return route

    def _ready(self, exchange: Exchange, _: Route) -> None:
        ready = self._models.is_ready
        body = orjson.dumps({"ready": ready, "faults": self._models.faults})
        exchange.reply(preamble(200 if ready else 503), body)

    def _metrics(self, exchange: Exchange, _: Route) -> None:
        refusals: dict[int, int] = {}
        for server in self._servers:
            for status, count in server.refusals.items():
                refusals[status] = refusals.get(status, 0) + count
        connections = sum(server.connections for server in self._servers)
        page = render_metrics(
            self._models,
            connections=connections,
            handshakes=sum(server.handshakes for server in self._servers),
            http_refusals=refusals,
        )
        others = [render() for render in (self._edgeinfer.render, *self._pages)]
        exchange.reply(_METRICS, b"".join([page, *others]))

    def _all_statistics(self, exchange: Exchange, _: Route) -> None:
        every = [descriptions.model_statistics(model) for model in self._models]
        _send(exchange, {"model_stats": every})

    def _model_metadata(self, exchange: Exchange, route: Route) -> None:
        model = self._models.find(route.model, route.version)
        versions = self._models.versions(route.model)
        _send(exchange, descriptions.model_metadata(model, versions))

    def _model_ready(self, exchange: Exchange, route: Route) -> None:
        model = self._models.find(route.model, route.version)
        _send(exchange, {"name": model.name, "ready": True})

    def _model_config(self, exchange: Exchange, route: Route) -> None:
        _send(exchange, descriptions.model_config(self._models.find(route.model, route.version)))

    def _model_statistics(self, exchange: Exchange, route: Route) -> None:
        model = self._models.find(route.model, route.version)
        _send(exchange, {"model_stats": [descriptions.model_statistics(model)]})


class _NoLanes:
    """Of requests that lanes cannot read."""

    model = None


def _log_failed(head: Head, error: Exception) -> None:
    logger.error("request failed: method=%s path=%s", head.method, head.path, exc_info=error)


def _route_of(head: Head) -> Route | None:
    """A slash that came encoded parts nothing, and is in no name."""
    if "%" in head.target and "%2f" in head.target.partition("?")[0].lower():
        return None
    return find_route(head.path)


def _send(exchange: Exchange, document: object) -> None:
    exchange.reply(_OK, msgspec.json.encode(document))
