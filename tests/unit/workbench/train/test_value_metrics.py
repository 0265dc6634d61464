import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.workbench.train.mask_metrics import score_masks
from edgewright.workbench.train.value_metrics import score_values, spearman


def test_figures_of_a_small_case_by_hand() -> None:
    y, guess = np.array([0.0, 1.0, 2.0, 4.0]), np.array([0.5, 1.0, 1.5, 5.0])
    found = score_values(guess, y, group=np.array(list("aabb")))
    assert found.mae == pytest.approx(0.5)
    assert found.rmse == pytest.approx(np.sqrt((0.25 + 0.25 + 1) / 4))
    assert found.pearson == pytest.approx(np.corrcoef(guess, y)[0, 1])
    assert found.spearman == pytest.approx(1.0)
    assert found.worst_group == "b"
    assert [group.bias for group in found.groups] == pytest.approx([0.25, 0.25])


def test_ranks_of_ties_are_their_mean() -> None:
    a = np.array([1.0, 1.0, 2.0])[:, None]
    b = np.array([1.0, 2.0, 3.0])[:, None]
    assert spearman(a, b) == pytest.approx(np.corrcoef([1.5, 1.5, 3], [1, 2, 3])[0, 1])
    assert spearman(np.ones((3, 1)), b) is None


def test_ranking_within_a_group_differs_from_ranking_overall() -> None:
    y = np.array([0.0, 1.0, 10.0, 11.0])
    found = score_values(y[[1, 0, 3, 2]], y, group=np.array(list("aabb")))
    assert found.within_group_spearman == pytest.approx(-1.0)
    assert found.spearman > 0


def test_one_group_alone_says_nothing_of_others() -> None:
    found = score_values(np.array([0.0, 1.0]), np.array([0.0, 1.0]), group=np.array(["a", "a"]))
    assert (found.pearson_low, found.pearson_high) == (-1.0, 1.0)
    assert found.mae_low is None


def test_a_constant_answer_has_no_correlation() -> None:
    found = score_values(np.ones(4), np.arange(4.0), group=np.array(list("abcd")))
    assert (found.pearson, found.spearman) == (0.0, 0.0)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.sampled_from("abc")), min_size=3))
def test_the_overall_correlation_is_numpys(rows: list[tuple[float, float, str]]) -> None:
    guess, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = score_values(guess, y, group=np.array([r[2] for r in rows]))
    if guess.std() > 1e-3 and y.std() > 1e-3:
        assert found.pearson == pytest.approx(np.corrcoef(guess, y)[0, 1], abs=1e-6)
    assert found.pearson_low <= found.pearson_high


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"predictions \[2\] do not fit targets \[3\]"):
        score_values(np.zeros(2), np.zeros(3), group=np.array(list("abc")))


def test_an_absent_class_does_not_count_in_the_mean_overlap() -> None:
    table = np.array([[4, 0, 0], [2, 2, 0], [0, 0, 0]])
    found = score_masks({"a": table}, labels=("x", "y", "z"), loss=0.0)
    assert found.miou == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert found.classes[2].iou is None


def test_masks_without_a_known_pixel_are_refused() -> None:
    with pytest.raises(InputError, match="no pixel to score"):
        score_masks({"a": np.zeros((2, 2), np.int64)}, labels=("x", "y"), loss=0.0)
