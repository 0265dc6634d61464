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
    "healthz": ("compat_health", _GET),
    "infer": ("compat_infer", _POST),
    "encode": ("compat_encode", _POST),
}
_MODEL: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("model_metadata", _GET),
    "ready": ("model_ready", _GET),
    "config": ("model_config", _GET),
    "stats": ("model_statistics", _GET),
    "infer": ("infer", _POST),
}


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
        case ["v2", "models", model, "versions", version, *rest] if model and version:
            found = _MODEL.get("/".join(rest))
            return Route(*found, model, version) if found and len(rest) < 2 else None
        case ["v2", "models", model, *rest] if model:
            found = _MODEL.get("/".join(rest))
            return Route(*found, model) if found and len(rest) < 2 else None
    return None
