"""The files of a prepared machine, as names and contents."""

import base64
import shlex
from collections.abc import Iterator

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from edgewright.fleet.prepare.plan import PrepareOrder

SETUP = "edgewright-setup"
SETUP_UNIT = "edgewright-setup.service"
AGENT_UNIT = "edgewright-agent.service"
TOKEN = "token"  # noqa: S105 - a file's name
PACKAGES = ("python3", "python3-venv", "ca-certificates")


class PreparedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file to write; a secret one is its owner's only."""

    name: str
    content: str
    mode: int = 0o644

    def __repr__(self) -> str:
        return f"PreparedFile({self.name!r})"


def prepared_files(order: PrepareOrder) -> tuple[PreparedFile, ...]:
    """What to put where, by the system of the machine.

    Raises:
        InputError: no machine can be made of this order.
    """
    order.checked()
    match order.system:
        case "debian":
            return (*_cloud_init(order), _guide(order))
        case "raspberry-pi-os":
            return (*_cloud_init(order), _first_run(order), _guide(order))
        case "jetpack":
            return (*_parts(order), _for_root_file_system(order), _guide(order))


def setup_script(order: PrepareOrder) -> str:
    """What runs on the machine once it has a network, again and again until it succeeded."""
    enroll = ["--device", order.device]
    for label in order.labels:
        enroll += ["--label", label]
    return _rendered(
        "setup.sh",
        order,
        enroll=shlex.join(enroll),
        fleet=shlex.quote(order.fleet_url),
        package=shlex.quote(order.package),
        wheelhouse=shlex.quote(order.wheelhouse),
    )


def _parts(order: PrepareOrder) -> Iterator[PreparedFile]:
    """What lies on the machine, whatever brings it there."""
    yield PreparedFile(name=SETUP, content=setup_script(order), mode=0o755)
    yield PreparedFile(name=SETUP_UNIT, content=_rendered(SETUP_UNIT, order))
    yield PreparedFile(name=AGENT_UNIT, content=_rendered(AGENT_UNIT, order))
    if order.token:
        yield PreparedFile(name=TOKEN, content=f"{order.token}\n", mode=0o600)
    for number, key in enumerate(order.keys, start=1):
        yield PreparedFile(name=f"release-{number}.pub", content=key)


def _places(order: PrepareOrder) -> Iterator[tuple[str, PreparedFile]]:
    for part in _parts(order):
        folder = "/etc/systemd/system" if part.name.endswith(".service") else "/etc/edgewright"
        yield (f"/usr/local/sbin/{SETUP}" if part.name == SETUP else f"{folder}/{part.name}"), part


def _cloud_init(order: PrepareOrder) -> Iterator[PreparedFile]:
    """JSON is YAML too, and nothing in it needs a second way of quoting."""
    told: dict[str, object] = {
        "hostname": order.hostname,
        "package_update": True,
        "packages": [*PACKAGES],
        "write_files": [
            {
                "path": path,
                "owner": "root:root",
                "permissions": f"0{part.mode:o}",
                "encoding": "b64",
                "content": base64.b64encode(part.content.encode()).decode(),
            }
            for path, part in _places(order)
        ],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", "--now", "--no-block", SETUP_UNIT],
        ],
    }
    if order.ssh_keys:
        told["ssh_authorized_keys"] = [*order.ssh_keys]
    text = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    mode = 0o600 if order.token else 0o644
    yield PreparedFile(name="user-data", content=f"#cloud-config\n{text}\n", mode=mode)
    meta = {"instance-id": f"edgewright-{order.hostname}", "local-hostname": order.hostname}
    yield PreparedFile(name="meta-data", content=f"{msgspec.json.encode(meta).decode()}\n")


def _first_run(order: PrepareOrder) -> PreparedFile:
    """For images of Raspberry Pi OS without cloud-init: laid on the boot partition and named in
    `cmdline.txt`, it runs once before there is a network, lays everything down, and restarts.
    """
    content = _rendered("firstrun.sh", order, files=_laid_down(order, root=""))
    return PreparedFile(name="firstrun.sh", content=content, mode=0o700 if order.token else 0o755)


def _for_root_file_system(order: PrepareOrder) -> PreparedFile:
    content = _rendered("install-into.sh", order, files=_laid_down(order, root='"$root"'))
    mode = 0o700 if order.token else 0o755
    return PreparedFile(name="install-into.sh", content=content, mode=mode)


def _laid_down(order: PrepareOrder, *, root: str) -> list[dict[str, str]]:
    return [
        {
            "name": part.name,
            "path": f"{root}{shlex.quote(path)}",
            "mode": f"{part.mode:o}",
            "content": base64.b64encode(part.content.encode()).decode(),
        }
        for path, part in _places(order)
    ]


def _guide(order: PrepareOrder) -> PreparedFile:
    return PreparedFile(name="README.txt", content=_rendered("README.txt", order))


def _rendered(name: str, order: PrepareOrder, **values: object) -> str:
    return _ENVIRONMENT.get_template(f"{name}.j2").render(order=order, **values)


_ENVIRONMENT = Environment(
    loader=PackageLoader("edgewright.fleet.prepare"),
    autoescape=False,  # noqa: S701 - shell and text, quoted by shlex and base64
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
