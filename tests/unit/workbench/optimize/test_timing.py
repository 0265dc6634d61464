"""What a clock of the calling thread sees of a variant, and when it may be used."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgewright.runtimes.base import Array, EngineTensor, Placement
from edgewright.workbench.optimize.maker import OnnxMaker
from edgewright.workbench.optimize.timing import time_trials
from edgewright.workbench.optimize.trial import Trial
from edgewright.workbench.optimize.variants import BASELINE, Plain, ProviderFp32
from edgewright.workbench.optimize.workshop import Engines

BUSY_S = 0.001


class Session:
    """Computes for a while, or waits for a core that somebody else has."""

    inputs = outputs = (EngineTensor(name="x", dtype="float32", shape=(None, 1)),)
    placement = Placement(engine="test", device="cpu", precision="fp32", threads=1)

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        if self._waits:
            time.sleep(BUSY_S * 2)
        else:
            end_s = time.thread_time() + BUSY_S
            while time.thread_time() < end_s:
                pass
        return dict(feeds)

    def close(self) -> None:
        """Nothing is held."""


def test_the_wait_for_a_core_is_not_charged_to_a_variant() -> None:
    busy = Trial(BASELINE, Path("a"), Session(waits=False), 1)
    waiting = Trial(Plain(kind="fp32 tidied"), Path("b"), Session(waits=True), 1)
    inputs: dict[str, Array] = {"x": np.ones((1, 1), np.float32)}
    rng = np.random.default_rng(0)

    time_trials([waiting], busy, inputs, rounds=9, seconds=9.0, rng=rng, clock=time.thread_time)

    assert waiting.ratio
    assert waiting.ratio.value < 0.5


@pytest.mark.parametrize(
    ("formats", "providers", "holds"),
    [(("onnx",), 0, True), (("onnx", "openvino"), 0, False), (("onnx",), 1, False)],
)
def test_only_onnx_runtime_on_this_cpu_computes_in_its_caller(
    formats: tuple[str, ...], providers: int, holds: bool, conv_net: onnx.ModelProto
) -> None:
    maker = OnnxMaker(conv_net, {}, lambda _: Session(waits=False))
    engines = Engines(
        makers=dict.fromkeys(formats, maker),
        open_file=lambda _, path: Session(waits=False),
        more=(ProviderFp32(provider="cuda"),) * providers,
    )
    assert engines.compute_in_caller == holds
