from typing import Any

import msgspec
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import Split
from edgewright.workbench.train import TrainOptions
from edgewright.workbench.train.job import Job, do_job

JOB = Job(
    recipe="har",
    recipe_options={},
    folder="/nowhere",
    store="/nowhere",
    dataset="0" * 64,
    split=Split(name="nobody watched", train=("ann",), test=("bob",)),
    options=TrainOptions(),
    out_dir="/nowhere",
)


@pytest.mark.parametrize("choice", [{"keep": "best"}, {"patience": 3}, {"stop_at": 0.9}])
def test_no_epoch_is_chosen_by_the_rows_that_were_learnt(choice: dict[str, Any]) -> None:
    job = msgspec.structs.replace(JOB, options=TrainOptions(**choice))
    with pytest.raises(InputError, match=f"{next(iter(choice))}.*the split watches nobody"):
        do_job(job, lambda _: None)
