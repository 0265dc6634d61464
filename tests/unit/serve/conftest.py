import json
from collections.abc import Callable
from typing import Any

import pytest

from edgewright.contract import Contract, Tensor
from edgewright.device.serve.passes import Resources
from edgewright.device.serve.pictures import Pictures
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.ports import Servable
from edgewright.device.serve.serving import Admission, ServedModel
from edgewright.testing.models import FunctionSession, servable
from edgewright.transports.http1 import Frame

TINY = Plan(is_inline=True, max_rows=8, single_s=20e-6, row_s=1e-6)


class FakeExchange:
    """A peer that keeps what it is told."""

    def __init__(self) -> None:
        self.peer = "test"
        self.is_closed = False
        self.preamble = b""
        self.body = b""

    def reply(self, preamble: bytes, body: bytes) -> None:
        assert not self.preamble, "answered twice"
        self.preamble, self.body = preamble, body

    def reply_framed(self, frame: Frame, content: bytes) -> None:
        self.reply(frame.preamble, frame.body(content))

    @property
    def status(self) -> int:
        return int(self.preamble.split()[1])

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class HandWorkers:
    """Workers that work when told to."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.tasks: list[tuple[Callable[[], object], Callable[[object], None]]] = []

    def submit(self, work: Callable[[], object], done: Callable[[object], None]) -> None:
        self.tasks.append((work, done))

    def run_one(self) -> None:
        work, done = self.tasks.pop(0)
        done(work())


class HandLoader:
    """What is to be done beside the serving, done when told to."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], None]] = []
        self.background = self.tasks.append

    def run_one(self) -> None:
        self.tasks.pop(0)()


class Bench:
    """A served model on a workbench: time, the event loop's turns and the workers go by hand."""

    exchange = FakeExchange

    def __init__(self) -> None:
        self.now_s = 0.0
        self.turns: list[Callable[[], None]] = []
        self.workers = HandWorkers()
        self.later: list[Callable[[], None]] = []
        self.loader = HandLoader()

    def serve(
        self,
        model: FunctionSession | Servable,
        plan: Plan = TINY,
        *,
        peers: int = 2,
        **admission: Any,
    ) -> ServedModel:
        resources = Resources(
            workers=self.workers,
            timer=lambda: self.now_s,
            wall_s=lambda: self.now_s,
            call_soon=self._call_soon,
            call_later=lambda _, act: self.later.append(act),
            pictures=Pictures(self.workers, None),  # type: ignore[arg-type]  # it only submits
            loader=self.loader,  # type: ignore[arg-type]  # background is all that is asked of it
            is_alone=lambda: peers == 1,
        )
        opened = servable(model) if isinstance(model, FunctionSession) else model
        return ServedModel(opened, plan, admission=Admission(**admission), resources=resources)

    def _call_soon(self, act: Callable[[], None]) -> None:
        self.turns.append(act)

    def turn(self) -> None:
        """Turns of the event loop until nothing is left for the next one."""
        while self.turns:
            turns, self.turns = self.turns, []
            for act in turns:
                act()

    def ask(self, model: ServedModel, *rows: list[float], **members: Any) -> FakeExchange:
        """Send a request; its answer comes with a turn."""
        exchange = FakeExchange()
        tensor = {"name": "x", "shape": [len(rows), 2], "datatype": "FP32"}
        tensor["data"] = [value for row in rows for value in row]
        body = json.dumps({"inputs": [tensor], **members}).encode()
        model.infer(exchange, body, None)
        return exchange


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    return Bench


@pytest.fixture
def two_inputs() -> Contract:
    """A contract with inputs of several kinds."""
    return Contract(
        inputs=(
            Tensor(name="a", dtype="int8", shape=("batch", 2)),
            Tensor(name="b", dtype="string", shape=("batch",)),
        ),
        outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
    )


@pytest.fixture
def two_numbers() -> Contract:
    """A contract with two inputs of numbers."""
    return Contract(
        inputs=(
            Tensor(name="a", dtype="int8", shape=("batch", 2)),
            Tensor(name="b", dtype="float32", shape=("batch",)),
        ),
        outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
    )
