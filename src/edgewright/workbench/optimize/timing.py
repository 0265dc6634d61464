"""Latency and energy of trials against the baseline, from interleaved rounds."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from edgewright.errors import UnavailableError
from edgewright.measure import EnergyMeter, open_energy_meter
from edgewright.measure.latency import interleaved
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.trial import Trial, caller

_WARM_UP_ROUNDS = 3
_ENERGY_BLOCKS = 12
_ENERGY_BLOCK_S = 0.05


def time_trials(
    trials: Sequence[Trial],
    baseline: Trial,
    inputs: dict[str, Array],
    *,
    rounds: int,
    seconds: float,
    rng: np.random.Generator,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Write each trial's p50 ratio to the baseline, with its interval, into the trial. `clock` says
    what is measured; see `interleaved`.
    """
    everyone = [baseline, *(trial for trial in trials if trial is not baseline)]
    calls = {str(i): caller(trial.session, inputs) for i, trial in enumerate(everyone)}
    samples = interleaved(
        calls,
        rounds=rounds,
        seconds=seconds,
        warm_up_rounds=_WARM_UP_ROUNDS,
        rng=rng,
        clock=clock,
    )
    for i, trial in enumerate(everyone):
        trial.ratio = samples.ratio(str(i), "0", rng=rng)
        trial.latency_ms = samples.median_ms(str(i)).value
        trial.rounds = samples.rounds


def meter_trials(
    trials: Sequence[Trial], baseline: Trial, inputs: dict[str, Array], rng: np.random.Generator
) -> str:
    """Write each trial's energy per answer over the baseline's; returns how it was measured."""
    everyone = [baseline, *(trial for trial in trials if trial is not baseline)]
    meter, how = _meter()
    calls = [caller(trial.session, inputs) for trial in everyone]
    spent = np.zeros((_ENERGY_BLOCKS, len(calls)))
    for block in range(_ENERGY_BLOCKS):
        for position in rng.permutation(len(calls)):
            spent[block, position] = _per_call(calls[position], meter)
    ratios = np.median(spent / spent[:, :1], axis=0)
    for trial, ratio in zip(everyone, ratios, strict=True):
        trial.energy_ratio = float(ratio)
    return how


def _meter() -> tuple[Callable[[], float], str]:
    """Joules where a counter can be read, else seconds of CPU time."""
    try:
        meter: EnergyMeter = open_energy_meter()
    except UnavailableError:
        return time.process_time, "energy: estimated as CPU time, no energy counter can be read"
    return meter.joules, f"energy: measured by {meter.source}"


def _per_call(call: Callable[[], object], meter: Callable[[], float]) -> float:
    before, start_s = meter(), time.perf_counter()
    count = 0
    while time.perf_counter() - start_s < _ENERGY_BLOCK_S:
        call()
        count += 1
    return (meter() - before) / count
