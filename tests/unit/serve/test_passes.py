import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.device.serve.passes import Job
from edgewright.device.serve.plan import Plan
from edgewright.device.serve.reading import Feed
from edgewright.device.serve.serving import refuse_as_v2
from edgewright.errors import DeviceError
from edgewright.runtimes.base import Array, EngineTensor
from edgewright.runtimes.model import LoadedModel
from edgewright.testing.models import FunctionSession, servable

HEAVY = Plan(is_inline=False, max_rows=4, single_s=10e-3, row_s=1e-3)
LONE = Plan(is_inline=True, max_rows=1, single_s=20e-6, row_s=20e-6)


def double(x: Array) -> Array:
    return np.float32(2) * x


def test_requests_of_one_turn_share_a_pass_and_get_their_own_rows(bench: Any) -> None:
    session = FunctionSession(double)
    model = bench.serve(session)
    answers = [bench.ask(model, [i, i + 1], id="1") for i in range(3)]
    answers.append(bench.ask(model, [7, 8], [9, 10]))
    assert not any(answer.preamble for answer in answers)
    bench.turn()
    assert session.passes == [5]
    data = [answer.document["outputs"][0] for answer in answers]
    assert [one["data"] for one in data] == [[0, 2], [2, 4], [4, 6], [14, 16, 18, 20]]
    assert [one["shape"] for one in data] == [[1, 2]] * 3 + [[2, 2]]


def test_pass_never_grows_beyond_the_plan(bench: Any) -> None:
    session = FunctionSession(double)
    model = bench.serve(session)
    for _ in range(20):
        bench.ask(model, [1, 2], id="1")
    bench.turn()
    assert session.passes == [8, 8, 4]


def test_requests_run_alone_when_joining_does_not_pay(bench: Any) -> None:
    session = FunctionSession(double)
    model = bench.serve(session, LONE)
    for _ in range(3):
        bench.ask(model, [1, 2])
    bench.turn()
    assert session.passes == [1, 1, 1]


def test_out_of_range_request_is_refused_and_its_neighbours_are_answered(bench: Any) -> None:
    model = bench.serve(FunctionSession(double))
    good, bad, also = (bench.ask(model, [value, 1]) for value in (1, 5000, 3))
    bench.turn()
    assert (good.status, bad.status, also.status) == (200, 400, 200)
    assert bad.document["error"].startswith("input 'x'[0, 0] is 5000, expected -1000 to 1000")
    assert also.document["outputs"][0]["data"] == [6, 2]
    assert model.queue.tally.failed == {"input": 1}


def test_failure_of_a_shared_pass_hits_only_the_request_at_fault(bench: Any) -> None:
    def fails_on_seven(x: Array) -> Array:
        return np.where(x == 7, np.float32(np.nan), x)

    model = bench.serve(FunctionSession(fails_on_seven))
    answers = [bench.ask(model, [value, 0]) for value in (1, 7, 3)]
    bench.turn()
    assert [answer.status for answer in answers] == [200, 500, 200]
    assert "NaN or infinity" in answers[1].document["error"]
    assert model.queue.tally.failed == {"device": 1}


def test_requests_that_make_a_model_fail_fill_no_log(bench: Any, caplog: Any) -> None:
    model = bench.serve(FunctionSession(lambda x: x * np.float32(np.inf)))
    for _ in range(50):
        answer = bench.ask(model, [1, 1])
        bench.turn()
        assert answer.status == 500
    assert caplog.text.count("holds NaN or infinity") == 1
    bench.now_s += 2
    bench.ask(model, [1, 1])
    bench.turn()
    assert "failed=51 error=the engine's output 'y' holds NaN or infinity" in caplog.text
    assert "Traceback" not in caplog.text


def test_fault_of_the_model_code_is_a_500_that_tells_nothing(bench: Any, caplog: Any) -> None:
    def broken(x: Array) -> Array:
        raise KeyError("secret")

    model = bench.serve(FunctionSession(broken))
    answer = bench.ask(model, [1, 2])
    bench.turn()
    assert (answer.status, answer.document) == (500, {"error": "the model failed"})
    assert "secret" in caplog.text


