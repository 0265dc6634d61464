"""An engine whose models go bad on request; found by whoever has this folder on PYTHONPATH.

The model file is JSON: {"weight": rows, "ms": run time, "fault": kind, "after": passes}. A fault
shows only in the process of a candidate, after so many passes: the probe must not see it.
"""

import ctypes
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgewright.errors import InputError
from edgewright.runtimes.base import Array, Availability, EngineTensor, Placement

LEAK_BYTES = 4 << 20


class PlantedSession:
    def __init__(self, text: bytes) -> None:
        facts = json.loads(text)
        self.weight = np.array(facts["weight"], np.float32)
        self.seconds, self.fault, self.after = facts["ms"] / 1e3, facts["fault"], facts["after"]
        outputs, inputs = self.weight.shape
        self.inputs = (EngineTensor(name="x", dtype="float32", shape=(None, inputs)),)
        self.outputs = (EngineTensor(name="y", dtype="float32", shape=(None, outputs)),)
        self.placement = Placement(engine="planted", device="sleep", precision="fp32", threads=1)
        self.passes = 0
        self.kept: list[bytes] = []

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        self.passes += 1
        is_bad = self.passes > self.after and "candidate_child" in " ".join(sys.orig_argv)
        answer = feeds["x"] @ self.weight.T
        time.sleep(self.seconds * (2 if is_bad and self.fault == "slow" else 1))
        if not is_bad:
            return {"y": answer}
        if self.fault == "segfault":
            ctypes.string_at(0)
        elif self.fault == "hang":
            time.sleep(3600)
        elif self.fault == "leak":
            self.kept.append(bytes(bytearray(b"x") * LEAK_BYTES))
        elif self.fault == "nan":
            answer = answer * np.float32("nan")
        elif self.fault == "exit":
            sys.exit(0)
        return {"y": answer}

    def close(self) -> None:
        self.kept.clear()


class PlantedRuntime:
    name = "planted"
    formats = ("planted",)

    def availability(self) -> Availability:
        return Availability(available=True, version="1.0")

    def open(self, path: Path, *, threads: int = 1) -> PlantedSession:
        try:
            return PlantedSession(path.read_bytes())
        except (ValueError, KeyError) as error:
            raise InputError(f"{path} is no planted model: {error}") from error
