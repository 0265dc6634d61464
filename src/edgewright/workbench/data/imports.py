"""From a file to a stored dataset, and what was found on the way."""

from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.contract import decode_toml
from edgewright.workbench.data.checks import check_dataset
from edgewright.workbench.data.mapping import SourceMapping
from edgewright.workbench.data.report import DataReport
from edgewright.workbench.data.sources import read_source
from edgewright.workbench.data.store import DatasetStore, Lineage

_MAPPING_LIMIT_BYTES = 2**20


class ImportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to import, how to read it, and what to write into its lineage."""

    source: str
    mapping: SourceMapping = SourceMapping()
    folder: Path = Path()
    lineage: Lineage = Lineage()


def import_source(order: ImportOrder, store: DatasetStore) -> DataReport:
    """Read a source, store it under its hash, say what it is like.

    A dataset with errors in its report is stored too: what is wrong is said, nothing is lost.

    Raises:
        InputError: the source cannot be read, or does not fit its mapping.
        UnavailableError: a package that the kind of source needs is not installed.
    """
    dataset = read_source(order.source, order.mapping, folder=order.folder)
    report = check_dataset(dataset)
    store.add(dataset, lineage=order.lineage)
    return report


def read_mapping(path: Path) -> SourceMapping:
    """A mapping from a TOML file.

    Raises:
        InputError: absent, not TOML, or with an unknown key.
    """
    content = read_limited(path, limit_bytes=_MAPPING_LIMIT_BYTES)
    return decode_toml(content, SourceMapping, source=str(path))
