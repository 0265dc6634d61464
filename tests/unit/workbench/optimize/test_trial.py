"""Files of other formats answer under the model's own names."""

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.runtimes.base import EngineTensor
from edgewright.testing.models import FunctionSession
from edgewright.workbench.optimize.trial import batch_fault, like_the_model


def tensor(name: str, dtype: str = "float32") -> EngineTensor:
    return EngineTensor(name=name, dtype=dtype, shape=(None, 2))


def test_tensors_take_the_models_names_and_types() -> None:
    session = FunctionSession(lambda x: x * 2)
    named = like_the_model(session, (tensor("signal", "float64"),), (tensor("logits"),))
    answer = named.run({"signal": np.ones((1, 2))})
    assert answer["logits"].tolist() == [[2.0, 2.0]]
    assert [one.name for one in named.inputs] == ["signal"]
    assert named.placement == session.placement


def test_a_session_that_fits_is_not_wrapped() -> None:
    session = FunctionSession(lambda x: x)
    assert like_the_model(session, (tensor("x"),), (tensor("y"),)) is session


def test_a_file_with_another_number_of_tensors_is_refused() -> None:
    with pytest.raises(InputError, match="1 inputs and 1 outputs, the model 2 and 1"):
        like_the_model(FunctionSession(lambda x: x), (tensor("a"), tensor("b")), (tensor("y"),))


def test_answers_that_depend_on_the_rest_of_the_batch_are_found() -> None:
    rows = {"x": np.random.default_rng(0).normal(size=(8, 2))}
    assert batch_fault(FunctionSession(lambda x: x + 1), rows) == ""
    one_scale_for_all = FunctionSession(lambda x: np.round(x / np.abs(x).max() * 3))
    assert "with what else is asked in the same call" in batch_fault(one_scale_for_all, rows)
