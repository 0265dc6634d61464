"""A recording as the sensor gave it: the server resamples, cuts and scales by the contract."""

import json
from typing import Any

import numpy as np

from edgewright.contract import Contract, Tensor
from edgewright.contract.steps import Normalise, Resample, Window
from edgewright.device.serve import Servable
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.runtimes.model import LoadedModel


class LastSession:
    """The last sample of each window."""

    inputs = (EngineTensor(name="imu", dtype="float32", shape=(None, 4, 2)),)
    outputs = (EngineTensor(name="last", dtype="float32", shape=(None, 2)),)

    def run(self, feeds: Any) -> dict[str, Array]:
        return {"last": np.ascontiguousarray(feeds["imu"][:, -1])}

    def close(self) -> None:
        pass


def opened() -> Servable:
    contract = Contract(
        inputs=(Tensor(name="imu", dtype="float32", shape=("time", 2), low=-16, high=16),),
        outputs=(Tensor(name="last", dtype="float32", shape=("windows", 2)),),
        preprocess=(
            Resample(tensor="imu", from_hz=2, to_hz=1),
            Window(tensor="imu", length=4, hop=2),
            Normalise(tensor="imu", mean=(1.0, 0.0), std=(2.0, 1.0)),
        ),
    )
    return Servable(name="steps", version="1", platform="numpy", identity="0" * 64,
                    model=LoadedModel(contract, LastSession()))  # fmt: skip


def ask(bench: Any, samples: Array) -> Any:
    model = bench.serve(opened())
    tensor = {"name": "imu", "datatype": "FP32", "shape": list(samples.shape)}
    exchange = bench.exchange()
    body = json.dumps({"inputs": [{**tensor, "data": samples.ravel().tolist()}]}).encode()
    model.infer(exchange, body, None)
    bench.turn()
    return exchange


def test_recording_of_any_length_is_answered_window_by_window(bench: Any) -> None:
    seconds = np.arange(15) / 2
    samples = np.stack([seconds, -seconds], axis=1)
    answer = ask(bench, samples)
    assert answer.status == 200
    output = answer.document["outputs"][0]
    assert (output["shape"], output["data"]) == ([3, 2], [1.0, -3.0, 2.0, -5.0, 3.0, -7.0])


def test_raw_sample_out_of_range_is_named(bench: Any) -> None:
    samples = np.zeros((15, 2))
    samples[3, 1] = 17
    answer = ask(bench, samples)
    assert answer.status == 400
    assert "17" in answer.document["error"]


def test_recording_shorter_than_a_window_has_no_answer(bench: Any) -> None:
    answer = ask(bench, np.zeros((4, 2)))
    assert answer.status == 400
    assert "imu" in answer.document["error"]
