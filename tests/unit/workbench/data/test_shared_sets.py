"""The two real sets through one label map: 6 activities and 7 exercises are 13 classes."""

from pathlib import Path

import pytest

from edgewright.errors import InputError
from edgewright.workbench.data import SourceMapping, merge_datasets, read_npz

ACTIVITIES = (
    "WALKING",
    "WALKING_UPSTAIRS",
    "WALKING_DOWNSTAIRS",
    "SITTING",
    "STANDING",
    "LAYING",
)
EXERCISES = {
    "PEN": "pendulum",
    "ABD": "abduction",
    "FEL": "forward elevation",
    "IR": "internal rotation",
    "ER": "external rotation",
    "TRAP": "trapezius extension",
    "ROW": "upright row",
}


def test_both_real_sets_are_thirteen_classes_of_forty_people(shared_data: Path) -> None:
    hapt = read_npz(shared_data / "hapt/hapt.npz", SourceMapping()).with_labels(ACTIVITIES)
    spar = read_npz(shared_data / "spar-watch/spar_watch.npz", SourceMapping())
    maps = {"hapt": {name: name.lower() for name in ACTIVITIES}, "spar": EXERCISES}
    merged = merge_datasets({"hapt": hapt, "spar": spar}, maps, classes=13)
    assert len(merged.label_names) == len(ACTIVITIES) + len(EXERCISES) == 13
    assert len(merged.subjects) == 30 + 10
    assert merged.sample_count == hapt.sample_count + spar.sample_count
    first = next(r for r in merged.recordings if r.name.startswith("spar/"))
    assert merged.label_names[first.label[0]] == "pendulum"
    with pytest.raises(InputError, match="label id 0 is 'WALKING' in hapt and 'PEN' in spar"):
        merge_datasets({"hapt": hapt, "spar": spar}, {})
    twice = {**EXERCISES, "ABD": "pendulum"}
    with pytest.raises(InputError, match="lead to 12 classes, expected 13"):
        merge_datasets({"hapt": hapt, "spar": spar}, {**maps, "spar": twice}, classes=13)
