"""A training run killed at every file-system call of it, and at moments of chance: what differs
after --resume from a run that was not killed.

    python bench/train_faults.py [--moments 40] [--budget-s 840]

Needs strace. The cases come in an order of chance; when the time is up, the record says how many
of all there were done.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from _results import Recording
from _train_faults import warm_trainer, write_archive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=40)
    parser.add_argument("--budget-s", type=float, default=840.0)
    arguments = parser.parse_args()
    with Recording("train_faults") as recording, tempfile.TemporaryDirectory() as name:
        folder, began_s = Path(name), time.monotonic()
        archive = folder / "people.npz"
        write_archive(archive)
        with warm_trainer(archive) as trainer:
            expected = trainer.whole(folder / "whole")
            found = trainer.points(folder)
            cases: list[tuple[str, object]] = [(f"{p.call} {p.path}", p) for p in found]
            chance = random.Random(0)
            began_run_s = time.monotonic()
            assert trainer.killed_after(0.0, folder / "killed") == expected
            longest_s = time.monotonic() - began_run_s
            cases += [("after", chance.uniform(0, longest_s)) for _ in range(arguments.moments)]
            chance.shuffle(cases)
            done, different = 0, []
            for what, case in cases:
                if time.monotonic() - began_s > arguments.budget_s:
                    break
                out = folder / "killed"
                after = (
                    trainer.killed_after(case, out)
                    if isinstance(case, float)
                    else trainer.killed_at(case, out)
                )
                done += 1
                if after != expected:
                    different.append(f"{what} {case}")
        recording.figures["kills"] = done
        recording.figures["kills_possible"] = len(cases)
        recording.figures["runs_that_differ"] = len(different)
        recording.raw["different"] = different
        recording.raw["calls"] = len(found)
        recording.raw["run_s"] = round(longest_s, 3)
        print(recording.figures, different)


if __name__ == "__main__":
    main()
