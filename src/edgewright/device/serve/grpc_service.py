"""The protocol's gRPC service on the same models, queues and limits as HTTP.

Loading and unloading belong to the administrator's socket: here they are refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np

from edgewright.device.serve import descriptions
from edgewright.device.serve.access import Access
from edgewright.device.serve.models import Models
from edgewright.device.serve.observing import Observers, Seen
from edgewright.device.serve.passes import Job
from edgewright.device.serve.ports import Arrays, Timer
from edgewright.device.serve.reading import Wanted
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.serving import ServedModel
from edgewright.errors import InputError
from edgewright.transports.grpc import GrpcPeer, GrpcServer, GrpcTls, StatusError, Unary
from edgewright.transports.http1 import Exchange, Frame, Response
from edgewright.wire.v2 import (
    InferInput,
    InferRequest,
    RequestedOutput,
    pack_strings,
    split_response,
)
from edgewright.wire.v2_grpc import CONTENTS, DATA_TYPES, MESSAGES, SERVICE, parameters_of

_STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_OPEN = frozenset({"ServerLive", "ServerReady"})
"""Methods that answer anybody, so that a supervisor needs no key."""
_ADMIN_ONLY = "models are loaded and unloaded over the administrator's socket (serve --admin)"


class GrpcService:
    """The methods."""

    def __init__(
        self,
        models: Models,
        timer: Timer,
        *,
        access: Access | None = None,
        observers: Observers | None = None,
    ) -> None:
        self._models = models
        self._timer = timer
        self._access = access
        self._observers = observers

    def server(
        self,
        address: tuple[str, int],
        *,
        message_bytes: int,
        calls: int,
        tls: Callable[[], GrpcTls] | None = None,
    ) -> GrpcServer:
        """A server of these methods, not listening yet."""
        simple: dict[str, Callable[[Any], Any]] = {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": lambda _: {"ready": self._models.is_ready},
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: _fields(descriptions.server_metadata()),
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": _refuse_load,
            "RepositoryModelUnload": _refuse_load,
        }
        unary: dict[str, Unary] = {name: _simple(name, act) for name, act in simple.items()}
        unary["ModelInfer"] = self._infer_call
        for name, call in unary.items():
            unary[name] = self._observed(name, call if name in _OPEN else self._guarded(call))
        return GrpcServer(
            SERVICE,
            unary,
            {"ModelStreamInfer": self._infer_stream},
            address=address,
            message_bytes=message_bytes,
            calls=calls,
            tls=tls,
        )

    def _guarded(self, call: Unary) -> Unary:
        """The same for those who bring a key."""

        async def guarded(content: bytes, peer: GrpcPeer) -> bytes:
            return await (call if self._may(peer) else _refuse_keyless)(content, peer)

        return call if self._access is None else guarded

    def _observed(self, name: str, call: Unary) -> Unary:
        """The same, told to who writes logs and traces."""
        observers = self._observers
        if observers is None:
            return call

        async def observed(content: bytes, peer: GrpcPeer) -> bytes:
            arrived_s = observers.timer()
            peer.about, status, response_bytes = "", "CANCELLED", 0
            try:
                answer = await call(content, peer)
                status, response_bytes = "OK", len(answer)
            except StatusError as error:
                status = error.code
                raise
            except Exception:
                status = "INTERNAL"
                raise
            finally:
                took_s = observers.timer() - arrived_s
                seen = Seen(
                    wall_s=observers.wall_s() - took_s,
                    took_s=took_s,
                    peer=peer.address,
                    method=name,
                    path=f"/{SERVICE}/{name}",
                    headers=peer.metadata,
                    status=0,
                    request_bytes=len(content),
                    response_bytes=response_bytes,
                    grpc_status=status,
                    model=peer.about,
                )
                observers.tell(seen)
            return answer

        return observed

    def _may(self, peer: GrpcPeer) -> bool:
        return self._access is None or self._access.allows(peer.metadata)

    def _find(self, name: str, version: str) -> ServedModel:
        return self._models.find(name, version or None)

    def _model_ready(self, request: Any) -> dict[str, Any]:
        self._find(request.name, request.version)
        return {"ready": True}

    def _model_metadata(self, request: Any) -> dict[str, Any]:
        model = self._find(request.name, request.version)
        return _fields(descriptions.model_metadata(model, self._models.versions(request.name)))

    def _model_config(self, request: Any) -> dict[str, Any]:
        config: Any = descriptions.model_config(self._find(request.name, request.version))
        del config["version_policy"]
        for tensor in (*config["input"], *config["output"]):
            word = str(tensor["data_type"]).removeprefix("TYPE_")
            tensor["data_type"] = DATA_TYPES["BYTES" if word == "STRING" else word]
        return {"config": config}

    def _model_statistics(self, request: Any) -> dict[str, Any]:
        chosen = [self._find(request.name, request.version)] if request.name else self._models
        every = [_fields(descriptions.model_statistics(model)) for model in chosen]
        for one in every:
            del one["batch_stats"], one["latency_ms"]
        return {"model_stats": every}

    def _index(self, request: Any) -> dict[str, Any]:
        lines = [_fields(line) for line in descriptions.repository_index(self._models)]
        return {"models": [line for line in lines if line["state"] == "READY" or not request.ready]}

    async def _infer_call(self, content: bytes, peer: GrpcPeer) -> bytes:
        answer = await self._infer(_parsed("ModelInferRequest", content), peer)
        return bytes(answer.SerializeToString())

    async def _infer_stream(
        self, requests: AsyncIterator[bytes], peer: GrpcPeer
    ) -> AsyncIterator[bytes]:
        """Each message is answered by one; a refusal is a message too, and the stream goes on."""
        if not self._may(peer):
            await self._observed("ModelStreamInfer", _refuse_keyless)(b"", peer)
        kind = MESSAGES["ModelStreamInferResponse"]

        async def answer_one(content: bytes, peer: GrpcPeer) -> bytes:
            request = _parsed("ModelInferRequest", content)
            answer = kind(infer_response=await self._infer(request, peer))
            return bytes(answer.SerializeToString())

        answering = self._observed("ModelStreamInfer", answer_one)
        async for content in requests:
            try:
                yield await answering(content, peer)
            except StatusError as error:
                yield kind(error_message=str(error)).SerializeToString()

    async def _infer(self, request: Any, peer: GrpcPeer) -> Any:
        peer.about = request.model_name
        try:
            return await self._ask_model(request, peer)
        except RefusalError as refusal:
            raise _status(refusal) from refusal

    async def _ask_model(self, request: Any, peer: GrpcPeer) -> Any:
        arrived_s = self._timer()
        model = self._models.choose(
            request.model_name,
            request.model_version or None,
            peer.metadata,
            lambda: parameters_of(request.parameters),
        )
        try:
            message, contents = _request(request)
            feed = model.reader.read_parts(message, contents)
        except InputError as error:
            refusal = refusal_of(error)
            model.queue.tally.failed[refusal.reason] += 1
            raise refusal from error
        names = [output.name for output in model.contract.outputs]
        wanted = tuple(
            msgspec.structs.replace(one, is_binary=True)
            for one in feed.wanted or [Wanted(name=name, is_binary=True) for name in names]
        )
        feed = msgspec.structs.replace(
            feed, wanted=wanted, timeout_s=_shorter(feed.timeout_s, peer.timeout_s)
        )
        call = _Call()
        model.submit(Job(call, feed, arrived_s, _refuse, partial(_answer, feed)))
        try:
            return await call.outcome
        finally:
            call.is_closed = True


async def _refuse_keyless(_: bytes, __: GrpcPeer) -> bytes:
    raise StatusError("UNAUTHENTICATED", "the API key is missing or unknown")


class _Call:
    """An exchange whose answer is awaited."""

    def __init__(self) -> None:
        self.peer = "grpc"
        self.is_closed = False
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def give(self, answer: Any) -> None:
        if not self.outcome.done():
            self.outcome.set_result(answer)

    def fail(self, refusal: RefusalError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(refusal)

    def reply(self, preamble: bytes, body: bytes) -> None:
        raise AssertionError("a call is answered by its job")

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        raise AssertionError("a call is answered by its job")

    def respond(self, response: Response) -> None:
        raise AssertionError("a call is answered by its job")


def _refuse(exchange: Exchange, refusal: RefusalError) -> None:
    if isinstance(exchange, _Call):
        exchange.fail(refusal)


def _answer(feed: Any, model: ServedModel, exchange: Exchange, outputs: Arrays) -> None:
    """The HTTP writer's answer, all binary, as a protobuf message."""
    body, header_bytes = model.write(feed, outputs)
    response, contents = split_response(body, header_bytes)
    message = MESSAGES["ModelInferResponse"](
        model_name=model.name,
        model_version=model.version,
        id=feed.id or "",
        outputs=[
            {"name": output.name, "datatype": output.datatype, "shape": output.shape}
            for output in response.outputs
        ],
        raw_output_contents=[bytes(contents[output.name]) for output in response.outputs],
    )
    if isinstance(exchange, _Call):
        exchange.give(message)


