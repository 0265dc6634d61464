"""Outputs of one model to bodies of infer answers."""

import numpy as np
import orjson

from edgewright.contract import Contract
from edgewright.device.serve.ports import Array, Arrays
from edgewright.device.serve.reading import Feed, Wanted
from edgewright.device.serve.tensors import OutputForm
from edgewright.errors import InputError
from edgewright.wire.v2 import BINARY_SIZE, pack_strings


class Writer:
    """Writes answers of one model and version."""

    def __init__(self, contract: Contract, *, name: str, version: str) -> None:
        self._forms = {tensor.name: OutputForm(tensor) for tensor in contract.outputs}
        self._all = tuple(self._forms.values())
        self._labels = contract.labels
        known = orjson.dumps({"model_name": name, "model_version": version})
        self._head = known[:-1]
        self._plain = [
            (form, form.name, (b"," if place else b"") + form.head + b',"shape":[%b],"data":%b}')
            for place, form in enumerate(self._all)
        ]
        self._plain_head = self._head + b',"outputs":['

    def write(self, feed: Feed, outputs: Arrays) -> tuple[bytes, int | None]:
        """The body, and its JSON part's length when tensors follow it in binary."""
        if feed.wanted is not None:
            return self._write_wanted(feed, feed.wanted, outputs)
        head = self._plain_head
        if feed.id is not None:
            head = b'%b,"id":%b,"outputs":[' % (self._head, orjson.dumps(feed.id))
        return head + self._plain_outputs(outputs) + b"]}", None

    def _plain_outputs(self, outputs: Arrays) -> bytes:
        return b"".join(
            [
                text % (_shape_text(outputs[name].shape), form.to_json(outputs[name]))
                for form, name, text in self._plain
            ]
        )

    def _write_wanted(
        self, feed: Feed, wanted: tuple[Wanted, ...], outputs: Arrays
    ) -> tuple[bytes, int | None]:
        texts: list[bytes] = []
        contents: list[bytes] = []
        for one in wanted:
            array = outputs[one.name]
            form: OutputForm | _StringForm = self._forms[one.name]
            if one.classes:
                form, array = _STRINGS, self._best_classes(one, array)
            text, content = _output(form, one, array)
            texts.append(text)
            if content is not None:
                contents.append(content)
        id_text = b"" if feed.id is None else b',"id":%b' % orjson.dumps(feed.id)
        header = b'%b%b,"outputs":[%b]}' % (self._head, id_text, b",".join(texts))
        if not contents:
            return header, None
        return b"".join([header, *contents]), len(header)

    def _best_classes(self, wanted: Wanted, scores: Array) -> Array:
        """Texts "score:class" or "score:class:label" of the best ones, best first, as the
        protocol's classification extension wants them.
        """
        if scores.dtype.kind not in "fiu" or scores.ndim < 1:
            raise InputError(
                f"output {wanted.name!r} holds no scores to classify by",
                hint="leave the classification parameter out",
            )
        count = min(wanted.classes, scores.shape[-1])
        order = np.argsort(-scores.astype(np.float64), axis=-1, kind="stable")[..., :count]
        best = np.take_along_axis(scores, order, axis=-1)
        texts = [
            self._class_text(score, place)
            for score, place in zip(best.ravel().tolist(), order.ravel().tolist(), strict=True)
        ]
        return np.array(texts, dtype=object).reshape(best.shape)

    def _class_text(self, score: float, place: int) -> str:
        label = f":{self._labels[place]}" if place < len(self._labels) else ""
        return f"{score:f}:{place}{label}"


class _StringForm:
    """Class texts, whatever the output's own type is."""

    datatype = "BYTES"

    def to_json(self, array: Array) -> bytes:
        return orjson.dumps(array.ravel().tolist())

    def to_binary(self, array: Array) -> bytes:
        return pack_strings(text.encode() for text in array.ravel().tolist())


_STRINGS = _StringForm()


def _output(
    form: OutputForm | _StringForm, wanted: Wanted, array: Array
) -> tuple[bytes, bytes | None]:
    described: dict[str, object] = {
        "name": wanted.name,
        "datatype": form.datatype,
        "shape": list(array.shape),
    }
    if wanted.is_binary:
        content = form.to_binary(array)
        described["parameters"] = {BINARY_SIZE: len(content)}
        return orjson.dumps(described), content
    return orjson.dumps(described)[:-1] + b',"data":%b}' % form.to_json(array), None


def _shape_text(shape: tuple[int, ...]) -> bytes:
    return b",".join(b"%d" % size for size in shape)
