"""A `.json` file: Label Studio exports a list of tasks, Edge Impulse an object with a payload."""

from pathlib import Path

from edgewright._fs import file_errors
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.recordings import Dataset
from edgewright.workbench.data.sources.edge_impulse import read_edge_impulse
from edgewright.workbench.data.sources.label_studio import read_label_studio

_PEEK_BYTES = 4096


def read_json(path: Path, mapping: SourceMapping) -> Dataset:
    """The recordings of a file of either kind.

    Raises:
        InputError: absent, or neither.
    """
    with file_errors(path, doing="reading"), path.open("rb") as file:
        start = file.read(_PEEK_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    read = read_label_studio if start.startswith(b"[") else read_edge_impulse
    return read(path, mapping)
