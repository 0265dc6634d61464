import asyncio
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from edgewright.device.serve.opening import STRETCH_S, Opening
from edgewright.device.serve.passes import Resources
from edgewright.device.serve.pictures import Pictures
from edgewright.device.serve.ports import Servable
from edgewright.device.serve.serving import Admission
from edgewright.device.serve.workers import Loader, Workers
from edgewright.errors import DeviceError
from edgewright.runtimes.base import Array
from edgewright.testing.models import FunctionSession, servable

SHORT_S, LONG_S = STRETCH_S / 20, STRETCH_S * 1.5


class Watched:
    """A doubling model that remembers which threads ran its passes, and whether it is closed."""

    def __init__(self, factor: float = 2.0) -> None:
        self.here: list[bool] = []
        self._loop_thread = threading.get_ident()
        self._factor = factor
        self.session = FunctionSession(self._double)

    def _double(self, x: Array) -> Array:
        self.here.append(threading.get_ident() == self._loop_thread)
        self._factor += self._factor - 2.0
        return x * self._factor

    def open(self, _: Path) -> Servable:
        return servable(self.session)


@pytest.fixture
def workers() -> Iterator[list[Workers]]:
    opened: list[Workers] = []
    yield opened
    for each in opened:
        each.close()


def opened(model: Watched, workers: list[Workers], *, pass_s: float, rests: bool) -> Any:
    """A model that was opened where every look at the clock takes `pass_s`."""

    async def case() -> Any:
        ticks = count()
        loader = Loader()
        workers.append(Workers(1))
        resources = Resources(
            workers=workers[0],
            timer=lambda: next(ticks) * pass_s,
            wall_s=lambda: 0.0,
            call_soon=asyncio.get_running_loop().call_soon,
            call_later=asyncio.get_running_loop().call_later,
            pictures=Pictures(workers[0], None),
            loader=loader,
        )
        opening = Opening(model.open, admission=Admission(), limits={}, resources=resources)
        try:
            return await opening.open(Path("doubler"), None, rests=rests)
        finally:
            loader.close()

    return asyncio.run(case())


def test_short_passes_of_a_trial_run_between_requests(workers: list[Workers]) -> None:
    model = Watched()
    served = opened(model, workers, pass_s=SHORT_S, rests=True)
    assert served.queue.plan.is_inline
    assert not any(model.here[:2])  # nobody knew yet how long they are
    assert all(model.here[2:])


def test_long_passes_of_a_trial_never_run_in_the_event_loop(workers: list[Workers]) -> None:
    model = Watched()
    opened(model, workers, pass_s=LONG_S, rests=True)
    assert not any(model.here)


def test_trial_is_run_at_once_where_nobody_else_answers(workers: list[Workers]) -> None:
    model = Watched()
    opened(model, workers, pass_s=SHORT_S, rests=False)
    assert len(model.here) > 2
    assert not any(model.here)


def test_model_that_fails_its_trial_is_closed(workers: list[Workers]) -> None:
    model = Watched(factor=2.1)
    with pytest.raises(DeviceError, match="own first answers"):
        opened(model, workers, pass_s=SHORT_S, rests=True)
    assert model.session.is_closed
