"""EdgeInfer's routes, answered by the real model.

    POST /api/v1/analysis/start                    a session
    PUT  /api/v1/analysis/stream                   samples: {"sessionId", "samples": [{"t", "ax"}]}
    GET  /api/v1/analysis/motifs?sessionId=        motifs of its windows
    GET  /api/v1/analysis/synchrony?sessionId=     lagged correlation of its sensors (or with=)
    POST /api/v1/analysis/stop                     its end
    POST /api/v1/analysis/infer                    one window: {"x": ...}
    GET  /health/detailed, /status                 what is served

Without a model everything is a 503, and so are motifs when none were learnt for the model that is
served: no number is made up.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import numpy as np
import orjson

from edgewright import __version__
from edgewright.device.serve.models import Models
from edgewright.device.serve.motifs import Motifs, nearest_motifs
from edgewright.device.serve.ports import Array, Timer
from edgewright.device.serve.refusal import RefusalError, refusal_of
from edgewright.device.serve.route_tally import Counted, RouteTally
from edgewright.device.serve.routes import Route
from edgewright.device.serve.serving import ServedModel
from edgewright.device.serve.sessions import (
    MOST_WAITING,
    Finding,
    Session,
    Sessions,
    plan_of,
)
from edgewright.device.serve.synchrony import LEAST_SAMPLES, lagged_correlation
from edgewright.device.serve.workers import Workers
from edgewright.device.streams.base import Samples
from edgewright.device.streams.ring import Window
from edgewright.errors import EdgewrightError, InputError
from edgewright.transports.http1 import Exchange, Head, preamble

logger = logging.getLogger(__name__)

EDGEINFER_ACTIONS = (
    "analysis_start",
    "analysis_stream",
    "analysis_motifs",
    "analysis_synchrony",
    "analysis_stop",
    "health_detailed",
)
SENSORS = ("ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz")
_MILLISECONDS_FROM = 1e11
_MOST_SAMPLES = 10_000
_MOST_LAG_S = 2.0

_Body = Mapping[str, Any]
_decoder = msgspec.json.Decoder(dict[str, Any])


class EdgeInfer:
    """Answers for whichever model was loaded first."""

    def __init__(
        self,
        models: Models,
        workers: Workers,
        timer: Timer,
        wall_s: Callable[[], float],
        motifs: Motifs | None,
    ) -> None:
        self._models = models
        self._workers = workers
        self._timer = timer
        self._wall_s = wall_s
        self._motifs = motifs
        self._started_s = timer()
        self._sessions = Sessions()
        self._stages = Counter[str]()
        self.tally = RouteTally()

    def answer(self, exchange: Exchange, head: Head, body: bytes, route: Route) -> None:
        """Any of the routes above."""
        reply = partial(_reply, Counted(exchange, head, self.tally, self._timer))
        act: dict[str, Callable[[], None]] = {
            "analysis_start": lambda: self._start(reply),
            "analysis_stream": lambda: self._stream(_document(body), reply),
            "analysis_motifs": lambda: self._motifs_of(head.query, reply),
            "analysis_synchrony": lambda: self._synchrony(head.query, reply),
            "analysis_stop": lambda: self._stop(_document(body), reply),
            "health_detailed": lambda: self._health(reply),
        }
        try:
            act[route.action]()
        except RefusalError as refusal:
            _refuse(reply, refusal)
        except InputError as error:
            _refuse(reply, refusal_of(error))

    def render(self) -> bytes:
        """This room's part of the metrics page."""
        return self.tally.render({**self._stages, "expired": self._sessions.expired})

    def _start(self, reply: "_Reply") -> None:
        session = self._sessions.start(self._models.only().contract, self._timer())
        self._stages["start"] += 1
        reply(200, {**self._about(session), "status": "started"})

    def _stream(self, body: _Body, reply: "_Reply") -> None:
        model = self._models.only()
        session = self._sessions.find(body.get("sessionId"), self._timer())
        if session.is_stopped:
            raise RefusalError(409, f"session {session.id} was stopped", reason="stopped")
        if session.contract != model.contract and session.plan != plan_of(model.contract):
            raise RefusalError(409, "the model was replaced; start again", reason="replaced")
        if session.waiting >= MOST_WAITING:
            raise RefusalError(429, "windows wait already", reason="waiting", retry_after_s=1)
        samples = read_samples(body, session)
        _check_ranges(model, samples.values)
        self._stages["stream"] += 1
        windows = session.push(samples)
        if windows and self._learnt_for(model) is not None:
            self._look_at(model, session, windows)
        reply(202, {**self._about(session), "status": "accepted", "accepted": len(samples.time_s)})

    def _look_at(self, model: ServedModel, session: Session, windows: list[Window]) -> None:
        """Find the motifs of windows in a worker."""
        motifs = self._learnt_for(model)
        assert motifs is not None  # noqa: S101 - its caller has asked
        session.waiting += len(windows)
        model.queue.hold()  # one that is replaced meanwhile is closed afterwards

        def done(result: object) -> None:
            model.queue.release()
            if isinstance(result, list):
                session.add(len(windows), result, None)
            elif isinstance(result, EdgewrightError):
                session.add(len(windows), [], refusal_of(result))
            else:
                logger.error("motifs could not be found: %r", result)
                internal = RefusalError(500, "internal error", reason="internal")
                session.add(len(windows), [], internal)

        self._workers.submit(partial(find_motifs, model, motifs, session, windows), done)

    def _motifs_of(self, query: Mapping[str, str], reply: "_Reply") -> None:
        model = self._models.only()
        session = self._sessions.find(query.get("sessionId"), self._timer())
        if self._learnt_for(model) is None:
            what = "were learnt with another model" if self._motifs else "were learnt"
            raise RefusalError(
                503,
                f"no motifs {what}" if not self._motifs else f"the motifs {what}",
                reason="no_motifs",
            )
        session.when_idle(partial(self._tell_motifs, session, reply))

    def _tell_motifs(self, session: Session, reply: "_Reply") -> None:
        if session.fault is not None:
            fault, session.fault = session.fault, None
            _refuse(reply, fault)
            return
        counts = Counter(each.motif for each in session.findings if each.motif is not None)
        found = [
            {"motif": motif, "count": count, "share": count / len(session.findings)}
            for motif, count in counts.most_common()
        ]
        reply(
            200,
            {
                **self._about(session),
                "motifs": found,
                "unknown": sum(each.motif is None for each in session.findings),
                "windows": [
                    {"start": e.start_s, "end": e.end_s, "motif": e.motif, "distance": e.distance}
                    for e in session.findings
                ],
            },
        )

    def _synchrony(self, query: Mapping[str, str], reply: "_Reply") -> None:
        self._models.only()
        session = self._sessions.find(query.get("sessionId"), self._timer())
        other = self._sessions.find(query["with"], self._timer()) if "with" in query else None
        first, second, names = _signals(session, other)
        rate_hz = session.plan.rate_hz
        found = lagged_correlation(first, second, most_lag=round(_MOST_LAG_S * rate_hz))
        document = {**self._about(session), "signals": names, "coefficient": None, "lag_s": None}
        if found is None:
            few = min(len(first), len(second)) < LEAST_SAMPLES
            reason = f"fewer than {LEAST_SAMPLES} samples together" if few else "a signal is still"
            reply(200, {**document, "status": "collecting", "reason": reason})
            return
        figures = {
            "coefficient": found.coefficient,
            "lag_s": found.lag / rate_hz,
            "samples": found.samples,
        }
        reply(200, {**document, **figures, "status": "measured"})

    def _stop(self, body: _Body, reply: "_Reply") -> None:
        session = self._sessions.find(body.get("sessionId"), self._timer())
        if not session.is_stopped:
            session.is_stopped = True
            self._stages["stop"] += 1
        counts = {"samples": session.samples, "windows": session.windows}
        reply(200, {**self._about(session), **counts, "status": "stopped"})

    def _health(self, reply: "_Reply") -> None:
        model = self._models.only() if self._models.is_ready else None
        learnt = self._learnt_for(model) if model else None
        document = {
            "status": "ok" if model else "unavailable",
            "version": __version__,
            "uptime_s": round(self._timer() - self._started_s, 3),
            "model": {
                "name": model.name,
                "version": model.version,
                "identity": model.servable.identity,
                "platform": model.servable.platform,
                "latency_ms": model.queue.tally.quantiles_ms(),
            }
            if model
            else None,
            "sessions": {"active": self._sessions.active, "known": len(self._sessions)},
            "motifs": len(learnt) if learnt else 0,
            "faults": self._models.faults,
        }
        reply(200 if model else 503, document)

    def _learnt_for(self, model: ServedModel) -> Motifs | None:
        """The motifs, when they are of this model's embeddings."""
        motifs = self._motifs
        return motifs if motifs and motifs.identity == model.servable.identity else None

    def _about(self, session: Session) -> dict[str, object]:
        moment = datetime.fromtimestamp(self._wall_s(), UTC)
        return {"sessionId": session.id, "timestamp": moment.isoformat(timespec="milliseconds")}


