"""`edgewright agent tpm`: what a device's TPM 2.0 tells, and secrets that it keeps."""

import sys
from pathlib import Path

import click

from edgewright.cli._output import json_option, print_json, print_table, say

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_PCRS = click.option("--pcr", "pcrs", type=click.IntRange(0, 23), multiple=True, required=True,
                     help="A register (PCR); repeatable.")  # fmt: skip


@click.group()
def tpm() -> None:
    """Show this device's TPM 2.0, and seal secrets to what it started."""


@tpm.command()
@click.option("--home", type=_FOLDER, required=True, help="The agent's own folder.")
@_PCRS
@json_option
def show(*, home: Path, pcrs: tuple[int, ...], as_json: bool) -> None:
    """Show the registers as they are now, and the id of the TPM's own identity key.

    With --json on a device that is as it should be, it is what `fleet attest allow` takes.
    """
    from edgewright.chain.device_tpm import DeviceTpm

    facts = DeviceTpm(home.absolute()).facts(pcrs)
    if as_json:
        print_json("tpm", facts)
        return
    rows = [("identity", facts.key_id), *((f"pcr {n}", v) for n, v in facts.pcrs.items())]
    print_table("", ("what", "value"), rows)


@tpm.command()
@click.argument("secret", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="A new file; worth nothing elsewhere.")
@_PCRS
def seal(secret: Path, *, out: Path, pcrs: tuple[int, ...]) -> None:
    """Seal the file SECRET (up to 128 bytes): it comes out only after the same boot."""
    from edgewright.chain import device_tpm

    device_tpm.seal(secret, out, pcrs=pcrs)
    say(f"{out}: sealed to registers {', '.join(map(str, sorted(set(pcrs))))}; now remove {secret}")


@tpm.command()
@click.argument("sealed", type=_FILE)
@click.option("--out", type=_FILE, help="A file, best in /run; else standard output.")
def unseal(sealed: Path, *, out: Path | None) -> None:
    """Get a secret back. Refused when this machine started something else."""
    from edgewright._fs import write_atomic
    from edgewright.chain import device_tpm

    secret = device_tpm.unseal(sealed)
    if out is None:
        sys.stdout.buffer.write(secret)
    else:
        write_atomic(out, secret, mode=0o600)
