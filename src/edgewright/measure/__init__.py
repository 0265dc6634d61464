"""Clocks and meters: what a process uses, what the machine is, whether it was quiet, how long an
answer takes.

Measured or absent: a meter that cannot run here raises `UnavailableError`, and nothing in this room
estimates. The names below load no numpy; `measure.latency` (interleaved timing of callables) and
`measure.load` (HTTP load, closed and open loop) do and are imported from their own files.

    >>> import os
    >>> reading = read_process(os.getpid())
    >>> reading.rss_bytes > 1_000_000, reading.threads >= 1
    (True, True)
"""

from edgewright.measure.clocks import CpuClock, usable_cores
from edgewright.measure.energy import EnergyMeter, open_energy_meter
from edgewright.measure.machine import Machine, describe_machine
from edgewright.measure.noise import Noise, NoiseReading, noise_between, read_noise
from edgewright.measure.procfs import (
    ProcessReading,
    descendants,
    listening_pid,
    listening_pid_of_socket,
    read_process,
    read_tree,
)
from edgewright.measure.thermal import Thermal, read_thermal

__all__ = [
    "CpuClock",
    "EnergyMeter",
    "Machine",
    "Noise",
    "NoiseReading",
    "ProcessReading",
    "Thermal",
    "descendants",
    "describe_machine",
    "listening_pid",
    "listening_pid_of_socket",
    "noise_between",
    "open_energy_meter",
    "read_noise",
    "read_process",
    "read_thermal",
    "read_tree",
    "usable_cores",
]
