"""The same rules for a model that is called in this process, without a server: what the agent's
probe asks of a bundle before it may be served.

Figures, budgets, doubts and verdict are those of scenario `single-stream`. One gate is added that
noise cannot touch: where even the quickest call took longer than the p95 may, no busy machine
explains it, so that a far too slow model is refused on a device that is busy serving another one.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Budgets
from edgewright.evidence import Gate, Interval, Verdict, decide
from edgewright.measure import Noise
from edgewright.validate.figures import latency_figures
from edgewright.validate.gates import budget_gates, unmeasured_budgets
from edgewright.validate.soundness import (
    SoundnessLimits,
    never_settled,
    noise_doubts,
    settled_at,
)


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one model: how long each call took, in order, the most memory, and what the
    machine did meanwhile.
    """

    latencies_s: NDArray[np.float64]
    memory_mb: float
    noise: Noise

    @property
    def figures(self) -> dict[str, Interval]:
        """Latencies after the warm-up, and memory."""
        cut = settled_at(self.latencies_s)
        kept = self.latencies_s[cut:] if cut <= len(self.latencies_s) // 4 else self.latencies_s
        memory = Interval(self.memory_mb, self.memory_mb, self.memory_mb)
        return {**latency_figures(kept), "server memory peak": memory}


def judge_calls(
    calls: Calls, budgets: Budgets, *, limits: SoundnessLimits | None = None
) -> Verdict:
    """The verdict on a model whose answers were found right."""
    figures = calls.figures
    gates = [Gate.at_most("wrong answers", 0, 0, timed=False)]
    gates += budget_gates(figures, budgets, is_open=False, is_offline=False)
    limit_ms = budgets.latency_p95_ms
    if limit_ms is not None and "latency min" in figures:
        quickest = figures["latency min"].value
        gates.append(
            Gate.at_most("latency of the quickest call", quickest, limit_ms, unit="ms", timed=False)
        )
    settled = never_settled(calls.latencies_s, settled_at(calls.latencies_s), limits=limits)
    doubts = noise_doubts(calls.noise, knows_server=True, limits=limits)
    doubts += (settled,) if settled else ()
    doubts += unmeasured_budgets(figures, budgets, is_offline=False)
    return decide(gates, unsound=doubts)
