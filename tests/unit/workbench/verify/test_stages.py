from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from edgewright.contract import Argmax, Contract, Labels, Normalise, Softmax, Tensor
from edgewright.workbench.verify import Divergence, locate_in_stages

REFERENCE = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 3)),),
    outputs=(
        Tensor(name="p", dtype="float32", shape=("batch", 3)),
        Tensor(name="what", dtype="string", shape=("batch",)),
    ),
    preprocess=(Normalise(tensor="x", mean=(0.0, 1.0, 2.0), std=(1.0, 2.0, 3.0)),),
    postprocess=(
        Softmax(tensor="logits", into="p"),
        Argmax(tensor="p", into="what"),
        Labels(tensor="what"),
    ),
    labels=("walk", "sit", "lie"),
)
X = {"x": np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)}
IN_GRAPH = Divergence(node="conv", operator="Conv", tensor="t", max_abs=1.0, max_rel=1.0)


def located(candidate: Contract, *, found: Divergence | None = None) -> Divergence | None:
    def engine(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"logits": arrays["x"]}

    return locate_in_stages(REFERENCE, candidate, engine, lambda _: found)(X)


def test_equal_contracts_leave_the_graph_to_blame() -> None:
    assert located(REFERENCE) is None
    assert located(REFERENCE, found=IN_GRAPH) == IN_GRAPH


@pytest.mark.parametrize(
    ("changes", "node"),
    [
        ({"preprocess": ()}, "preprocess[0] missing"),
        (
            {"preprocess": (Normalise(tensor="x", mean=(2.0, 1.0, 0.0), std=(1.0, 2.0, 3.0)),)},
            "preprocess[0] normalise",
        ),
        (
            {
                "postprocess": (
                    Softmax(tensor="logits", into="p", axis=0),
                    *REFERENCE.postprocess[1:],
                )
            },
            "postprocess[0] softmax",
        ),
        ({"labels": ("sit", "walk", "lie")}, "labels"),
    ],
)
def test_a_changed_step_is_named_before_any_node(changes: dict[str, object], node: str) -> None:
    candidate = msgspec.structs.replace(REFERENCE, **changes)
    found = located(candidate, found=IN_GRAPH if node.startswith("pre") else None)
    assert found
    assert found.node == node


def test_equal_steps_written_otherwise_are_no_divergence() -> None:
    candidate = msgspec.structs.replace(
        REFERENCE,
        preprocess=(Normalise(tensor="x", mean=(0.0, 1.0, 2.0), std=(1.0, 2.0, 3.0), axis=1),),
    )
    assert located(candidate) is None
