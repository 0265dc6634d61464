"""A training run killed at every file-system call of it, and at moments of chance: what differs
after --resume from a run that was not killed.

    python bench/train_faults.py [--moments 40] [--budget-s 400]

Needs strace. With a budget it takes evenly spread points until the time is up, and says how many.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from _results import Recording
from _train_faults import killed_after, killed_at, points, whole, write_archive

LONGEST_S = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=8)
    parser.add_argument("--budget-s", type=float, default=400.0)
    arguments = parser.parse_args()
    with Recording("train_faults") as recording, tempfile.TemporaryDirectory() as name:
        folder, began_s = Path(name), time.monotonic()
        archive = folder / "people.npz"
        write_archive(archive)
        expected = whole(archive, folder)
        found = points(archive, folder)
        cases: list[tuple[str, object]] = [(f"{p.call} {p.path}", p) for p in found]
        chance = random.Random(0)
        cases += [("after", chance.uniform(0.0, LONGEST_S)) for _ in range(arguments.moments)]
        chance.shuffle(cases)
        done, different = 0, []
        for what, case in cases:
            if time.monotonic() - began_s > arguments.budget_s:
                break
            out = folder / "killed"
            after = (
                killed_after(case, archive, out)
                if isinstance(case, float)
                else killed_at(case, archive, out)
            )
            done += 1
            if after != expected:
                different.append(f"{what} {case}")
        recording.figures["kills"] = done
        recording.figures["kills_possible"] = len(cases)
        recording.figures["runs_that_differ"] = len(different)
        recording.raw["different"] = different
        print(recording.figures, different)


if __name__ == "__main__":
    main()