_Reply = Callable[..., None]


def read_samples(body: _Body, session: Session) -> Samples:
    """The samples of a request in the model's channels. Times are seconds, or milliseconds since
    1970; samples without them lie evenly between windowStart and windowEnd.

    Raises:
        InputError: there are none, or one has not all channels as numbers.
    """
    rows = body.get("samples")
    if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_SAMPLES:
        raise InputError(f"'samples' is no list of 1 to {_MOST_SAMPLES} objects")
    names = _names(session, rows[0])
    try:
        values = _numbers([[row[name] for name in names] for row in rows])
        times = _times(body, rows)
    except KeyError as error:
        raise InputError(f"a sample has no {error}", hint=f"it needs {list(names)}") from error
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(f"a sample holds something else than numbers: {error}") from error
    if not np.isfinite(values).all() or not np.isfinite(times).all():
        raise InputError("a sample holds a number that is not finite")
    return Samples(time_s=times, values=values)


def _numbers(values: list[Any]) -> Array:
    """As they were sent: texts that look like numbers, null and true are none."""
    array = np.array(values)
    if array.dtype.kind not in "iuf":
        raise TypeError("text, null, true or a list")
    return array.astype(np.float64)


def find_motifs(
    model: ServedModel, motifs: Motifs, session: Session, windows: list[Window]
) -> list[Finding]:
    """What these windows are most like. Runs in a worker.

    Raises:
        EdgewrightError: the model refuses them, or gives no such embedding.
    """
    plan = session.plan
    arrays = {plan.tensor: np.stack([each.values for each in windows]).astype(plan.dtype)}
    model.queue.check(arrays)
    outputs = model.servable.model.predict_checked(arrays)
    if motifs.output not in outputs:
        raise InputError(f"the model gives {sorted(outputs)}, motifs need {motifs.output!r}")
    embeddings: Array = outputs[motifs.output].reshape(len(windows), -1)
    places, distances = nearest_motifs(motifs, embeddings)
    return [
        Finding(
            start_s=window.start_s,
            end_s=window.end_s,
            motif=int(place) if place >= 0 else None,
            distance=float(distance),
        )
        for window, place, distance in zip(windows, places, distances, strict=True)
    ]


