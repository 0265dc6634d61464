"""The V2 / Open Inference Protocol over gRPC: its protobuf messages, made from a table.

Field numbers are the protocol's and Triton's, so their clients understand every message. The
descriptors live in a pool of their own: a process may hold other packages' messages of the same
names. Needs the extra `grpc`.

>>> request = MESSAGES["ModelInferRequest"](model_name="m", raw_input_contents=[b"ab"])
>>> MESSAGES["ModelInferRequest"].FromString(request.SerializeToString()).model_name
'm'
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]  # protobuf ships no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

from edgewright.wire.v2 import Parameters

SERVICE = "inference.GRPCInferenceService"
_PACKAGE = "inference"
_FIELD: Any = descriptor_pb2.FieldDescriptorProto

_NAME_VERSION = "name:string=1 version:string=2"
_TENSOR = "name:string=1 datatype:string=2 shape:int64*=3"
_REPOSITORY = "repository_name:string=1 model_name:string=2"

# "name:type=number"; "*" repeats, "%" maps from string, "?" belongs to the message's one oneof.
_FIELDS: Mapping[str, str] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live:bool=1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready:bool=1",
    "ModelReadyRequest": _NAME_VERSION,
    "ModelReadyResponse": "ready:bool=1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name:string=1 version:string=2 extensions:string*=3",
    "ModelMetadataRequest": _NAME_VERSION,
    "TensorMetadata": _TENSOR,
    "ModelMetadataResponse": "name:string=1 versions:string*=2 platform:string=3 "
    "inputs:TensorMetadata*=4 outputs:TensorMetadata*=5",
    "InferParameter": "bool_param:bool?=1 int64_param:int64?=2 string_param:string?=3 "
    "double_param:double?=4 uint64_param:uint64?=5",
    "InferTensorContents": "bool_contents:bool*=1 int_contents:int32*=2 int64_contents:int64*=3 "
    "uint_contents:uint32*=4 uint64_contents:uint64*=5 fp32_contents:float*=6 "
    "fp64_contents:double*=7 bytes_contents:bytes*=8",
    "InferInputTensor": f"{_TENSOR} parameters:InferParameter%=4 contents:InferTensorContents=5",
    "InferRequestedOutputTensor": "name:string=1 parameters:InferParameter%=2",
    "ModelInferRequest": "model_name:string=1 model_version:string=2 id:string=3 "
    "parameters:InferParameter%=4 inputs:InferInputTensor*=5 "
    "outputs:InferRequestedOutputTensor*=6 raw_input_contents:bytes*=7",
    "InferOutputTensor": f"{_TENSOR} parameters:InferParameter%=4 contents:InferTensorContents=5",
    "ModelInferResponse": "model_name:string=1 model_version:string=2 id:string=3 "
    "parameters:InferParameter%=4 outputs:InferOutputTensor*=5 raw_output_contents:bytes*=6",
    "ModelStreamInferResponse": "error_message:string=1 infer_response:ModelInferResponse=2",
    "ModelConfigRequest": _NAME_VERSION,
    "ModelInput": "name:string=1 data_type:int32=2 dims:int64*=4",
    "ModelOutput": "name:string=1 data_type:int32=2 dims:int64*=3",
    "ModelParameter": "string_value:string=1",
    "ModelConfig": "name:string=1 platform:string=2 max_batch_size:int32=4 input:ModelInput*=5 "
    "output:ModelOutput*=6 parameters:ModelParameter%=14 backend:string=17",
    "ModelConfigResponse": "config:ModelConfig=1",
    "ModelStatisticsRequest": _NAME_VERSION,
    "StatisticDuration": "count:uint64=1 ns:uint64=2",
    "InferStatistics": "success:StatisticDuration=1 fail:StatisticDuration=2 "
    "queue:StatisticDuration=3 compute_input:StatisticDuration=4 "
    "compute_infer:StatisticDuration=5 compute_output:StatisticDuration=6",
    "ModelStatistics": f"{_NAME_VERSION} last_inference:uint64=3 inference_count:uint64=4 "
    "execution_count:uint64=5 inference_stats:InferStatistics=6",
    "ModelStatisticsResponse": "model_stats:ModelStatistics*=1",
    "RepositoryIndexRequest": "repository_name:string=1 ready:bool=2",
    "ModelIndex": "name:string=1 version:string=2 state:string=3 reason:string=4",
    "RepositoryIndexResponse": "models:ModelIndex*=1",
    "RepositoryModelLoadRequest": _REPOSITORY,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": _REPOSITORY,
    "RepositoryModelUnloadResponse": "",
}

DATA_TYPES: Mapping[str, int] = {
    "BOOL": 1,
    "UINT8": 2,
    "INT8": 6,
    "INT16": 7,
    "INT32": 8,
    "INT64": 9,
    "FP16": 10,
    "FP32": 11,
    "FP64": 12,
    "BYTES": 13,
}
"""The numbers of a model configuration's types."""

CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which member of a tensor's contents holds a type; FP16 travels raw only."""


def parameters_of(messages: Mapping[str, Any]) -> Parameters:
    """Parameters as JSON has them."""
    return {
        name: getattr(message, chosen)
        for name, message in messages.items()
        if (chosen := message.WhichOneof("parameter_choice")) is not None
    }


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="edgewright/v2.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for text in fields.split():
            _add_field(message, text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _FIELDS
    }


def _add_field(message: Any, text: str) -> None:
    name, _, rest = text.partition(":")
    kind, _, number = rest.partition("=")
    mark = kind[-1] if kind[-1] in "*%?" else ""
    field = message.field.add(name=name, number=int(number))
    field.label = _FIELD.LABEL_REPEATED if mark in ("*", "%") else _FIELD.LABEL_OPTIONAL
    if mark == "%":
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _set_type(entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL), "string")
        value = entry.field.add(name="value", number=2, label=_FIELD.LABEL_OPTIONAL)
        _set_type(value, kind[:-1])
        field.type = _FIELD.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
        return
    if mark == "?":
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    _set_type(field, kind.rstrip("*?"))


def _set_type(field: Any, kind: str) -> None:
    if kind in _FIELDS:
        field.type = _FIELD.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(_FIELD, f"TYPE_{kind.upper()}")


MESSAGES: Mapping[str, Any] = _build()
"""Message classes by name."""
