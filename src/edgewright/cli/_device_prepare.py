"""`edgewright device prepare`: files that make a fresh machine a device."""

from pathlib import Path

import click

from edgewright.cli._output import json_option, print_json, say

_FILE = click.Path(path_type=Path, dir_okay=False)
KEY_LIMIT_BYTES = 16 << 10


@click.command()
@click.argument("name")
@click.option(
    "--system",
    type=click.Choice(["raspberry-pi-os", "debian", "jetpack"]),
    required=True,
    help="What runs on the machine.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--fleet", default="", help="The fleet's address for devices, with --token.")
@click.option("--token", default="", help="What `device token --for NAME` printed.")
@click.option("--key", "keys", type=_FILE, multiple=True, help="Public key, for `push` only.")
@click.option("--label", "labels", multiple=True, help="KEY=VALUE")
@click.option("--package", default="edgewright", show_default=True, help="What pip installs.")
@click.option("--wheelhouse", default="", help="Folder on the machine with wheels: no network.")
@click.option("--ssh-key", "ssh_keys", type=_FILE, multiple=True, help="Public key let in by SSH.")
@json_option
def prepare(
    name: str,
    *,
    system: str,
    out: Path,
    fleet: str,
    token: str,
    keys: tuple[Path, ...],
    labels: tuple[str, ...],
    package: str,
    wheelhouse: str,
    ssh_keys: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write what makes a fresh machine the device NAME: cloud-init data or a first-boot script.

    The machine checks itself (architecture, Python, disk, memory, clock, and what its system brings
    for accelerators), installs the package, enrols and starts the agent; what it found it keeps in
    /var/lib/edgewright/prepare.json. Not verified on hardware. The files may hold a token: keep
    them like a password.
    """
    import msgspec

    from edgewright import _fs
    from edgewright.errors import InputError
    from edgewright.fleet.labels import check_name
    from edgewright.fleet.prepare import PrepareOrder, prepared_files

    def read(path: Path) -> str:
        return _fs.read_limited(path, limit_bytes=KEY_LIMIT_BYTES).decode(errors="replace")

    check_name("device", name)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty", hint="choose another folder")
    order = msgspec.convert(
        {
            "system": system,
            "device": name,
            "fleet_url": fleet,
            "token": token,
            "keys": tuple(map(read, keys)),
            "labels": labels,
            "package": package,
            "wheelhouse": wheelhouse,
            "ssh_keys": tuple(read(path).strip() for path in ssh_keys),
        },
        PrepareOrder,
    )
    files = prepared_files(order)
    _fs.make_dirs(out)
    for file in files:
        _fs.write_atomic(out / file.name, file.content.encode(), mode=file.mode)
    if as_json:
        names = [{"name": file.name, "mode": f"{file.mode:o}"} for file in files]
        print_json("device-prepared", {"folder": str(out), "files": names})
        return
    for file in files:
        click.echo(out / file.name)
    say(f"what to do with them is in {out / 'README.txt'}")
