"""A typed client of any server that speaks the V2 / Open Inference Protocol.

    with InferenceClient("http://127.0.0.1:8080") as client:
        answer = client.infer("har", {"x": windows})
        answer.outputs["logits"].argmax(axis=1)

`AsyncInferenceClient` is the same with `await`. Both take `http://`, `https://` and
`unix:/path/to.sock`, ask in binary, and keep their connections. Errors say who must act: an
`InputError` the caller, a `TransportError` nobody (try later), a `DeviceError` whoever runs the
server.
"""

import asyncio
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.transports.base import Response
from edgewright.transports.http1 import Client
from edgewright.wire import v2

T = TypeVar("T")

_DTYPES = {word: dtype for dtype, word in v2.DATATYPES.items()}
_BUSY = frozenset({408, 429, 502, 503, 504})
_UNIX = "unix:"


class Answer(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a model answered, and which version of it."""

    model: str
    version: str | None
    outputs: dict[str, NDArray[Any]]
    id: str | None = None


class AsyncInferenceClient:
    """Asks models of one server."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        uds = Path(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else None
        base = "" if uds is not None else address
        self._http = Client(base, uds=uds, timeout_s=timeout_s, tls=tls)
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key is not None else {}
        self._metadata: dict[str, v2.ModelMetadata] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    async def is_ready(self, model: str | None = None, *, version: str | None = None) -> bool:
        """Whether the server, or one model, answers now; not reaching it is a `TransportError`."""
        path = "/v2/health" if model is None else _path(model, version)
        answer = await self._http.request("GET", f"{path}/ready", headers=self._headers)
        return answer.status == 200

    async def server(self) -> v2.ServerMetadata:
        """Who answers."""
        return _decode(await self._ask("GET", "/v2"), v2.ServerMetadata)

    async def metadata(self, model: str, *, version: str | None = None) -> v2.ModelMetadata:
        """What a model takes and gives."""
        return _decode(await self._ask("GET", _path(model, version)), v2.ModelMetadata)

    async def statistics(self, model: str, *, version: str | None = None) -> v2.ModelStatistics:
        """What a model did since it was loaded."""
        answer = await self._ask("GET", f"{_path(model, version)}/stats")
        return _decode(answer, v2.StatisticsReply).model_stats[0]

    async def models(self) -> tuple[v2.RepositoryModel, ...]:
        """Every model that is served, and every one that should be but is not."""
        answer = await self._ask("POST", "/v2/repository/index", body=b"{}")
        return _decode(answer, tuple[v2.RepositoryModel, ...])

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str | None = None,
        outputs: Sequence[str] | None = None,
        deadline_s: float | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """The model's outputs. Inputs become the type that the model declares, where that loses
        nothing but digits; a list of `bytes` for an input of pixels is sent as picture files. A
        `deadline_s` lets the server refuse what it cannot answer in time.

        Raises:
            InputError: the request is out of contract, or the model unknown.
            TransportError: not reached, busy, or not in time.
            DeviceError: the model failed.
        """
        path = _path(model, version)
        known = self._metadata.get(path)
        if known is None:
            known = self._metadata[path] = await self.metadata(model, version=version)
        try:
            body, header_bytes = _request(known, inputs, outputs, deadline_s, request_id)
            headers = {v2.HEADER_LENGTH: str(header_bytes), "content-type": v2.BINARY_CONTENT}
            answer = await self._ask("POST", f"{path}/infer", body=body, headers=headers)
        except InputError:
            self._metadata.pop(path, None)  # another model may be served under this name by now
            raise
        return _answer(answer)

    async def _ask(
        self, method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        answer = await self._http.request(
            method, path, headers={**self._headers, **(headers or {})}, body=body
        )
        if answer.status == 200:
            return answer
        what = f"{method} {path}: {_problem(answer)} ({answer.status})"
        if answer.status in _BUSY:
            after = answer.headers.get("retry-after", "")
            raise TransportError(what, hint=f"try again in {after} s" if after else "try later")
        if answer.status >= 500:
            raise DeviceError(what, hint="see the server's log")
        raise InputError(what)


class InferenceClient:
    """The same without `await`; not for use where an event loop runs."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncInferenceClient(address, api_key=api_key, timeout_s=timeout_s, tls=tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._run(self._client.close())
        self._runner.close()

    def is_ready(self, model: str | None = None, *, version: str | None = None) -> bool:
        """See `AsyncInferenceClient.is_ready`."""
        return self._run(self._client.is_ready(model, version=version))

    def server(self) -> v2.ServerMetadata:
        """See `AsyncInferenceClient.server`."""
        return self._run(self._client.server())

    def metadata(self, model: str, *, version: str | None = None) -> v2.ModelMetadata:
        """See `AsyncInferenceClient.metadata`."""
        return self._run(self._client.metadata(model, version=version))

    def statistics(self, model: str, *, version: str | None = None) -> v2.ModelStatistics:
        """See `AsyncInferenceClient.statistics`."""
        return self._run(self._client.statistics(model, version=version))

    def models(self) -> tuple[v2.RepositoryModel, ...]:
        """See `AsyncInferenceClient.models`."""
        return self._run(self._client.models())

    def infer(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        version: str | None = None,
        outputs: Sequence[str] | None = None,
        deadline_s: float | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """See `AsyncInferenceClient.infer`."""
        return self._run(
            self._client.infer(
                model,
                inputs,
                version=version,
                outputs=outputs,
                deadline_s=deadline_s,
                request_id=request_id,
            )
        )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


def _path(model: str, version: str | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def _request(
    known: v2.ModelMetadata,
    inputs: Mapping[str, ArrayLike],
    outputs: Sequence[str] | None,
    deadline_s: float | None,
    request_id: str | None,
) -> tuple[bytes, int]:
    datatypes = {tensor.name: tensor.datatype for tensor in known.inputs}
    if set(inputs) != set(datatypes):
        raise InputError(
            f"model {known.name!r} takes {sorted(datatypes)}, got {sorted(inputs)}",
            hint="name each input",
        )
    tensors: list[v2.InferInput] = []
    contents: list[bytes] = []
    for name, values in inputs.items():
        datatype = "BYTES" if _are_files(values) else datatypes[name]
        array = _as_declared(name, values, datatype)
        tensors.append(v2.InferInput(name=name, shape=array.shape, datatype=datatype))
        contents.append(_pack(array))
    parameters: v2.Parameters = {"binary_data_output": True}
    if deadline_s is not None:
        parameters["timeout"] = max(1, round(deadline_s * 1e6))
    message = v2.InferRequest(
        inputs=tuple(tensors),
        id=request_id,
        parameters=parameters,
        outputs=None if outputs is None else tuple(v2.RequestedOutput(name=n) for n in outputs),
    )
    return v2.join_binary(message, contents)


def _are_files(values: object) -> bool:
    """Whether these are contents of picture files, which the server decodes."""
    return isinstance(values, list | tuple) and bool(values) and isinstance(values[0], bytes)


def _as_declared(name: str, values: ArrayLike, datatype: str) -> NDArray[Any]:
    if datatype == "BYTES":
        # numpy's own type for bytes would cut trailing zeros off.
        return np.array(values, dtype=object)
    array = np.asarray(values)
    dtype = np.dtype(_DTYPES[datatype])
    if array.dtype.kind not in "biuf":
        raise InputError(f"input {name!r} holds {array.dtype}, the model takes {datatype}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(cast, array):
        raise InputError(
            f"input {name!r} holds values that {datatype} cannot", hint="round or scale them"
        )
    return cast


def _pack(array: NDArray[Any]) -> bytes:
    if array.dtype.kind != "O":
        return array.tobytes()
    items = array.ravel().tolist()
    return v2.pack_strings(i if isinstance(i, bytes) else str(i).encode() for i in items)


def _answer(answer: Response) -> Answer:
    try:
        header_bytes = v2.parse_header_length(answer.headers.get(v2.HEADER_LENGTH))
        message, contents = v2.split_response(answer.body, header_bytes)
        outputs = {output.name: _array(output, contents[output.name]) for output in message.outputs}
    except (InputError, KeyError, ValueError) as error:
        raise TransportError(f"the answer is not one of the V2 protocol: {error}") from error
    return Answer(
        model=message.model_name, version=message.model_version, outputs=outputs, id=message.id
    )


def _array(output: v2.InferOutput, content: memoryview) -> NDArray[Any]:
    if output.datatype == "BYTES":
        texts = [item.decode(errors="replace") for item in v2.unpack_strings(content)]
        return np.array(texts, dtype=object).reshape(output.shape)
    dtype = np.dtype(_DTYPES[output.datatype])
    return np.frombuffer(content, dtype).reshape(output.shape).copy()


def _decode(answer: Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TransportError(f"the answer is not one of the V2 protocol: {error}") from error


def _problem(answer: Response) -> str:
    try:
        return msgspec.json.decode(answer.body, type=v2.Problem).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer.body[:200].decode(errors="replace") or "no reason given"
