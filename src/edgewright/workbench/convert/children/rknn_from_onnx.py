"""Runs where rknn-toolkit2 is: `model.onnx` (and `calib.npz`) to `model.rknn`."""

import sys
from pathlib import Path

import numpy as np
from rknn.api import RKNN


def main(platform: str) -> None:
    """Integers where calibration rows were given, else float16."""
    rknn = RKNN(verbose=False)
    _done(rknn.config(target_platform=platform), "config")
    _done(rknn.load_onnx(model="model.onnx"), "load_onnx")
    calibrated = Path("calib.npz").exists()
    if calibrated:
        _write_rows()
    dataset = "rows.txt" if calibrated else None
    _done(rknn.build(do_quantization=calibrated, dataset=dataset), "build")
    _done(rknn.export_rknn("model.rknn"), "export_rknn")
    rknn.release()


def _write_rows() -> None:
    lines = []
    with np.load("calib.npz") as arrays:
        for row in range(len(arrays[arrays.files[0]])):
            files = []
            for key in arrays.files:
                file = f"{key}_{row}.npy"
                np.save(file, arrays[key][row : row + 1])
                files.append(file)
            lines.append(" ".join(files))
    Path("rows.txt").write_text("\n".join(lines))


def _done(code: int, step: str) -> None:
    if code != 0:
        raise RuntimeError(f"{step} ended with code {code}")


main(*sys.argv[1:])
