from dataclasses import replace

import numpy as np
import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import REPAIRS, Dataset, clean_dataset, cut_windows


def with_samples(dataset: Dataset, rows: slice, value: float) -> Dataset:
    first = dataset.recordings[0]
    samples = first.samples.copy()
    samples[rows, 1] = value
    return replace(dataset, recordings=(replace(first, samples=samples), *dataset.recordings[1:]))


def test_a_short_hole_becomes_the_line_between_its_neighbours(dataset: Dataset) -> None:
    broken = with_samples(dataset, slice(20, 24), np.nan)
    cleaned = clean_dataset(broken, ("fill-short-holes",))
    before, after = dataset.recordings[0].samples, cleaned.dataset.recordings[0].samples
    assert np.allclose(after[19:25, 1], np.linspace(before[19, 1], before[24, 1], 6), atol=1e-6)
    assert cleaned.done == (
        "fill-short-holes: 4 samples of recording 1-slow are between their neighbours",
    )
    assert np.isnan(broken.recordings[0].samples[20, 1])


@pytest.mark.parametrize("rows", [slice(20, 40), slice(0, 3), slice(297, 300)])
def test_a_long_hole_and_one_at_the_edge_stay(dataset: Dataset, rows: slice) -> None:
    cleaned = clean_dataset(with_samples(dataset, rows, np.nan), ("fill-short-holes",))
    assert np.isnan(cleaned.dataset.recordings[0].samples[rows, 1]).all()
    assert cleaned.done == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_no_window_holds_a_sample_that_lost_its_label(dataset: Dataset, value: float) -> None:
    broken = with_samples(dataset, slice(100, 120), value)
    cleaned = clean_dataset(broken, ("unlabel-bad-samples",))
    windows = cut_windows(cleaned.dataset, cleaned.dataset.subjects, length=50, hop=10)
    assert np.abs(windows.x).max() < 100
    assert len(cleaned.done) == 1
    assert cleaned.dataset.sample_count == dataset.sample_count


def test_an_absent_channel_is_no_bad_sample(dataset: Dataset) -> None:
    absent = with_samples(dataset, slice(None), np.nan)
    cleaned = clean_dataset(absent, ("unlabel-bad-samples",))
    assert cleaned.done == ()
    assert set(cleaned.dataset.recordings[0].label.tolist()) == {0}


def test_copies_are_dropped_and_named(dataset: Dataset) -> None:
    copy = replace(dataset.recordings[0], name="again")
    cleaned = clean_dataset(
        replace(dataset, recordings=(*dataset.recordings, copy)), ("drop-copies",)
    )
    assert cleaned.done == ("drop-copies: recording again is a copy of 1-slow, dropped",)
    assert cleaned.dataset.content_hash == dataset.content_hash


def test_repairs_of_good_data_do_nothing(dataset: Dataset) -> None:
    cleaned = clean_dataset(dataset, tuple(REPAIRS))
    assert cleaned.done == ()
    assert cleaned.dataset.content_hash == dataset.content_hash


def test_an_unknown_repair_gets_a_suggestion(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="did you mean 'drop-copies'"):
        clean_dataset(dataset, ("drop-copy",))
