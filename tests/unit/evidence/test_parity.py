"""The comparator refuses every answer that one measure alone would let pass."""

from collections.abc import Callable

import numpy as np
import pytest

from edgewright.contract import Tolerances
from edgewright.evidence.parity import compare

LOOSE = Tolerances(max_abs=1e9, max_rel=1e9, cosine=-1.0, norm_ratio=1e9)


def reasons(reference: object, candidate: object, tolerances: Tolerances) -> str:
    left, right = np.asarray(reference), np.asarray(candidate)
    return "; ".join(compare({"y": left}, {"y": right}, tolerances).reasons)


def test_scalar_error_is_refused_though_its_cosine_is_one() -> None:
    comparison = compare({"y": np.array([0.9])}, {"y": np.array([0.4])}, Tolerances())
    assert comparison.outputs["y"].cosine == 1.0
    assert not comparison.ok


def test_vanishing_output_passes_though_its_cosine_is_near_zero() -> None:
    rng = np.random.default_rng(0)
    reference, candidate = rng.normal(size=(2, 64)) * 1e-15
    assert compare({"y": reference}, {"y": candidate}, Tolerances()).ok


def test_zeros_instead_of_small_numbers_are_refused_by_the_norm() -> None:
    small = np.full((2, 8), 5e-4)
    assert "norm ratio" in reasons(small, np.zeros((2, 8)), Tolerances())


@pytest.mark.parametrize(
    ("change", "tolerances", "word"),
    [
        (lambda y: y + 0.5, Tolerances(max_rel=9, cosine=-1, norm_ratio=9), "absolute"),
        (lambda y: y * 1.05, Tolerances(max_abs=9, cosine=-1, norm_ratio=9), "relative"),
        (lambda y: y[:, ::-1].copy(), Tolerances(max_abs=9, max_rel=9, norm_ratio=9), "cosine"),
        (lambda y: y * 1.2, Tolerances(max_abs=9, max_rel=9, cosine=-1), "norm ratio"),
    ],
)
def test_each_measure_alone_can_refuse(
    change: Callable[[np.ndarray], np.ndarray], tolerances: Tolerances, word: str
) -> None:
    reference = np.random.default_rng(0).normal(size=(4, 16)) + 2
    said = reasons(reference, change(reference), tolerances)
    assert word in said
    assert said.count("tolerated") == 1


def test_one_wrong_row_among_many_is_refused_by_its_own_cosine() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(1000, 16))
    candidate = reference.copy()
    candidate[500] = -candidate[500]
    comparison = compare({"y": reference}, {"y": candidate}, Tolerances(max_abs=9, cosine=0.99))
    assert comparison.outputs["y"].cosine == pytest.approx(-1.0)
    assert not comparison.ok


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_on_either_side(bad: float) -> None:
    good, spoilt = np.ones(3), np.array([1.0, bad, 1.0])
    assert "of the candidate are not finite" in reasons(good, spoilt, LOOSE)
    assert "of the reference are not finite" in reasons(spoilt, good, LOOSE)
    assert not compare({"y": spoilt}, {"y": spoilt}, LOOSE).ok


def test_integers_bools_and_texts_are_compared_exactly() -> None:
    assert "1 of 2 values differ" in reasons([1, 2], [1, 3], LOOSE)
    assert "first at [1]: sit expected, got run" in reasons(["a", "sit"], ["a", "run"], LOOSE)
    assert "differ" in reasons([True], [False], LOOSE)
    assert reasons([2**60], [2**60 + 1], LOOSE)
    assert not reasons(["a"], ["a"], LOOSE)


def test_shape_type_emptiness_and_names_are_reasons() -> None:
    assert "shape is [2], expected [1]" in reasons([1.0], [1.0, 2.0], LOOSE)
    assert "expected int64" in reasons([1], [1.0], LOOSE)
    assert "empty" in reasons(np.empty(0), np.empty(0), LOOSE)
    assert not compare({}, {}, LOOSE).ok
    y = {"y": np.ones(1)}
    assert compare(y, {}, LOOSE).reasons == ("output 'y' is missing",)
    assert compare({**y}, {**y, "z": np.ones(1)}, LOOSE).reasons == (
        "output 'z' is not in the reference",
    )


def test_worst_names_the_output_farthest_off() -> None:
    reference = {"a": np.ones(4), "b": np.ones(4)}
    candidate = {"a": np.ones(4) * 1.0001, "b": np.ones(4) * 1.5}
    assert compare(reference, candidate, Tolerances()).worst == "b"


def test_a_share_of_a_mask_may_differ_where_the_contract_says_so() -> None:
    reference = np.zeros((1, 10, 10), np.uint8)
    candidate = reference.copy()
    candidate[0, 0, :2] = 1
    assert "2 of 100 values differ" in reasons(reference, candidate, Tolerances())
    assert not reasons(reference, candidate, Tolerances(mismatch_share=0.02))
    assert "values differ" in reasons(reference, candidate, Tolerances(mismatch_share=0.019))
