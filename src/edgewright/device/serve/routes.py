"""Which action a path means; pure.

>>> find_route("/v2/models/tcn/versions/3/infer")
Route(action='infer', methods=('POST',), model='tcn', version='3')
"""

import msgspec

_GET = ("GET", "HEAD")
_POST = ("POST",)

_PLAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "v2": ("server_metadata", _GET),
    "v2/health/live": ("live", _GET),
    "v2/health/ready": ("ready", _GET),
    "v2/models/stats": ("all_statistics", _GET),
    "v2/repository/index": ("index", _POST),
    "livez": ("live", _GET),
    "readyz": ("ready", _GET),
    "metrics": ("metrics", _GET),
    "openapi.json": ("openapi", _GET),
    "healthz": ("compat_health", _GET),
    "infer": ("compat_infer", _POST),
    "invocations": ("invocations", _POST),
    "ping": ("ping", _GET),
    "encode": ("compat_encode", _POST),
    "status": ("health_detailed", _GET),
    "health/detailed": ("health_detailed", _GET),
    "api/v1/analysis/start": ("analysis_start", _POST),
    "api/v1/analysis/stream": ("analysis_stream", ("PUT", "POST")),
    "api/v1/analysis/motifs": ("analysis_motifs", _GET),
    "api/v1/analysis/synchrony": ("analysis_synchrony", _GET),
    "api/v1/analysis/stop": ("analysis_stop", _POST),
    "api/v1/analysis/infer": ("compat_infer", _POST),
}
_MODEL: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("model_metadata", _GET),
    "ready": ("model_ready", _GET),
    "config": ("model_config", _GET),
    "stats": ("model_statistics", _GET),
    "infer": ("infer", _POST),
}


_VERBS = ("predict", "classify", "segment")


class Route(msgspec.Struct, frozen=True):
    """An action, how it may be asked for, and the model it is about."""

    action: str
    methods: tuple[str, ...]
    model: str = ""
    version: str | None = None


def find_route(path: str) -> Route | None:
    """The route of a path, or None."""
    plain = _PLAIN.get(path.strip("/"))
    if plain is not None:
        return Route(*plain)
    match path.removeprefix("/").split("/"):
        case ["v2", "models", model, *rest] if model:
            return _model_route(model, rest)
        case ["v1", "models", *rest]:
            return _verb_route(rest)
        case ["predictions", model, *rest] if model and len(rest) < 2 and all(rest):
            return Route("predictions", _POST, model, rest[0] if rest else None)
    return None


def _model_route(model: str, rest: list[str]) -> Route | None:
    version = None
    if len(rest) > 1 and rest[0] == "versions" and rest[1]:
        version, rest = rest[1], rest[2:]
    found = _MODEL.get("/".join(rest))
    return Route(*found, model, version) if found and len(rest) < 2 else None


def _verb_route(rest: list[str]) -> Route | None:
    """TensorFlow Serving's way to name an action: NAME[/versions/V][:VERB]."""
    match rest:
        case [last]:
            model, colon, verb = last.rpartition(":")
            version = None
        case [model, "versions", last]:
            version, colon, verb = last.rpartition(":")
        case _:
            return None
    if not colon:
        model, version, action, methods = (
            (verb, None, "status", _GET) if version is None else (model, verb, "status", _GET)
        )
        return Route(action, methods, model, version) if model else None
    return Route(verb, _POST, model, version) if verb in _VERBS and model else None
