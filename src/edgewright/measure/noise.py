"""Was the machine quiet while we measured? Steal time, other processes, frequency, throttling.

A reading before and one after give a `Noise`; what share of it makes a measurement unsound is the
caller's rule, not this file's.
"""

import os
import time
from pathlib import Path

import msgspec

from edgewright.measure.clocks import usable_cores
from edgewright.measure.procfs import PROC, read_process, read_tree
from edgewright.measure.thermal import Thermal, read_thermal, throttled_between

_SYS_CPU = Path("/sys/devices/system/cpu")
_STAT_IDLE = (3, 4)
_STAT_STEAL = 7


class NoiseReading(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of the whole machine at one moment, seconds of CPU since boot."""

    at_s: float
    wall_at_s: float
    busy_s: float
    steal_s: float
    watched_s: float
    waited_s: float | None = None
    frequencies_mhz: tuple[float, ...] = ()
    pressure_some_s: float | None = None
    thermal: Thermal = Thermal()


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """What happened between two readings.

    `steal_share` and `others_share` are shares of all cores: taken by the hypervisor, and used by
    processes that belong to neither the server nor the generator. `wait_share` is what that did to
    ours: time spent ready to run without a core, over time running and waiting. `clock_step_s` is
    how far the wall clock moved against the monotonic one. `frequency_ratio` is the lowest over the
    highest frequency seen, `hottest_c` the highest temperature, `throttled` how often heat slowed
    the cores down; each None where the machine does not show it.
    """

    seconds: float
    steal_share: float
    others_share: float
    wait_share: float | None
    pressure_share: float | None
    frequency_ratio: float | None
    clock_step_s: float
    load_1min: float
    hottest_c: float | None = None
    throttled: int | None = None


def read_noise(
    *pids: int, root: Path = PROC, sys_cpu: Path = _SYS_CPU, thermal: Thermal | None = None
) -> NoiseReading:
    """A reading that counts this process, its ended children and the trees of `pids` as ours."""
    fields = [int(field) for field in (root / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    idle = sum(fields[index] for index in _STAT_IDLE)
    ours = [read_process(os.getpid(), root=root), *(read_tree(pid, root=root) for pid in pids)]
    spent = os.times()
    waits = [one.wait_s for one in ours if one.wait_s is not None]
    return NoiseReading(
        at_s=time.monotonic(),
        wall_at_s=time.time(),
        busy_s=(sum(fields) - idle - fields[_STAT_STEAL]) / tick,
        steal_s=fields[_STAT_STEAL] / tick,
        watched_s=sum(one.cpu_s for one in ours) + spent.children_user + spent.children_system,
        waited_s=sum(waits) if len(waits) == len(ours) else None,
        frequencies_mhz=read_frequencies(sys_cpu=sys_cpu),
        pressure_some_s=_pressure_s(root),
        thermal=thermal or read_thermal(),
    )


def noise_between(first: NoiseReading, last: NoiseReading, *, cores: int | None = None) -> Noise:
    """What two readings say together.

    >>> quiet = NoiseReading(at_s=0, wall_at_s=0, busy_s=5, steal_s=0, watched_s=1)
    >>> later = NoiseReading(at_s=10, wall_at_s=10, busy_s=15, steal_s=2, watched_s=6)
    >>> noise = noise_between(quiet, later, cores=2)
    >>> noise.steal_share, noise.others_share
    (0.1, 0.25)
    """
    seconds = max(last.at_s - first.at_s, 1e-9)
    capacity_s = seconds * (cores or os.cpu_count() or usable_cores())
    others_s = (last.busy_s - first.busy_s) - (last.watched_s - first.watched_s)
    frequencies = first.frequencies_mhz + last.frequencies_mhz
    temperatures = first.thermal.temperatures_c + last.thermal.temperatures_c
    pressure = None
    if first.pressure_some_s is not None and last.pressure_some_s is not None:
        pressure = (last.pressure_some_s - first.pressure_some_s) / seconds
    return Noise(
        seconds=seconds,
        steal_share=(last.steal_s - first.steal_s) / capacity_s,
        others_share=max(others_s, 0.0) / capacity_s,
        wait_share=_wait_share(first, last),
        pressure_share=pressure,
        frequency_ratio=min(frequencies) / max(frequencies) if frequencies else None,
        clock_step_s=(last.wall_at_s - first.wall_at_s) - (last.at_s - first.at_s),
        load_1min=os.getloadavg()[0],
        hottest_c=max(temperatures) if temperatures else None,
        throttled=throttled_between(first.thermal, last.thermal),
    )


def read_frequencies(*, sys_cpu: Path = _SYS_CPU) -> tuple[float, ...]:
    """The cores' current frequencies in MHz; empty where the kernel shows none."""
    paths = sorted(sys_cpu.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return tuple(float(path.read_text()) / 1000 for path in paths)


def _wait_share(first: NoiseReading, last: NoiseReading) -> float | None:
    if first.waited_s is None or last.waited_s is None:
        return None
    waited_s = max(last.waited_s - first.waited_s, 0.0)
    ran_s = max(last.watched_s - first.watched_s, 0.0)
    return waited_s / (waited_s + ran_s) if waited_s + ran_s > 0 else 0.0


def _pressure_s(root: Path) -> float | None:
    """Seconds in which some task waited for a core, since boot (PSI)."""
    try:
        line = (root / "pressure" / "cpu").read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    return int(line.rpartition("total=")[2]) / 1e6
