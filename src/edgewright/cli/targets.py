"""`edgewright targets`: kinds of devices, and which of them suits a model."""

from pathlib import Path

import click

from edgewright.cli._output import json_option, print_json, print_table

_FILE = click.Path(path_type=Path)
_files = click.option(
    "--file", "files", type=_FILE, multiple=True, help="TOML with targets of your own."
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
@click.option("--p95-ms", type=click.FloatRange(min=0, min_open=True), help="Latency limit.")
@click.option("--memory-mb", type=click.FloatRange(min=0, min_open=True), help="Memory limit.")
@click.option("--power-w", type=click.FloatRange(min=0, min_open=True), help="Power limit.")
@click.option("--max-price-usd", type=click.FloatRange(min=0, min_open=True), help="Price limit.")
@_files
@json_option
def recommend(  # one command line, one parameter for each flag
    *,
    model: Path,
    p95_ms: float | None,
    memory_mb: float | None,
    power_w: float | None,
    max_price_usd: float | None,
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Say which targets suit a model and its budgets, and why the others do not.

    Latencies are estimated from the model's arithmetic and the target's data sheet; measure before
    you rely on one.
    """
    from edgewright.workbench.optimize import Needs, all_targets, recommend_targets

    needs = Needs(p95_ms=p95_ms, memory_mb=memory_mb, power_w=power_w, max_price_usd=max_price_usd)
    advice = recommend_targets(model, needs, all_targets(files))
    if as_json:
        print_json("target-advice", advice)
        return
    rows = [
        (
            one.target,
            "yes" if one.suits else "no",
            "" if one.latency_ms is None else f"{one.latency_ms.value:.2g}",
            "" if one.latency_ms is None else one.latency_ms.text("ms"),
            "; ".join(one.reasons),
        )
        for one in advice.targets
    ]
    print_table("", ("target", "suits", "ms", "estimated", "why"), rows)
