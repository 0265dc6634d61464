"""The quick lane gives what the careful way gives, whatever its neighbours send."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.runtimes.base import Array
from edgewright.testing.models import BindableFunctionSession, FunctionSession

BEFORE = '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":'
AFTER = "}]}"


def double(x: Array) -> Array:
    return np.float32(2) * x


@pytest.fixture(params=[FunctionSession, BindableFunctionSession])
def kind(request: pytest.FixtureRequest) -> Any:
    """With and without tensors that stay where they are."""
    return request.param


def opened(bench: Any, kind: Any, *, peers: int = 2) -> Any:
    """A model whose lane is open."""
    model = bench.serve(kind(double), peers=peers)
    send(bench, model, "[1, 2]")
    bench.turn()
    return model


def send(bench: Any, model: Any, numbers: str, before: str = BEFORE, after: str = AFTER) -> Any:
    exchange = bench.exchange()
    model.infer(exchange, f"{before}{numbers}{after}".encode(), None)
    return exchange


def data(exchange: Any) -> Any:
    return exchange.document["outputs"][0]["data"]


def test_requests_that_look_alike_share_a_pass_and_get_their_own_rows(
    bench: Any, kind: Any
) -> None:
    session = kind(double)
    model = bench.serve(session)
    first = send(bench, model, "[0, 0.5]")
    bench.turn()
    answers = [send(bench, model, f"[{n}, {n}.5]") for n in range(3)]
    assert model.waiting == 3
    bench.turn()
    assert session.passes == [1, 3]
    assert [data(answer) for answer in answers] == [[0, 1], [2, 3], [4, 5]]
    assert first.body == answers[0].body
    assert (model.queue.tally.answered, model.queue.tally.passes, model.waiting) == (4, 2, 0)
    assert model.queue.tally.requests.counts.sum() == 4


def test_pass_of_the_lane_never_grows_beyond_the_plan(bench: Any, kind: Any) -> None:
    session = kind(double)
    model = bench.serve(session)
    send(bench, model, "[0, 1]")
    bench.turn()
    answers = [send(bench, model, "[0, 1]") for _ in range(20)]
    bench.turn()
    assert session.passes == [1, 8, 8, 4]
    assert all(data(answer) == [0, 2] for answer in answers)


def test_bad_request_is_refused_as_ever_and_its_neighbours_are_answered(
    bench: Any, kind: Any
) -> None:
    model = opened(bench, kind)
    texts = ["[1, 2]", "[5000, 1]", "[1]", "[1, 2, 3]", "[true, 1]", '["1", 1]', "[null, 1]",
             "[[1], 2]", "7", "", "[1, 2", "[1, 1e999]", "[NaN, 1]", "[3, 4]"]  # fmt: skip
    answers = [send(bench, model, text) for text in texts]
    bench.turn()
    assert [answer.status for answer in answers] == [200] + [400] * 12 + [200]
    assert data(answers[0]) == [2, 4]
    assert data(answers[-1]) == [6, 8]
    assert answers[1].document["error"].startswith("input 'x'[0, 0] is 5000")


def test_neighbours_cannot_take_over_each_others_answers(bench: Any, kind: Any) -> None:
    """Lists that only together are two good ones must not pass for them."""
    model = opened(bench, kind)
    for texts in (
        ["[1, 2], [666, 666]", "[3, 4]", '["', '"]'],
        ['[1, "', "[3, 4]", '", 2]', "[1, 2],[5, 6]"],
        ["[1, 2], [6, 6], [[", "[3, 4]", "]]"],
        ["[1", "2]", "[3, 4]", "[7, 8],[0, 0]"],
        ["[7, 8],[0, 0]", "[3, 4]", "[1", "2]"],
        ["[1, 2],[0", "0]", "[3, 4]"],
    ):
        answers = [send(bench, model, text) for text in texts]
        bench.turn()
        good = [(text, answer) for text, answer in zip(texts, answers, strict=True)
                if text == "[3, 4]"]  # fmt: skip
        assert [data(answer) for _, answer in good] == [[6, 8]]
        assert all(a.status == 400 for t, a in zip(texts, answers, strict=True) if t != "[3, 4]")


def test_ids_options_escapes_and_other_rows_take_no_lane(bench: Any, kind: Any) -> None:
    for before, after in (
        ('{"id":"a",' + BEFORE[1:], AFTER),
        (BEFORE, '}],"outputs":[{"name":"y"}]}'),
        (BEFORE, '}],"parameters":{"timeout":5000000}}'),
        (BEFORE.replace('"x"', '"\\u0078"'), AFTER),
        (BEFORE.replace("[1,2]", "[2,2]"), AFTER),
    ):
        session = kind(double)
        model = bench.serve(session)
        numbers = "[1, 2, 3, 4]" if "[2,2]" in before else "[1, 2]"
        for _ in range(2):
            answer = send(bench, model, numbers, before, after)
            assert not any(map(len, model.lanes))
            bench.turn()
            assert answer.status == 200


@pytest.mark.parametrize("peers", [1, 2])
def test_brackets_too_many_are_refused_whatever_was_sent_before(
    bench: Any, kind: Any, peers: int
) -> None:
    """A nested list begins like a flat one, and ends like one with a bracket too many."""
    model = bench.serve(kind(double), peers=peers)
    for _ in range(3):
        answer = send(bench, model, "[[1, 2]]")
        bench.turn()
        assert data(answer) == [2, 4]
    answer = send(bench, model, "[1, 2]]")
    bench.turn()
    assert (answer.status, "malformed" in answer.document["error"]) == (400, True)


def test_a_lone_client_is_answered_at_once(bench: Any, kind: Any) -> None:
    model = bench.serve(kind(double), peers=1)
    send(bench, model, "[1, 2]")
    bench.turn()
    assert data(send(bench, model, "[1, 2]")) == [2, 4]


def test_model_that_leaves_answers_what_waits_in_its_lane_first(bench: Any, kind: Any) -> None:
    model = opened(bench, kind)
    answer = send(bench, model, "[1, 2]")
    gone = []
    model.retire(lambda: gone.append(data(answer)))
    assert gone == [[2, 4]]


def test_fault_of_one_row_hits_only_its_request(bench: Any, kind: Any) -> None:
    model = bench.serve(kind(lambda x: np.where(x == 7, np.float32(np.nan), x)))
    send(bench, model, "[1, 2]")
    bench.turn()
    answers = [send(bench, model, text) for text in ("[1, 2]", "[7, 2]", "[3, 2]")]
    bench.turn()
    assert [answer.status for answer in answers] == [200, 500, 200]


numbers = st.one_of(
    st.lists(st.integers(-9, 9) | st.floats(-999, 999, width=32), max_size=3).map(json.dumps),
    st.text(alphabet='[]{},:"1.e-tnus \\', max_size=12),
    st.sampled_from(["[1", "2]", "[1, 2", "3]", "[7, 8],[0, 0]", "1, 2", '["],["', "[3, 4]"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(numbers, min_size=1, max_size=6), peers=st.sampled_from([1, 2]))
def test_any_mix_gets_what_each_would_get_with_care(
    make_bench: Any, kind: Any, texts: list[str], peers: int
) -> None:
    bench = make_bench()
    together = opened(bench, kind, peers=peers)
    answers = [send(bench, together, text) for text in texts]
    bench.turn()
    bench.turn()
    for text, answer in zip(texts, answers, strict=True):
        alone = bench.serve(FunctionSession(double))
        expected = send(bench, alone, text)
        bench.turn()
        assert (answer.status, answer.body) == (expected.status, expected.body)


def test_what_the_tap_keeps_is_not_overwritten_by_the_next_request(bench: Any) -> None:
    model = opened(bench, BindableFunctionSession, peers=1)
    for text in ("[1, 2]", "[3, 4]", "[5, 6]"):
        send(bench, model, text)
    kept = [inputs["x"].tolist() for inputs, _ in model.queue.watch._kept]
    assert kept == [[[1, 2]], [[1, 2]], [[3, 4]], [[5, 6]]]


def test_single_requests_are_counted_and_mirrored_like_any(bench: Any) -> None:
    model = opened(bench, BindableFunctionSession, peers=1)
    send(bench, model, "[1, 2]")
    seen: list[Any] = []
    model.queue.mirror = lambda arrays, outputs, _: seen.append((arrays["x"], outputs["y"]))
    send(bench, model, "[3, 4]")
    assert [(x.tolist(), y.tolist()) for x, y in seen] == [([[3, 4]], [[6, 8]])]
    assert (model.queue.tally.answered, model.queue.tally.passes) == (3, 3)
    assert model.queue.tally.requests.counts.sum() == 3
