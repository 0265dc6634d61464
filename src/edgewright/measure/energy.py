"""Energy from counters that exist: RAPL on x86, power sensors of boards (hwmon). Where there is
neither, `UnavailableError`: a figure that nobody measured is not given here.
"""

import time
from pathlib import Path
from typing import Protocol

from edgewright.errors import UnavailableError

POWERCAP = Path("/sys/class/powercap")
HWMON = Path("/sys/class/hwmon")


class EnergyMeter(Protocol):
    """Counts joules from its creation on."""

    source: str

    def joules(self) -> float:
        """Energy used so far; call it at least once a minute, counters wrap around."""


class RaplMeter:
    """The packages' own counters, which wrap at `max_energy_range_uj`."""

    def __init__(self, domains: tuple[Path, ...]) -> None:
        self.source = "RAPL " + ", ".join(
            (domain / "name").read_text().strip() for domain in domains
        )
        self._domains = domains
        self._ranges = tuple(_number(domain / "max_energy_range_uj") for domain in domains)
        self._last = self._counters()
        self._total_uj = 0.0

    def joules(self) -> float:
        now = self._counters()
        for before, after, wrap in zip(self._last, now, self._ranges, strict=True):
            self._total_uj += after - before if after >= before else after + wrap - before
        self._last = now
        return self._total_uj / 1e6

    def _counters(self) -> tuple[float, ...]:
        return tuple(_number(domain / "energy_uj") for domain in self._domains)


class PowerSensorMeter:
    """A board's power sensor, integrated over the moments at which it is read."""

    def __init__(self, sensors: tuple[Path, ...]) -> None:
        self.source = "hwmon " + ", ".join(str(sensor.name) for sensor in sensors)
        self._sensors = sensors
        self._last_w = self._watts()
        self._last_s = time.monotonic()
        self._total_j = 0.0

    def joules(self) -> float:
        watts, now_s = self._watts(), time.monotonic()
        self._total_j += (watts + self._last_w) / 2 * (now_s - self._last_s)
        self._last_w, self._last_s = watts, now_s
        return self._total_j

    def _watts(self) -> float:
        return sum(_number(sensor) for sensor in self._sensors) / 1e6


def open_energy_meter(*, powercap: Path = POWERCAP, hwmon: Path = HWMON) -> EnergyMeter:
    """The best counter of this machine.

    Raises:
        UnavailableError: it has none, or none that this user may read.
    """
    domains = tuple(sorted(powercap.glob("intel-rapl:[0-9]"))) if powercap.is_dir() else ()
    sensors = tuple(sorted(hwmon.glob("hwmon*/power*_input"))) if hwmon.is_dir() else ()
    try:
        if domains:
            return RaplMeter(domains)
        if sensors:
            return PowerSensorMeter(sensors)
    except PermissionError as error:
        raise UnavailableError(
            f"the energy counter {error.filename} may not be read by this user",
            hint="run as root, or give this user read permission on it",
        ) from error
    raise UnavailableError(
        "this machine shows no energy counter (RAPL or a power sensor)",
        hint="measure energy on a machine that has one, or with an external meter",
    )


def _number(path: Path) -> float:
    return float(path.read_text())
