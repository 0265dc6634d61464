"""What is measured of variants on this machine, and by which clock."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgewright.measure.spending import CPU_TIME
from edgewright.runtimes.base import Array, EngineTensor, Placement
from edgewright.workbench.optimize.here import ON_A_CORE, Here
from edgewright.workbench.optimize.maker import OnnxMaker
from edgewright.workbench.optimize.place import Subject
from edgewright.workbench.optimize.trial import AsModel, engine_feeds
from edgewright.workbench.optimize.variants import ProviderFp32
from edgewright.workbench.optimize.workshop import Engines

BUSY_S = 0.001
INPUTS: dict[str, Array] = {"x": np.ones((1, 1), np.float32)}


class Session:
    """Computes for a while, or waits for a core that somebody else has."""

    inputs = outputs = (EngineTensor(name="x", dtype="float32", shape=(None, 1)),)
    placement = Placement(engine="test", device="cpu", precision="fp32", threads=1)

    def __init__(self, *, busy_s: float = BUSY_S, waits_s: float = 0.0) -> None:
        self._busy_s = busy_s
        self._waits_s = waits_s

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        end_s = time.thread_time() + self._busy_s
        while time.thread_time() < end_s:
            pass
        if self._waits_s:
            time.sleep(self._waits_s)
        return dict(feeds)

    def close(self) -> None:
        """Nothing is held."""


class HelpedSession(Session):
    """Waits while another process computes for it."""

    def __init__(self, *, helper_s: float) -> None:
        super().__init__(busy_s=0.0)
        self._helper_s = helper_s
        self._spent_s = 0.0

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self._spent_s += self._helper_s
        return dict(feeds)

    def helper_cpu_s(self) -> float:
        return self._spent_s


def subjects(*sessions: Any) -> list[Subject]:
    return [Subject(engine="onnx", path=Path("a"), session=one) for one in sessions]


def here(*, counts_core_time: bool = True) -> Here:
    return Here(seed=0, threads=1, counts_core_time=counts_core_time)


def test_the_wait_for_a_core_is_not_charged_to_a_variant() -> None:
    waiting = Session(busy_s=0.0, waits_s=2 * BUSY_S)

    _, found = here().time(
        subjects(Session(), waiting), INPUTS, rounds=9, seconds=9.0, with_energy=False
    )

    assert found.ratio
    assert found.ratio.value < 0.5


def test_what_another_process_computes_is_charged_to_its_variant() -> None:
    helped = HelpedSession(helper_s=5 * BUSY_S)

    place = here()
    _, alone, renamed = place.time(
        subjects(Session(), helped, AsModel(helped, helped.inputs, helped.outputs)),
        INPUTS,
        rounds=9,
        seconds=9.0,
        with_energy=False,
    )

    assert alone.ratio
    assert renamed.ratio
    assert alone.ratio.value > 2
    assert renamed.ratio.value > 2
    assert place.notes == [ON_A_CORE]


def test_the_time_that_passes_counts_where_not_all_compute_in_the_caller() -> None:
    waiting = Session(busy_s=0.0, waits_s=3 * BUSY_S)

    _, found = here(counts_core_time=False).time(
        subjects(Session(), waiting), INPUTS, rounds=9, seconds=9.0, with_energy=False
    )

    assert found.ratio
    assert found.ratio.value > 1


def test_energy_says_how_it_was_measured() -> None:
    place = here()

    _, found = place.time(
        subjects(Session(), Session(busy_s=4 * BUSY_S)),
        INPUTS,
        rounds=2,
        seconds=0.0,
        with_energy=True,
    )

    assert found.energy_ratio
    assert found.energy_ratio.value > 1.5
    assert any(note == CPU_TIME or "measured by" in note for note in place.notes)


def test_a_file_is_fed_under_its_engine_s_own_names() -> None:
    named = (EngineTensor(name="a", dtype="float32", shape=(None, 1)),) * 1
    session = AsModel(Session(), named, named)

    assert list(engine_feeds(session, {"a": np.ones((3, 1), np.float32)})) == ["x"]


@pytest.mark.parametrize(("providers", "holds"), [(0, True), (1, False)])
def test_only_engines_of_the_cpu_are_timed_by_the_time_on_a_core(
    providers: int, holds: bool, conv_net: onnx.ModelProto
) -> None:
    engines = Engines(
        makers={"onnx": OnnxMaker(conv_net, {}, lambda _: Session())},
        open_file=lambda _, path: Session(),
        more=(ProviderFp32(provider="cuda"),) * providers,
    )
    assert engines.all_on_cpu == holds
