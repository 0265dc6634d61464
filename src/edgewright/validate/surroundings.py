"""The machine and the server's process while load is on: what they used, and whether they were left
alone.
"""

import contextlib
from collections.abc import Iterator

from edgewright.errors import AbsentError, UnavailableError
from edgewright.evidence import Interval
from edgewright.measure import (
    EnergyMeter,
    Noise,
    noise_between,
    open_energy_meter,
    read_noise,
)
from edgewright.validate.figures import resource_figures
from edgewright.validate.order import Served
from edgewright.validate.resources import ResourceSample, ResourceWatch
from edgewright.validate.soundness import SoundnessLimits, noise_doubts


class Surroundings:
    """Watched while the block lasts. Energy is the whole machine's, the generator's share included,
    and only of a server on this machine. A server that ended meanwhile leaves no `noise`: whose the
    rest of the CPU time was cannot be told without its share.
    """

    def __init__(self, served: Served) -> None:
        self.samples: list[ResourceSample] = []
        self.noise: Noise | None = None
        self.has_ended = False
        self._served = served
        self._pids = () if served.pid is None else (served.pid,)
        self._joules: float | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Read the machine before and after, the process all along."""
        before = read_noise(*self._pids)
        meter = self._meter()
        look = meter.joules if meter is not None else lambda: None
        with ResourceWatch(self._served.pid, also=look) as watch:
            self.samples = watch.samples
            yield
        self._joules = None if meter is None else meter.joules()
        try:
            self.noise = noise_between(before, read_noise(*self._pids))
        except AbsentError:
            self.has_ended = True

    def doubts(self, limits: SoundnessLimits) -> tuple[str, ...]:
        """What the machine did to the measurement."""
        knows_server = bool(self._pids) or not self._served.target.is_loopback
        if self.noise is None:
            return ()
        return noise_doubts(self.noise, knows_server=knows_server, limits=limits)

    def figures(self, answered: int) -> dict[str, Interval]:
        """What was used; what the machine does not show is not there."""
        figures = resource_figures(self.samples, answered)
        noise = self.noise
        if self._joules is not None and noise is not None:
            figures["power"] = Interval(self._joules / noise.seconds)
            if answered:
                figures["energy per request"] = Interval(1e3 * self._joules / answered)
        if noise is not None and noise.hottest_c is not None:
            figures["hottest"] = Interval(noise.hottest_c)
        if noise is not None and noise.throttled is not None:
            figures["throttled"] = Interval(float(noise.throttled))
        return figures

    def _meter(self) -> EnergyMeter | None:
        if not self._served.target.is_loopback:
            return None
        try:
            return open_energy_meter()
        except UnavailableError:
            return None
