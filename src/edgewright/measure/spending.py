"""Energy per call of several callables on one machine, compared in blocks that take turns.

A counter of energy moves in steps of a millisecond or more, so that each callable runs for a while
before it is read; blocks come in random order, so that a busy second hits all of them.
"""

import time
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError, UnavailableError
from edgewright.evidence.interval import Interval
from edgewright.evidence.intervals import median_interval
from edgewright.measure.energy import EnergyMeter, open_energy_meter

BLOCKS = 12
BLOCK_S = 0.05

CPU_TIME = "energy: estimated as CPU time, no energy counter can be read"


class EnergySamples(msgspec.Struct, frozen=True, kw_only=True):
    """What `spent_in_turn` measured: joules (or CPU seconds) per call; row r of every name is block
    r. `how` says which of the two.
    """

    per_call: dict[str, NDArray[np.float64]]
    how: str

    def ratio(self, name: str, base: str, *, rng: np.random.Generator) -> Interval:
        """How many times as much `name` uses as `base`: the median over blocks."""
        spent, compared = self.per_call[name], self.per_call[base]
        if name == base:
            return Interval(1.0, 1.0, 1.0)
        if not (compared > 0).all():
            raise InputError(
                f"{base}: a block of {BLOCK_S:g} s used nothing by this counter",
                hint="measure energy with a finer counter",
            )
        return median_interval(spent / compared, rng=rng, rounds=500)


def spent_in_turn(
    callables: Mapping[str, Callable[[], object]],
    *,
    cpu_clocks: Mapping[str, Callable[[], float]],
    rng: np.random.Generator,
    blocks: int = BLOCKS,
    block_s: float = BLOCK_S,
    open_meter: Callable[[], EnergyMeter] = open_energy_meter,
) -> EnergySamples:
    """Let each callable run for `block_s`, `blocks` times. Where no energy counter can be read,
    the CPU time that its clock counts stands for energy, and `how` says so.
    """
    clocks, how = cpu_clocks, CPU_TIME
    try:
        meter = open_meter()
    except UnavailableError:
        pass
    else:
        clocks, how = dict.fromkeys(callables, meter.joules), f"energy: measured by {meter.source}"
    names = list(callables)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(blocks):
        for position in rng.permutation(len(names)):
            name = names[position]
            spent[name].append(_per_call(callables[name], clocks[name], block_s))
    return EnergySamples(
        per_call={name: np.array(values) for name, values in spent.items()}, how=how
    )


def _per_call(call: Callable[[], object], meter: Callable[[], float], block_s: float) -> float:
    before, start_s = meter(), time.perf_counter()
    count = 0
    while time.perf_counter() - start_s < block_s:
        call()
        count += 1
    return (meter() - before) / count
