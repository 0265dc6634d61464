"""The OpenAPI description of the server's routes, from the messages that it reads and writes.

>>> sorted(describe()["paths"])[:2]
['/healthz', '/infer']
"""

from typing import Any

import msgspec

from edgewright import __version__
from edgewright.wire import v2

_MODEL = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
_VERSION = {**_MODEL, "name": "version"}
_ANYTHING: dict[str, Any] = {}
_ERRORS = {
    "400": "out of contract; the message names the field",
    "401": "the API key is missing or unknown",
    "404": "no such model or version",
    "429": "too many requests wait for this model; see Retry-After",
    "503": "no model is loaded, or the answer would come too late; see Retry-After",
    "504": "the request's timeout ended while it waited",
}


class _Operation(msgspec.Struct, frozen=True):
    method: str
    path: str
    summary: str
    asked: Any = None
    told: Any = None
    """A message's type, None for free JSON, or a content type."""


_OPERATIONS = (
    _Operation("get", "/v2", "Who answers.", told=v2.ServerMetadata),
    _Operation("get", "/v2/health/live", "Whether the process answers."),
    _Operation("get", "/v2/health/ready", "Whether every model answers."),
    _Operation("get", "/v2/models/{model}", "What a model takes.", told=v2.ModelMetadata),
    _Operation("get", "/v2/models/{model}/ready", "Whether a model answers."),
    _Operation("get", "/v2/models/{model}/config", "Its configuration, as Triton tells it."),
    _Operation("get", "/v2/models/{model}/stats", "Statistics.", told=v2.StatisticsReply),
    _Operation(
        *("post", "/v2/models/{model}/infer", "Ask a model; tensors may follow in binary."),
        asked=v2.InferRequest,
        told=v2.InferResponse,
    ),
    _Operation(
        *("post", "/v2/models/{model}/versions/{version}/infer", "Ask one version of a model."),
        asked=v2.InferRequest,
        told=v2.InferResponse,
    ),
    _Operation(
        *("post", "/v2/repository/index", "Every model, and every one that should be there."),
        told=tuple[v2.RepositoryModel, ...],
    ),
    _Operation("get", "/v1/models/{model}", "The versions of a model."),
    _Operation("post", "/v1/models/{model}:predict", "TensorFlow Serving's rows.", asked=dict),
    _Operation("post", "/v1/models/{model}:classify", "The best classes, labelled.", asked=dict),
    _Operation("post", "/v1/models/{model}:segment", "A mask.", asked=dict),
    _Operation("post", "/predictions/{model}", "TorchServe's rows.", asked=dict),
    _Operation("post", "/invocations", "MLflow's rows, for the first model.", asked=dict),
    _Operation("post", "/infer", "A sidecar's window, for the first model.", asked=dict),
    _Operation("get", "/healthz", "The sidecar's health."),
    _Operation("get", "/metrics", "Prometheus metrics.", told="text/plain"),
)


def describe() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    kinds = [kind for one in _OPERATIONS for kind in (one.asked, one.told) if _is_typed(kind)]
    schemas, components = msgspec.json.schema_components(
        [*kinds, v2.Problem], ref_template="#/components/schemas/{name}"
    )
    known = dict(zip([*map(repr, kinds), repr(v2.Problem)], schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in _OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgewright serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _is_typed(kind: Any) -> bool:
    return kind is not None and kind is not dict and not isinstance(kind, str)


def _operation(one: _Operation, known: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": known[repr(v2.Problem)]}}
    refusals = {status: {"description": text, "content": error} for status, text in _ERRORS.items()}
    told = {"text/plain": _ANYTHING} if one.told == "text/plain" else _json(one.told, known)
    found: dict[str, Any] = {
        "summary": one.summary,
        "operationId": f"{one.method} {one.path}",
        "responses": {"200": {"description": "The answer.", "content": told}, **refusals},
    }
    parameters = [p for p in (_MODEL, _VERSION) if f"{{{p['name']}}}" in one.path]
    if parameters:
        found["parameters"] = parameters
    if one.asked is not None:
        found["requestBody"] = {"required": True, "content": _json(one.asked, known)}
    return found


def _json(kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": known[repr(kind)]} if _is_typed(kind) else _ANYTHING}
