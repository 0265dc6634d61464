"""`edgewright fleet attest`: what the TPM of a device that enrols must say."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgewright.cli._fleet import home_option, operator
from edgewright.cli._output import json_option, print_json, print_table

if TYPE_CHECKING:
    from edgewright.trust.quote import QuotePolicy


@click.group()
def attest() -> None:
    """Ask devices that enrol for a TPM's quote, and say what it may tell."""


@attest.command()
@click.argument("golden", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--pcr", "pcrs", type=click.IntRange(0, 23), multiple=True,
              help="Only these of its registers; all that it tells if absent.")  # fmt: skip
@click.option("--key", "keys", multiple=True,
              help="Id of a TPM key whose quotes count; then no other counts.")  # fmt: skip
@click.option("--maker", "makers", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
              help="Certificates of a maker of TPMs (PEM); then no other chips count.")  # fmt: skip
@home_option
@json_option
def allow(
    golden: Path | None,
    *,
    pcrs: tuple[int, ...],
    keys: tuple[str, ...],
    makers: tuple[Path, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Allow what a device tells that is as it should be, beside what is allowed already.

    GOLDEN comes from that device: edgewright agent tpm show --pcr 0 --pcr 7 --json. From then on a
    device enrols with `agent enroll --tpm` only.
    """
    from edgewright.chain.fleet import attest as chain_attest

    if golden is None and not keys and not makers:
        raise click.UsageError("give GOLDEN, --key or --maker")
    policy = chain_attest(home, golden, pcrs=pcrs, keys=keys, makers=makers, by=operator())
    _show(policy, as_json=as_json)


@attest.command()
@home_option
@json_option
def show(*, home: Path, as_json: bool) -> None:
    """Show what is allowed."""
    from edgewright.chain.fleet_attestation import FleetAttestation

    _show(FleetAttestation(home).policy(), as_json=as_json)


@attest.command()
@home_option
def off(*, home: Path) -> None:
    """Ask for no quote any more."""
    from edgewright.chain.fleet import attest_no_more

    attest_no_more(home, by=operator())
    click.echo("devices enrol without a quote")


def _show(policy: "QuotePolicy | None", *, as_json: bool) -> None:
    if as_json:
        print_json("attestation", {"policy": policy})
        return
    from edgewright.trust.endorsement import makers_in

    if policy is None:
        click.echo("devices enrol without a quote")
        return
    rows = [(f"pcr {n}", value) for n in policy.numbers for value in policy.pcrs[n]]
    names = [name for pem in policy.makers for name in makers_in(pem.encode())]
    any_key = "any in a TPM of these makers" if names else "any that a token vouches for"
    rows += [("key", key) for key in policy.keys] or [("key", any_key)]
    rows += [("maker", name) for name in names]
    print_table("", ("what", "allowed"), rows)
