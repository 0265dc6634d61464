"""What a figure was measured on, in the words that decide inference speed."""

import platform
import sys
from pathlib import Path

import msgspec

from edgewright.measure.clocks import usable_cores
from edgewright.measure.procfs import PROC

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")

_FLAGS = frozenset(
    [
        "sse4_2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx_vnni",
        "avx512f",
        "avx512bw",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_int8",
        "amx_bf16",
        "asimd",
        "asimddp",
        "asimdhp",
        "i8mm",
        "bf16",
        "sve",
        "sve2",
        "neon",
        "vfpv4",
        "rvv",
        "hypervisor",
    ]
)
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as evidence cites it. `board` is empty where the firmware names none."""

    cpu: str
    flags: tuple[str, ...]
    architecture: str
    cores: int
    memory_mb: int
    os: str
    kernel: str
    python: str
    board: str = ""

    @property
    def text(self) -> str:
        """One line for a report."""
        name = f"{self.board}, {self.cpu}" if self.board else self.cpu
        flags = " ".join(self.flags) or "no vector flags seen"
        return (
            f"{name} ({flags}), {self.cores} cores, {self.memory_mb} MB, {self.os} "
            f"{self.architecture}, Linux {self.kernel}, Python {self.python}"
        )


def describe_machine(
    *,
    proc: Path = PROC,
    os_release: Path = Path("/etc/os-release"),
    device_tree_model: Path = DEVICE_TREE_MODEL,
) -> Machine:
    """This machine. Files that are absent leave their field empty or 0, nothing is guessed.

    >>> describe_machine().cores >= 1
    True
    """
    cpuinfo = _pairs(_text(proc / "cpuinfo"), ":")
    meminfo = _pairs(_text(proc / "meminfo"), ":")
    release = _pairs(_text(os_release), "=")
    flags = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    return Machine(
        cpu=_cpu_name(cpuinfo),
        flags=tuple(sorted(flags & _FLAGS)),
        architecture=platform.machine(),
        cores=usable_cores(),
        memory_mb=int((meminfo.get("MemTotal") or "0").split()[0]) // 1024,
        os=release.get("PRETTY_NAME", "").strip('"') or sys.platform,
        kernel=platform.release(),
        python=platform.python_version(),
        board=_text(device_tree_model).strip("\0\n "),
    )


def _cpu_name(cpuinfo: dict[str, str]) -> str:
    if cpuinfo.get("model name"):
        return cpuinfo["model name"]
    part = cpuinfo.get("CPU part", "")
    return _ARM_PARTS.get(part) or (f"CPU part {part}" if part else platform.machine())


def _pairs(text: str, separator: str) -> dict[str, str]:
    pairs = (line.partition(separator) for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if value}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
