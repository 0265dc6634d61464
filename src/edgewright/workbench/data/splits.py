"""Who is trained on and who is tested on. The unit is a person: windows of one person never stand
on both sides, or the figure measures memory (FACTS: spar 86.5 becomes 98.4).

    >>> split = Split(name="by hand", train=("1", "2"), val=("3",), test=("4",))
    >>> split.train
    ('1', '2')
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from edgewright.errors import InputError
from edgewright.workbench.data.recordings import Dataset, natural_order
from edgewright.workbench.data.windows import WindowSet

LEAKY_NAME = "random windows (LEAKS: the same people on both sides)"


class Split(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The people of each part. Nobody may be in two."""

    name: str
    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        everybody = [*self.train, *self.val, *self.test]
        twice = natural_order({who for who in everybody if everybody.count(who) > 1})
        if twice:
            raise ValueError(f"split {self.name!r}: subjects {list(twice)} are in two parts")
        if not self.train:
            raise ValueError(f"split {self.name!r}: nobody is left to train on")


def split_by_subject(
    dataset: Dataset, *, test: Sequence[str] | int, val: Sequence[str] | int = 0, seed: int = 0
) -> Split:
    """People named (an official list) or counted (drawn with the seed); the rest trains.

    Raises:
        InputError: a person is unknown, named twice, or too few are left.
    """
    people = dataset.subjects
    for named in (test, val):
        unknown = [] if isinstance(named, int) else [who for who in named if who not in people]
        if unknown:
            raise InputError(
                f"split: subjects {unknown} are not in {dataset.source}",
                hint=f"it has {list(people)}",
            )
    shuffled = [people[i] for i in np.random.default_rng(seed).permutation(len(people))]
    named_for_val = () if isinstance(val, int) else tuple(val)
    tested = _take(test, [who for who in shuffled if who not in named_for_val])
    validated = _take(val, [who for who in shuffled if who not in tested])
    rest = [who for who in people if who not in tested and who not in validated]
    name = f"by subject, test {' '.join(tested) or 'nobody'}"
    return _checked(name, train=rest, val=validated, test=tested)


def k_folds(dataset: Dataset, k: int, *, seed: int = 0) -> tuple[Split, ...]:
    """Every person tested exactly once, in `k` groups drawn with the seed.

    Raises:
        InputError: fewer people than folds.
    """
    people = dataset.subjects
    if not 2 <= k <= len(people):
        raise InputError(
            f"{dataset.source} has {len(people)} subjects, which makes no {k} folds",
            hint=f"choose 2 to {len(people)}",
        )
    order = np.random.default_rng(seed).permutation(len(people))
    groups = [natural_order(people[i] for i in part) for part in np.array_split(order, k)]
    return tuple(
        _checked(
            f"fold {number} of {k} by subject",
            train=[who for who in people if who not in group],
            val=(),
            test=group,
        )
        for number, group in enumerate(groups, start=1)
    )


def leave_one_out(dataset: Dataset) -> tuple[Split, ...]:
    """One split for each person, tested alone."""
    return tuple(split_by_subject(dataset, test=(who,)) for who in dataset.subjects)


def split_windows_at_random(
    windows: WindowSet, *, test_share: float, seed: int, leaks_accepted: bool = False
) -> tuple[WindowSet, WindowSet]:
    """Windows dealt out without regard to people, for showing what leakage is worth.

    Both parts carry `LEAKY_NAME`, which every report prints.

    Raises:
        InputError: the caller did not accept that it leaks, or one part would be empty.
    """
    if not leaks_accepted:
        raise InputError(
            "a random split puts windows of the same people on both sides",
            hint="split by subject, or say --i-know-this-leaks",
        )
    order = np.random.default_rng(seed).permutation(len(windows))
    cut = round(len(windows) * test_share)
    if not 0 < cut < len(windows):
        raise InputError(
            f"a share of {test_share:g} tests {cut} of {len(windows)} windows",
            hint="choose a share between 0 and 1 that leaves windows on both sides",
        )
    test, train = np.sort(order[:cut]), np.sort(order[cut:])
    return windows.take(train).labelled(LEAKY_NAME), windows.take(test).labelled(LEAKY_NAME)


def _take(named: Sequence[str] | int, pool: Sequence[str]) -> tuple[str, ...]:
    return natural_order(pool[:named]) if isinstance(named, int) else tuple(named)


def _checked(name: str, *, train: Sequence[str], val: Sequence[str], test: Sequence[str]) -> Split:
    try:
        return Split(
            name=name, train=natural_order(train), val=natural_order(val), test=natural_order(test)
        )
    except ValueError as error:
        raise InputError(str(error), hint="name fewer people for test and val") from error
