"""Routes that users of other servers know, answered by the real model.

    POST /v1/models/NAME:predict    TensorFlow Serving: {"instances": rows} or {"inputs": columns}
    POST /v1/models/NAME:classify   the best classes with labels and scores (?k=5)
    POST /v1/models/NAME:segment    the mask, as rows of class positions
    POST /predictions/NAME          TorchServe: the rows, {"data": rows} or {"instances": rows}
    POST /invocations               MLflow: instances, inputs or dataframe_split, of the first model

A body whose type is image/jpeg or image/png is one picture; so is a row {"b64": TEXT} of the first
three. The contract's steps bring it to size.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
import orjson

from edgewright.device.serve.lists import array_of
from edgewright.device.serve.models import Models
from edgewright.device.serve.passes import Job
from edgewright.device.serve.pictures import Encoded, File, check_count, takes_pictures
from edgewright.device.serve.ports import Array, Arrays, Timer
from edgewright.device.serve.reading import Feed
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.routes import Route
from edgewright.device.serve.serving import ServedModel, refuse_as_v2
from edgewright.device.serve.writing import check_classes
from edgewright.errors import EdgewrightError, InputError
from edgewright.transports.http1 import Exchange, Head, preamble

_OK = preamble(200)
_IMAGES = ("image/jpeg", "image/png")
_MOST_CLASSES = 1000

_Render = Callable[[ServedModel, Arrays], object]

_decoder = msgspec.json.Decoder()


class Friendly:
    """Answers these routes."""

    def __init__(self, models: Models, timer: Timer) -> None:
        self._models = models
        self._timer = timer

    def predict(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        """`POST /v1/models/NAME:predict`."""
        model = self._models.choose(route.model, route.version, head.headers)
        if _is_image(head):
            self._picture(exchange, body, model, _predictions)
            return
        document = _document(body)
        if "instances" in document and "inputs" in document:
            raise refusal_of(InputError("both 'instances' and 'inputs'", hint="send one of them"))
        if "instances" in document:
            self._run(exchange, model, document["instances"], _predictions, by_row=True)
        elif "inputs" in document:
            self._run(exchange, model, document["inputs"], _outputs)
        else:
            raise refusal_of(
                InputError("neither 'instances' nor 'inputs'", hint='send {"instances": [row]}')
            )

    def classify(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        """`POST /v1/models/NAME:classify`."""
        count = head.query.get("k", "5")
        if not (count.isascii() and count.isdigit()) or not 1 <= int(count[:9]) <= _MOST_CLASSES:
            raise refusal_of(InputError(f"k is {count[:20]!r}, expected 1 to {_MOST_CLASSES}"))
        self._shown(exchange, head, body, route, partial(_classes, int(count)))

    def segment(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        """`POST /v1/models/NAME:segment`."""
        self._shown(exchange, head, body, route, _mask)

    def predictions(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        """`POST /predictions/NAME`."""
        self._shown(exchange, head, body, route, _plain_outputs)

    def invocations(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        """`POST /invocations`."""
        model = self._models.only(head.headers)
        if _is_image(head):
            self._picture(exchange, body, model, _predictions)
            return
        document = _document(body)
        split = document.get("dataframe_split")
        if isinstance(split, dict) and "data" in split:
            self._run(exchange, model, split["data"], _predictions)
        elif "instances" in document:
            self._run(exchange, model, document["instances"], _predictions, by_row=True)
        elif "inputs" in document:
            self._run(exchange, model, document["inputs"], _predictions)
        else:
            raise refusal_of(
                InputError("none of 'instances', 'inputs', 'dataframe_split' is there")
            )

    def status(self, exchange: Exchange, route: Route) -> None:
        """`GET /v1/models/NAME`."""
        self._models.find(route.model, route.version)
        versions = self._models.versions(route.model)
        told = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        lines = [{"version": version, **told} for version in versions]
        exchange.reply(_OK, orjson.dumps({"model_version_status": lines}))

    def ping(self, exchange: Exchange) -> None:
        """`GET /ping`."""
        ready = self._models.is_ready
        body = b'{"status":"Healthy"}' if ready else b'{"status":"Unhealthy"}'
        exchange.reply(preamble(200 if ready else 503), body)

    def _shown(
        self, exchange: Exchange, head: Head, body: bytes, route: Route, render: _Render
    ) -> None:
        """A picture, rows under one of the usual keys, or bare rows."""
        model = self._models.choose(route.model, route.version, head.headers)
        if _is_image(head):
            self._picture(exchange, body, model, render)
            return
        values = _parsed(body)
        if isinstance(values, dict):
            key = next((key for key in ("instances", "data", "inputs", "x") if key in values), "")
            values = values[key] if key else values
        self._run(exchange, model, values, render, by_row=isinstance(values, list))

    def _run(
        self,
        exchange: Exchange,
        model: ServedModel,
        values: object,
        render: _Render,
        *,
        by_row: bool = False,
    ) -> None:
        try:
            files = _files_in(model, values)
            if files:
                self._files(exchange, files, model, render)
                return
            feed = _feed(model, _by_name(model, values, by_row=by_row))
        except EdgewrightError as error:
            raise self._refused(model, error) from error
        self._submit(exchange, model, feed, render)

    def _picture(
        self, exchange: Exchange, body: bytes, model: ServedModel, render: _Render
    ) -> None:
        self._files(exchange, (body,), model, render)

    def _files(
        self, exchange: Exchange, files: tuple[File, ...], model: ServedModel, render: _Render
    ) -> None:
        try:
            _only_name(model)
        except InputError as error:
            raise self._refused(model, error) from error
        feed = Feed((b"",), ((len(files),),), len(files), encoded=(Encoded(0, files),))
        self._submit(exchange, model, feed, render)

    def _submit(self, exchange: Exchange, model: ServedModel, feed: Feed, render: _Render) -> None:
        job = Job(exchange, feed, self._timer(), refuse_as_v2, partial(_answer, render))
        model.submit(job)

    def _refused(self, model: ServedModel, error: EdgewrightError) -> RefusalError:
        refusal = refusal_of(error)
        model.queue.tally.failed[refusal.reason] += 1
        return refusal


def _answer(render: _Render, model: ServedModel, exchange: Exchange, outputs: Arrays) -> None:
    exchange.reply(_OK, orjson.dumps(render(model, outputs), option=orjson.OPT_SERIALIZE_NUMPY))


def _is_image(head: Head) -> bool:
    return head.headers.get("content-type", "").partition(";")[0].strip().lower() in _IMAGES


def _parsed(body: bytes) -> Any:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusal_of(InputError(f"not a valid body: {error}")) from error


def _document(body: bytes) -> dict[str, Any]:
    document = _parsed(body)
    if not isinstance(document, dict):
        raise refusal_of(InputError("the body is not a JSON object"))
    return document


def _only_name(model: ServedModel) -> str:
    names = [form.name for form in model.reader.forms]
    if len(names) != 1:
        raise InputError(
            f"model {model.name!r} takes {names}", hint="name each input, or use /v2/models"
        )
    return names[0]


def _files_in(model: ServedModel, values: object) -> tuple[File, ...]:
    """The pictures, where every row is one: `{"b64": text}`, as TensorFlow Serving writes bytes."""
    forms = model.reader.forms
    if len(forms) != 1 or not isinstance(values, list) or not takes_pictures(forms[0]):
        return ()
    files: list[File] = []
    for row in values:
        inner = row.get(forms[0].name, row) if isinstance(row, dict) else row
        if not (isinstance(inner, dict) and list(inner) == ["b64"]):
            return ()
        files.append(str(inner["b64"]))
    check_count(forms[0], len(files))
    return tuple(files)


def _by_name(model: ServedModel, values: object, *, by_row: bool) -> dict[str, object]:
    """Values for each input: rows of a single input, rows of objects, or columns by name."""
    if isinstance(values, dict):
        return dict(values)
    if by_row and isinstance(values, list) and values and isinstance(values[0], dict):
        try:
            return {name: [row[name] for row in values] for name in values[0]}
        except (KeyError, TypeError) as error:
            raise InputError(f"not every row has the same members: {error}") from error
    return {_only_name(model): values}


def _feed(model: ServedModel, values: Mapping[str, object]) -> Feed:
    forms = model.reader.forms
    names = [form.name for form in forms]
    if sorted(values) != sorted(names):
        raise InputError(f"the body names {sorted(values)}", hint=f"the model takes {names}")
    contents: list[Any] = []
    shapes: list[tuple[int, ...]] = []
    for form in forms:
        array = array_of(form.name, values[form.name], form.dtype)
        if array.ndim == len(form.tensor.shape) - 1 and form.tensor.has_batch:
            array = array[np.newaxis]
        form.check_declared(form.datatype, array.shape)
        contents.append(list(array.ravel()) if form.is_string else array.tobytes())
        shapes.append(array.shape)
    return Feed(tuple(contents), tuple(shapes), shapes[0][0] if shapes[0] else 1)


def _plain(array: Array) -> Any:
    return array.tolist() if array.dtype.kind in "OSU" else np.ascontiguousarray(array)


def _outputs(_: ServedModel, outputs: Arrays) -> object:
    if len(outputs) == 1:
        return {"outputs": _plain(next(iter(outputs.values())))}
    return {"outputs": {name: _plain(array) for name, array in outputs.items()}}


def _predictions(_: ServedModel, outputs: Arrays) -> object:
    if len(outputs) == 1:
        return {"predictions": _plain(next(iter(outputs.values())))}
    columns = {name: _plain(array) for name, array in outputs.items()}
    rows = min(len(column) for column in columns.values())
    return {"predictions": [{n: _item(c[row]) for n, c in columns.items()} for row in range(rows)]}


def _plain_outputs(_: ServedModel, outputs: Arrays) -> object:
    if len(outputs) == 1:
        return _plain(next(iter(outputs.values())))
    return {name: _plain(array) for name, array in outputs.items()}


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _classes(count: int, model: ServedModel, outputs: Arrays) -> object:
    """Per row the best classes of the first output that holds scores."""
    found = [a for a in outputs.values() if a.dtype.kind == "f" and a.ndim == 2 and a.shape[1] > 1]
    if not found:
        raise InputError(f"model {model.name!r} gives no scores", hint="use :predict")
    check_classes(found[0], min(count, found[0].shape[1]))
    labels = model.contract.labels
    order = np.argsort(-found[0].astype(np.float64), axis=1, kind="stable")[:, :count]
    rows = [
        [
            {
                "index": int(place),
                "label": labels[place] if place < len(labels) else None,
                "score": float(scores[place]),
            }
            for place in places
        ]
        for scores, places in zip(found[0], order, strict=True)
    ]
    return {"model_name": model.name, "model_version": model.version, "classes": rows}


def _mask(model: ServedModel, outputs: Arrays) -> object:
    """The first output that is a mask, or the best class at each place of one with scores."""
    for array in outputs.values():
        if array.dtype.kind in "iub" and array.ndim == 3:
            mask = array
            break
        if array.dtype.kind == "f" and array.ndim == 4 and array.shape[1] > 1:
            mask = array.argmax(axis=1).astype(np.int32)
            break
    else:
        raise InputError(f"model {model.name!r} gives no mask", hint="use :predict")
    return {
        "model_name": model.name,
        "model_version": model.version,
        "labels": list(model.contract.labels),
        "height": mask.shape[1],
        "width": mask.shape[2],
        "masks": np.ascontiguousarray(mask),
    }
