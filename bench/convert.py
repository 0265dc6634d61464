"""The HAR model to every format that can be written here, in one call, each compared to it.

    make prove SUITE=convert

Sizes, and the time of one window on one thread where the format has an engine here: medians over
interleaved rounds, and ratios to ONNX Runtime on the ONNX file. The weights are as drawn, not
trained: neither size nor speed depends on them. Needs the extras openvino, litert, litert-convert,
executorch, coreml and mcu.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from _results import Recording
from edgewright.chain.engines import engine_for_format
from edgewright.contract import Channel
from edgewright.measure.latency import interleaved
from edgewright.runtimes.base import Session
from edgewright.workbench.convert import ExportRecord, convert
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.recipes.base import ModelFacts

ENGINES = ("onnx", "openvino", "litert", "executorch")
ROUNDS = 150
CHANNELS = tuple(
    Channel(name=f"{sensor}_{axis}", unit=unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"))
    for axis in "xyz"
)
FACTS = ModelFacts(length=100, channels=CHANNELS, labels=tuple("abcdef"), rate_hz=50.0)


def main() -> None:
    """One conversion, one table."""
    with tempfile.TemporaryDirectory() as name, Recording("convert") as recording:
        folder = Path(name)
        source, window = har_model(folder)
        begun_s = time.monotonic()
        records = convert(
            source, ["all"], folder / "out", open_engine=engine_for_format, tell=print
        )
        recording.figures["formats"] = len(records)
        recording.figures["verified"] = sum(one.parity == "verified" for one in records)
        recording.figures["seconds"] = round(time.monotonic() - begun_s, 1)
        latencies = measured(records, window)
        for one in records:
            latency = latencies.get(one.format, {})
            recording.raw[one.format] = {
                "size_bytes": one.size_bytes,
                "parity": one.parity,
                "max_abs": one.max_abs,
                "notes": one.notes,
                **latency,
            }
            recording.figures[f"{one.format}_kb"] = round(one.size_bytes / 1000, 1)
            if latency:
                recording.figures[f"{one.format}_ratio"] = latency["ratio"]
            print(
                f"{one.format:14} {one.size_bytes / 1000:9.1f} kB  {one.parity:10} "
                f"{one.max_abs}  {latency}"
            )


def har_model(folder: Path) -> tuple[Path, np.ndarray]:
    """`har-quick` for windows of 100 x 6."""
    torch.manual_seed(0)
    recipe = find_recipe("har")
    module = recipe.build(FACTS).eval()
    window = np.random.default_rng(0).normal(size=(2, 100, 6)).astype(np.float32)
    path = folder / "har.onnx"
    outputs = graph_outputs(recipe.contract(FACTS))
    export_onnx(module, {"x": window}, path, inputs=("x",), outputs=outputs)
    return path, window[:1]


def measured(
    records: tuple[ExportRecord, ...], window: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """Medians and ratios of the formats that an engine here runs."""
    sessions: dict[str, Session] = {
        one.format: engine_for_format(one.format).open(Path(one.path), threads=1)
        for one in records
        if one.format in ENGINES
    }
    rng = np.random.default_rng(0)
    samples = interleaved(
        {
            name: (lambda session=session: session.run({session.inputs[0].name: window}))
            for name, session in sessions.items()
        },
        rounds=ROUNDS,
        seconds=60,
        rng=rng,
    )
    found: dict[str, dict[str, float | None]] = {}
    for name in sessions:
        ratio = samples.ratio(name, "onnx", rng=rng)
        found[name] = {
            "p50_ms": round(samples.median_ms(name).value, 4),
            "ratio": round(ratio.value, 3),
            "ratio_low": ratio.low,
            "ratio_high": ratio.high,
        }
    for session in sessions.values():
        session.close()
    return found


if __name__ == "__main__":
    main()
