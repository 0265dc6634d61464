"""Twelve bad models under 200 requests a second: each ends on the old one, no request fails. Then
the same under a name that is new on the device: each is refused, and the neighbour's client, which
asks as before, sees none fail. (Slow is nothing where there is no old model to compare with, and
golden requests alone are too few for the late faults: these three kinds are left out there.)

    make prove SUITE=bad_models

About 8 minutes; KINDS=hanging,slow takes some.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from _bad_models import KINDS, Rig, run_all, wrong_of
from _results import Recording

RATE = 200.0
NEIGHBOUR = "neighbour"
PROBATION_S = 20.0


async def main() -> None:
    kinds = os.environ.get("KINDS", ",".join(KINDS)).split(",")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, Recording("bad_models") as recording:
        rig = Rig(Path(folder), probation_s=PROBATION_S, rate=RATE)
        asked = failed = kept = 0
        async for verdict, witness in run_all(rig, kinds, rate=RATE):
            print(
                f"{verdict.kind}: {verdict.seconds} s, {witness.failed} of {witness.asked} failed"
            )
            print(f"    {verdict.reason}")
            wrong += wrong_of(verdict, witness)
            asked, failed = asked + witness.asked, failed + witness.failed
            kept += verdict.active == "1" and verdict.code != 0
            ordered = sorted(witness.latencies_ms) or [0.0]
            print(f"    {dict(witness.outcomes.most_common(3))}", flush=True)
            recording.raw[verdict.kind] = {
                "reason": verdict.reason,
                "seconds": verdict.seconds,
                "asked": witness.asked,
                "failed": witness.failed,
                "versions": dict(witness.versions),
                "p50_ms": round(ordered[len(ordered) // 2], 2),
                "max_ms": round(ordered[-1], 1),
            }
        recording.figures["bad_models"] = len(kinds)
        recording.figures["ended_on_the_old_model"] = kept
        recording.figures["requests"] = asked
        recording.figures["failed_requests"] = failed
        recording.figures["rate_rps"] = RATE
        asked = failed = refused = 0
        alone = [kind for kind in kinds if kind != "slow" and not kind.endswith("_late")]
        async for verdict, witness in run_all(rig, alone, rate=RATE, name=NEIGHBOUR):
            said = f"{witness.failed} of {witness.asked} failed; {verdict.reason}"
            print(f"{NEIGHBOUR} {verdict.kind}: {said}", flush=True)
            wrong += wrong_of(verdict, witness, active="")
            asked, failed = asked + witness.asked, failed + witness.failed
            refused += verdict.active == "" and verdict.code != 0
            recording.raw[f"{NEIGHBOUR} {verdict.kind}"] = {"reason": verdict.reason}
        recording.figures["bad_neighbours"] = len(alone)
        recording.figures["bad_neighbours_refused"] = refused
        recording.figures["neighbour_requests"] = asked
        recording.figures["neighbour_failed_requests"] = failed
    for line in wrong:
        print("WRONG", line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    asyncio.run(main())
