"""The ways into a server: how to ask about a model, and how questions and answers look there.

`Way` is the port. HTTP is here, with JSON or binary bodies, on TCP or a Unix socket; `grpc_way`
needs the extra `grpc`.
"""

from typing import Any, Protocol

from numpy.typing import NDArray

from edgewright.errors import InputError
from edgewright.measure.load import Connect, LoadTarget, encode_request
from edgewright.validate.encoding import decode_answer, decode_binary, encode_binary, header_end
from edgewright.validate.questions import Question
from edgewright.validate.served_model import (
    ask_metadata,
    list_models,
    model_path,
    open_client,
)
from edgewright.wire import v2

_SUCCESS = 200


class Way(Protocol):
    """How a served model is spoken to."""

    name: str

    @property
    def connect(self) -> Connect | None:
        """Opens the load's connections; None is HTTP."""

    async def models(self, target: LoadTarget) -> list[str]:
        """The names of the models that the server lists."""

    async def metadata(self, target: LoadTarget, model: str) -> v2.ModelMetadata:
        """The model's tensors.

        Raises:
            TransportError: nobody answers there.
            InputError: no such model, or another protocol.
        """

    async def check(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> None:
        """Ask once and look at what the load does not look at.

        Raises:
            InputError: the answer breaks the protocol.
        """

    def request(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> bytes:
        """A question as it goes over the wire."""

    def answer(self, body: bytes) -> dict[str, NDArray[Any]]:
        """The outputs in an answer's body.

        Raises:
            InputError: it is not one.
        """


class _HttpWay:
    connect: Connect | None = None

    async def models(self, target: LoadTarget) -> list[str]:
        return await list_models(target)

    async def metadata(self, target: LoadTarget, model: str) -> v2.ModelMetadata:
        return await ask_metadata(target, model)


class JsonWay(_HttpWay):
    """HTTP with JSON bodies."""

    name = "HTTP with JSON"

    async def check(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> None:
        """Nothing: every JSON answer is looked at whole."""

    def request(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> bytes:
        return _posted(target, model, question.body, {"content-type": "application/json"})

    def answer(self, body: bytes) -> dict[str, NDArray[Any]]:
        return decode_answer(body)


class BinaryWay(_HttpWay):
    """HTTP with the binary tensor extension in both directions."""

    name = "HTTP with binary tensors"

    async def check(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> None:
        """The header that tells where binary data begins says the truth."""
        body, headers = _binary(question, metadata)
        path = f"{target.path}{_path(model)}"
        async with open_client(target) as client:
            answer = await client.request("POST", path, headers=headers, body=body)
        if answer.status != _SUCCESS:
            return
        told = v2.parse_header_length(answer.headers.get(v2.HEADER_LENGTH))
        end = header_end(answer.body)
        if told not in (end, None) or (told is None and end != len(answer.body)):
            raise InputError(
                f"{target.text}: the answer's {v2.HEADER_LENGTH} is {told}, its JSON ends at {end}",
                hint="mend the server, or validate with --wire json",
            )

    def request(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> bytes:
        body, headers = _binary(question, metadata)
        return _posted(target, model, body, headers)

    def answer(self, body: bytes) -> dict[str, NDArray[Any]]:
        return decode_binary(body)


async def only_model(way: Way, target: LoadTarget) -> str:
    """The name of the only model a server has, for callers that did not say which.

    Raises:
        InputError: it has none, several, or does not list them.
    """
    names = await way.models(target)
    if len(names) != 1:
        raise InputError(
            f"{target.text} serves {names or 'no model that it lists'}", hint="give --model NAME"
        )
    return names[0]


def _binary(question: Question, metadata: v2.ModelMetadata) -> tuple[bytes, dict[str, str]]:
    body, header_bytes = encode_binary(question.inputs, metadata)
    return body, {"content-type": v2.BINARY_CONTENT, v2.HEADER_LENGTH: str(header_bytes)}


def _posted(target: LoadTarget, model: str, body: bytes, headers: dict[str, str]) -> bytes:
    return encode_request("POST", _path(model), target=target, body=body, headers=headers)


def _path(model: str) -> str:
    return f"{model_path(model)}/infer"
