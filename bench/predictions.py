"""Whether predicted latency and memory hold for models that the machine was not calibrated on.

    make prove SUITE=predictions

The machine is measured on made-up networks, then every reference model and every network of the
activity recipe is predicted, and measured afterwards: time that a call has a core to itself, as a
multiple of a yardstick that ran in the same rounds, and the peak of a process. Their widths differ
from what was made up, their weights are as drawn. Those in `NEW` were never looked at while the
costs and the made-up families were chosen; the others were, in earlier editions.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import _models
import _recipe_models
from _optimized_models import tensorflow_lite
from _results import Recording
from edgewright.chain.engines import engine_for_format
from edgewright.chain.weighing import weigh
from edgewright.contract import Channel
from edgewright.evidence import Interval
from edgewright.workbench.convert.contract_file import graph_outputs
from edgewright.workbench.convert.torch_onnx import export_onnx
from edgewright.workbench.optimize.measuring import Bench, calibrate, check
from edgewright.workbench.recipes import find_recipe
from edgewright.workbench.recipes.base import ModelFacts

CHANNELS = tuple(
    Channel(name=f"{sensor}_{axis}", unit=unit)
    for sensor, unit in (("acc", "g"), ("gyro", "rad/s"))
    for axis in "xyz"
)
FACTS = ModelFacts(length=100, channels=CHANNELS, labels=tuple("abcdef"), rate_hz=50.0)
NETWORKS: dict[str, dict[str, Any]] = {
    "har-quick-narrow": {"architecture": "har-quick", "widths": [24, 40]},
    "har-quick-wide": {"architecture": "har-quick", "widths": [96, 160, 200]},
    "har-fusion": {"architecture": "har-fusion"},
    "har-fusion-narrow": {"architecture": "har-fusion", "widths": [24, 32]},
    "transformer": {"architecture": "transformer"},
    "gru": {"architecture": "gru"},
}
TENSORFLOW_LITE = ("ic_resnet8", "vww_mbv1_025", "ad01")
NEW = ("gru", *TENSORFLOW_LITE)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, Recording("predictions") as recording:
        bench = Bench(runtime=engine_for_format("onnx"), weigh=weigh)
        known = calibrate(bench)
        recording.raw["calibrated_on"] = len(known)
        rows = []
        for path in _unseen(Path(name)):
            found, seen = check(path, known, bench)
            latency, memory = found.prediction.latency_ms, found.prediction.memory_mb
            assert memory is not None
            rows.append(
                {
                    "model": path.stem,
                    "measured_ms": found.latency_ms,
                    "predicted_ms": latency.value,
                    "low_ms": latency.low,
                    "high_ms": latency.high,
                    "measured_mb": found.memory_mb,
                    "predicted_mb": memory.value,
                    "low_mb": memory.low,
                    "high_mb": memory.high,
                    "latency_held": found.latency_held,
                    "memory_held": found.memory_held,
                    "ratio": seen.ratio,
                    "widths": [_width(latency), _width(memory)],
                }
            )
            print(rows[-1], flush=True)
        recording.raw["models"] = rows
        recording.figures["models"] = len(rows)
        recording.figures["latency_held"] = sum(bool(row["latency_held"]) for row in rows)
        recording.figures["memory_held"] = sum(bool(row["memory_held"]) for row in rows)
        recording.figures["new_models"] = len(NEW)
        recording.figures["new_latency_held"] = sum(
            bool(row["latency_held"]) for row in rows if row["model"] in NEW
        )
        widths = np.array([row["widths"] for row in rows])
        recording.figures["latency_upper_over_lower"] = round(float(np.median(widths[:, 0])), 2)
        recording.figures["memory_upper_over_lower"] = round(float(np.median(widths[:, 1])), 2)
        print(recording.figures)


def _width(interval: Interval) -> float:
    assert interval.high is not None
    assert interval.low is not None
    return interval.high / interval.low


def _unseen(folder: Path) -> list[Path]:
    found = [
        build(folder / f"{name}.onnx")
        for name, build in {**_models.BUILDERS, **_recipe_models.BUILDERS}.items()
    ]
    torch.manual_seed(0)
    window = np.random.default_rng(0).normal(size=(2, 100, 6)).astype(np.float32)
    for name, options in NETWORKS.items():
        recipe = find_recipe("har").with_options(options, source="bench/predictions.py")
        path = folder / f"{name}.onnx"
        outputs = graph_outputs(recipe.contract(FACTS))
        module = recipe.build(FACTS).eval()
        export_onnx(module, {"x": window}, path, inputs=("x",), outputs=outputs)
        found.append(path)
    for name in TENSORFLOW_LITE:
        (own := folder / f"tflite-{name}").mkdir()
        path, _, _ = tensorflow_lite(name, own)
        found.append(path.rename(folder / f"{name}.onnx"))
    return found


if __name__ == "__main__":
    main()
