import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.serve.plan import MAX_ROWS, Measurement, Plan, choose_plan


def measured(single_s: float, joined_s: float, *, agrees: bool = True) -> Plan:
    return choose_plan(Measurement(single_s=single_s, joined_s=joined_s, rows=8, agrees=agrees))


def test_tiny_model_runs_in_the_event_loop_and_is_joined() -> None:
    plan = measured(20e-6, 30e-6)
    assert (plan.is_inline, plan.max_rows) == (True, MAX_ROWS)


def test_heavy_model_whose_rows_cost_the_same_joined_is_left_alone() -> None:
    plan = measured(4e-3, 32e-3)
    assert (plan.is_inline, plan.max_rows) == (False, 1)


def test_heavy_model_that_gains_is_joined_within_a_time() -> None:
    plan = measured(10e-3, 20e-3)
    assert 1 < plan.max_rows < MAX_ROWS
    assert plan.expected_s(plan.max_rows) <= 51e-3


def test_model_that_answers_differently_when_joined_is_never_joined() -> None:
    assert measured(20e-6, 21e-6, agrees=False).max_rows == 1


@pytest.mark.parametrize(("rows", "inline"), [(1, True), (10, True), (1000, False)])
def test_many_rows_of_a_tiny_model_leave_the_event_loop(rows: int, *, inline: bool) -> None:
    plan = Plan(is_inline=True, max_rows=8, single_s=100e-6, row_s=50e-6)
    assert plan.runs_inline(rows) is inline


@given(st.floats(1e-6, 10), st.floats(1e-6, 100))
def test_every_plan_makes_sense(single_s: float, joined_s: float) -> None:
    plan = measured(single_s, joined_s)
    assert 1 <= plan.max_rows <= MAX_ROWS
    assert plan.row_s >= 0
    assert plan.runs_inline(1) == plan.is_inline


def test_no_row_costs_nothing_whatever_was_measured() -> None:
    """A joined pass that took no longer than a single one says nothing about 100,000 rows."""
    plan = measured(20e-6, 20e-6)
    assert plan.runs_inline(MAX_ROWS)
    assert not plan.runs_inline(100_000)
