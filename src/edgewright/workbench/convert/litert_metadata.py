"""What ML Kit, Android and MediaPipe read beside the graph of a LiteRT file: names, value ranges,
normalisation and labels (TensorFlow Lite Metadata, `metadata_schema.fbs`, identifier M001).

The table lies in the file as the block TFLITE_METADATA; the labels are a zip archive behind the
flatbuffer, which engines do not look at.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers

from edgewright.contract import Contract, Normalise, Tensor

BLOCK = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
IDENTIFIER = b"M001"
_MIN_PARSER = "1.0.0"
_AXIS_LABELS = 2
_FEATURE = 1
_NORMALISATION = 1
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)

Offset = int


def metadata_bytes(
    contract: Contract, inputs: Sequence[str], outputs: Sequence[str], *, name: str
) -> bytes:
    """The table for a model whose tensors have these names, in the order of the file."""
    known = {tensor.name: tensor for tensor in (*contract.inputs, *contract.outputs)}
    writer = _Writer()
    ins = [
        writer.tensor(one, known.get(one), normalise=_normalise(contract, one)) for one in inputs
    ]
    outs = [
        writer.tensor(one, known.get(one), has_labels=_is_scored(contract, known.get(one)))
        for one in outputs
    ]
    graph = writer.table(5, {2: writer.offsets(ins), 3: writer.offsets(outs)})
    fields = {0: writer.text(name), 3: writer.offsets([graph]), 7: writer.text(_MIN_PARSER)}
    return writer.finish(writer.table(8, fields))


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """The file with its labels behind it, one a line; the same bytes for the same labels."""
    if not labels:
        return content
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo(LABELS_FILE, date_time=_ZIP_DATE)
        archive.writestr(entry, "".join(f"{label}\n" for label in labels))
    return content + packed.getvalue()


def _normalise(contract: Contract, name: str) -> Normalise | None:
    """What clients must do themselves: steps of the contract run before the file, not in it."""
    steps = (step for step in contract.preprocess if isinstance(step, Normalise))
    return next((step for step in steps if step.target == name), None)


def _is_scored(contract: Contract, tensor: Tensor | None) -> bool:
    """Whether the tensor holds one value for each label."""
    count = len(contract.labels)
    return bool(count and tensor is not None and tensor.shape and tensor.shape[-1] == count)


class _Writer:
    """Tables by field number: the schema's own order."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def finish(self, root: Offset) -> bytes:
        self._builder.Finish(root, file_identifier=IDENTIFIER)
        return bytes(self._builder.Output())

    def text(self, value: str) -> Offset:
        return int(self._builder.CreateString(value))

    def offsets(self, items: Sequence[Offset]) -> Offset:
        self._builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            self._builder.PrependUOffsetTRelative(item)
        return int(self._builder.EndVector())

    def floats(self, values: Sequence[float]) -> Offset:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())

    def table(
        self, size: int, offsets: dict[int, Offset], *, small: dict[int, int] | None = None
    ) -> Offset:
        """A table of offsets; `small` are fields of one byte (enums, kinds of unions)."""
        self._builder.StartObject(size)
        for field, value in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(field, value, 0)
        for field, value in (small or {}).items():
            self._builder.PrependUint8Slot(field, value, 0)
        return int(self._builder.EndObject())

    def tensor(
        self,
        name: str,
        known: Tensor | None,
        *,
        normalise: Normalise | None = None,
        has_labels: bool = False,
    ) -> Offset:
        fields = {0: self.text(name)}
        content = self.table(1, {})
        fields[3] = self.table(3, {1: content}, small={0: _FEATURE})
        if normalise is not None:
            options = self.table(2, {0: self.floats(normalise.mean), 1: self.floats(normalise.std)})
            unit = self.table(2, {1: options}, small={0: _NORMALISATION})
            fields[4] = self.offsets([unit])
        if known is not None and (stats := self._stats(known)):
            fields[5] = stats
        if has_labels:
            file = self.table(
                5,
                {0: self.text(LABELS_FILE), 1: self.text("The classes, in the order of scores.")},
                small={2: _AXIS_LABELS},
            )
            fields[6] = self.offsets([file])
        return self.table(7, fields)

    def _stats(self, tensor: Tensor) -> Offset:
        """Ranges that the contract states, by channel where channels have their own."""
        sources: Sequence[Any] = tensor.channels or (tensor,)
        read: Callable[[str], list[float]] = lambda end: [  # noqa: E731  # twice below
            float(getattr(one, end)) for one in sources if getattr(one, end) is not None
        ]
        lows, highs = read("low"), read("high")
        if len(lows) != len(sources) or len(highs) != len(sources):
            return 0
        return self.table(2, {0: self.floats(highs), 1: self.floats(lows)})
