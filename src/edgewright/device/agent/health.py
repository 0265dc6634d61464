"""How the device itself is, read from /proc and /sys."""

import shutil
from pathlib import Path

import msgspec

MIB = 1 << 20
KIB_PER_MIB = 1024


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Free memory, free disk under the agent's home, and the hottest sensor if there is one."""

    memory_free_mb: float
    disk_free_mb: float
    temperature_c: float | None = None


def read_health(home: Path, *, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Health:
    """The device now."""
    return Health(
        memory_free_mb=round(_available_kib(proc) / KIB_PER_MIB, 1),
        disk_free_mb=round(shutil.disk_usage(home).free / MIB, 1),
        temperature_c=_hottest_c(sys),
    )


def _available_kib(proc: Path) -> float:
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return float(rest.split()[0])
    return 0.0


def _hottest_c(sys: Path) -> float | None:
    readings = []
    for path in sys.glob("class/thermal/thermal_zone*/temp"):
        try:
            readings.append(int(path.read_text()) / 1000)
        except (OSError, ValueError):
            continue  # a sensor that is switched off answers with an error
    return max(readings, default=None)
