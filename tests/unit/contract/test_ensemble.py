import msgspec
import pytest

from edgewright.contract import Argmax, Contract, Softmax, Tensor
from edgewright.contract.ensemble import (
    MOST_STAGES,
    Ensemble,
    Stage,
    check_wiring,
    first_hand,
)
from edgewright.errors import InputError


def tensor(name: str, width: int = 4, dtype: str = "float32") -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=("batch", width))


def part(reads: Tensor, gives: Tensor) -> Contract:
    return Contract(inputs=(reads,), outputs=(gives,))


WHOLE = Contract(inputs=(tensor("x"),), outputs=(tensor("y"),))
ENCODER, HEAD = part(tensor("x"), tensor("h")), part(tensor("h"), tensor("y"))
TWO = (Stage(model="encoder.onnx"), Stage(model="head.onnx"))


def ensemble(contract: Contract = WHOLE, stages: tuple[Stage, ...] = TWO) -> Ensemble:
    return Ensemble(name="both", contract=contract, stages=stages)


def test_tensors_flow_by_name_from_stage_to_stage() -> None:
    check_wiring(ensemble(), [ENCODER, HEAD])


def test_a_stage_may_call_its_tensors_otherwise() -> None:
    stages = (
        Stage(model="a", outputs={"out": "h"}),
        Stage(model="b", inputs={"in": "h"}, outputs={"out": "y"}),
    )
    parts = [part(tensor("x"), tensor("out")), part(tensor("in"), tensor("out"))]
    check_wiring(ensemble(stages=stages), parts)


def test_steps_give_tensors_too_and_are_not_judged_before_they_run() -> None:
    contract = msgspec.structs.replace(
        WHOLE,
        preprocess=(Softmax(tensor="x", into="shares"),),
        outputs=(tensor("best", 1, "int64"),),
        postprocess=(Argmax(tensor="y", into="best"),),
    )
    stages = (Stage(model="a", inputs={"x": "shares"}), TWO[1])
    check_wiring(ensemble(contract, stages), [ENCODER, HEAD])
    assert not first_hand(ensemble(contract, stages), stages[0], ENCODER)


@pytest.mark.parametrize(
    ("parts", "stages", "said"),
    [
        ([HEAD, HEAD], TWO, r"stage 1 \(encoder.onnx\) reads tensor 'h', which is not there"),
        ([ENCODER, ENCODER], TWO, "output 'y' is given by no stage"),
        (
            [ENCODER, part(tensor("h", 5), tensor("y"))],
            TWO,
            r"stage 2 \(head.onnx\): tensor 'h' is float32 \['batch', 4\]",
        ),
        ([ENCODER, part(tensor("h", dtype="int64"), tensor("y"))], TWO, "expected int64"),
        (
            [ENCODER, part(Tensor(name="h", dtype="float32", shape=("batch",)), tensor("y"))],
            TWO,
            r"expected float32 \['batch'\]",
        ),
        ([ENCODER, part(tensor("h"), tensor("y", 9))], TWO, "the contract: tensor 'y'"),
        ([ENCODER, HEAD], (Stage(model="a", inputs={"z": "x"}), TWO[1]), "has no input 'z'"),
        ([ENCODER, HEAD], (Stage(model="a", outputs={"z": "h"}), TWO[1]), "has no output 'z'"),
    ],
)
def test_wiring_that_cannot_work_is_refused_by_stage_and_tensor(
    parts: list[Contract], stages: tuple[Stage, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        check_wiring(ensemble(stages=stages), parts)


@pytest.mark.parametrize("stages", [(), TWO * MOST_STAGES])
def test_an_ensemble_has_some_stages_and_not_too_many(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(ValueError, match=f"expected 1 to {MOST_STAGES}"):
        ensemble(stages=stages)


def test_an_ensemble_has_a_name() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Ensemble(name="", contract=WHOLE, stages=TWO)


def test_the_first_stage_reads_what_the_client_sent_and_the_second_does_not() -> None:
    assert first_hand(ensemble(), TWO[0], ENCODER)
    assert not first_hand(ensemble(), TWO[1], HEAD)
