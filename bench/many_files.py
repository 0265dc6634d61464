"""Importing a folder of very many small recordings: time, memory, and what is on disk afterwards.

    python bench/many_files.py [--files 600000] [--samples 24]

Every file is made up: noise around gravity, 6 labels, 30 people, one recording each. The command is
the one a user types, in a process of its own, once for a tenth of the files and once for all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from _results import Recording

LABELS, PEOPLE = 6, 30
AT_ONCE = 1000
MAPPING = """
path = "{label}/{subject}/*"
rate_hz = 20
channels = [
    { column = "ax", name = "acc_x", unit = "g" },
    { column = "ay", name = "acc_y", unit = "g" },
    { column = "az", name = "acc_z", unit = "g" },
]
"""


def write_files(root: Path, count: int, samples: int) -> None:
    """Recordings that differ from each other, a folder for each label and person."""
    rng = np.random.default_rng(3)
    for start in range(0, count, AT_ONCE):
        number = start // AT_ONCE
        folder = root / f"label{number % LABELS}" / f"{number % PEOPLE + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        many = rng.normal((0, 0, 1), 0.05, (min(AT_ONCE, count - start), samples, 3))
        for position, values in enumerate(many.tolist()):
            lines = "".join(f"{x:.3f},{y:.3f},{z:.3f}\n" for x, y, z in values)
            (folder / f"r{start + position}.csv").write_text(f"ax,ay,az\n{lines}")


def imported(root: Path, project: Path) -> dict[str, float]:
    """Seconds, CPU seconds, greatest memory and what is stored; raises when the command fails."""
    project.mkdir()
    mapping = project / "mapping.toml"
    mapping.write_text(MAPPING)
    command = [sys.executable, "-m", "edgewright", "data", "import", str(root), "--json"]
    command += ["--project", str(project), "--mapping", str(mapping)]
    before, start_s = os.times(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"the import failed: {said.decode()[-2000:]}")
    found = json.loads(said)
    after = os.times()
    return {
        "recordings": found["recordings"],
        "seconds": time.monotonic() - start_s,
        "cpu_s": after.children_user + after.children_system
        - before.children_user - before.children_system,
        "peak_mb": usage.ru_maxrss / 1024,
        "files_kept": sum(path.is_file() for path in project.rglob("*")) - 1,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, default=600_000)
    parser.add_argument("--samples", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Recording("many_files") as recording:
        for label, count in (("tenth", options.files // 10), ("all", options.files)):
            root = Path(name) / f"{label}-files"
            write_files(root, count, options.samples)
            found = imported(root, Path(name) / f"{label}-project")
            if found["recordings"] != count:
                raise SystemExit(f"{found['recordings']} recordings of {count} files are stored")
            recording.raw[label] = found
            recording.figures[f"{label}_files"] = count
            recording.figures[f"{label}_cpu_ms_per_file"] = round(1e3 * found["cpu_s"] / count, 2)
            recording.figures[f"{label}_peak_mb"] = round(found["peak_mb"])
            recording.figures[f"{label}_files_kept"] = found["files_kept"]
            print(label, found)


if __name__ == "__main__":
    main()