def test_heavy_passes_wait_for_a_free_worker_and_gather_meanwhile(bench: Any) -> None:
    session = FunctionSession(double)
    model = bench.serve(session, HEAVY)
    answers = [bench.ask(model, [1, 2])]
    bench.turn()
    answers += [bench.ask(model, [3, 4]) for _ in range(6)]
    bench.turn()
    assert (len(bench.workers.tasks), model.queue.waiting, model.queue.in_flight) == (1, 6, 7)
    while bench.workers.tasks:
        bench.workers.run_one()
    assert session.passes == [1, 4, 2]
    assert all(answer.status == 200 for answer in answers)
    assert model.queue.in_flight == 0


def test_request_with_many_rows_leaves_the_event_loop(bench: Any) -> None:
    slow_rows = Plan(is_inline=True, max_rows=8, single_s=100e-6, row_s=100e-6)
    model = bench.serve(FunctionSession(double), slow_rows)
    answer = bench.ask(model, *[[1, 2]] * 100)
    bench.turn()
    assert not answer.preamble
    bench.workers.run_one()
    assert answer.status == 200


def test_a_row_larger_than_was_tried_counts_as_many(bench: Any) -> None:
    """A model of any picture is tried on small ones: a large one would hold up everybody."""
    session, model = serve_any_length(bench, row_s=50e-6)
    for value in range(30):
        small = ask_length(bench, model, 4, value)
        large, other = (ask_length(bench, model, 400, value) for _ in range(2))
        bench.turn()
        assert [bool(one.preamble) for one in (small, large, other)] == [True, False, False]
        while bench.workers.tasks:
            bench.workers.run_one()
        assert large.document["outputs"][0]["data"] == [2 * value, 2 * value]
    assert set(session.passes) == {1}


def test_requests_larger_than_was_tried_share_a_pass_with_fewer_others(bench: Any) -> None:
    session, model = serve_any_length(bench, row_s=1e-6)
    for _ in range(3):
        session.passes.clear()
        for value in range(8):
            ask_length(bench, model, 8, value)
        bench.turn()
        assert (max(session.passes), sum(session.passes)) == (4, 8)


def serve_any_length(bench: Any, row_s: float) -> tuple[FunctionSession, Any]:
    """A model of rows of any length that was tried with four numbers."""
    session = FunctionSession(lambda x: 2 * x[:, :2])
    session.inputs = (EngineTensor(name="x", dtype="float32", shape=(None, None)),)
    contract = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=("batch", "length")),),
        outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
    )
    plan = Plan(is_inline=True, max_rows=8, single_s=50e-6, row_s=row_s, row_values=4)
    opened = msgspec.structs.replace(servable(session), model=LoadedModel(contract, session))
    return session, bench.serve(opened, plan)


def ask_length(bench: Any, model: Any, length: int, value: float) -> Any:
    tensor = {"name": "x", "shape": [1, length], "datatype": "FP32", "data": [value] * length}
    exchange = bench.exchange()
    model.infer(exchange, json.dumps({"inputs": [tensor]}).encode(), None)
    return exchange


def test_request_of_a_peer_that_left_is_not_run(bench: Any) -> None:
    session = FunctionSession(double)
    model = bench.serve(session)
    answer = bench.ask(model, [1, 2])
    answer.is_closed = True
    bench.turn()
    assert session.passes == []
    assert model.queue.tally.failed == {"peer_left": 1}


def test_request_is_dropped_when_its_timeout_is_over_before_its_pass(bench: Any) -> None:
    session = FunctionSession(double)
    model = bench.serve(session, HEAVY)
    bench.ask(model, [1, 2])
    bench.turn()
    late = bench.ask(model, [3, 4], parameters={"timeout": 50_000})
    bench.now_s = 0.1
    bench.workers.run_one()
    assert (late.status, session.passes) == (504, [1])


def test_request_is_refused_at_once_when_its_timeout_cannot_be_kept(bench: Any) -> None:
    model = bench.serve(FunctionSession(double), HEAVY)
    answer = bench.ask(model, [1, 2], parameters={"timeout": 1000})
    assert (answer.status, b"retry-after: 1" in answer.preamble) == (503, True)
    assert "the request's timeout is 1 ms" in answer.document["error"]


def test_request_is_refused_when_the_queue_is_full(bench: Any) -> None:
    model = bench.serve(FunctionSession(double), max_waiting=2)
    answers = [bench.ask(model, [1, 2], id="1") for _ in range(3)]
    assert (answers[2].status, b"retry-after: " in answers[2].preamble) == (429, True)
    bench.turn()
    assert [answer.status for answer in answers[:2]] == [200, 200]
    assert model.queue.tally.failed == {"queue_full": 1}


