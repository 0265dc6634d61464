import asyncio
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewright.contract import Channel, Contract, Tensor
from edgewright.device.streams import Result, Samples, Stream, Wishes, plan_stream, run_stream
from edgewright.device.streams.debounce import Rule
from edgewright.device.streams.json_sink import JsonFileSink, JsonStreamSink
from edgewright.device.streams.judge import MOST_FAILURES
from edgewright.errors import DeviceError, InputError
from edgewright.steps import check_inputs

CONTRACT = Contract(
    inputs=(
        Tensor(
            name="x",
            dtype="float32",
            shape=("batch", 4, 1),
            channels=(Channel(name="level", low=-10.0, high=10.0),),
        ),
    ),
    outputs=(Tensor(name="p", dtype="float32", shape=("batch", 2)),),
    labels=("low", "high"),
    rate_hz=10.0,
)
RULE = Rule(enter=0.6, leave=0.4, confirm=1, release=2)


class SignModel:
    """Says "high" where the mean of a window is above 0, by the numbers alone."""

    contract = CONTRACT

    def predict(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        check_inputs(self.contract, arrays)
        mean = arrays["x"].mean(axis=(1, 2))
        return {"p": np.stack([-mean, mean], axis=1)}


class BrokenModel(SignModel):
    def predict(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise DeviceError("the engine's output holds NaN")


class ListSource:
    def __init__(self, levels: Sequence[float], *, rows: int = 3) -> None:
        self._levels = np.array(levels)[:, None]
        self._rows = rows

    async def chunks(self) -> AsyncGenerator[Samples, None]:
        times = np.arange(len(self._levels)) / 10
        for at in range(0, len(times), self._rows):
            part = slice(at, at + self._rows)
            yield Samples(time_s=times[part], values=self._levels[part])


class ListSink:
    def __init__(self, *, wants_every: bool = False) -> None:
        self.wants_every = wants_every
        self.results: list[Result] = []
        self.is_closed = False

    async def start(self) -> None:
        pass

    async def write(self, results: Sequence[Result]) -> None:
        self.results += results

    async def close(self) -> None:
        self.is_closed = True


def stream_of(model: SignModel) -> Stream:
    return Stream(plan_stream(CONTRACT, Wishes(hop=4, rule=RULE)), model, model="sign")


def test_windows_become_results_with_a_held_label() -> None:
    sink = ListSink()
    levels = [5.0] * 8 + [-5.0] * 4
    summary = asyncio.run(run_stream(stream_of(SignModel()), ListSource(levels), [sink]))
    assert [(r.label, r.state, r.changed) for r in sink.results] == [
        ("high", "high", True),
        ("high", "high", False),
        ("low", "low", True),
    ]
    assert [round(r.start_s, 6) for r in sink.results] == [0.0, 0.4, 0.8]
    assert (summary.windows, summary.refused, summary.changes) == (3, 0, 2)
    assert sink.is_closed


def test_a_window_out_of_contract_has_a_reason_and_no_answer() -> None:
    sink = ListSink()
    levels = [5.0] * 4 + [99.0] * 8
    summary = asyncio.run(run_stream(stream_of(SignModel()), ListSource(levels), [sink]))
    refused = sink.results[1:]
    assert all(r.label == "" and r.score is None for r in refused)
    assert "(level) is 99" in refused[0].refused
    assert [r.state for r in sink.results] == ["high", "high", ""]
    assert summary.refused == 2


def test_samples_that_never_fill_a_window_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    stream = stream_of(SignModel())
    for n in range(40):
        stream.step(Samples(time_s=np.array([n * 0.5]), values=np.array([[1.0]])))
    (record,) = caplog.records
    told = record.getMessage()
    assert "11 samples made no window of 0.3 s without a cut: 10 gaps above max_gap_s" in told


def test_only_changes_are_passed_on_when_asked() -> None:
    sink, command = ListSink(), ListSink(wants_every=True)
    source = ListSource([5.0] * 20)
    asyncio.run(run_stream(stream_of(SignModel()), source, [sink, command], only_changes=True))
    assert (len(sink.results), len(command.results)) == (1, 5)


def test_a_broken_model_ends_the_stream_and_closes_the_sinks() -> None:
    sink = ListSink()
    source = ListSource([1.0] * 40)
    with pytest.raises(DeviceError):
        asyncio.run(run_stream(stream_of(BrokenModel()), source, [sink]))
    assert sink.is_closed
    assert {each.refused for each in sink.results} == {"the engine's output holds NaN"}
    assert len(sink.results) < MOST_FAILURES


def test_a_window_that_a_model_fails_at_has_a_reason_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Touchy(SignModel):
        def predict(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            if arrays["x"].max() > 9:
                raise DeviceError("the engine's output holds NaN")
            return super().predict(arrays)

    sink = ListSink()
    levels = ([5.0] * 8 + [9.5] * 4) * 20
    summary = asyncio.run(run_stream(stream_of(Touchy()), ListSource(levels), [sink]))
    assert summary.refused > MOST_FAILURES
    assert {each.label for each in sink.results} == {"high", ""}
    assert all(bool(each.refused) != bool(each.label) for each in sink.results)
    assert caplog.text.count("sign cannot answer a window") == 1


def test_a_source_that_cannot_go_on_closes_the_sinks() -> None:
    class TornSource(ListSource):
        async def chunks(self) -> AsyncGenerator[Samples, None]:
            async for samples in super().chunks():
                yield samples
            raise InputError("line 9: not a number")

    sink = ListSink()
    with pytest.raises(InputError):
        asyncio.run(run_stream(stream_of(SignModel()), TornSource([1.0] * 4), [sink]))
    assert len(sink.results) == 1
    assert sink.is_closed


def test_results_are_json_lines() -> None:
    stream = io.BytesIO()
    source = ListSource([5.0] * 8)
    asyncio.run(run_stream(stream_of(SignModel()), source, [JsonStreamSink(stream)]))
    first, second = [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]
    assert first["kind"] == "stream-result"
    assert (first["model"], first["label"], first["changed"]) == ("sign", "high", True)
    assert "changed" not in second


def test_results_after_a_torn_line_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    for before in (b"", b'{"whole": 1}\n', b'{"whole": 1}\n{"to'):
        path.write_bytes(before)
        sink = JsonFileSink(path)
        asyncio.run(run_stream(stream_of(SignModel()), ListSource([5.0] * 4), [sink]))
        after, is_torn = path.read_bytes().removeprefix(before), before.endswith(b"to")
        assert (after[:1], after.count(b"\n")) == ((b"\n", 2) if is_torn else (b"{", 1))
