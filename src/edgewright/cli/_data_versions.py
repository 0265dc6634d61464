"""`edgewright data label | clean | merge`: new versions of a dataset, which keep their parent."""

from pathlib import Path

import click

from edgewright.cli._data_common import FILE, project_option, store_of, store_version
from edgewright.cli._numbers import ABOVE_ZERO
from edgewright.cli._output import json_option


@click.command()
@click.argument("dataset")
@click.option(
    "--range", "texts", multiple=True, metavar="RECORDING:START:STOP:LABEL", help="Seconds."
)
@click.option("--file", "path", type=FILE, help="One range a line; # begins a comment.")
@project_option
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
    store = store_of(folder)
    done = [f"{len(ranges)} ranges written over the labels"]
    version = relabel(store.open(dataset), ranges)
    store_version(store, [dataset], version, done, as_json=as_json)


@click.command()
@click.argument("dataset")
@click.option("--repair", "repairs", multiple=True, metavar="NAME", help="In the order given.")
@project_option
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
    store = store_of(folder)
    cleaned = clean_dataset(store.open(dataset), repairs)
    store_version(store, [dataset], cleaned.dataset, list(cleaned.done), as_json=as_json)


@click.command()
@click.argument("datasets", nargs=-1, required=True, metavar="NAME=DATASET...")
@click.option("--map", "path", type=FILE, help='TOML: a table for each NAME, label = "name".')
@click.option("--classes", type=click.IntRange(min=1), help="Refuse any other number of classes.")
@click.option(
    "--rate", "rate_hz", type=ABOVE_ZERO, help="Hz; the highest of the sources without it."
)
@project_option
@json_option
def merge(
    datasets: tuple[str, ...],
    *,
    path: Path | None,
    classes: int | None,
    rate_hz: float | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Merge stored datasets into one, through a canonical label map.

    The map names every label of every source: [spar] PEN = "pendulum"; "" drops one. Without a map
    all sources must have the same labels. People and recordings carry their source's name.
    """
    from edgewright.errors import InputError
    from edgewright.workbench.data import merge_datasets, read_label_maps

    store = store_of(folder)
    named = dict(text.partition("=")[::2] for text in datasets)
    if len(named) < len(datasets) or not all(named.values()):
        raise InputError(f"{' '.join(datasets)}: expected NAME=DATASET, each name once")
    maps = read_label_maps(path) if path else {}
    sources = {name: store.open(dataset) for name, dataset in named.items()}
    merged = merge_datasets(sources, maps, rate_hz=rate_hz, classes=classes)
    people, names = len(merged.subjects), merged.label_names
    done = [f"{len(names)} classes of {people} people: {' '.join(names)}"]
    store_version(store, list(named.values()), merged, done, as_json=as_json)