def _request(request: Any) -> tuple[InferRequest, dict[str, memoryview]]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InputError(
            f"{len(raw)} raw contents for {len(request.inputs)} inputs",
            hint="send raw contents for every input, or for none",
        )
    contents: dict[str, memoryview] = {}
    for place, tensor in enumerate(request.inputs):
        content = raw[place] if raw else _typed(tensor)
        contents[tensor.name] = memoryview(content)
    message = InferRequest(
        inputs=tuple(
            InferInput(
                name=tensor.name,
                shape=tuple(tensor.shape),
                datatype=tensor.datatype,
                parameters=parameters_of(tensor.parameters) or None,
            )
            for tensor in request.inputs
        ),
        id=request.id or None,
        parameters=parameters_of(request.parameters) or None,
        outputs=tuple(
            RequestedOutput(name=output.name, parameters=parameters_of(output.parameters) or None)
            for output in request.outputs
        )
        or None,
    )
    return message, contents


def _typed(tensor: Any) -> bytes:
    """Typed contents as raw bytes."""
    member = CONTENTS.get(tensor.datatype)
    if member is None:
        raise InputError(
            f"input {tensor.name!r} of type {tensor.datatype!r} has no typed contents",
            hint="send raw contents",
        )
    values = list(getattr(tensor.contents, member))
    if tensor.datatype == "BYTES":
        return pack_strings(values)
    word = tensor.datatype.lower().replace("fp", "float")
    try:
        return np.array(values, np.dtype(word)).tobytes()
    except OverflowError as error:
        raise InputError(
            f"input {tensor.name!r} holds a value that {tensor.datatype} cannot: {error}"
        ) from error


def _simple(name: str, act: Callable[[Any], Any]) -> Any:
    """A method whose answer is at hand."""

    async def call(content: bytes, peer: GrpcPeer) -> bytes:
        request = _parsed(f"{name}Request", content)
        peer.about = getattr(request, "name", "")
        try:
            fields = act(request)
        except RefusalError as refusal:
            raise _status(refusal) from refusal
        return bytes(MESSAGES[f"{name}Response"](**fields).SerializeToString())

    return call


def _parsed(kind: str, content: bytes) -> Any:
    try:
        return MESSAGES[kind].FromString(content)
    except Exception as error:
        raise StatusError("INVALID_ARGUMENT", f"not a {kind}") from error


def _refuse_load(_: Any) -> Any:
    raise RefusalError(403, _ADMIN_ONLY, reason="admin_only")


def _status(refusal: RefusalError) -> StatusError:
    return StatusError(_STATUS.get(refusal.status, "INTERNAL"), str(refusal))


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return fields


def _shorter(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
