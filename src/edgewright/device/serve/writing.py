"""Outputs of one model to bodies of infer answers."""

import numpy as np
import orjson

from edgewright.contract import Contract
from edgewright.device.serve.ports import Array, Arrays
from edgewright.device.serve.reading import Feed, Wanted
from edgewright.device.serve.tensors import OutputForm
from edgewright.errors import InputError
from edgewright.wire.v2 import BINARY_SIZE, pack_strings

MOST_CLASSES = 50_000
_KEPT_TEMPLATES = 64


class Writer:
    """Writes answers of one model and version."""

    def __init__(self, contract: Contract, *, name: str, version: str) -> None:
        self._forms = {tensor.name: OutputForm(tensor) for tensor in contract.outputs}
        self._outputs = contract.outputs
        self._labels = contract.labels
        self._head = orjson.dumps({"model_name": name, "model_version": version})[:-1]
        self._has_strings = any(form.is_string for form in self._forms.values())
        self._templates: dict[tuple[tuple[int, ...], ...], bytes] = {}
        self._headers: dict[tuple[tuple[Wanted, ...], tuple[tuple[int, ...], ...]], bytes] = {}

    def write(self, feed: Feed, outputs: Arrays) -> tuple[bytes, int | None]:
        """The body, and its JSON part's length when tensors follow it in binary."""
        if feed.wanted is not None:
            return self._write_wanted(feed, feed.wanted, outputs)
        template = self._template(tuple(outputs[name].shape for name in self._forms))
        texts = [form.to_json(outputs[name]) for name, form in self._forms.items()]
        return template % (_id_member(feed.id), *texts), None

    def write_rows(self, feeds: list[Feed], outputs: Arrays) -> list[bytes] | None:
        """The bodies of requests that are one row each and want everything as JSON: all rows become
        text at once. None where that cannot be done.
        """
        if self._has_strings:
            return None
        arrays = [outputs[name] for name in self._forms]
        template = self._template(tuple((1, *array.shape[1:]) for array in arrays))
        columns = [form.rows_to_json(outputs[name]) for name, form in self._forms.items()]
        return [
            template % (_id_member(feed.id), *texts)
            for feed, *texts in zip(feeds, *columns, strict=True)
        ]

    def around_rows(self) -> tuple[bytes, bytes]:
        """What stands before and after one row's numbers in an answer with a single output."""
        ((form, tensor),) = zip(self._forms.values(), self._outputs, strict=True)
        sizes = [1, *(size for size in tensor.shape[1:] if isinstance(size, int))]
        shape = b",".join(b"%d" % size for size in sizes)
        return b'%b,"outputs":[%b,"shape":[%b],"data":[' % (self._head, form.head, shape), b"]}]}"

    def _template(self, shapes: tuple[tuple[int, ...], ...]) -> bytes:
        """An answer with places for the id's member and for each output's data."""
        template = self._templates.get(shapes)
        if template is None:
            outputs = b",".join(
                b'%b,"shape":[%b],"data":%%b}'
                % (form.head.replace(b"%", b"%%"), b",".join(b"%d" % size for size in shape))
                for form, shape in zip(self._forms.values(), shapes, strict=True)
            )
            template = b'%b%%b,"outputs":[%b]}' % (self._head.replace(b"%", b"%%"), outputs)
            if len(self._templates) < _KEPT_TEMPLATES:
                self._templates[shapes] = template
        return template

    def _write_wanted(
        self, feed: Feed, wanted: tuple[Wanted, ...], outputs: Arrays
    ) -> tuple[bytes, int | None]:
        if feed.id is not None or self._has_strings:
            return self._described(feed, wanted, outputs)
        key = wanted, tuple([outputs[one.name].shape for one in wanted])
        header = self._headers.get(key)
        if header is not None:
            contents = [outputs[one.name].tobytes() for one in wanted]
            return b"".join([header, *contents]), len(header)
        body, header_bytes = self._described(feed, wanted, outputs)
        all_binary = all(one.is_binary and not one.classes for one in wanted)
        if all_binary and header_bytes is not None and len(self._headers) < _KEPT_TEMPLATES:
            self._headers[key] = body[:header_bytes]
        return body, header_bytes

    def _described(
        self, feed: Feed, wanted: tuple[Wanted, ...], outputs: Arrays
    ) -> tuple[bytes, int | None]:
        """Every output with a description of its own."""
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
        header = b'%b%b,"outputs":[%b]}' % (self._head, _id_member(feed.id), b",".join(texts))
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
        check_classes(scores, count)
        # Mirrored, so that of equal scores the first place leads; negated, some would be rounded.
        last, mirrored = scores.shape[-1] - 1, scores[..., ::-1]
        ascending = last - np.argsort(mirrored, axis=-1, kind="stable")
        order = ascending[..., ::-1][..., :count]
        best = np.take_along_axis(scores, order, axis=-1)
        notation = "f" if scores.dtype.kind == "f" else "d"
        texts = [
            self._class_text(f"{score:{notation}}", place)
            for score, place in zip(best.ravel().tolist(), order.ravel().tolist(), strict=True)
        ]
        return np.array(texts, dtype=object).reshape(best.shape)

    def _class_text(self, score: str, place: int) -> str:
        label = f":{self._labels[place]}" if place < len(self._labels) else ""
        return f"{score}:{place}{label}"


def check_classes(scores: Array, count: int) -> None:
    """Whether so many of the last axis's classes at each place are few enough: the event loop
    writes each of them, and everybody waits meanwhile.

    Raises:
        InputError: they are too many.
    """
    places = scores.size // max(scores.shape[-1], 1)
    if places * count > MOST_CLASSES:
        raise InputError(
            f"{count} classes for each of {places} are {places * count}, at most {MOST_CLASSES} "
            "are written in one answer",
            hint="send fewer rows together, or take the scores as they are",
        )


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


def _id_member(request_id: str | None) -> bytes:
    return b"" if request_id is None else b',"id":%b' % orjson.dumps(request_id)
