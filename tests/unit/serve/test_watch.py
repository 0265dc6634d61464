import logging
import tracemalloc
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Channel, Contract, Tensor
from edgewright.device.serve.watch import ROWS_A_TURN, ChannelMoments, Watch
from edgewright.testing.models import FunctionSession


class Judge:
    """Counts windows; some are too much for it."""

    def __init__(self) -> None:
        self.windows = 0
        self.score = 0.0
        self.finding: Any = None

    def push(self, windows: Any) -> None:
        if not windows.any():
            raise ValueError("all zero")
        self.windows += len(windows)


def watch_of(bench: Any, tensor: Tensor, drift: Judge | None = None) -> Watch:
    contract = Contract(inputs=(tensor,), outputs=(Tensor(name="y", dtype="float32", shape=(2,)),))
    return Watch(
        "m",
        contract,
        drift=drift,
        call_later=lambda _, act: bench.later.append(act),
        background=bench.loader.background,
    )


def look(bench: Any) -> None:
    bench.later.pop()()
    bench.loader.run_one()


@pytest.mark.parametrize("turns", [1, 30])
def test_both_ways_of_serving_pass_the_tap(bench: Any, turns: int) -> None:
    """The first request is read with care, the later ones take the lane."""
    model = bench.serve(FunctionSession(lambda x: 2 * x))
    for turn in range(turns):
        bench.ask(model, [turn, 2])
        bench.turn()
    look(bench)
    moments = model.queue.watch.moments
    assert moments["x"].rows == turns
    assert moments["x"].mean.tolist() == pytest.approx([(turns - 1) / 2, 2])
    assert moments["y"].std.tolist() == pytest.approx([2 * np.arange(turns).std(), 0])


def test_no_more_than_its_room_is_kept_until_it_has_looked(bench: Any) -> None:
    model = bench.serve(FunctionSession(lambda x: 2 * x))
    for _ in range(3 * ROWS_A_TURN):
        bench.ask(model, [1, 2])
        bench.turn()
    assert len(bench.later) == 1
    look(bench)
    assert model.queue.watch.moments["x"].rows == ROWS_A_TURN
    bench.ask(model, [1, 2])
    bench.turn()
    assert len(bench.later) == 1


def test_large_rows_are_looked_at_less_often(bench: Any) -> None:
    watch = watch_of(bench, Tensor(name="x", dtype="uint8", shape=("batch", 512, 512, 3)))
    watch.take({"x": np.zeros((1, 512, 512, 3), np.uint8)}, {"y": np.zeros(2, np.float32)})
    assert watch.room == ROWS_A_TURN - 24


def test_channels_are_called_as_the_contract_calls_them(bench: Any) -> None:
    channels = (Channel(name="ax"), Channel(name="ay"))
    tensor = Tensor(name="x", dtype="float32", shape=("batch", 3, 2), channels=channels)
    watch = watch_of(bench, tensor)
    window = np.array([[[1, 10], [2, 10], [3, 10]]], np.float32)
    watch.take({"x": window}, {"y": np.zeros(2, np.float32)})
    look(bench)
    assert watch.moments["x"].names == ("ax", "ay")
    assert watch.moments["x"].mean.tolist() == [2, 10]


def test_judge_sees_the_windows_and_a_fault_of_it_ends_the_tap_only(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    judge = Judge()
    watch = watch_of(bench, Tensor(name="x", dtype="float32", shape=("batch", 3, 2)), judge)
    outputs = {"y": np.zeros(2, np.float32)}
    watch.take({"x": np.ones((5, 3, 2), np.float32)}, outputs)
    look(bench)
    assert (judge.windows, watch.drift is judge) == (5, True)
    watch.take({"x": np.zeros((5, 3, 2), np.float32)}, outputs)
    with caplog.at_level(logging.ERROR):
        look(bench)
    assert (watch.drift, watch.room) == (None, 0)
    assert "drift tap ended: model=m" in caplog.text


@pytest.mark.parametrize("value", [3e38, 1e308, -1e308, np.inf])
def test_moments_of_huge_values_are_numbers(value: float) -> None:
    moments = ChannelMoments(("a",), 0, np.zeros(1), np.zeros(1))
    for _ in range(3):
        moments = moments.add(np.array([[value], [-value], [value]]))
    assert np.isfinite([*moments.mean, *moments.std]).all()
    assert moments.std[0] > 1e37


def test_a_large_array_is_looked_at_in_places() -> None:
    """All values of a picture as float64 would be eight times its size."""
    picture = np.random.default_rng(1).integers(0, 256, (1, 1500, 1500, 3), np.uint8)
    moments = ChannelMoments(("r", "g", "b"), 0, np.zeros(3), np.zeros(3))
    tracemalloc.start()
    found = moments.add(picture)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < picture.nbytes
    assert found.rows == 1
    assert found.mean == pytest.approx(picture.mean(axis=(0, 1, 2)), abs=2)
    assert found.std == pytest.approx(picture.std(axis=(0, 1, 2)), abs=2)
