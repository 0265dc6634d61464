"""Runs where the Hailo Dataflow Compiler is: `model.onnx` and `calib.npz` to `model.hef`."""

import sys
from pathlib import Path

import numpy as np
from hailo_sdk_client import ClientRunner


def main(name: str, arch: str) -> None:
    """Translate, optimize on the calibration rows, compile."""
    runner = ClientRunner(hw_arch=arch)
    runner.translate_onnx_model("model.onnx", name)
    with np.load("calib.npz") as arrays:
        rows = [arrays[key] for key in arrays.files]
    # The compiler works channel-last; a graph of one input takes the array itself.
    turned = [np.moveaxis(one, 1, -1) if one.ndim == 4 else one for one in rows]
    layers = [layer.name for layer in runner.get_hn_model().get_input_layers()]
    data = turned[0] if len(turned) == 1 else dict(zip(layers, turned, strict=True))
    runner.optimize(data)
    Path("model.hef").write_bytes(runner.compile())


main(*sys.argv[1:])