def _signals(session: Session, other: Session | None) -> tuple[Array, Array, list[str]]:
    """Two signals on one clock: the sizes of two sensors of a session, or of the first sensor of
    two sessions where they were measured at the same time.
    """
    times, values = session.recent()
    sensors = _sensors(session)
    if other is None:
        if len(sensors) < 2:
            raise InputError("the model takes one sensor only", hint="name another session: with=")
        (name, first), (other_name, second) = sensors[:2]
        return _size(values, first), _size(values, second), [name, other_name]
    other_times, other_values = other.recent()
    name, places = sensors[0]
    names = [f"{name} of {session.id}", f"{name} of {other.id}"]
    if not len(times) or not len(other_times):
        return np.empty(0), np.empty(0), names
    both = (times >= other_times[0]) & (times <= other_times[-1])
    theirs = np.interp(times[both], other_times, _size(other_values, places))
    return _size(values, places)[both], theirs, names


def _sensors(session: Session) -> list[tuple[str, list[int]]]:
    """Channels that belong together: triples, as EdgeInfer sends them, else each by itself."""
    channels = session.plan.channels
    if len(channels) in (3, 6, 9):
        names = ("acceleration", "rotation", "magnetic field")
        return [
            (names[kind], list(range(3 * at, 3 * at + 3))) for at, kind in enumerate(session.kinds)
        ]
    return [(name, [at]) for at, name in enumerate(channels)]


def _size(values: Array, places: list[int]) -> Array:
    if len(places) == 1:
        return np.asarray(values[:, places[0]])
    return np.asarray(np.linalg.norm(values[:, places], axis=1))


def _names(session: Session, sample: object) -> tuple[str, ...]:
    """The names under which a client sends the model's channels."""
    channels = session.plan.channels
    if isinstance(sample, dict) and all(name in sample for name in channels):
        return channels
    if len(channels) in (3, 6, 9):
        return tuple(name for kind in session.kinds for name in SENSORS[3 * kind : 3 * kind + 3])
    return channels


def _times(body: _Body, rows: list[Any]) -> Array:
    if all("t" in row for row in rows):
        times = _numbers([row["t"] for row in rows])
    else:
        start, end = float(body["windowStart"]), float(body["windowEnd"])
        if not start < end:
            raise ValueError(f"windowStart {start:g} is not before windowEnd {end:g}")
        times = np.linspace(start, end, len(rows), endpoint=False)
    return times / 1000.0 if len(times) and abs(times[0]) >= _MILLISECONDS_FROM else times


def _check_ranges(model: ServedModel, values: Array) -> None:
    """Refuse a sample outside the contract, before it is part of any window."""
    tensor = model.contract.inputs[0]
    for place, channel in enumerate(tensor.channels):
        low = channel.low if channel.low is not None else tensor.low
        high = channel.high if channel.high is not None else tensor.high
        column = values[:, place]
        least, most = _or(low, -np.inf), _or(high, np.inf)
        if column.min() < least or column.max() > most:
            worst = column.max() if column.max() > most else column.min()
            raise InputError(
                f"{channel.name} is {worst:g} {channel.unit}".rstrip()
                + f", expected {least:g} to {most:g}",
                hint="check sensor and unit",
            )


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _document(body: bytes) -> _Body:
    try:
        return _decoder.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not a valid body: {error}") from error


def _reply(
    exchange: Exchange, status: int, document: object, retry_after_s: int | None = None
) -> None:
    fields = {} if retry_after_s is None else {"retry_after": str(retry_after_s)}
    exchange.reply(preamble(status, **fields), orjson.dumps(document))


def _refuse(reply: _Reply, refusal: RefusalError) -> None:
    status = 422 if refusal.status == 400 else refusal.status
    reply(status, {"error": str(refusal), "detail": str(refusal)}, refusal.retry_after_s)
