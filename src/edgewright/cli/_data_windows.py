"""`edgewright data split | calibration | augment`: from a dataset to windows, people kept apart."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from edgewright.cli._data_common import FILE, FOLDER, names_in, project_option, store_of
from edgewright.cli._numbers import ABOVE_ZERO, NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from edgewright.workbench.data import Dataset, Split, WindowSet, WindowsRecord

F = TypeVar("F", bound=Callable[..., object])

_seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)


class _Cutting(NamedTuple):
    window_s: float
    hop_s: float
    rate_hz: float | None


def _window_options(function: F) -> F:
    """How windows are cut: length, hop and rate."""
    for option in (
        click.option(
            "--rate", "rate_hz", type=ABOVE_ZERO, help="Hz; the dataset's own without it."
        ),
        click.option(
            "--hop", "hop_s", type=ABOVE_ZERO, default=1.0, show_default=True, help="Seconds."
        ),
        click.option(
            "--window", "window_s", type=ABOVE_ZERO, default=2.0, show_default=True, help="Seconds."
        ),
    ):
        function = option(function)
    return function


def _split_options(function: F) -> F:
    """Who is tested, or a file that says so."""
    for option in (
        click.option("--val", metavar="NAMES|N", default="0", help="People to watch, likewise."),
        click.option(
            "--test", metavar="NAMES|N", default="1", help="People to test, or how many to draw."
        ),
        click.option("--split", "path", type=FILE, help="A split.json instead of --test, --val."),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("dataset")
@_split_options
@click.option("--folds", type=int, help="Every person tested once, in so many groups.")
@click.option("--leave-one-out", is_flag=True, help="Every person tested alone.")
@click.option(
    "--random",
    "share",
    type=NumberRange(0, 1, min_open=True, max_open=True),
    help="Share of windows to test, whoever they are.",
)
@click.option("--i-know-this-leaks", "accepted", is_flag=True, help="What --random needs.")
@_window_options
@_seed_option
@click.option("--out", type=FOLDER, help="Write split.json and train, val and test as npz.")
@project_option
@json_option
def split(
    dataset: str,
    *,
    path: Path | None,
    test: str,
    val: str,
    folds: int | None,
    leave_one_out: bool,
    share: float | None,
    accepted: bool,
    window_s: float,
    hop_s: float,
    rate_hz: float | None,
    seed: int,
    out: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Decide who trains and who is tested, and prove that nothing leaks.

    Subjects, recordings, overlapping windows and near-duplicates are looked for on both sides;
    whatever is found is an error. A split of windows at random is refused, because it tests people
    who were trained on; with --i-know-this-leaks it is made, and labelled wherever it is reported.
    """
    from edgewright.workbench import data as rooms

    found = store_of(folder).open(dataset)
    cutting = _Cutting(window_s, hop_s, rate_hz)
    if share is not None:
        everybody = _cut(found, found.subjects, cutting)
        parts = rooms.split_windows_at_random(
            everybody, test_share=share, seed=seed, leaks_accepted=accepted
        )
        _print_leaky(*parts, seed=seed, out=out, as_json=as_json)
        return
    if folds is not None:
        splits = rooms.k_folds(found, folds, seed=seed)
    elif leave_one_out:
        splits = rooms.leave_one_out(found)
    else:
        splits = (_one_split(found, path, test, val, seed),)
    rows: list[dict[str, Any]] = []
    for number, each in enumerate(splits, start=1):
        windows = {
            part: _cut(found, getattr(each, part), cutting)
            for part in ("train", "val", "test")
            if getattr(each, part)
        }
        rooms.check_leaks(found, each, windows)
        counts = {part: len(cut) for part, cut in windows.items()}
        rows.append({"split": each, "windows": counts, "leaks": "none found"})
        if out is not None:
            _write_parts(out / f"fold-{number}" if len(splits) > 1 else out, each, windows, seed)
    if as_json:
        print_json("splits", {"splits": rows})
        return
    print_table(
        "",
        ("split", "train", "val", "test", "leaks"),
        [(row["split"].name, *_counts(row["windows"]), row["leaks"]) for row in rows],
    )


@click.command()
@click.argument("dataset")
@_split_options
@click.option("--count", type=click.IntRange(min=1), default=2000, show_default=True)
@_window_options
@_seed_option
@click.option("--out", type=FILE, required=True, help="An .npz; a .json of its origin goes beside.")
@project_option
@json_option
def calibration(
    dataset: str,
    *,
    path: Path | None,
    test: str,
    val: str,
    count: int,
    window_s: float,
    hop_s: float,
    rate_hz: float | None,
    seed: int,
    out: Path,
    folder: Path,
    as_json: bool,
) -> None:
    """Draw the windows that a quantiser looks at: classes, people and intensities evenly.

    They are real windows of people who train, as devices send them: zeros for a sensor that a
    recording was made without. The file names dataset, split and seed, and the hash of what was
    drawn; `optimize --calib` takes it.
    """
    from edgewright.workbench.data import as_sent, draw_calibration, expect_npz, write_windows

    expect_npz(out)
    found = store_of(folder).open(dataset)
    chosen = _one_split(found, path, test, val, seed)
    windows = as_sent(_cut(found, chosen.train, _Cutting(window_s, hop_s, rate_hz)))
    drawn = draw_calibration(windows, count=count, seed=seed)
    made = f"calibration, {count} asked, stratified by class, subject and intensity"
    record = write_windows(out, drawn, split=chosen.name, part="train", made_by=made, seed=seed)
    _print_record(record, out, as_json=as_json)


