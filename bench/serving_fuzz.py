"""A million mutated requests against the HTTP side of a server: no crash, no hang, no 500.

    python bench/serving_fuzz.py [--inputs 1000000] [--first 0] [--processes 2]

On the hot path in C where that is installed (`PYTHONPATH=build/native` after `make native`).

An input is a function of its number; a finding is repeated by `--first NUMBER --inputs 1`.
"""

import argparse
import asyncio
import logging
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from _results import Recording
from _serving_fuzz import Findings, drive
from edgewright import _native

_CHUNK = 10_000
SUFFIX = {"python": "", "native": "-c"}


def run_chunk(first: int, count: int) -> Findings:
    logging.disable(logging.CRITICAL)
    return asyncio.run(drive(iter(range(first, first + count)), Findings()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    end = options.first + options.inputs
    starts = range(options.first, end, _CHUNK)
    counts = [min(_CHUNK, end - start) for start in starts]
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    with Recording(f"serving_fuzz{SUFFIX[_native.name()]}") as recording:
        inputs, slowest_s = 0, 0.0
        with ProcessPoolExecutor(options.processes) as pool:
            for found in pool.map(run_chunk, starts, counts):
                inputs += found.inputs
                slowest_s = max(slowest_s, found.slowest_s)
                statuses += found.statuses
                faults += found.faults
                for fault in found.faults:
                    print(fault)
        recording.figures["inputs"] = inputs
        recording.figures["faults"] = len(faults)
        recording.figures["answers"] = sum(statuses.values())
        recording.figures["answers_500"] = statuses[500]
        recording.figures["slowest_ms"] = round(slowest_s * 1e3, 1)
        recording.raw["statuses"] = {str(status): n for status, n in sorted(statuses.items())}
        recording.raw["first"] = options.first
        recording.raw["faults"] = faults[:100]
        print(recording.figures, recording.raw["statuses"])


if __name__ == "__main__":
    main()
