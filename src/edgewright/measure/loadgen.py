"""MLPerf's LoadGen as the generator, for who wants its word; needs the extra `loadgen`.

LoadGen decides when a query leaves and measures until it is told that the answer is there; the
sockets in between are here. A query that waits for nothing (single-stream) is sent and answered in
LoadGen's own thread; otherwise its thread only sends, and one thread of ours takes what comes back.
LoadGen cannot be stopped before its time is over.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import httptools
import mlperf_loadgen as lg
import msgspec

from edgewright.errors import InputError, TransportError
from edgewright.measure._load_record import Recorder
from edgewright.measure.load_result import LoadResult
from edgewright.measure.load_target import LoadTarget

LoadgenScenario = Literal["single-stream", "server", "offline"]

DETAIL_LOG = "mlperf_log_detail.txt"

_SCENARIOS: dict[LoadgenScenario, Any] = {
    "single-stream": lg.TestScenario.SingleStream,
    "server": lg.TestScenario.Server,
    "offline": lg.TestScenario.Offline,
}
_MARK = ":::MLLOG "
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 18
_SUCCESS = 200
_NEVER_LATE_NS = 10**15


class LoadgenPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One test. `limit_ms` is the latency that LoadGen's own verdict on a server holds to, at the
    95th percentile. `rate_rps` is asked for in scenario server and expected in scenario offline,
    `expected_ms` in single-stream: LoadGen makes its queries beforehand.
    """

    scenario: LoadgenScenario
    seconds: float
    logs: Path
    rate_rps: float = 100.0
    limit_ms: float | None = None
    expected_ms: float = 0.1
    connections: int = 64
    keep_bytes: int = 64 << 20
    seed: int = 0


class LoadgenRun(msgspec.Struct, frozen=True, kw_only=True):
    """`words` is what LoadGen wrote under `result_*`; `result` is what was seen at the sockets, its
    times being those at which LoadGen handed queries over.
    """

    words: dict[str, float | str | bool]
    result: LoadResult

    @property
    def is_valid(self) -> bool:
        return self.words.get("result_validity") == "VALID"


def run_loadgen(target: LoadTarget, requests: Sequence[bytes], plan: LoadgenPlan) -> LoadgenRun:
    """Put a server under LoadGen; its logs stay in `plan.logs`.

    Raises:
        InputError: another protocol than HTTP.
        TransportError: nobody answers.
    """
    if target.scheme != "http":
        raise InputError(f"LoadGen is wired to HTTP, not to {target.text}")
    plan.logs.mkdir(parents=True, exist_ok=True)
    is_alone = plan.scenario == "single-stream"
    record = Recorder(payloads=len(requests), keep_bytes=plan.keep_bytes)
    with _opened(target, 1 if is_alone else plan.connections) as wires:
        kind = _Alone if is_alone else _Crowd
        client: _Alone | _Crowd = kind(wires, requests, record)
        with client:
            _start(client, plan, count=len(requests))
    return LoadgenRun(words=read_words(plan.logs / DETAIL_LOG), result=record.result())


def read_words(detail: Path) -> dict[str, float | str | bool]:
    """What LoadGen's detail log says under `result_*`."""
    words: dict[str, float | str | bool] = {}
    for line in detail.read_text().splitlines():
        if line.startswith(_MARK):
            entry = msgspec.json.decode(line.removeprefix(_MARK))
            if entry["key"].startswith("result_"):
                words[entry["key"]] = entry["value"]
    return words


def _start(client: "_Alone | _Crowd", plan: LoadgenPlan, *, count: int) -> None:
    settings, log = _settings(plan), lg.LogSettings()
    output = lg.LogOutputSettings()
    output.outdir = str(plan.logs)
    output.copy_summary_to_stdout = False
    log.log_output, log.enable_trace = output, False
    sut = lg.ConstructSUT(client.issue, lambda: None)
    library = lg.ConstructQSL(count, count, lambda _samples: None, lambda _samples: None)
    try:
        client.record.begin()
        lg.StartTestWithLogSettings(sut, library, settings, log)
        client.record.end_s = time.perf_counter()
    finally:
        lg.DestroyQSL(library)
        lg.DestroySUT(sut)


def _settings(plan: LoadgenPlan) -> Any:
    settings = lg.TestSettings()
    settings.scenario = _SCENARIOS[plan.scenario]
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = round(1000 * plan.seconds)
    settings.max_duration_ms = 0
    settings.min_query_count = 1
    settings.server_target_qps = plan.rate_rps
    settings.server_target_latency_percentile = 0.95
    limit_ns = _NEVER_LATE_NS if plan.limit_ms is None else round(1e6 * plan.limit_ms)
    settings.server_target_latency_ns = limit_ns
    settings.single_stream_target_latency_percentile = 0.95
    settings.single_stream_expected_latency_ns = round(1e6 * plan.expected_ms)
    settings.offline_expected_qps = plan.rate_rps
    for name in ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed"):
        setattr(settings, name, plan.seed + 1)
    return settings


