"""`edgewright data`: recordings in, datasets that are named by their content out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.workbench.data import DataReport, Dataset, DatasetStore, Lineage, SourceMapping

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_STORE = Path(".edgewright", "datasets")
_SHORT = 12

_project_option = click.option(
    "--project", "folder", type=_FOLDER, default=Path(), help="The project's folder."
)
_mapping_option = click.option(
    "--mapping", "mapping_path", type=_FILE, help="TOML: columns, units, rates, labels."
)


@click.group()
def data() -> None:
    """Import, check, clean, label and show recordings."""


@data.command("import")
@click.argument("source")
@_project_option
@_mapping_option
@json_option
def import_command(source: str, *, folder: Path, mapping_path: Path | None, as_json: bool) -> None:
    """Store SOURCE as a dataset: a file, a folder of files, or the packaged set `seglearn`.

    Files are .csv, .npz, .parquet, or Edge Impulse acquisitions (.json, .cbor).

    Without --mapping the project's own [recipe.mapping] holds. What is wrong with the data is
    reported; nothing is repaired in silence.
    """
    from edgewright.workbench.data import ImportOrder, import_source

    mapping = _mapping(folder, mapping_path)
    order = ImportOrder(source=source, mapping=mapping, lineage=_lineage())
    _print_report(import_source(order, _store(folder)), as_json=as_json)


@data.command()
@click.argument("dataset")
@_project_option
@_mapping_option
@json_option
def check(dataset: str, *, folder: Path, mapping_path: Path | None, as_json: bool) -> None:
    """Report gaps, NaN, flat lines, clipping, outliers, copies, balance, suspicious units.

    DATASET is the hash (or its beginning) of a stored one, or a source as `data import` takes it.
    Exits with 2 when there is an error among the findings.
    """
    from edgewright.errors import InputError
    from edgewright.workbench.data import check_dataset, read_source

    if Path(dataset).suffix or Path(dataset).is_dir() or dataset == "seglearn":
        found = read_source(dataset, _mapping(folder, mapping_path), folder=Path())
    else:
        found = _store(folder).open(dataset)
    report = check_dataset(found)
    _print_report(report, as_json=as_json)
    if report.worst == "error":
        errors = sum(finding.severity == "error" for finding in report.findings)
        raise InputError(
            f"{report.source}: {errors} errors among the findings", hint="mend the file or mapping"
        )


@data.command()
@click.argument("dataset", required=False)
@click.option("--diff", metavar="HASH", help="Compare with another version, the older one.")
@_project_option
@json_option
def show(dataset: str | None, *, diff: str | None, folder: Path, as_json: bool) -> None:
    """List the project's datasets, or show one: its lineage, or what changed since another one."""
    store = _store(folder)
    if dataset is None:
        _print_list(store, as_json=as_json)
    elif diff is None:
        _print_one(store, dataset, as_json=as_json)
    else:
        _print_diff(store, diff, dataset, as_json=as_json)


@data.command()
@click.argument("dataset")
@click.option(
    "--range", "texts", multiple=True, metavar="RECORDING:START:STOP:LABEL", help="Seconds."
)
@click.option("--file", "path", type=_FILE, help="One range a line; # begins a comment.")
@_project_option
@json_option
def label(
    dataset: str, *, texts: tuple[str, ...], path: Path | None, folder: Path, as_json: bool
) -> None:
    """Write labels over stretches of time; the result is a new version, the old one stays.

    An empty LABEL takes the label away. Later ranges win; --range comes after --file.
    """
    from edgewright.errors import InputError
    from edgewright.workbench.data import parse_range, read_ranges, relabel

    ranges = (*(read_ranges(path) if path else ()), *map(parse_range, texts))
    if not ranges:
        raise InputError("no ranges are given", hint="use --range or --file")
    store = _store(folder)
    done = [f"{len(ranges)} ranges written over the labels"]
    _store_version(store, dataset, relabel(store.open(dataset), ranges), done, as_json=as_json)


@data.command()
@click.argument("dataset")
@click.option("--repair", "repairs", multiple=True, metavar="NAME", help="In the order given.")
@_project_option
@json_option
def clean(dataset: str, *, repairs: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Apply named repairs; the result is a new version, the old one stays.

    fill-short-holes: NaN up to 0.1 s becomes the line between its neighbours.
    unlabel-bad-samples: what is not finite, or huge, is not learnt from.
    drop-copies: recordings that are there twice.
    """
    from edgewright.errors import InputError
    from edgewright.workbench.data import REPAIRS, clean_dataset

    if not repairs:
        raise InputError("no repair is named", hint=f"there are {' '.join(REPAIRS)}")
    store = _store(folder)
    cleaned = clean_dataset(store.open(dataset), repairs)
    _store_version(store, dataset, cleaned.dataset, list(cleaned.done), as_json=as_json)


def _store_version(
    store: "DatasetStore", parent: str, version: "Dataset", done: list[str], *, as_json: bool
) -> None:
    name = store.add(version, lineage=_lineage(store.resolve(parent)))
    if as_json:
        print_json("dataset-version", {"dataset": name, "done": done})
        return
    for line in done or ["nothing to do"]:
        say(line)
    click.echo(name)


def _lineage(*parents: str) -> "Lineage":
    from edgewright.clock import SystemClock, iso
    from edgewright.workbench.data import Lineage

    return Lineage(
        command=" ".join(["edgewright", *sys.argv[1:]]),
        when=iso(SystemClock().wall_s()),
        parents=parents,
    )


def _store(folder: Path) -> "DatasetStore":
    from edgewright.workbench.data import DatasetStore

    return DatasetStore(folder / _STORE)


def _mapping(folder: Path, path: Path | None) -> "SourceMapping":
    from edgewright.contract.decoding import convert
    from edgewright.workbench.data import SourceMapping, read_mapping
    from edgewright.workbench.pipeline.project import FILE, read_project

    if path is not None:
        return read_mapping(path)
    if not (folder / FILE).is_file():
        return SourceMapping()
    raw = read_project(folder).recipe_options.get("mapping", {})
    return convert(raw, SourceMapping, source=f"{folder / FILE} [recipe.mapping]")


def _print_report(report: "DataReport", *, as_json: bool) -> None:
    if as_json:
        print_json("data-report", report)
        return
    click.echo(
        f"{report.source}: {report.recordings} recordings, {report.seconds / 60:.1f} min at "
        f"{report.rate_hz:g} Hz, dataset {report.content_hash[:_SHORT]}"
    )
    for title, rows in (("classes", report.classes), ("subjects", report.subjects)):
        print_table(
            title,
            (title, "seconds", "share", "recordings"),
            [(row.name, f"{row.seconds:.0f}", f"{row.share:.1%}", row.recordings) for row in rows],
        )
    for finding in report.findings:
        say(f"{finding.severity}: {finding.message}")
    if not report.findings:
        say("no findings")


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
                each.content_hash[:_SHORT],
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
        ("made of", " ".join(parent[:_SHORT] for parent in manifest.lineage.parents)),
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
