"""Recordings of people, and the way from somebody's file to windows that a model can learn from.

The room exists so that three things are true of every model: units and rate are known, a window
never crosses a recording, and nobody is both trained on and tested on. Datasets are immutable and
named by the hash of their content.

    >>> import numpy as np
    >>> wave = np.sin(np.arange(600, dtype=np.float32) / 9)[:, None] * np.ones((1, 3), np.float32)
    >>> recordings = tuple(
    ...     Recording(wave + n, np.zeros(600, np.int16), subject=str(n), name=str(n), rate_hz=50.0)
    ...     for n in range(4)
    ... )
    >>> channels = tuple(Channel(name=f"acc_{axis}", unit="g") for axis in "xyz")
    >>> dataset = Dataset(recordings, channels, ("walk",), 50.0, "example")
    >>> split = split_by_subject(dataset, test=1, seed=0)
    >>> len(split.train), len(split.test)
    (3, 1)
    >>> cut_windows(dataset, split.test, length=100, hop=50).x.shape
    (11, 100, 3)
"""

from edgewright.contract import Channel
from edgewright.workbench.data.augmentation import TRANSFORMATIONS, augment_windows
from edgewright.workbench.data.calibration import draw_calibration, windows_hash
from edgewright.workbench.data.checks import check_dataset, triads
from edgewright.workbench.data.cleaning import REPAIRS, Cleaned, clean_dataset
from edgewright.workbench.data.comparison import DatasetDiff, compare_datasets
from edgewright.workbench.data.imports import ImportOrder, import_source, read_mapping
from edgewright.workbench.data.labelling import LabelRange, parse_range, read_ranges, relabel
from edgewright.workbench.data.leaks import check_leaks, check_windows, shared_by_windows
from edgewright.workbench.data.mapping import ChannelMapping, SourceMapping
from edgewright.workbench.data.merging import merge_datasets, read_label_maps
from edgewright.workbench.data.page import data_page, grouped
from edgewright.workbench.data.recordings import UNLABELLED, Dataset, Recording
from edgewright.workbench.data.report import Balance, ChannelSummary, DataReport, Finding
from edgewright.workbench.data.samples import (
    Rows,
    RowView,
    Samples,
    SampleSet,
    chunks,
    is_on_disk,
    row_shapes,
)
from edgewright.workbench.data.sources import (
    read_csv,
    read_edge_impulse,
    read_folder,
    read_json_lines,
    read_label_studio,
    read_npz,
    read_parquet,
    read_seglearn,
    read_source,
    source_files,
)
from edgewright.workbench.data.splits import (
    LEAKY_NAME,
    Split,
    k_folds,
    leave_one_out,
    split_by_subject,
    split_windows_at_random,
)
from edgewright.workbench.data.store import STORE_FOLDER, DatasetManifest, DatasetStore, Lineage
from edgewright.workbench.data.timebase import at_rate
from edgewright.workbench.data.window_files import (
    WindowsRecord,
    expect_npz,
    read_split,
    write_windows,
)
from edgewright.workbench.data.windows import WindowSet, absent_as_zeros, as_sent, cut_windows

__all__ = [
    "LEAKY_NAME",
    "REPAIRS",
    "STORE_FOLDER",
    "TRANSFORMATIONS",
    "UNLABELLED",
    "Balance",
    "Channel",
    "ChannelMapping",
    "ChannelSummary",
    "Cleaned",
    "DataReport",
    "Dataset",
    "DatasetDiff",
    "DatasetManifest",
    "DatasetStore",
    "Finding",
    "ImportOrder",
    "LabelRange",
    "Lineage",
    "Recording",
    "RowView",
    "Rows",
    "SampleSet",
    "Samples",
    "SourceMapping",
    "Split",
    "WindowSet",
    "WindowsRecord",
    "absent_as_zeros",
    "as_sent",
    "at_rate",
    "augment_windows",
    "check_dataset",
    "check_leaks",
    "check_windows",
    "chunks",
    "clean_dataset",
    "compare_datasets",
    "cut_windows",
    "data_page",
    "draw_calibration",
    "expect_npz",
    "grouped",
    "import_source",
    "is_on_disk",
    "k_folds",
    "leave_one_out",
    "merge_datasets",
    "parse_range",
    "read_csv",
    "read_edge_impulse",
    "read_folder",
    "read_json_lines",
    "read_label_maps",
    "read_label_studio",
    "read_mapping",
    "read_npz",
    "read_parquet",
    "read_ranges",
    "read_seglearn",
    "read_source",
    "read_split",
    "relabel",
    "row_shapes",
    "shared_by_windows",
    "source_files",
    "split_by_subject",
    "split_windows_at_random",
    "triads",
    "windows_hash",
    "write_windows",
]