class _Alone:
    """One socket; the query's answer is waited for where it was issued."""

    def __init__(self, wires: "list[_Wire]", requests: Sequence[bytes], record: Recorder) -> None:
        self.record = record
        self._wire = wires[0]
        self._requests = requests

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def issue(self, samples: Sequence[Any]) -> None:
        """What LoadGen calls: nothing may be raised into it."""
        for sample in samples:
            wire = self._wire
            wire.place(self.record.schedule(time.perf_counter()), sample)
            wire.send(self.record, self._requests[sample.index])
            while wire.is_busy:
                wire.receive(self.record)


class _Crowd:
    """Many sockets; a query that finds none free waits, as it would in a server's queue."""

    def __init__(self, wires: "list[_Wire]", requests: Sequence[bytes], record: Recorder) -> None:
        self.record = record
        self._requests = requests
        self._idle = wires
        self._waiting: deque[tuple[int, Any]] = deque()
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._is_over = False
        self._thread = threading.Thread(target=self._receive, name="loadgen answers", daemon=True)

    def __enter__(self) -> None:
        for wire in self._idle:
            self._watch(wire)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        self._selector.close()

    def issue(self, samples: Sequence[Any]) -> None:
        """What LoadGen calls: nothing may be raised into it."""
        with self._lock:
            for sample in samples:
                index = self.record.schedule(time.perf_counter())
                if self._idle:
                    self._send(self._idle.pop(), index, sample)
                else:
                    self._waiting.append((index, sample))

    def _send(self, wire: "_Wire", index: int, sample: Any) -> None:
        wire.place(index, sample)
        before = wire.socket
        wire.send(self.record, self._requests[sample.index])
        if wire.socket is not before:
            self._rewatch(before, wire)
        if not wire.is_busy:  # it was lost at once
            self._idle.append(wire)

    def _receive(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(timeout=0.05):
                with self._lock:
                    self._take(key.data)

    def _take(self, wire: "_Wire") -> None:
        before = wire.socket
        wire.receive(self.record)
        if wire.socket is not before:
            self._rewatch(before, wire)
        if not wire.is_busy and wire not in self._idle:
            self._idle.append(wire)
        while self._waiting and self._idle:
            self._send(self._idle.pop(), *self._waiting.popleft())

    def _rewatch(self, before: socket.socket, wire: "_Wire") -> None:
        self._selector.unregister(before)
        self._watch(wire)

    def _watch(self, wire: "_Wire") -> None:
        if wire.socket.fileno() >= 0:
            self._selector.register(wire.socket, selectors.EVENT_READ, wire)


class _Wire:
    """A socket with at most one query on it, and the answer as far as it has come. A connection
    that is lost costs its query and is made anew.
    """

    def __init__(self, target: LoadTarget) -> None:
        self.socket = _connected(target)
        self.is_busy = False
        self._target = target
        self._parser = httptools.HttpResponseParser(self)
        self._is_complete = False
        self._body: list[bytes] = []
        self._index = -1
        self._sample: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def place(self, index: int, sample: Any) -> None:
        """A query is on this socket."""
        self._index, self._sample = index, sample
        self.is_busy, self._is_complete = True, False
        self._body.clear()

    def send(self, record: Recorder, request: bytes) -> None:
        """Put it on the wire."""
        record.sent_s[self._index] = time.perf_counter()
        try:
            self.socket.sendall(request)
        except OSError as error:
            self._lose(record, f"cannot send: {error.strerror or error}")

    def receive(self, record: Recorder) -> None:
        """Take a piece of the answer, wait for it if need be."""
        try:
            data = self.socket.recv(_CHUNK_BYTES)
            self._parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            self._lose(record, f"the answer broke off: {error}")
            return
        if not data:
            self._lose(record, "connection closed before the answer")
        elif self._is_complete and self.is_busy:
            self._end(record)

    def _end(self, record: Recorder) -> None:
        """Tell LoadGen, then write down: nothing stands between the answer and its clock."""
        lg.QuerySamplesComplete([lg.QuerySampleResponse(self._sample.id, 0, 0)])
        now_s, body = time.perf_counter(), b"".join(self._body)
        self.is_busy = False
        status = self._parser.get_status_code()
        if status == _SUCCESS:
            record.answer(self._index, now_s, body, payload=self._sample.index)
        else:
            record.refuse(self._index, now_s, f"status {status}", body)

    def _lose(self, record: Recorder, reason: str) -> None:
        """LoadGen waits for every query, a lost one as well."""
        if self.is_busy:
            lg.QuerySamplesComplete([lg.QuerySampleResponse(self._sample.id, 0, 0)])
            record.refuse(self._index, time.perf_counter(), reason)
            self.is_busy = False
        self.socket.close()
        self._parser = httptools.HttpResponseParser(self)
        with contextlib.suppress(TransportError):
            self.socket = _connected(self._target)

    # httptools

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._is_complete = True


@contextlib.contextmanager
def _opened(target: LoadTarget, count: int) -> Iterator[list[_Wire]]:
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(_Wire(target)) for _ in range(count)]
        yield wires


def _connected(target: LoadTarget) -> socket.socket:
    try:
        if target.uds:
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(_TIMEOUT_S)
            one.connect(target.uds)
        else:
            one = socket.create_connection((target.host, target.port), timeout=_TIMEOUT_S)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise TransportError(
            f"no connection to {target.text}: {error}",
            hint="check that the server runs and that the address is right",
        ) from error
    return one
