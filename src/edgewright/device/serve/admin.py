"""The administrator's socket: the protocol's model repository extension, and statistics.

    POST /v2/repository/index
    POST /v2/repository/models/NAME/load      {"path": "/a/bundle"}; without a path, again; with
                                              "keep": true beside the versions that are there
    POST /v2/repository/models/NAME/unload    and .../versions/V/unload
    POST /v2/repository/models/NAME/split     {"weights": {"1": 9, "2": 1}, "shadows": ["3"]}
    GET  /v2/repository/models/NAME/split         who answers, and what each version did
    POST /v2/repository/models/NAME/candidate {"path": "/a/bundle", "mode": "shadow"|"lead"}
    GET  /v2/repository/models/NAME/candidate     what it did so far
    POST /v2/repository/models/NAME/dismiss       back to the model alone
    GET  /v2/models/NAME/stats

It is a Unix socket: who may open it may load models.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import orjson

from edgewright.contract import decode_json
from edgewright.device.serve import descriptions
from edgewright.device.serve.models import Models
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.errors import EdgewrightError
from edgewright.transports.http1 import Request, Response
from edgewright.wire.admin import LoadOrder, SplitChange, TryOrder

_JSON = {"content-type": "application/json"}


class Admin:
    """A handler for `transports.http1.start_server`."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._actions: dict[tuple[str, str], Callable[[str, bytes], Awaitable[object]]] = {
            ("POST", "load"): self._load,
            ("POST", "unload"): self._unload,
            ("POST", "split"): self._arrange,
            ("GET", "split"): self._split,
            ("POST", "candidate"): self._try_out,
            ("GET", "candidate"): self._candidate,
            ("POST", "dismiss"): self._dismiss,
        }

    async def __call__(self, request: Request) -> Response:
        try:
            return _response(200, await self._act(request))
        except RefusalError as refusal:
            return _response(refusal.status, {"error": str(refusal)})
        except EdgewrightError as error:
            return _response(refusal_of(error).status, {"error": str(error)})

    async def _act(self, request: Request) -> object:
        match request.method, request.path.split("/"):
            case "POST", ["", "v2", "repository", "index"]:
                return descriptions.repository_index(self._models)
            case "GET", ["", "v2", "models", name, "stats"]:
                model = self._models.find(name)
                return {"model_stats": [descriptions.model_statistics(model)]}
            case "POST", ["", "v2", "repository", "models", name, "versions", version, "unload"]:
                await self._models.unload(name, version)
                return {}
            case method, ["", "v2", "repository", "models", name, word] if name:
                act = self._actions.get((method, word))
                if act is not None:
                    return await act(name, request.body)
        raise RefusalError(
            404, f"there is nothing at {request.method} {request.path}", reason="path"
        )

    async def _load(self, name: str, body: bytes) -> object:
        if body.strip() in (b"", b"{}"):
            await self._models.reload(name)
        else:
            order = decode_json(body, LoadOrder, source="the load order")
            await self._models.load(Path(order.path), name=name, keep=order.keep)
        return {}

    async def _unload(self, name: str, _: bytes) -> object:
        await self._models.unload(name)
        return {}

    async def _arrange(self, name: str, body: bytes) -> object:
        change = decode_json(body, SplitChange, source="the split's order")
        order = self._models.directory.order(name)
        changed = {
            field: value
            for field in SplitChange.__struct_fields__
            if (value := getattr(change, field)) is not msgspec.UNSET
        }
        await self._models.arrange(name, msgspec.structs.replace(order, **changed))
        return self._models.directory.split(name)

    async def _split(self, name: str, _: bytes) -> object:
        return self._models.directory.split(name)

    async def _try_out(self, name: str, body: bytes) -> object:
        order = decode_json(body, TryOrder, source="the candidate's order")
        await self._models.try_out(name, order)
        return self._models.candidate(name)

    async def _candidate(self, name: str, _: bytes) -> object:
        return self._models.candidate(name)

    async def _dismiss(self, name: str, _: bytes) -> object:
        await self._models.dismiss(name)
        return {}


def _response(status: int, document: object) -> Response:
    body = msgspec.json.encode(document) if status == 200 else orjson.dumps(document)
    return Response(status=status, headers=_JSON, body=body)
