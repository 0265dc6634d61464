from collections.abc import Mapping

import numpy as np
import pytest

from edgewright.contract import Tolerances
from edgewright.errors import DeviceError, InputError
from edgewright.workbench.verify import LOSSY, Divergence, ParityOrder, verify

X = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)
GOLDEN = {"x": X}


def scores(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": arrays["x"][:, :3]}


def altered(change: float) -> object:
    return lambda arrays: {"y": arrays["x"][:, :3] + np.float32(change)}


def test_a_model_equals_itself_on_golden_data_and_every_edge() -> None:
    report = verify(scores, scores, GOLDEN, labels=Y)
    assert report.ok
    assert [case.name for case in report.cases] == [
        "golden",
        "zeros",
        "lowest",
        "highest",
        "alternating",
        "random",
    ]
    assert report.metric
    assert report.metric.drop == 0


def test_a_difference_fails_and_is_located() -> None:
    found = Divergence(node="conv", operator="Conv", tensor="t", max_abs=0.1, max_rel=0.1)
    report = verify(scores, altered(0.1), GOLDEN, locate=lambda _: found)
    assert not report.ok
    assert report.divergence == found
    assert "largest absolute difference is" in report.reasons[0]


def test_a_model_that_is_wrong_at_an_edge_only_fails() -> None:
    def clipped(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        whole = scores(arrays)["y"]
        return {"y": whole * np.float32(0.9) if np.ptp(arrays["x"]) == 0 else whole}

    report = verify(scores, clipped, GOLDEN)
    assert not report.ok
    assert all(reason.startswith(("lowest", "highest", "zeros")) for reason in report.reasons)


def test_a_silent_nan_fails() -> None:
    def broken(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        answer = scores(arrays)["y"].copy()
        answer[-1, -1] = np.nan
        return {"y": answer}

    assert not verify(scores, broken, GOLDEN).ok
    lossy = ParityOrder(tolerances=LOSSY, edges_count=False)
    assert (
        "zeros: output 'y' holds NaN or infinity"
        in verify(scores, broken, GOLDEN, order=lossy).reasons
    )


def test_an_engine_that_fails_is_a_reason_not_a_crash() -> None:
    def failing(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise DeviceError("out of memory")

    report = verify(scores, failing, GOLDEN)
    assert "golden: no answer: out of memory" in report.reasons


def test_a_bisection_that_fails_does_not_hide_the_verdict() -> None:
    def locate(arrays: Mapping[str, np.ndarray]) -> Divergence | None:
        raise InputError("cannot be exposed")

    report = verify(scores, altered(0.1), GOLDEN, locate=locate)
    assert not report.ok
    assert "the diverging node is unknown: cannot be exposed" in report.notes


def test_an_edge_that_the_reference_cannot_answer_is_left_out_and_said() -> None:
    def logarithm(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with np.errstate(divide="ignore"):
            return {"y": np.log(arrays["x"])}

    golden = {"x": np.array([[0.0, 2.0], [1.0, 3.0]], np.float32)[1:]}
    golden["x"][0, 0] = 0.5
    report = verify(logarithm, logarithm, golden)
    assert report.ok
    golden = {"x": np.array([[-1.0, 3.0]], np.float32)}
    with np.errstate(invalid="ignore"):
        report = verify(logarithm, logarithm, golden)
    assert any(note.startswith("edge 'lowest' left out") for note in report.notes)


def test_a_metric_drop_above_the_budget_fails_even_when_numbers_are_close() -> None:
    tight = np.zeros((40, 3), np.float32)
    tight[np.arange(40), Y] = 1e-5

    def reference(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": tight[: len(arrays["x"])] + 1}

    def flat(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": np.ones((len(arrays["x"]), 3), np.float32)}

    report = verify(reference, flat, GOLDEN, labels=Y)
    assert report.metric
    assert report.metric.drop > 30
    assert len(report.reasons) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_rounding_is_no_alarm_at_any_scale(scale: float) -> None:
    def reference(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": arrays["x"] * np.float32(scale)}

    def rounded(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": arrays["x"] * np.float32(scale * (1 + 3e-6))}

    assert verify(reference, rounded, GOLDEN).ok


def test_a_contracts_own_tolerances_are_read_in_its_units() -> None:
    order = ParityOrder(tolerances=Tolerances(max_abs=1e-3), relative=False)
    report = verify(
        lambda arrays: {"y": arrays["x"] * 1e4},
        lambda arrays: {"y": arrays["x"] * np.float32(1e4 * (1 + 1e-6))},
        GOLDEN,
        order=order,
    )
    assert not report.ok
