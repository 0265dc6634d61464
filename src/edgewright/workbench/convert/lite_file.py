"""LiteRT files (.tflite) as the schema holds them: names, inner buffers, labels, one byte string.

Tools leave weights beside the table at external offsets, which TensorFlow Lite Micro reads as zeros
without an error: every file that leaves this room has them inside, aligned to 16 bytes.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgewright.errors import InputError

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
_OPERATORS: dict[int, str] = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)
}


class LiteModel:
    """The file as an object to change; `content()` is the file again."""

    def __init__(self, content: bytes, *, source: str = "the LiteRT file") -> None:
        if content[4:8] != IDENTIFIER:
            raise InputError(
                f"{source} is no LiteRT file: bytes 4 to 8 are {content[4:8]!r}, expected "
                f"{IDENTIFIER!r}"
            )
        self.table = schema.ModelT.InitFromPackedBuf(content, 0)
        for buffer in self.table.buffers:
            if buffer.offset > 1:
                inside = content[buffer.offset : buffer.offset + buffer.size]
                if len(inside) != buffer.size:
                    raise InputError(f"{source}: a weight lies behind the end of the file")
                buffer.data = np.frombuffer(inside, np.uint8)
            buffer.offset = buffer.size = 0

    @property
    def graph(self) -> Any:
        """The first subgraph, which is the model."""
        return self.table.subgraphs[0]

    def operator(self, entry: Any) -> str:
        """The name of an operator's kind."""
        code = self.table.operatorCodes[entry.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if _OPERATORS.get(kind) == "CUSTOM":
            return bytes(code.customCode or b"CUSTOM").decode()
        return _OPERATORS.get(kind, f"operator {kind}")

    def operators(self) -> list[str]:
        """Every operator's kind, in order of execution."""
        return [self.operator(entry) for entry in self.graph.operators]

    def name_tensors(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Give the ends the names that callers know, and inner tensors short ones.

        Raises:
            InputError: the file has another number of inputs or outputs.
        """
        graph = self.graph
        if len(inputs) != len(graph.inputs) or len(outputs) != len(graph.outputs):
            raise InputError(
                f"the LiteRT file takes {len(graph.inputs)} tensors and gives "
                f"{len(graph.outputs)}, expected {list(inputs)} and {list(outputs)}"
            )
        for position, entry in enumerate(graph.operators):
            for place, index in enumerate(entry.outputs):
                kind = self.operator(entry).lower()
                graph.tensors[index].name = f"{kind}_{position}{f'_{place}' if place else ''}"
        made = {index for entry in graph.operators for index in entry.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in made:
                tensor.name = f"constant_{index}"
        for name, index in (
            *zip(outputs, graph.outputs, strict=True),
            *zip(inputs, graph.inputs, strict=True),
        ):
            graph.tensors[index].name = name
        for signature in self.table.signatureDefs or []:
            by_index = dict(zip(graph.inputs, inputs, strict=True))
            for entry in signature.inputs:
                entry.name = by_index[entry.tensorIndex]
            signature.outputs.sort(key=lambda entry: list(graph.outputs).index(entry.tensorIndex))
            for entry, name in zip(signature.outputs, outputs, strict=True):
                entry.name = name

    def add_metadata(self, name: str, content: bytes) -> None:
        """Store a named block; one of the same name is replaced."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8)
        self.table.buffers.append(buffer)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(self.table.buffers) - 1
        kept = [m for m in self.table.metadata or [] if m.name not in {name, name.encode()}]
        self.table.metadata = [*kept, entry]

    def content(self) -> bytes:
        """The file: weights inside and aligned, the same bytes for the same model."""
        builder = flatbuffers.Builder(1 << 20)
        for buffer in self.table.buffers:
            buffer.__class__ = _AlignedBuffer
        builder.Finish(self.table.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # generated code without types
    """The schema asks for 16 bytes; flatbuffers' Python writer does not hear it."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802  # the generated code calls it so
        where = None
        if self.data is not None and len(self.data):
            data = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(data), ALIGNMENT)
            head = builder.head - len(data)
            builder.head = head
            builder.Bytes[head : head + len(data)] = data
            where = builder.EndVector()
        schema.BufferStart(builder)
        if where is not None:
            schema.BufferAddData(builder, where)
        return schema.BufferEnd(builder)