def test_idle_is_told_once_after_the_last_answer(bench: Any) -> None:
    model = bench.serve(FunctionSession(double), HEAVY)
    told: list[int] = []
    answer = bench.ask(model, [1, 2])
    model.queue.when_idle(lambda: told.append(1))
    bench.turn()
    assert told == []
    bench.workers.run_one()
    assert (told, answer.status) == ([1], 200)
    model.queue.when_idle(lambda: told.append(2))
    assert told == [1, 2]


def test_tally_counts_requests_passes_rows_and_time(bench: Any) -> None:
    def takes_two_seconds(x: Array) -> Array:
        bench.now_s += 2.0
        return x

    model = bench.serve(FunctionSession(takes_two_seconds), HEAVY)
    bench.ask(model, [1, 2], [3, 4])
    bench.turn()
    bench.now_s = 1.0
    bench.workers.run_one()
    tally = model.queue.tally
    assert (tally.answered, tally.passes, tally.rows, tally.failures) == (1, 1, 2, 0)
    spent_s = {stage: histogram.total for stage, histogram in tally.stages.items()}
    assert (tally.requests.total, spent_s["run"], spent_s["queue"]) == (3.0, 2.0, 1.0)
    assert tally.pass_rows.counts.tolist()[:3] == [0, 1, 0]


def test_device_error_is_not_retried_for_a_lone_request(bench: Any) -> None:
    calls: list[int] = []

    def failing(x: Array) -> Array:
        calls.append(1)
        raise DeviceError("engine lost")

    model = bench.serve(FunctionSession(failing))
    answer = bench.ask(model, [1, 2])
    bench.turn()
    assert (answer.status, len(calls)) == (500, 1)


@pytest.mark.parametrize("count", [1, 5])
def test_request_id_comes_back(bench: Any, count: int) -> None:
    model = bench.serve(FunctionSession(double))
    answers = [bench.ask(model, [1, 2], id=f'"{number}"') for number in range(count)]
    bench.turn()
    assert [answer.document["id"] for answer in answers] == [f'"{n}"' for n in range(count)]


@pytest.mark.parametrize(
    ("peers", "may_run_alone", "single_s", "here"),
    [
        (1, True, 4e-3, True),
        (2, True, 4e-3, False),
        (1, False, 4e-3, False),
        (1, True, 0.03, False),
    ],
)
def test_lone_client_needs_no_worker_unless_the_pass_is_long(
    bench: Any, peers: int, may_run_alone: bool, single_s: float, here: bool
) -> None:
    plan = Plan(is_inline=False, max_rows=1, single_s=single_s, row_s=single_s,
                may_run_alone=may_run_alone)  # fmt: skip
    model = bench.serve(FunctionSession(double), plan, peers=peers)
    answer = bench.ask(model, [1, 2])
    bench.turn()
    assert bool(answer.preamble) is here
    assert len(bench.workers.tasks) == (not here)


def test_workers_hold_one_pass_more_than_they_run(bench: Any) -> None:
    plan = Plan(is_inline=False, max_rows=1, single_s=4e-3, row_s=4e-3, may_run_alone=True)
    model = bench.serve(FunctionSession(double), plan, peers=1)
    answers = [bench.ask(model, [n, 2]) for n in range(3)]
    bench.turn()
    assert (len(bench.workers.tasks), model.queue.waiting) == (2, 1)
    for _ in range(3):
        bench.workers.run_one()
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert bench.workers.tasks == []


def test_request_with_a_timeout_is_not_handed_over_early(bench: Any) -> None:
    plan = Plan(is_inline=False, max_rows=1, single_s=4e-3, row_s=4e-3)
    model = bench.serve(FunctionSession(double), plan)
    bench.ask(model, [1, 2])
    bench.ask(model, [3, 4], parameters={"timeout": 50_000})
    bench.turn()
    assert (len(bench.workers.tasks), model.queue.waiting) == (1, 1)


def test_a_model_takes_no_more_workers_than_its_limit(bench: Any) -> None:
    bench.workers.count = 3
    limited = bench.serve(FunctionSession(double), HEAVY, concurrency=1)
    free = bench.serve(FunctionSession(double), HEAVY)
    for model in (limited, free):
        for _ in range(12):
            bench.ask(model, [1, 2])
    bench.turn()
    assert (limited.in_flight - limited.waiting, free.in_flight - free.waiting) == (4, 12)
    assert len(bench.workers.tasks) == 1 + 3
    assert limited.queue.expected_wait_s() == 3 * free.queue.expected_wait_s()


