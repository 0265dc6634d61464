"""How often `--quick` on a machine that nobody else uses ends INVALID: every one is a false alarm.

The bundle and limits are those of `_validate_suites`. Twenty suites of three scenarios, each run
once (a quick suite repeats nothing), about four and a half minutes. The machine must be idle; what
was seen of others is recorded with each suite.
"""

import tempfile
from pathlib import Path

from _results import Recording
from _validate_suites import write_bundle
from edgewright.chain.suite import run_suite
from edgewright.chain.validation import ValidationOrder
from edgewright.evidence.intervals import rate_interval

SUITES = 20


def run() -> None:
    with Recording("validate-idle") as recording, tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder))
        outcomes, runs = [], []
        for number in range(SUITES):
            asked = ValidationOrder(target=str(bundle), scenario="single-stream", seed=number)
            suite = run_suite(asked, is_quick=True)
            outcomes.append(suite.outcome)
            runs += [
                {
                    "scenario": one.scenario,
                    "outcome": one.verdict.outcome,
                    "reasons": one.verdict.reasons,
                    "others_share": None if one.noise is None else one.noise.others_share,
                    "wait_share": None if one.noise is None else one.noise.wait_share,
                }
                for one in suite.reports
            ]
            print(number, suite.outcome, [one["reasons"] for one in runs[-3:]], flush=True)
        recording.raw |= {"suites": outcomes, "runs": runs}
        _count(recording, "suites", outcomes)
        _count(recording, "runs", [one["outcome"] for one in runs])
    for name, value in recording.figures.items():
        print(f"{name:36} {value}")


def _count(recording: Recording, name: str, outcomes: list[str]) -> None:
    invalid = outcomes.count("INVALID")
    bounds = rate_interval(invalid, len(outcomes))
    recording.figures |= {
        f"{name}_made": len(outcomes),
        f"{name}_invalid": invalid,
        f"{name}_failed": outcomes.count("VALID-FAIL"),
        f"{name}_invalid_percent": round(100 * invalid / len(outcomes), 1),
        f"{name}_invalid_percent_high": round(100 * (bounds.high or 0.0), 1),
    }
