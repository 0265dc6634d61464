"""`edgewright convert`: one model, several engine formats."""

from pathlib import Path

import click

from edgewright.cli._output import json_option, print_json, print_table, say

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_FILE)
@click.option(
    "--to",
    "formats",
    required=True,
    help="Formats, separated by commas; `all` for every one that can be written here.",
)
@click.option("--out", type=_FILE, help="Folder for the files.")
@click.option("--data", type=_FILE, help="Golden inputs (.npz) to compare on; drawn if absent.")
@click.option("--calib", type=_FILE, help="Typical inputs (.npz), for integer formats.")
@click.option(
    "--contract",
    type=_FILE,
    help="What MODEL promises (.toml, .json); kept beside the files, a run has its own.",
)
@click.option("--arch", default="", help="The chip, for vendor formats (hailo8, rk3588, ...).")
@click.option("--start", multiple=True, help="Tensor to cut the graph at its beginning.")
@click.option("--end", multiple=True, help="Tensor to cut the graph at its end.")
@click.option(
    "--report", "only_report", is_flag=True, help="Say what each format will not take; no file."
)
@json_option
def convert(  # one command line, one parameter for each flag
    *,
    model: Path,
    formats: str,
    out: Path | None,
    data: Path | None,
    calib: Path | None,
    contract: Path | None,
    arch: str,
    start: tuple[str, ...],
    end: tuple[str, ...],
    only_report: bool,
    as_json: bool,
) -> None:
    """Write MODEL in other engine formats, each file checked and compared to it.

    MODEL is an ONNX file or the folder of a finished run; formats made of LiteRT also take a
    .tflite. A format whose toolchain is not installed here ends the command with exit code 3 and
    what to install; then nothing is written. --report works without any toolchain.
    """
    from edgewright.chain.conversion import ConvertOrder, convert_file
    from edgewright.workbench.convert import Wishes

    names = tuple(name.strip() for name in formats.split(",") if name.strip())
    if not names:
        raise click.UsageError("--to names no format")
    if only_report:
        _report(model, names, as_json=as_json)
        return
    if out is None:
        raise click.UsageError("--out names no folder")
    order = ConvertOrder(
        model=model,
        formats=names,
        out=out,
        data=data,
        calibration=calib,
        contract=contract,
        wishes=Wishes(arch=arch, start=start, end=end),
    )
    records = convert_file(order, tell=say)
    if as_json:
        print_json("conversions", {"files": records})
        return
    rows = [
        (
            record.format,
            record.path,
            f"{record.size_bytes / 1000:.1f}",
            record.parity,
            "" if record.max_abs is None else f"{record.max_abs:.2g}",
            record.sha256[:12],
        )
        for record in records
    ]
    print_table("", ("format", "file", "kB", "parity", "max abs", "sha256"), rows)
    for record in records:
        for note in record.notes:
            say(f"{record.format}: {note}")


def _report(model: Path, names: tuple[str, ...], *, as_json: bool) -> None:
    from edgewright.chain.conversion import report_file

    found = report_file(model, names)
    if as_json:
        print_json("readiness", {"formats": found})
        return
    rows = [
        (one.format, one.verdict, one.nodes, len(one.refused), ", ".join((*one.start, *one.end)))
        for one in found
    ]
    print_table("", ("format", "verdict", "nodes", "refused", "cut at"), rows)
    for one in found:
        for node in one.refused:
            say(f"{one.format}: {node.node} ({node.operator} {list(node.shape)}): {node.reason}")
        for line in one.rewritten:
            say(f"{one.format}: {line}")
        if one.missing:
            say(f"{one.format}: {one.missing}")
