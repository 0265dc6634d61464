"""The routes of the sidecar that the first users run today, answered by the real model.

`POST /infer {"x": window}` gives the model's outputs by name, `POST /encode {"imu_window": window}`
its embedding. Whatever is out of contract is a 422, and without a model everything is a 503.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import orjson

from edgewright import __version__
from edgewright.device.serve.lists import array_of
from edgewright.device.serve.models import Models
from edgewright.device.serve.passes import Job
from edgewright.device.serve.ports import Array, Arrays, Timer
from edgewright.device.serve.reading import Feed
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.route_tally import Counted, RouteTally
from edgewright.device.serve.serving import ServedModel
from edgewright.errors import InputError
from edgewright.transports.http1 import Exchange, Head, preamble

_OK = preamble(200)
_WINDOW_KEYS = ("x", "imu_window")
_EMBEDDINGS = ("latent_embedding", "latent", "embedding")

_Shape = Callable[[ServedModel, Arrays], dict[str, object]]

_text = partial(preamble, content_type="text/plain; charset=utf-8")

_body_decoder = msgspec.json.Decoder(dict[str, Any])


class Compat:
    """Answers for whichever model was loaded first."""

    def __init__(self, models: Models, timer: Timer, tally: RouteTally) -> None:
        self._models = models
        self._timer = timer
        self._tally = tally
        self._started_s = timer()

    def infer(self, exchange: Exchange, head: Head, body: bytes) -> None:
        """`POST /infer`."""
        self._run(exchange, head, body, _outputs_by_name)

    def encode(self, exchange: Exchange, head: Head, body: bytes) -> None:
        """`POST /encode`."""
        self._run(exchange, head, body, _embedding)

    def health(self, exchange: Exchange, head: Head) -> None:
        """`GET /healthz`, as text where that is asked for."""
        counted = Counted(exchange, head, self._tally, self._timer)
        model = self._models.only() if self._models.is_ready else None
        accepted = head.headers.get("accept", "")
        if "text/plain" in accepted and "json" not in accepted:
            counted.reply(_text(200 if model else 503), b"ok\n" if model else b"unavailable\n")
            return
        document: dict[str, object] = {
            "ok": model is not None,
            "model": model.name if model else None,
            "uptime_s": round(self._timer() - self._started_s, 3),
            "config_version": model.version if model else None,
            "hef_sha256": model.servable.identity if model and _is_hef(model) else None,
            "model_identity": model.servable.identity if model else None,
            "version": __version__,
            "device": model.servable.platform if model else None,
            "latency_ms": model.queue.tally.quantiles_ms().get("p50") if model else None,
        }
        counted.reply(preamble(200 if model else 503), orjson.dumps(document))

    def _run(self, exchange: Exchange, head: Head, body: bytes, shape: _Shape) -> None:
        arrived_s = self._timer()
        counted = Counted(exchange, head, self._tally, self._timer)
        model = self._models.only(head.headers)
        try:
            feed = _feed(model, body)
        except InputError as error:
            _refuse(counted, refusal_of(error))
            return
        model.submit(Job(counted, feed, arrived_s, _refuse, partial(_answer, shape)))


def _feed(model: ServedModel, body: bytes) -> Feed:
    """A window without the batch dimension, or with it, as a request."""
    try:
        document = _body_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a valid body: {error}") from error
    forms = model.reader.forms
    if len(forms) != 1 or forms[0].is_string:
        raise InputError(
            f"model {model.name!r} takes {[form.name for form in forms]}",
            hint="use /v2/models/NAME/infer",
        )
    form = forms[0]
    keys = [key for key in (form.name, *_WINDOW_KEYS) if key in document]
    if not keys:
        raise InputError(f"{form.name!r} is missing", hint='send {"x": window}')
    array = array_of(keys[0], document[keys[0]], form.dtype)
    if array.ndim == len(form.tensor.shape) - 1 and form.tensor.has_batch:
        array = array[np.newaxis]
    form.check_declared(form.datatype, array.shape)
    return Feed((array.tobytes(),), (array.shape,), len(array) if array.ndim else 1)


def _answer(shape: _Shape, model: ServedModel, exchange: Exchange, outputs: Arrays) -> None:
    exchange.reply(_OK, orjson.dumps(shape(model, outputs), option=orjson.OPT_SERIALIZE_NUMPY))


def _outputs_by_name(_: ServedModel, outputs: Arrays) -> dict[str, object]:
    return {name: _plain(array) for name, array in outputs.items()}


def _embedding(model: ServedModel, outputs: Arrays) -> dict[str, object]:
    name = next((name for name in _EMBEDDINGS if name in outputs), None)
    if name is None and len(outputs) > 1:
        raise InputError(
            f"model {model.name!r} gives no embedding, it gives {sorted(outputs)}",
            hint="use /infer",
        )
    accuracy = [item.value for item in model.servable.evidence if item.name == "accuracy"]
    return {
        "latent_embedding": _plain(outputs[name or next(iter(outputs))]),
        "model_version": model.version,
        "accuracy": accuracy[0] if accuracy else None,
    }


def _plain(array: Array) -> object:
    """What JSON can say of it, without a first dimension of one row."""
    rows = array[0] if array.ndim > 1 and array.shape[0] == 1 else array
    return rows.tolist() if rows.dtype.kind in "OSU" else np.ascontiguousarray(rows)


def _refuse(exchange: Exchange, refusal: RefusalError) -> None:
    status = 422 if refusal.status == 400 else refusal.status
    fields = {} if refusal.retry_after_s is None else {"retry_after": str(refusal.retry_after_s)}
    body = orjson.dumps({"error": str(refusal), "detail": str(refusal)})
    exchange.reply(preamble(status, **fields), body)


def _is_hef(model: ServedModel) -> bool:
    return model.servable.platform.startswith("hailo")
