"""gRPC as a way into a server. Needs the extra `grpc`."""

from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError, TransportError
from edgewright.measure.load import Connect, LoadTarget
from edgewright.measure.load_grpc import grpc_connect
from edgewright.validate.encoding import DTYPES, array_bytes, array_of_bytes
from edgewright.validate.questions import Question
from edgewright.wire import v2
from edgewright.wire.v2_grpc import CONTENTS, MESSAGES, SERVICE

_TIMEOUT_S = 10.0


class GrpcWay:
    """The protocol's `ModelInfer`, with arrays as raw bytes."""

    name = "gRPC"
    connect: Connect | None

    def __init__(self) -> None:
        self.connect = grpc_connect(f"/{SERVICE}/ModelInfer")

    async def models(self, target: LoadTarget) -> list[str]:
        reply = await _asked(target, "RepositoryIndex", MESSAGES["RepositoryIndexRequest"]())
        return [one.name for one in MESSAGES["RepositoryIndexResponse"].FromString(reply).models]

    async def metadata(self, target: LoadTarget, model: str) -> v2.ModelMetadata:
        request = MESSAGES["ModelMetadataRequest"](name=model)
        found = MESSAGES["ModelMetadataResponse"].FromString(
            await _asked(target, "ModelMetadata", request)
        )
        return v2.ModelMetadata(
            name=found.name,
            versions=tuple(found.versions),
            platform=found.platform,
            inputs=tuple(map(_tensor, found.inputs)),
            outputs=tuple(map(_tensor, found.outputs)),
        )

    async def check(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> None:
        """Nothing: every answer is looked at whole."""

    def request(
        self, target: LoadTarget, model: str, question: Question, metadata: v2.ModelMetadata
    ) -> bytes:
        datatypes = {tensor.name: tensor.datatype for tensor in metadata.inputs}
        message = MESSAGES["ModelInferRequest"](model_name=model)
        for name, array in question.inputs.items():
            message.inputs.add(name=name, datatype=datatypes[name], shape=array.shape)
            message.raw_input_contents.append(array_bytes(array, datatypes[name]))
        content: bytes = message.SerializeToString()
        return content

    def answer(self, body: bytes) -> dict[str, NDArray[Any]]:
        try:
            message = MESSAGES["ModelInferResponse"].FromString(body)
        except ValueError as error:
            raise InputError(f"not a ModelInferResponse: {error}") from error
        raw = list(message.raw_output_contents)
        if raw and len(raw) != len(message.outputs):
            raise InputError(f"{len(message.outputs)} outputs, but {len(raw)} raw contents")
        return {
            output.name: array_of_bytes(
                output.name, output.datatype, tuple(output.shape), memoryview(raw[place])
            )
            if raw
            else _typed(output)
            for place, output in enumerate(message.outputs)
        }


def _typed(output: Any) -> NDArray[Any]:
    member, dtype = CONTENTS.get(output.datatype), DTYPES.get(output.datatype)
    if member is None or dtype is None:
        raise InputError(f"output {output.name!r} is of unknown type {output.datatype!r}")
    values = list(getattr(output.contents, member))
    try:
        if dtype == "string":
            values = [value.decode() for value in values]
        return np.array(values, np.str_ if dtype == "string" else dtype).reshape(
            tuple(output.shape)
        )
    except ValueError as error:
        raise InputError(
            f"output {output.name!r}: {len(values)} values do not make {list(output.shape)}"
        ) from error


def _tensor(found: Any) -> v2.TensorMetadata:
    return v2.TensorMetadata(name=found.name, datatype=found.datatype, shape=tuple(found.shape))


async def _asked(target: LoadTarget, method: str, message: Any) -> bytes:
    async with grpc.aio.insecure_channel(target.authority) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/{method}")
        try:
            reply: bytes = await call(message.SerializeToString(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _explained(target, error) from error
    return reply


def _explained(target: LoadTarget, error: Any) -> InputError | TransportError:
    said = f"{target.text}: {error.code().name}: {error.details()}"
    if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED}:
        return InputError(said, hint="check --model and that the address speaks V2 over gRPC")
    return TransportError(said, hint="check that the server runs and that the address is right")
