"""`edgewright targets`: kinds of devices, and which of them suits a model."""

from pathlib import Path

import click

from edgewright.cli._numbers import NumberRange
from edgewright.cli._output import json_option, print_json, print_table, say
from edgewright.cli._progress import progress_bar

_FILE = click.Path(path_type=Path)
_files = click.option(
    "--file", "files", type=_FILE, multiple=True, help="TOML with targets of your own."
)


_HELD = {None: "", True: "yes", False: "no"}
_keep = click.option(
    "--keep",
    type=_FILE,
    default=lambda: Path(click.get_app_dir("edgewright")) / "measurements.jsonl",
    show_default="measurements.jsonl among your settings",
    help="Where measurements of this machine are kept.",
)


@click.group()
def targets() -> None:
    """List kinds of devices, show one, recommend some for a model."""


@targets.command("list")
@_files
@json_option
def list_targets(*, files: tuple[Path, ...], as_json: bool) -> None:
    """List the catalogue."""
    from edgewright.workbench.optimize import all_targets

    known = all_targets(files)
    if as_json:
        print_json("targets", {"targets": known})
        return
    rows = [
        (t.name, t.summary, t.cpu, t.memory_text, t.accelerator, ", ".join(t.formats), t.price_usd)
        for t in known
    ]
    columns = ("name", "device", "cpu", "memory", "accelerator", "formats", "price, USD")
    print_table("", columns, rows)


@targets.command()
@click.argument("name")
@_files
@json_option
def show(*, name: str, files: tuple[Path, ...], as_json: bool) -> None:
    """Show everything about one target."""
    from edgewright.workbench.optimize import all_targets, find_target

    target = find_target(name, all_targets(files))
    if as_json:
        print_json("target", target)
        return
    print_table("", ("what", "value"), target.rows())


@targets.command()
@click.option("--model", type=_FILE, required=True, help="An ONNX file.")
@click.option("--p95-ms", type=NumberRange(min=0, min_open=True), help="Latency limit.")
@click.option("--memory-mb", type=NumberRange(min=0, min_open=True), help="Memory limit.")
@click.option("--power-w", type=NumberRange(min=0, min_open=True), help="Power limit.")
@click.option("--max-price-usd", type=NumberRange(min=0, min_open=True), help="Price limit.")
@_keep
@_files
@json_option
def recommend(  # one command line, one parameter for each flag
    *,
    model: Path,
    p95_ms: float | None,
    memory_mb: float | None,
    power_w: float | None,
    max_price_usd: float | None,
    keep: Path,
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Say which targets suit a model and its budgets, and why the others do not.

    Latency, memory and size are estimated from the model and the target's data sheet; measure
    before you rely on one. After `targets calibrate` this machine has a row too, predicted from
    other models that were measured on it.
    """
    from edgewright.chain.predictions import recommend_here
    from edgewright.workbench.optimize import Needs

    needs = Needs(p95_ms=p95_ms, memory_mb=memory_mb, power_w=power_w, max_price_usd=max_price_usd)
    advice = recommend_here(model, needs, files, keep)
    _say_left_out(advice.left_out)
    if as_json:
        print_json("target-advice", advice)
        return
    rows = [
        (
            one.target,
            "yes" if one.suits else "no",
            "" if one.latency_ms is None else f"{one.latency_ms.value:.2g}",
            "" if one.latency_ms is None else one.latency_ms.text("ms"),
            "" if one.memory_interval_mb is None else one.memory_interval_mb.text(),
            "" if one.size_mb is None else one.size_mb.text(),
            one.method,
            "; ".join(one.reasons),
        )
        for one in advice.targets
    ]
    columns = ("target", "suits", "ms", "interval", "memory, MB", "size, MB", "how", "why")
    print_table("", columns, rows)


@targets.command()
@_keep
@json_option
def calibrate(*, keep: Path, as_json: bool) -> None:
    """Measure made-up networks on this machine, so that others can be predicted; about a minute."""
    from edgewright.chain.predictions import calibrate_here

    with progress_bar() as bar:
        bar.begin("calibrate")
        count = calibrate_here(keep, tell=bar.move)
    if as_json:
        print_json("calibration", {"measured": count, "kept": str(keep)})
        return
    say(f"{count} networks measured, kept in {keep}")


@targets.command()
@click.argument("model", type=_FILE)
@_keep
@json_option
def check(*, model: Path, keep: Path, as_json: bool) -> None:
    """Predict MODEL (ONNX) on this machine, then measure it and say whether that held."""
    from edgewright.chain.predictions import check_here

    found = check_here(model, keep)
    _say_left_out(found.left_out)
    if as_json:
        print_json("prediction-check", found)
        return
    memory = found.prediction.memory_mb
    rows = [
        (
            "p50, ms",
            found.prediction.latency_ms.text(),
            f"{found.latency_ms:.3g}",
            _HELD[found.latency_held],
        ),
        (
            "memory, MB",
            "" if memory is None else memory.text(),
            "" if found.memory_mb is None else f"{found.memory_mb:.3g}",
            _HELD[found.memory_held],
        ),
    ]
    print_table("", ("what", "predicted (90 %)", "measured", "held"), rows)


def _say_left_out(count: int) -> None:
    if count:
        say(
            f"{count} measurements of this machine are of an earlier edition and left out; "
            "`edgewright targets calibrate` renews those of made-up networks"
        )
