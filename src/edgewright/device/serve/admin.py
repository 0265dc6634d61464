"""The administrator's socket: the protocol's model repository extension, and statistics.

    POST /v2/repository/index
    POST /v2/repository/models/NAME/load      {"path": "/a/bundle"}; without a path, again
    POST /v2/repository/models/NAME/unload
    POST /v2/repository/models/NAME/candidate {"path": "/a/bundle", "mode": "shadow"|"lead"}
    GET  /v2/repository/models/NAME/candidate     what it did so far
    POST /v2/repository/models/NAME/dismiss       back to the model alone
    GET  /v2/models/NAME/stats

It is a Unix socket: who may open it may load models.
"""

from pathlib import Path

import msgspec
import orjson

from edgewright.contract import decode_json
from edgewright.device.serve import descriptions
from edgewright.device.serve.models import Models
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.errors import EdgewrightError
from edgewright.transports.http1 import Request, Response
from edgewright.wire.v2 import LoadOrder, TryOrder

_JSON = {"content-type": "application/json"}


class Admin:
    """A handler for `transports.http1.start_server`."""

    def __init__(self, models: Models) -> None:
        self._models = models

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
            case "POST", ["", "v2", "repository", "models", name, "load"] if name:
                await self._load(name, request.body)
                return {}
            case "POST", ["", "v2", "repository", "models", name, "unload"] if name:
                await self._models.unload(name)
                return {}
            case "POST" | "GET" as method, ["", "v2", "repository", "models", name, "candidate"]:
                if method == "POST":
                    order = decode_json(request.body, TryOrder, source="the candidate's order")
                    await self._models.try_out(name, order)
                return self._models.candidate(name)
            case "POST", ["", "v2", "repository", "models", name, "dismiss"]:
                await self._models.dismiss(name)
                return {}
            case "GET", ["", "v2", "models", name, "stats"]:
                model = self._models.find(name)
                return {"model_stats": [descriptions.model_statistics(model)]}
            case _:
                raise RefusalError(
                    404, f"there is nothing at {request.method} {request.path}", reason="path"
                )

    async def _load(self, name: str, body: bytes) -> None:
        if body.strip() in (b"", b"{}"):
            await self._models.reload(name)
            return
        order = decode_json(body, LoadOrder, source="the load order")
        await self._models.load(Path(order.path), name=name)


def _response(status: int, document: object) -> Response:
    body = msgspec.json.encode(document) if status == 200 else orjson.dumps(document)
    return Response(status=status, headers=_JSON, body=body)
