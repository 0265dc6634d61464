"""`edgewright data`: recordings in, datasets that are named by their content out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._data_capture import capture
from edgewright.cli._data_common import (
    FILE,
    SHORT,
    lineage,
    mapping_of,
    mapping_option,
    print_report,
    project_option,
    store_of,
)
from edgewright.cli._data_versions import clean, label, merge
from edgewright.cli._data_windows import augment, calibration, split
from edgewright.cli._numbers import ABOVE_ZERO
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.workbench.data import DatasetStore


@click.group()
def data() -> None:
    """Record, import, check, clean, label, split and show recordings."""


for _command in (augment, calibration, capture, clean, label, merge, split):
    data.add_command(_command)


@data.command("import")
@click.argument("source")
@project_option
@mapping_option
@click.option("--rate", "rate_hz", type=ABOVE_ZERO, help="Hz that the dataset shall have.")
@json_option
def import_command(
    source: str,
    *,
    folder: Path,
    mapping_path: Path | None,
    rate_hz: float | None,
    as_json: bool,
) -> None:
    """Store SOURCE as a dataset: a file, a folder of files, or the packaged set `seglearn`.

    Files are .csv, .npz, .parquet, JSON lines and MQTT captures (.jsonl, .ndjson), Label Studio
    exports (.json), and Edge Impulse acquisitions (.json, .cbor).

    Without --mapping the project's own [recipe.mapping] holds. What is wrong with the data is
    reported; nothing is repaired in silence.
    """
    import msgspec

    from edgewright.workbench.data import ImportOrder, import_source

    mapping = mapping_of(folder, mapping_path)
    if rate_hz is not None:
        mapping = msgspec.structs.replace(mapping, resample_hz=rate_hz)
    order = ImportOrder(source=source, mapping=mapping, lineage=lineage())
    print_report(import_source(order, store_of(folder)), as_json=as_json)


@data.command()
@click.argument("dataset")
@project_option
@mapping_option
@click.option("--html", "page", type=FILE, help="Write the report as a page with plots.")
@json_option
def check(
    dataset: str, *, folder: Path, mapping_path: Path | None, page: Path | None, as_json: bool
) -> None:
    """Report gaps, NaN, flat lines, clipping, outliers, copies, balance, suspicious units and axes.

    DATASET is the hash (or its beginning) of a stored one, or a source as `data import` takes it.
    Exits with 2 when there is an error among the findings.
    """
    from edgewright._fs import write_atomic
    from edgewright.errors import InputError
    from edgewright.workbench.data import check_dataset, data_page, read_source

    if Path(dataset).suffix or Path(dataset).is_dir() or dataset == "seglearn":
        found = read_source(dataset, mapping_of(folder, mapping_path), folder=Path())
    else:
        found = store_of(folder).open(dataset)
    report = check_dataset(found)
    if page is not None:
        write_atomic(page, data_page(found, report).encode())
        say(f"page: {page}")
    print_report(report, as_json=as_json)
    if report.worst == "error":
        errors = sum(finding.severity == "error" for finding in report.findings)
        raise InputError(
            f"{report.source}: {errors} errors among the findings", hint="mend the file or mapping"
        )


@data.command()
@click.argument("dataset", required=False)
@click.option("--diff", metavar="HASH", help="Compare with another version, the older one.")
@project_option
@json_option
def show(dataset: str | None, *, diff: str | None, folder: Path, as_json: bool) -> None:
    """List the project's datasets, or show one: its lineage, or what changed since another one."""
    store = store_of(folder)
    if dataset is None:
        _print_list(store, as_json=as_json)
    elif diff is None:
        _print_one(store, dataset, as_json=as_json)
    else:
        _print_diff(store, diff, dataset, as_json=as_json)


def _print_list(store: "DatasetStore", *, as_json: bool) -> None:
    manifests = store.list()
    if as_json:
        print_json("datasets", {"datasets": [manifest.content_hash for manifest in manifests]})
        return
    print_table(
        "datasets",
        ("dataset", "source", "recordings", "minutes", "labels", "when"),
        [
            (
                each.content_hash[:SHORT],
                each.source,
                len(each.recordings),
                f"{each.sample_count / each.rate_hz / 60:.1f}",
                len(each.label_names),
                each.lineage.when,
            )
            for each in manifests
        ],
    )


def _print_one(store: "DatasetStore", name: str, *, as_json: bool) -> None:
    manifest = store.manifest(name)
    if as_json:
        print_json("dataset", manifest)
        return
    rows = [
        ("dataset", manifest.content_hash),
        ("source", manifest.source),
        ("rate", f"{manifest.rate_hz:g} Hz"),
        ("channels", " ".join(f"{one.name}[{one.unit}]" for one in manifest.channels)),
        ("labels", " ".join(manifest.label_names)),
        ("recordings", len(manifest.recordings)),
        ("command", manifest.lineage.command),
        ("when", manifest.lineage.when),
        ("made of", " ".join(parent[:SHORT] for parent in manifest.lineage.parents)),
        *(("note", note) for note in manifest.notes),
    ]
    print_table("", ("what", "value"), rows)


def _print_diff(store: "DatasetStore", before: str, after: str, *, as_json: bool) -> None:
    from edgewright.workbench.data import compare_datasets

    diff = compare_datasets(store.open(before), store.open(after))
    if as_json:
        print_json("dataset-diff", diff)
        return
    rows = [("recordings the same", str(diff.same))]
    for what, names in (
        ("added", diff.added),
        ("removed", diff.removed),
        ("changed", diff.changed),
    ):
        rows.append((what, " ".join(names) or "none"))
    print_table("", ("what", "value"), [*rows, *(fact.split(": ", 1) for fact in diff.facts)])
