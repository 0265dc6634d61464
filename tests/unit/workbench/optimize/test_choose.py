from types import SimpleNamespace
from typing import cast

import pytest

from edgewright.evidence import Interval
from edgewright.workbench.optimize.bound import Drop
from edgewright.workbench.optimize.choose import (
    by_objective,
    loses_to,
    not_faster,
    not_frugal,
    rejected_for_bound,
    rejected_for_drop,
    rejected_for_speed,
    shortlist,
)
from edgewright.workbench.optimize.options import Objective
from edgewright.workbench.optimize.trial import Trial


def trial(
    name: str,
    ratio: float,
    drop: float,
    *,
    size: int = 100,
    energy: float = 1.0,
    upper: float | None = None,
) -> Trial:
    value = SimpleNamespace(
        name=name,
        ratio=Interval(ratio, ratio, ratio),
        drop=Drop(90.0, drop, drop if upper is None else upper),
        rows=100,
        size_bytes=size,
        energy_ratio=Interval(energy, energy, energy),
    )
    return cast("Trial", value)


TRIALS = [
    trial("fast", 0.40, 0.3, size=300, energy=0.9),
    trial("nearly as fast", 0.41, 0.1, size=301, energy=0.3),
    trial("small", 0.90, 0.0, size=100, energy=0.8),
]


@pytest.mark.parametrize(
    ("objective", "order"),
    [
        ("latency", ["nearly as fast", "fast", "small"]),
        ("size", ["small", "fast", "nearly as fast"]),
        ("energy", ["nearly as fast", "small", "fast"]),
    ],
)
def test_the_objective_orders_and_near_ties_go_to_the_better_runner_up(
    objective: Objective, order: list[str]
) -> None:
    assert [one.name for one in by_objective(TRIALS, objective)] == order


@pytest.mark.parametrize(
    ("ratio", "is_out"),
    [
        (Interval(1.4, 1.3, 1.5), True),
        (Interval(1.1, 0.9, 1.3), False),
        (Interval(0.5, 0.4, 0.6), False),
        (Interval(1.4, None, None), False),
    ],
)
def test_only_what_is_slower_beyond_doubt_leaves_early(ratio: Interval, *, is_out: bool) -> None:
    assert bool(rejected_for_speed(ratio)) == is_out


def test_a_finalist_must_be_faster_beyond_doubt() -> None:
    assert not not_faster(Interval(0.9, 0.85, 0.95), "latency")
    assert "not shown to be faster" in not_faster(Interval(0.99, 0.9, 1.05), "latency")
    assert "slower" in not_faster(Interval(1.01, 0.9, 1.1), "size")
    assert not not_faster(Interval(0.99, 0.9, 1.05), "size")


def test_drops_are_judged_with_their_numbers() -> None:
    assert not rejected_for_drop(Drop(90, 0.5, 0.9), 0.5, rows=300, where="select")
    assert "0.60 points on 300 select samples" in rejected_for_drop(
        Drop(90, 0.6, 0.9), 0.5, rows=300, where="select"
    )
    assert not rejected_for_bound(Drop(90, 0.1, 0.5), 0.5, rows=300, least=0.2)
    reason = rejected_for_bound(Drop(90, 0.0, 0.9), 0.5, rows=100, least=0.9)
    assert "100 samples cannot prove less than 0.90" in reason


def test_a_loser_is_told_by_how_much() -> None:
    assert (
        loses_to(TRIALS[2], TRIALS[0], "latency") == "p50 over fp32 is 0.9, the chosen one has 0.4"
    )
    assert "not better" in loses_to(TRIALS[1], TRIALS[0], "latency")


@pytest.mark.parametrize(
    ("energy", "words"),
    [
        (Interval(0.5, 0.4, 0.6), ""),
        (Interval(0.9, 0.7, 1.1), "not shown to use less energy than fp32"),
        (Interval(1.2, 1.1, 1.3), "not shown to use less energy than fp32"),
        (Interval(0.9), "not shown to use less energy than fp32"),
        (None, "was not measured"),
    ],
)
def test_only_what_uses_less_beyond_doubt_is_chosen_for_its_energy(
    energy: Interval | None, words: str
) -> None:
    reason = not_frugal(energy)
    assert bool(reason) == bool(words)
    assert words in reason


def names(trials: list[Trial]) -> list[str]:
    return [one.name for one in trials]


def test_half_of_the_places_go_to_those_that_will_probably_prove_the_budget() -> None:
    """Five hopeless ones are faster than those that would prove it."""
    hopeless = [trial(f"hopeless {n}", 0.20 + n / 100, 4.9, upper=7.0) for n in range(5)]
    likely = [trial(f"likely {n}", 0.40 + n / 100, 2.0, upper=3.2) for n in range(3)]
    kept, left = shortlist([*hopeless, *likely], 4, 5.0, confirm_rows=100)
    assert names(kept) == ["hopeless 0", "hopeless 1", "likely 0", "likely 1"]
    assert names(left) == ["hopeless 2", "hopeless 3", "hopeless 4", "likely 2"]


def test_each_of_those_places_asks_for_more_slack() -> None:
    """What fails together must not take all of them: here all but one are near the budget."""
    near = [trial(f"near {n}", 0.20 + n / 100, 4.0, upper=4.8) for n in range(6)]
    far = trial("far", 0.45, 2.0, upper=2.8)
    kept, _ = shortlist([*near, far, trial("slow", 0.9, 0.0)], 4, 5.0, confirm_rows=100)
    assert names(kept) == ["near 0", "near 1", "near 2", "far"]


def test_a_larger_confirm_set_makes_more_of_them_likely() -> None:
    ordered = [trial("a", 0.2, 4.0, upper=5.5), trial("b", 0.3, 4.0, upper=5.5)]
    ordered += [trial("c", 0.4, 0.0, upper=0.0)]
    assert names(shortlist(ordered, 2, 5.0, confirm_rows=100)[0]) == ["a", "c"]
    assert names(shortlist(ordered, 2, 5.0, confirm_rows=400)[0]) == ["a", "b"]


def test_where_none_is_likely_the_objective_alone_decides() -> None:
    ordered = [trial(str(n), 0.2 + n / 10, 4.9, upper=9.0) for n in range(3)]
    assert shortlist(ordered, 2, 5.0, confirm_rows=100) == (ordered[:2], ordered[2:])


def test_few_take_all_places_in_their_order() -> None:
    few = TRIALS[:3]
    assert shortlist(few, 4, 5.0, confirm_rows=100) == (few, [])
