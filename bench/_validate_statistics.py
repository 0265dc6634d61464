"""False alarms and power of `validate --against`, on two fresh processes of one version each time.

Forty live comparisons, then 400 drawn from what they recorded: a comparison's processes, its pairs
of rounds with replacement, and which of the two is called the new one. For the power the new one's
latencies are multiplied by the planted slow-down. Processes of one version differ for as long as
they live; that is in the live runs and in the drawn ones alike. What is drawn from a comparison
that the machine spoilt is INVALID, as the comparison was.

The chance of a false alarm is at most 1 in 400 by the test's construction (exact signed ranks, a
coin for every pair); this is the check that nothing else raises it. About four minutes.
"""

import tempfile
from pathlib import Path

import numpy as np

from _models import build_mlp_16
from _results import Recording
from edgewright.chain.validation import ValidationOrder
from edgewright.chain.versus import run_versus
from edgewright.evidence.intervals import rate_interval
from edgewright.validate.soundness import noise_doubts
from edgewright.validate.versus import VersusOrder, judge_rounds, versus_verdict

LIVE = 40
DRAWN = 400
ROUNDS = 48
ROUND_S = 0.03


def run() -> None:
    with Recording("validate-statistics") as recording:
        recorded, outcomes, spoilt = _live()
        recording.raw |= {"rounds": ROUNDS, "round_s": ROUND_S, "live_outcomes": outcomes}
        recording.raw["live_p50_ratios"] = [
            round(judge_rounds(one["latency p50"]).ratio.value, 4) for one in recorded
        ]
        recording.raw["live_noise_doubts"] = spoilt
        _count(recording, "live", outcomes)
        for name, slower in (
            ("equal", 1.0),
            ("slower_10_percent", 1.1),
            ("slower_20_percent", 1.2),
        ):
            drawn = _drawn(recorded, spoilt, slower, np.random.default_rng(17))
            _count(recording, f"drawn_{name}", drawn)
    for name, value in recording.figures.items():
        print(f"{name:44} {value}")


def _live() -> tuple[list[dict], list[str], list[tuple[str, ...]]]:
    recorded, outcomes, spoilt = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        model = build_mlp_16(Path(folder) / "mlp-16.onnx")
        for number in range(LIVE):
            asked = ValidationOrder(target=str(model), scenario="single-stream", seed=number)
            order = VersusOrder(rounds=ROUNDS, round_s=ROUND_S, attempts=2, seed=number)
            report = run_versus(asked, str(model), order)
            spoilt.append(noise_doubts(report.noise, knows_server=True))
            recorded.append(report.rounds_ms)
            outcomes.append(report.outcome)
            print(number, report.outcome, report.shifts["latency p50"].ratio, flush=True)
    return recorded, outcomes, spoilt


def _drawn(
    recorded: list[dict],
    spoilt: list[tuple[str, ...]],
    slower: float,
    rng: np.random.Generator,
) -> list[str]:
    outcomes = []
    for _ in range(DRAWN):
        place = int(rng.integers(len(recorded)))
        one = recorded[place]
        rows = rng.integers(0, ROUNDS, ROUNDS)
        new = int(rng.integers(2))
        shifts = {}
        for name, rounds in one.items():
            pairs = np.array(rounds)[rows]
            before, after = pairs[:, 1 - new], pairs[:, new] * slower
            shifts[name] = judge_rounds(tuple(zip(before.tolist(), after.tolist(), strict=True)))
        outcomes.append(versus_verdict(shifts, doubts=spoilt[place]).outcome)
    return outcomes


def _count(recording: Recording, name: str, outcomes: list[str]) -> None:
    total = len(outcomes)
    failed = outcomes.count("VALID-FAIL")
    bounds = rate_interval(failed, total)
    recording.figures |= {
        f"{name}_runs": total,
        f"{name}_failed": failed,
        f"{name}_invalid": outcomes.count("INVALID"),
        f"{name}_failed_percent_low": round(100 * (bounds.low or 0.0), 2),
        f"{name}_failed_percent_high": round(100 * (bounds.high or 0.0), 2),
    }
