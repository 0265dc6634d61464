from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgewright.device.drift import Reference, build_reference
from edgewright.device.drift.files import (
    drift_report,
    load_reference,
    read_windows,
    save_reference,
)
from edgewright.errors import InputError

People = Callable[[int], np.ndarray]


def test_a_saved_reference_judges_alike(
    tmp_path: Path, reference: Reference, person: People
) -> None:
    save_reference(reference, tmp_path / "ref.npz")
    np.savez(tmp_path / "cur.npz", windows=person(1) * [1, 1.5, 1, 1, 1, 1])
    report = drift_report(tmp_path / "ref.npz", tmp_path / "cur.npz", length=50)
    assert (report.verdict, report.cause) == ("drift", "gain")
    assert report.channels_at_fault == ("acc_y",)
    assert [c.verdict for c in report.channels] == ["ok", "drift", "ok", "ok", "ok", "ok"]
    loaded = load_reference(tmp_path / "ref.npz")
    assert loaded.faults == reference.faults
    np.testing.assert_array_equal(loaded.limits.gain, reference.limits.gain)
    assert (tmp_path / "ref.npz").stat().st_size < 300_000


def test_windows_with_missing_numbers_are_dropped_and_counted(
    tmp_path: Path, reference: Reference, person: People
) -> None:
    windows = person(2)
    windows[::50, 3, 2] = np.nan
    save_reference(reference, tmp_path / "ref.npz")
    np.savez(tmp_path / "cur.npz", windows=windows)
    report = drift_report(tmp_path / "ref.npz", tmp_path / "cur.npz", length=50)
    assert (report.verdict, report.windows_dropped) == ("ok", 7)


def test_samples_become_windows_within_recordings(tmp_path: Path) -> None:
    samples = np.arange(40.0)[:, None]
    np.savez(
        tmp_path / "s.npz", X=samples, recording=np.repeat([3, 9], 20), channels=np.array(["a"])
    )
    file = read_windows(tmp_path / "s.npz", length=8)
    assert file.windows[:, 0, 0].tolist() == [0, 4, 8, 12, 20, 24, 28, 32]
    assert file.groups is not None
    assert file.groups.tolist() == [3] * 4 + [9] * 4
    assert file.channels == ("a",)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"windows": np.zeros((5, 4, 2)), "subject": np.zeros(4)}, "groups have shape"),
        ({"y": np.zeros(5)}, "no windows"),
        ({"windows": np.zeros((5, 4, 2)), "channels": np.array(["a"])}, "1 channel names for 2"),
        ({"format": np.array("other")}, "format other, this edgewright reads"),
        ({"format": np.array("edgewright-drift-1")}, "not a whole drift reference"),
        ({"windows": np.zeros((20, 4, 2))}, "has 20 windows, at least 256"),
    ],
)
def test_files_that_are_no_reference_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(InputError, match=words):
        load_reference(tmp_path / "f.npz", length=4)


def test_a_stream_too_short_for_a_verdict_is_refused(
    tmp_path: Path, reference: Reference, person: People
) -> None:
    save_reference(reference, tmp_path / "ref.npz")
    np.savez(tmp_path / "cur.npz", windows=person(2)[:20])
    with pytest.raises(InputError, match="20 usable windows are too few"):
        drift_report(tmp_path / "ref.npz", tmp_path / "cur.npz", length=50)


def test_too_few_groups_are_refused(person: People) -> None:
    windows = person(1)
    with pytest.raises(InputError, match="has 2 groups"):
        build_reference(
            windows,
            channels=tuple("abcdef"),
            groups=np.repeat([0, 1], 160),
            rng=np.random.default_rng(0),
        )


def test_a_reference_without_groups_says_so_and_lets_small_faults_pass(person: People) -> None:
    windows = np.concatenate([person(seed) for seed in range(4)])
    options = {"channels": tuple("abcdef"), "rng": np.random.default_rng(0)}
    reference = build_reference(windows, **options)
    assert not reference.is_grouped
    assert reference.limits.gain.min() >= 0.5
