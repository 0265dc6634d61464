import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.device.streams.debounce import TABLE, Held, Rule, advance

RULE = Rule(enter=0.6, leave=0.4, confirm=2, release=3)
observations = st.lists(
    st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from([0.1, 0.5, 0.9])), max_size=40
)


def run(seen: list[tuple[str, float]], rule: Rule = RULE) -> list[Held]:
    held, history = Held(), []
    for label, score in seen:
        held = advance(held, label=label, score=score, rule=rule)
        history.append(held)
    return history


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(itertools.product([True, False], ["high", "middle", "low"]))


@pytest.mark.parametrize(
    ("seen", "labels"),
    [
        ([("a", 0.9)] * 3, ["", "a", "a"]),
        ([("a", 0.5)] * 3, ["", "", ""]),
        ([("a", 0.9), ("b", 0.9)] * 2, ["", "", "", ""]),
        ([("a", 0.9)] * 2 + [("b", 0.9)] * 2, ["", "a", "a", "b"]),
        ([("a", 0.9)] * 2 + [("a", 0.5)] * 4, ["", "a", "a", "a", "a", "a"]),
        ([("a", 0.9)] * 2 + [("a", 0.1)] * 3, ["", "a", "a", "a", ""]),
        ([("a", 0.9)] * 2 + [("", 0.0)] * 3, ["", "a", "a", "a", ""]),
        ([("a", 0.9)] * 2 + [("b", 0.9), ("c", 0.9), ("b", 0.9)], ["", "a", "a", "a", ""]),
    ],
)
def test_labels_are_taken_up_and_let_go(seen: list[tuple[str, float]], labels: list[str]) -> None:
    assert [held.label for held in run(seen)] == labels


@given(seen=observations, confirm=st.integers(1, 4), release=st.integers(1, 4))
def test_a_label_is_taken_up_only_after_its_confirmations(
    seen: list[tuple[str, float]], confirm: int, release: int
) -> None:
    rule = Rule(enter=0.6, leave=0.4, confirm=confirm, release=release)
    history = run(seen, rule)
    for index, held in enumerate(history):
        before = history[index - 1].label if index else ""
        if held.label and held.label != before:
            latest = seen[index - confirm + 1 : index + 1]
            assert latest == [(held.label, 0.9)] * confirm


@given(seen=observations)
def test_a_held_label_had_support_lately(seen: list[tuple[str, float]]) -> None:
    for index, held in enumerate(run(seen)):
        if held.label:
            latest = seen[max(index - RULE.release + 1, 0) : index + 1]
            assert any(label == held.label and score >= RULE.leave for label, score in latest)


@pytest.mark.parametrize(
    "fields", [{"enter": 0.2, "leave": 0.3}, {"enter": 1.2}, {"confirm": 0}, {"release": 0}]
)
def test_rules_that_make_no_sense_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must hold|at least 1"):
        Rule(**fields)
