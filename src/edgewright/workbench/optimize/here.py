"""This machine as the place where variants are measured: in the sessions that are open already."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from edgewright.measure import Machine, describe_machine
from edgewright.measure.latency import interleaved
from edgewright.measure.pinning import pinned
from edgewright.measure.spending import spent_in_turn
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.engines import Weigh
from edgewright.workbench.optimize.place import Measured, Subject
from edgewright.workbench.optimize.trial import caller, clock_of, engine_feeds

WARM_UP_ROUNDS = 3

ON_A_CORE = (
    "latency: time on a core (CPU time of the calling thread, and of a process that computes for "
    "it); waiting for a core is on top"
)


class Here:
    """Measures in this process. Where engines compute on one thread of a CPU, the time that they
    have a core is taken: on a busy machine the wait for a core would drown what differs between
    variants. Otherwise it is the time that passes.
    """

    name = ""

    def __init__(
        self, *, seed: int, threads: int, counts_core_time: bool, weigh: Weigh | None = None
    ) -> None:
        self._counts_core_time = counts_core_time
        self._threads = threads
        self._rng = np.random.default_rng(seed)
        self._weigh = weigh
        self.notes = [ON_A_CORE] if counts_core_time else []

    @property
    def machine(self) -> Machine:
        """This one."""
        return describe_machine()

    def time(
        self,
        subjects: Sequence[Subject],
        inputs: Mapping[str, Array],
        *,
        rounds: int,
        seconds: float,
        with_energy: bool,
    ) -> list[Measured]:
        """See `Place.time`."""
        names = [str(i) for i in range(len(subjects))]
        sessions = dict(zip(names, (one.session for one in subjects), strict=True))
        calls = {name: caller(session, dict(inputs)) for name, session in sessions.items()}
        clocks = {name: clock_of(session) for name, session in sessions.items()}
        spending = {n: clock_of(session, time.process_time) for n, session in sessions.items()}
        with pinned():
            samples = interleaved(
                calls,
                rounds=rounds,
                seconds=seconds,
                warm_up_rounds=WARM_UP_ROUNDS,
                rng=self._rng,
                clock=clocks if self._counts_core_time else time.perf_counter,
            )
            spent = (
                spent_in_turn(calls, cpu_clocks=spending, rng=self._rng) if with_energy else None
            )
        if spent is not None and spent.how not in self.notes:
            self.notes.append(spent.how)
        return [
            Measured(
                ratio=samples.ratio(name, "0", rng=self._rng),
                latency_ms=samples.median_ms(name).value,
                rounds=samples.rounds,
                energy_ratio=spent.ratio(name, "0", rng=self._rng) if spent else None,
            )
            for name in names
        ]

    def weigh(self, subjects: Sequence[Subject], inputs: Mapping[str, Array]) -> list[Measured]:
        """See `Place.weigh`."""
        if self._weigh is None:
            return [Measured() for _ in subjects]
        return [
            Measured(
                memory_bytes=self._weigh(
                    one.engine,
                    one.path,
                    inputs=engine_feeds(one.session, inputs),
                    threads=self._threads,
                )
            )
            for one in subjects
        ]
