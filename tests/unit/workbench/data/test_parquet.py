import sys
from pathlib import Path

import numpy as np
import pytest

from edgewright.errors import InputError, UnavailableError
from edgewright.workbench.data import ChannelMapping, SourceMapping, read_parquet

MAPPING = SourceMapping(channels=(ChannelMapping(column="a", unit="m/s2"),), time="when")


def test_a_table_keeps_types_units_and_clock(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="absent: pyarrow (extra parquet)")
    pq = pytest.importorskip("pyarrow.parquet", reason="absent: pyarrow (extra parquet)")
    when = np.datetime64("2026-01-02T10:00:00", "ns") + np.arange(40) * np.timedelta64(20, "ms")
    table = pa.table(
        {
            "when": when,
            "a": np.linspace(0, 9.80665, 40),
            "label": pa.array(["walk"] * 39 + [None]).dictionary_encode(),
            "subject": np.repeat([7, 8], 20),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = read_parquet(tmp_path / "a.parquet", MAPPING)
    assert dataset.rate_hz == 50.0
    assert dataset.subjects == ("7", "8")
    assert dataset.label_names == ("walk",)
    assert dataset.recordings[1].label.tolist() == [0] * 19 + [-1]
    assert dataset.recordings[1].samples[-1, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("pyarrow", reason="absent: pyarrow (extra parquet)")
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file"):
        read_parquet(tmp_path / "a.parquet", MAPPING)


def test_without_its_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "edgewright.workbench.data.sources._arrow", raising=False)
    with pytest.raises(UnavailableError, match=r"pip install 'edgewright\[parquet\]'"):
        read_parquet(tmp_path / "a.parquet", MAPPING)
