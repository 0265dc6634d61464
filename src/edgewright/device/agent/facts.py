"""What kind of device this is, as far as it says so itself."""

import os
import platform
from pathlib import Path

import msgspec

from edgewright.device.agent.health import Health, read_health

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
PACKAGES = ("edgewright", "numpy", "onnxruntime", "msgspec", "uvloop", "cryptography", "tuf")
BOARD_PLACES = ("firmware/devicetree/base/model", "class/dmi/id/product_name")
FACT_BYTES = 200


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Board, processor, memory, system and software; `health` is of this moment."""

    board: str
    cpu: str
    cpu_flags: tuple[str, ...]
    cores: int
    kernel: str
    system: str
    python: str
    packages: dict[str, str]
    health: Health


def read_facts(home: Path, *, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Facts:
    """The device that this home is on."""
    cpu = _pairs(proc / "cpuinfo", ":")
    flags = (cpu.get("flags") or cpu.get("Features") or "").split()
    return Facts(
        board=read_board(sys),
        cpu=cpu.get("model name") or platform.machine(),
        cpu_flags=tuple(flag for flag in FLAGS if flag in flags),
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        system=_pairs(Path("/etc/os-release"), "=").get("PRETTY_NAME", "").strip('"'),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        health=read_health(home, proc=proc, sys=sys),
    )


def read_board(sys: Path = Path("/sys")) -> str:
    """What the firmware calls this board; "" when it does not say."""
    return next((board for place in BOARD_PLACES if (board := _text(sys / place))), "")


def local_timezone(etc: Path = Path("/etc")) -> str:
    """The name of the time zone that this machine is set to; UTC when it does not say."""
    named = _text(etc / "timezone")
    if named:
        return named
    _, mark, name = os.path.realpath(etc / "localtime").partition("/zoneinfo/")
    return name if mark else "UTC"


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()[:FACT_BYTES]
    except OSError:
        return ""
    return content.rstrip(b"\0\n ").decode(errors="replace")


def _pairs(path: Path, separator: str) -> dict[str, str]:
    """The first value of each name in a file of lines."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [line.partition(separator) for line in lines]
    return {name.strip(): value.strip() for name, _, value in reversed(pairs)}


def _version(package: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - 1 MB that an idle agent need not hold

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
