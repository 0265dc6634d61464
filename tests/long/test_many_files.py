"""Many small files become few large ones, and come back one by one."""

from pathlib import Path

import pytest

from edgewright.workbench.data import (
    ChannelMapping,
    DatasetStore,
    ImportOrder,
    SourceMapping,
    import_source,
)

FILES = 10_000
MAPPING = SourceMapping(
    channels=(ChannelMapping(column="a", name="acc_x", unit="g"),),
    rate_hz=50.0,
    path="{subject}/{label}-*",
)


@pytest.mark.long
def test_ten_thousand_files_are_three(tmp_path: Path) -> None:
    for number in range(FILES):
        folder = tmp_path / f"in/{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{(number + at) % 97 / 100}\n" for at in range(10))
        (folder / f"{'walk' if number % 3 else 'sit'}-{number}.csv").write_text(f"a\n{rows}")
    store = DatasetStore(tmp_path / "store")
    order = ImportOrder(source="in", mapping=MAPPING, folder=tmp_path)
    report = import_source(order, store)
    assert (report.recordings, report.samples) == (FILES, 10 * FILES)
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) == 3
    dataset = store.open(report.content_hash)
    by_name = {each.name: each for each in dataset.recordings}
    one = by_name["7/walk-47"]
    assert one.subject == "7"
    assert dataset.label_names[one.label[0]] == "walk"
    assert one.samples[:, 0].tolist() == pytest.approx([(47 + at) / 100 for at in range(10)])
