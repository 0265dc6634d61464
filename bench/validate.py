"""What validate's verdicts are worth. Each part writes its own `results/validate-PART.json`.

    python bench/validate.py               all parts, about 25 minutes
    python bench/validate.py generator     what the load generator itself costs, and its schedule
    python bench/validate.py statistics    false alarms and power of --against
    python bench/validate.py loadgen       the same server under LoadGen and under our generator
    python bench/validate.py planted       faults planted in a server: each is to be caught
    python bench/validate.py idle          how often an idle machine gives INVALID
    python bench/validate.py suites        --quick and --full on a bundle of a HAR model

The parts that read a clock are worth what the machine's quiet is worth; each records the noise.
"""

import sys

import _validate_generator
import _validate_idle
import _validate_loadgen
import _validate_planted
import _validate_statistics
import _validate_suites

PARTS = {
    "generator": _validate_generator.run,
    "statistics": _validate_statistics.run,
    "loadgen": _validate_loadgen.run,
    "planted": _validate_planted.run,
    "suites": _validate_suites.run,
    "idle": _validate_idle.run,
}


def main() -> None:
    wanted = sys.argv[1:] or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            sys.exit(f"there is no part {name!r}; there are: {', '.join(PARTS)}")
    for name in wanted:
        PARTS[name]()


if __name__ == "__main__":
    main()
