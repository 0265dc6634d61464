"""`edgewright convert`: one model, several engine formats."""

from pathlib import Path

import click

from edgewright.cli._output import json_option, print_json, print_table

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_FILE)
@click.option("--to", "formats", required=True, help="Formats, separated by commas.")
@click.option("--out", type=_FILE, required=True, help="Folder for the files.")
@json_option
def convert(*, model: Path, formats: str, out: Path, as_json: bool) -> None:
    """Write MODEL in other engine formats, each file checked and compared to it.

    A format whose toolchain is not installed here ends the command with exit code 3 and what to
    install; then nothing is written.
    """
    from edgewright.chain.engines import engine_for_format
    from edgewright.workbench.convert import convert as write
    from edgewright.workbench.verify import run_rows

    names = tuple(name.strip() for name in formats.split(",") if name.strip())
    if not names:
        raise click.UsageError("--to names no format")
    session = engine_for_format("onnx").open(model)
    try:
        records = write(model, names, out, reference=lambda arrays: run_rows(session, arrays))
    finally:
        session.close()
    if as_json:
        print_json("conversions", {"files": records})
        return
    rows = [(r.format, r.path, f"{r.size_bytes / 1000:.1f}", r.sha256[:12]) for r in records]
    print_table("", ("format", "file", "kB", "sha256"), rows)