def test_without_a_timeout_of_its_own_a_request_has_its_models(bench: Any) -> None:
    model = bench.serve(FunctionSession(double), HEAVY, timeout_s=0.02)
    first, second = bench.ask(model, [1, 2]), bench.ask(model, [1, 2], parameters={"timeout": 0})
    assert not first.preamble
    bench.now_s = 1.0
    bench.turn()
    assert (first.status, second.status) == (504, 504)
    impatient = bench.ask(model, [1, 2], parameters={"timeout": 1000})
    assert impatient.status == 503


def test_a_request_whose_inputs_differ_in_rows_is_refused_and_holds_up_nobody(
    bench: Any, two_numbers: Contract
) -> None:
    session = FunctionSession(double)
    session.run = lambda feeds: {"y": feeds["a"].astype(np.float32) + feeds["b"][:, None]}  # type: ignore[method-assign]  # of two inputs
    opened = msgspec.structs.replace(servable(session), model=LoadedModel(two_numbers, session))
    model = bench.serve(opened)

    def ask(rows: int, others: int) -> Any:
        exchange = bench.exchange()
        inputs = [
            {"name": "a", "shape": [rows, 2], "datatype": "INT8", "data": [rows] * (2 * rows)},
            {"name": "b", "shape": [others], "datatype": "FP32", "data": [1] * others},
        ]
        model.infer(exchange, json.dumps({"inputs": inputs}).encode(), None)
        return exchange

    answers = [ask(*rows) for rows in ((2, 1), (2, 1), (1, 1), (1, 1), (1, 2), (1, 1))]
    bench.turn()
    assert [answer.status for answer in answers] == [400, 400, 200, 200, 400, 200]
    assert "input 'b' has batch 1, expected 2 as in input 'a'" in answers[0].document["error"]
    assert answers[2].document["outputs"][0]["data"] == [2, 2]


def test_an_answer_that_cannot_be_written_keeps_no_other_one(bench: Any, caplog: Any) -> None:
    def unwritable(*_: object) -> None:
        raise TypeError("no JSON")

    model = bench.serve(FunctionSession(double))
    bad, good = bench.exchange(), bench.ask(model, [1, 2], id="1")
    feed = Feed((np.ones((1, 2), np.float32).tobytes(),), ((1, 2),), 1)
    model.submit(Job(bad, feed, 0.0, refuse_as_v2, unwritable))
    bench.turn()
    assert (bad.status, bad.document, good.status) == (500, {"error": "internal error"}, 200)
    assert "no JSON" in caplog.text


@pytest.mark.parametrize("shape", [(5, 2), (10,), ()])
def test_a_model_without_rows_is_answered_whatever_shape_it_gives(bench: Any, shape: Any) -> None:
    contract = Contract(
        inputs=(Tensor(name="x", dtype="float32", shape=(1, 2)),),
        outputs=(Tensor(name="y", dtype="float32", shape=shape),),
    )
    numbers = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    session = FunctionSession(lambda _: numbers)
    opened = msgspec.structs.replace(servable(session), model=LoadedModel(contract, session))
    model = bench.serve(opened, LONE)
    answers = [bench.ask(model, [1, 2]), bench.ask(model, [3, 4])]
    bench.turn()
    for answer in answers:
        (output,) = answer.document["outputs"]
        assert (output["shape"], output["data"]) == (list(shape), numbers.ravel().tolist())


def test_a_shared_pass_that_gives_fewer_rows_answers_nobody_with_anothers(bench: Any) -> None:
    """What it finds is filtered: alone each request gets what is its own."""
    model = bench.serve(FunctionSession(lambda x: x[x[:, 0] > 0]))
    answers = [bench.ask(model, [value, 7], id="1") for value in (-1, 2, 3)]
    answers.append(bench.ask(model, [-1, 7], [5, 7], id="1"))
    bench.turn()
    outputs = [answer.document["outputs"][0] for answer in answers]
    assert [one["data"] for one in outputs] == [[], [2, 7], [3, 7], [5, 7]]
    assert [one["shape"] for one in outputs] == [[0, 2], [1, 2], [1, 2], [1, 2]]
