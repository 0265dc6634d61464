"""A reference out of the windows that a model was trained on."""

import numpy as np
import pytest

from edgewright.chain.drift_reference import MOST_WINDOWS, some_of_each, training_reference
from edgewright.contract import Channel, Contract, Tensor
from edgewright.device.drift import DriftMonitor
from edgewright.device.drift.files import decode_reference
from edgewright.errors import InputError

CONTRACT = Contract(
    inputs=(
        Tensor(
            name="x",
            dtype="float32",
            shape=("batch", 12, 2),
            channels=(Channel(name="ax"), Channel(name="ay")),
        ),
    ),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 3)),),
)


def walk(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (rows, 1, 1)) + np.arange(12)[:, None] * [0.5, 1.0]
    return np.sin(phase) * [1.0, 3.0] + [0.0, 9.8] + rng.normal(0, 0.1, (rows, 12, 2))


def test_windows_of_people_become_what_is_normal() -> None:
    windows, people = walk(480), np.repeat([f"p{place}" for place in range(6)], 80)
    windows[7, 3, 1] = np.nan
    reference = decode_reference(training_reference(windows, people, CONTRACT), source="made")
    assert (reference.channels, reference.length) == (("ax", "ay"), 12)
    assert (reference.windows, reference.groups, reference.is_grouped) == (479, 6, True)
    monitor = DriftMonitor(reference)
    monitor.push(walk(160, seed=1) + np.array([0.0, 2.0]))
    assert monitor.finding.cause == "bias"


def test_the_same_windows_make_the_same_bytes() -> None:
    windows, people = walk(320), np.repeat(list("abcd"), 80)
    first = training_reference(windows, people, CONTRACT)
    assert training_reference(windows, people, CONTRACT) == first


def test_of_many_windows_each_person_keeps_the_first_good_ones() -> None:
    people = (np.arange(MOST_WINDOWS + 4000) % 8).astype(str)
    is_good = np.ones(len(people), bool)
    is_good[:8] = False
    rows = some_of_each(people, is_good)
    assert rows.tolist() == list(range(8, MOST_WINDOWS + 8))
    few = np.arange(100)
    assert some_of_each(np.array(["a"] * 100), few >= 0).tolist() == few.tolist()
    assert some_of_each(np.array(["a"] * 100), few < 0).tolist() == []


def test_too_few_people_make_no_reference() -> None:
    with pytest.raises(InputError, match="groups with"):
        training_reference(walk(300), np.repeat(list("ab"), 150), CONTRACT)
