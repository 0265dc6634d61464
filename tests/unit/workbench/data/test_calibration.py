from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import (
    Dataset,
    WindowSet,
    as_sent,
    cut_windows,
    draw_calibration,
)
from edgewright.workbench.data.calibration import windows_hash


@pytest.fixture
def windows(make_dataset: Callable[..., Dataset]) -> WindowSet:
    dataset = make_dataset(people=4, seconds=30.0)
    return cut_windows(dataset, dataset.subjects, length=50, hop=25)


def test_every_class_and_person_has_the_same_share(windows: WindowSet) -> None:
    drawn = draw_calibration(windows, count=96, seed=0)
    counts = Counter(zip(drawn.y.tolist(), drawn.subject.tolist(), strict=True))
    assert len(drawn) == 96
    assert len(counts) == 8
    assert max(counts.values()) - min(counts.values()) <= 3


def test_a_rare_class_is_not_lost(windows: WindowSet) -> None:
    rare = windows.take(np.flatnonzero((windows.y == 0) | (windows.start < 50)))
    drawn = draw_calibration(rare, count=40, seed=1)
    assert Counter(drawn.y.tolist())[1] == Counter(rare.y.tolist())[1]


def test_calm_and_lively_windows_are_both_drawn(windows: WindowSet) -> None:
    loud = np.where(np.arange(len(windows)) % 10 == 0, 5.0, 1.0)
    from dataclasses import replace

    mixed = replace(windows, x=(windows.x * loud[:, None, None]).astype(np.float32))
    drawn = draw_calibration(mixed, count=60, seed=0)
    share = (drawn.x.std(axis=1).max(axis=1) > 2).mean()
    assert share > 0.15


def test_nothing_is_drawn_twice_and_the_seed_decides(windows: WindowSet) -> None:
    first = draw_calibration(windows, count=50, seed=3)
    again = draw_calibration(windows, count=50, seed=3)
    other = draw_calibration(windows, count=50, seed=4)
    places = set(zip(first.recording.tolist(), first.start.tolist(), strict=True))
    assert len(places) == 50
    assert windows_hash(first) == windows_hash(again)
    assert windows_hash(first) != windows_hash(other)


def test_fewer_windows_than_asked_for_are_all_taken(windows: WindowSet) -> None:
    drawn = draw_calibration(windows, count=10_000)
    assert windows_hash(drawn) == windows_hash(windows)


def test_an_empty_calibration_set_is_refused(windows: WindowSet) -> None:
    with pytest.raises(InputError, match="ask for 1 or more"):
        draw_calibration(windows, count=0)


def test_windows_without_a_sensor_are_drawn_by_what_they_have(windows: WindowSet) -> None:
    x = windows.x.copy()
    x[::2, :, 0] = np.nan
    lacking = replace(windows, x=x)
    sent = as_sent(lacking)
    assert np.array_equal(sent.x[0, :, 0], np.zeros(50))
    assert np.array_equal(sent.x[:, :, 1:], windows.x[:, :, 1:])
    assert len(draw_calibration(lacking, count=30)) == 30
    drawn = [draw_calibration(each, count=40, seed=3).start.tolist() for each in (lacking, sent)]
    assert drawn[0] == drawn[1]


def test_a_hole_in_a_window_is_nothing_that_a_device_sends(windows: WindowSet) -> None:
    x = windows.x.copy()
    x[3, 7, 0] = np.nan
    with pytest.raises(InputError, match="1 windows hold values that are not finite"):
        as_sent(replace(windows, x=x))
