"""What the commands under `edgewright data` share: the project's store, its mapping, how a report
looks.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._output import print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.workbench.data import DataReport, Dataset, DatasetStore, Lineage, SourceMapping

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
SHORT = 12
"""Digits of a dataset's hash that people are shown."""

_SHOWN = 3

project_option = click.option(
    "--project", "folder", type=FOLDER, default=Path(), help="The project's folder."
)
mapping_option = click.option(
    "--mapping", "mapping_path", type=FILE, help="TOML: columns, units, rates, labels."
)


def names_in(text: str | None) -> tuple[str, ...]:
    """Names between commas.

    >>> names_in("ann, bob")
    ('ann', 'bob')
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def store_version(
    store: "DatasetStore",
    parents: Sequence[str],
    version: "Dataset",
    done: list[str],
    *,
    as_json: bool,
) -> None:
    """Keep a dataset that was made of others, and say its name."""
    name = store.add(version, lineage=lineage(*map(store.resolve, parents)))
    if as_json:
        print_json("dataset-version", {"dataset": name, "done": done})
        return
    for line in done or ["nothing to do"]:
        say(line)
    click.echo(name)


def lineage(*parents: str) -> "Lineage":
    """This command, now."""
    from edgewright.clock import SystemClock, iso
    from edgewright.workbench.data import Lineage

    return Lineage(
        command=" ".join(["edgewright", *sys.argv[1:]]),
        when=iso(SystemClock().wall_s()),
        parents=parents,
    )


def store_of(folder: Path) -> "DatasetStore":
    """The datasets of a project."""
    from edgewright.workbench.data import STORE_FOLDER, DatasetStore

    return DatasetStore(folder / STORE_FOLDER)


def mapping_of(folder: Path, path: Path | None) -> "SourceMapping":
    """The mapping of a file, else the project's own, else none."""
    from edgewright.contract.decoding import convert
    from edgewright.workbench.data import SourceMapping, read_mapping
    from edgewright.workbench.pipeline.project import FILE as PROJECT_FILE
    from edgewright.workbench.pipeline.project import read_project

    if path is not None:
        return read_mapping(path)
    if not (folder / PROJECT_FILE).is_file():
        return SourceMapping()
    raw = read_project(folder).recipe_options.get("mapping", {})
    return convert(raw, SourceMapping, source=f"{folder / PROJECT_FILE} [recipe.mapping]")


def print_report(report: "DataReport", *, as_json: bool) -> None:
    """Balance as tables, findings as lines."""
    if as_json:
        print_json("data-report", report)
        return
    click.echo(
        f"{report.source}: {report.recordings} recordings, {report.seconds / 60:.1f} min at "
        f"{report.rate_hz:g} Hz, dataset {report.content_hash[:SHORT]}"
    )
    for title, rows in (("classes", report.classes), ("subjects", report.subjects)):
        print_table(
            title,
            (title, "seconds", "share", "recordings"),
            [(row.name, f"{row.seconds:.0f}", f"{row.share:.1%}", row.recordings) for row in rows],
        )
    print_findings(report)


def print_findings(report: "DataReport") -> None:
    """A few of each kind, the gravest first; --json and --html have all."""
    from edgewright.workbench.data import grouped

    for group in grouped(report.findings, most=_SHOWN):
        for finding in group.shown:
            say(f"{finding.severity}: {finding.message}")
        if group.more:
            say(f"{group.severity}: and {group.more} more like this ({group.code})")
    if not report.findings:
        say("no findings")
