import numpy as np
import pytest

from edgewright.workbench.verify.traces import (
    Trace,
    TracedNode,
    parting_by_order,
    parting_by_value,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6))


def chain(*steps: tuple[str, str, np.ndarray]) -> Trace:
    """Each step reads the one before it."""
    nodes, last = [], "x"
    for name, operator, _ in steps:
        nodes.append(TracedNode(name, operator, (last,), (name,)))
        last = name
    return Trace(tuple(nodes), {"x": X} | {name: value for name, _, value in steps})


DOUBLE, SHIFT = X * 2, X * 2 + 1
CLEAN = chain(("double", "Mul", DOUBLE), ("shift", "Add", SHIFT), ("curve", "Tanh", np.tanh(SHIFT)))


def test_equal_files_do_not_part() -> None:
    assert parting_by_order(CLEAN, CLEAN) is None


def test_the_first_node_that_differs_is_named_whatever_it_is_called() -> None:
    wrong = X * 2 + 1.5
    other = chain(("a", "Mul", DOUBLE), ("b", "Add", wrong), ("c", "Tanh", np.tanh(wrong)))
    found = parting_by_order(CLEAN, other)
    assert found
    assert found.node == "b"
    assert found.max_abs == pytest.approx(0.5)


def test_another_operator_at_that_place_is_to_blame() -> None:
    other = chain(("a", "Mul", DOUBLE), ("b", "Sub", X * 2 - 1), ("c", "Tanh", np.tanh(X * 2 - 1)))
    found = parting_by_order(CLEAN, other)
    assert found
    assert (found.node, found.operator) == ("b", "Sub")


def test_by_value_a_transposed_and_fused_file_is_right() -> None:
    other = chain(
        ("turned", "TRANSPOSE", X.T),
        ("unheard", "CUSTOM", X.T * 7),
        ("fused", "FULLY_CONNECTED", SHIFT.T),
        ("curve", "TANH", np.tanh(SHIFT).T),
    )
    found = parting_by_value(CLEAN, other)
    assert found is None or found.node == "curve"


def test_by_value_the_first_node_that_leads_to_nothing_right_is_named() -> None:
    padded = np.pad(DOUBLE, 1)
    wrong = X * 2 + 3
    other = chain(
        ("double", "MUL", DOUBLE),
        ("padded", "PAD", padded),
        ("fused", "CONV_2D", wrong),
        ("curve", "TANH", np.tanh(wrong)),
    )
    found = parting_by_value(CLEAN, other)
    assert found
    assert found.node == "fused"


def test_by_value_an_answer_in_another_order_blames_the_last_node() -> None:
    rolled = np.roll(np.tanh(SHIFT), 1, axis=1)
    other = chain(("double", "MUL", DOUBLE), ("shift", "ADD", SHIFT), ("curve", "TANH", rolled))
    found = parting_by_value(CLEAN, other)
    assert found
    assert found.node == "curve"
