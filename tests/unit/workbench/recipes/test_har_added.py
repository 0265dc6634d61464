from dataclasses import replace

import numpy as np
import pytest

from edgewright.contract import Channel
from edgewright.errors import InputError
from edgewright.workbench.data import Dataset, Recording, Split
from edgewright.workbench.recipes.har.added import first_part, train_on_added, with_added

CHANNELS = tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz")


def dataset(*people: str, labels: tuple[str, ...] = ("still", "moving")) -> Dataset:
    recordings = tuple(
        Recording(
            np.full((100, 3), n, np.float32),
            np.zeros(100, np.int16),
            subject=who,
            name=f"r{n}",
            rate_hz=50.0,
        )
        for n, who in enumerate(people)
    )
    return Dataset(recordings, CHANNELS, labels, 50.0, "test")


def test_added_recordings_take_the_projects_label_numbers() -> None:
    both = with_added(dataset("1", "2"), [dataset("device", labels=("moving",))])
    added = both.recordings[-1]
    assert added.name == "added/r0"
    assert both.label_names[added.label[0]] == "moving"
    assert first_part(both).subjects == ("1", "2")


def test_people_of_added_recordings_only_train() -> None:
    both = with_added(dataset("1", "2", "3"), [dataset("device", "1")])
    split = train_on_added(Split(name="s", train=("1",), val=("2",), test=("3",)), both)
    assert (split.train, split.val, split.test) == (("1", "device"), ("2",), ("3",))


@pytest.mark.parametrize("part", ["val", "test"])
def test_nobody_who_is_watched_or_tested_may_be_added(part: str) -> None:
    both = with_added(dataset("1", "2"), [dataset("2")])
    split = Split(name="s", train=("1",), **{part: ("2",)})
    with pytest.raises(InputError, match=r"added windows are of \['2'\]"):
        train_on_added(split, both)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (dataset("d", labels=("flying",)), r"labels \['flying'\] are not the project's"),
        (
            replace(
                dataset("d"), channels=tuple(Channel(name=c.name, unit="m/s2") for c in CHANNELS)
            ),
            r"acc_x \[m/s2\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(other: Dataset, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_added(dataset("1"), [other])
