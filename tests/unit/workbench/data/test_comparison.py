from dataclasses import replace

from edgewright.workbench.data import Dataset, compare_datasets


def test_a_dataset_equals_itself(dataset: Dataset) -> None:
    diff = compare_datasets(dataset, dataset)
    assert diff.is_same
    assert diff.same == 10
    assert (diff.added, diff.removed, diff.changed, diff.facts) == ((), (), (), ())


def test_what_came_what_went_and_what_changed(dataset: Dataset) -> None:
    first, second, *rest = dataset.recordings
    louder = replace(second, samples=second.samples * 2)
    new = replace(first, name="new", subject="9")
    after = replace(dataset, recordings=(louder, new, *rest), label_names=("fast", "slow"))
    diff = compare_datasets(dataset, after)
    assert (diff.added, diff.removed, diff.changed, diff.same) == (
        ("new",),
        (first.name,),
        (second.name,),
        8,
    )
    assert diff.facts == ("labels: slow fast -> fast slow", "subjects: 1 2 3 4 5 -> 1 2 3 4 5 9")
