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
@click.option("--out", type=_FILE, required=True, help="Folder for the files.")
@click.option("--data", type=_FILE, help="Golden inputs (.npz) to compare on; drawn if absent.")
@click.option("--calib", type=_FILE, help="Typical inputs (.npz), for integer formats.")
@click.option("--contract", type=_FILE, help="contract.toml: labels and normalisation to store.")
@click.option("--arch", default="", help="The chip, for vendor formats (hailo8, rk3588, ...).")
@click.option("--start", multiple=True, help="Tensor to cut the graph at its beginning.")
@click.option("--end", multiple=True, help="Tensor to cut the graph at its end.")
@json_option
def convert(  # one command line, one parameter for each flag
    *,
    model: Path,
    formats: str,
    out: Path,
    data: Path | None,
    calib: Path | None,
    contract: Path | None,
    arch: str,
    start: tuple[str, ...],
    end: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write MODEL in other engine formats, each file checked and compared to it.

    MODEL is an ONNX file or the folder of a finished run; formats made of LiteRT also take a
    .tflite. A format whose toolchain is not installed here ends the command with exit code 3 and
    what to install; then nothing is written.
    """
    from edgewright.chain.conversion import ConvertOrder, convert_file
    from edgewright.workbench.convert import Wishes

    names = tuple(name.strip() for name in formats.split(",") if name.strip())
    if not names:
        raise click.UsageError("--to names no format")
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
