"""One shape for every result file: what ran, on what, how long, the raw counts, the figures.

A suite is a script `bench/<suite>.py`; `make prove SUITE=<suite>` runs it at full size. Its figures
go through `Recording`, which writes `bench/results/<suite>.json` when the block ends without an
error, and nothing otherwise:

    from _results import Recording

    with Recording("serving") as recording:
        recording.raw["latencies_ms"] = latencies_ms
        recording.figures["latency_p95_ms"] = p95(latencies_ms)

A page of the docs cites a figure as a link, `[3.2 ms](bench/results/serving.json#latency_p95_ms)`,
and `tests/test_claims.py` compares the two. Units stand in the names of figures.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgewright import _fs
from edgewright.clock import iso

SCHEMA_VERSION = 1
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"

_CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
_PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "uvloop")

Figure = float | int | str | bool


class Recording:
    """The figures of one run of one suite, written as JSON when the block ends well."""

    def __init__(self, suite: str, *, folder: Path = RESULTS) -> None:
        self.path = folder / f"{suite}.json"
        self.figures: dict[str, Figure] = {}
        """What the docs may cite; the unit is in the name."""
        self.raw: dict[str, Any] = {}
        """What the figures were computed from: counts, samples, settings."""
        self._suite = suite

    def __enter__(self) -> Self:
        self._commit = commit()
        self._started_s = time.time()
        self._start_s = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.write()

    def write(self) -> None:
        """Write what there is so far, before something begins that may go wrong."""
        result = {
            "schema_version": SCHEMA_VERSION,
            "suite": self._suite,
            "command": shlex.join(["python", *map(_in_project, sys.argv)]),
            "commit": self._commit,
            "started": iso(self._started_s),
            "duration_s": round(time.monotonic() - self._start_s, 1),
            "machine": machine(),
            "figures": self.figures,
            "raw": self.raw,
        }
        text = json.dumps(result, indent=1, sort_keys=False, allow_nan=False)
        _fs.write_atomic(self.path, f"{text}\n".encode())
        print(f"wrote {_in_project(str(self.path))}", file=sys.stderr)


def commit() -> str:
    """The commit that is measured; `+changes` marks a working tree that differs from it."""
    head = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", "src", "bench", ":!bench/results")
    return f"{head or 'unknown'}{'+changes' if changes else ''}"


def machine() -> dict[str, Any]:
    """What a reader needs to know of this machine to judge a figure."""
    cpu = _cpu_facts()
    flags = cpu.get("flags", cpu.get("Features", "")).split()
    return {
        "cpu": cpu.get("model name", platform.machine()),
        "cpu_flags": [flag for flag in _CPU_FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _cpu_facts() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _in_project(text: str) -> str:
    """A path without the part that differs between machines."""
    path = Path(text)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else text