@click.command()
@click.argument("dataset")
@_split_options
@click.option("--by", "names", multiple=True, required=True, metavar="NAME", help="In this order.")
@click.option("--copies", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--subjects", help="Some of the people who train; all of them without it.")
@_window_options
@_seed_option
@click.option("--out", type=FILE, required=True, help="An .npz; a .json of its origin goes beside.")
@project_option
@json_option
def augment(
    dataset: str,
    *,
    path: Path | None,
    test: str,
    val: str,
    names: tuple[str, ...],
    copies: int,
    subjects: str | None,
    window_s: float,
    hop_s: float,
    rate_hz: float | None,
    seed: int,
    out: Path,
    folder: Path,
    as_json: bool,
) -> None:
    """Write varied copies of training windows, and refuse to touch anybody else's.

    NAME is one of rotation, scaling, jitter, time-warp, magnitude-warp, channel-drop, permutation.
    """
    from edgewright.workbench.data import augment_windows, expect_npz, write_windows

    expect_npz(out)
    found = store_of(folder).open(dataset)
    chosen = _one_split(found, path, test, val, seed)
    people = names_in(subjects) or chosen.train
    windows = _cut(found, people, _Cutting(window_s, hop_s, rate_hz))
    varied = augment_windows(windows, chosen, names, copies=copies, seed=seed)
    made = f"augmentation by {', '.join(names)}, {copies} copies"
    record = write_windows(out, varied, split=chosen.name, part="train", made_by=made, seed=seed)
    _print_record(record, out, as_json=as_json)


def _one_split(dataset: "Dataset", path: Path | None, test: str, val: str, seed: int) -> "Split":
    from edgewright.workbench.data import read_split, split_by_subject

    if path is not None:
        return read_split(path)
    return split_by_subject(dataset, test=_who(test), val=_who(val), seed=seed)


def _who(text: str) -> tuple[str, ...] | int:
    """A number of people, or their names: "2" draws two, "2," and "2,4" name them."""
    return int(text) if text.isdigit() else names_in(text)


def _cut(dataset: "Dataset", people: tuple[str, ...], cutting: _Cutting) -> "WindowSet":
    from edgewright.workbench.data import cut_windows

    rate = cutting.rate_hz or dataset.rate_hz
    length, hop = round(cutting.window_s * rate), max(round(cutting.hop_s * rate), 1)
    return cut_windows(dataset, people, length=length, hop=hop, rate_hz=rate)


def _write_parts(out: Path, split: "Split", windows: "dict[str, WindowSet]", seed: int) -> None:
    from edgewright._fs import write_atomic
    from edgewright.contract import encode_json
    from edgewright.workbench.data import write_windows

    for part, cut in windows.items():
        write_windows(
            out / f"{part}.npz", cut, split=split.name, part=part, made_by="split", seed=seed
        )
    write_atomic(out / "split.json", encode_json(split))


def _print_leaky(
    train: "WindowSet", test: "WindowSet", *, seed: int, out: Path | None, as_json: bool
) -> None:
    from edgewright.workbench.data import LEAKY_NAME, shared_by_windows, write_windows

    shared = {what: len(names) for what, names in shared_by_windows(train, test).items()}
    if out is not None:
        for part, cut in (("train", train), ("test", test)):
            target = out / f"{part}.npz"
            write_windows(target, cut, split=LEAKY_NAME, part=part, made_by="split", seed=seed)
    counts = {"train": len(train), "test": len(test)}
    if as_json:
        print_json("leaky-split", {"warning": LEAKY_NAME, "windows": counts, "shared": shared})
        return
    say(f"warning: {LEAKY_NAME}")
    rows = [("split", LEAKY_NAME), ("train", counts["train"]), ("test", counts["test"])]
    print_table(
        "", ("what", "value"), [*rows, *((f"shared: {what}", n) for what, n in shared.items())]
    )


def _counts(windows: dict[str, int]) -> tuple[int, ...]:
    return tuple(windows.get(part, 0) for part in ("train", "val", "test"))


def _print_record(record: "WindowsRecord", out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json("windows", record)
        return
    say(f"{record.windows} windows, {record.made_by}, split {record.split}, in {out}")
    click.echo(record.sha256)
