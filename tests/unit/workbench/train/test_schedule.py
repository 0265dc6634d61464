from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.workbench.train import TrainOptions
from edgewright.workbench.train.schedule import lr_at

SCHEDULES = get_args(get_type_hints(TrainOptions)["schedule"])


@given(
    schedule=st.sampled_from(SCHEDULES),
    epochs=st.integers(1, 40),
    steps=st.integers(1, 30),
    warmup=st.floats(0, 0.9),
)
def test_the_rate_is_never_above_the_chosen_one_nor_below_zero(
    schedule: str, epochs: int, steps: int, warmup: float
) -> None:
    options = TrainOptions(lr=0.5, schedule=schedule, epochs=epochs, warmup_share=warmup)
    rates = [lr_at(at, steps_an_epoch=steps, options=options) for at in range(epochs * steps)]
    assert all(0 <= rate <= 0.5 + 1e-12 for rate in rates)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_rises_in_the_warm_up_and_reaches_its_top(schedule: str) -> None:
    options = TrainOptions(lr=1.0, schedule=schedule, epochs=10, warmup_share=0.2)
    rates = [lr_at(at, steps_an_epoch=10, options=options) for at in range(100)]
    assert rates[:21] == sorted(rates[:21])
    assert max(rates) == pytest.approx(1.0)


def test_restarts_start_again_and_steps_go_down_in_thirds() -> None:
    restarts = TrainOptions(
        lr=1.0, schedule="restarts", epochs=30, restart_epochs=10, warmup_share=0.0
    )
    assert lr_at(99, steps_an_epoch=10, options=restarts) < 0.01
    assert lr_at(100, steps_an_epoch=10, options=restarts) == 1.0
    steps = TrainOptions(lr=1.0, schedule="step", epochs=3, warmup_share=0.0)
    rates = [lr_at(at, steps_an_epoch=1, options=steps) for at in range(3)]
    assert rates == pytest.approx([1.0, 0.1, 0.01])
