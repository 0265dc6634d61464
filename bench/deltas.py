"""How many bytes an update takes, by how far fine-tuning moved the weights.

    make prove SUITE=deltas

A few minutes. The network is made up (four convolutions, two dense layers, 1.1 million weights),
its weights are drawn from a normal distribution, and fine-tuning is a step of a stated size for
every weight. Real training leaves some weights where they were and moves others further, so these
figures are no promise for a real model.
"""

import time

import numpy as np

from _results import Recording
from edgewright._npz import encode_npz
from edgewright.bundle.delta import apply_delta, encode_delta, read_head

SHAPES = {
    "conv1": (64, 9, 5),
    "conv2": (128, 64, 5),
    "conv3": (256, 128, 5),
    "conv4": (256, 256, 5),
    "dense1": (512, 1152),
    "dense2": (6, 512),
}
LAST = "dense2"
WEIGHT_RMS = 0.05
FP32_STEPS = (1e-8, 1e-7, 1e-6)
INT8_STEPS = (5e-5, 1e-4, 2e-4)
LAST_STEP = 1e-2

Weights = dict[str, np.ndarray]


def main() -> None:
    """Steps of several sizes for fp32 and int8 weights, and a last layer that changed alone."""
    rng = np.random.default_rng(6)
    old = {name: _drawn(rng, shape, WEIGHT_RMS) for name, shape in SHAPES.items()}
    with Recording("deltas") as recording:
        _measure(recording, "last_layer", old, {**old, LAST: _tuned(rng, old, LAST_STEP)[LAST]})
        for rms in INT8_STEPS:
            name = f"int8_step_{rms:.0e}"
            _measure(recording, name, _int8(old), _int8(_tuned(rng, old, rms)))
        for rms in FP32_STEPS:
            _measure(recording, f"fp32_step_{rms:.0e}", old, _tuned(rng, old, rms))
        recording.raw["weight_rms"] = WEIGHT_RMS
        recording.raw["shapes"] = {name: list(shape) for name, shape in SHAPES.items()}


def _measure(recording: Recording, name: str, before: Weights, after: Weights) -> None:
    old, new = encode_npz(before), encode_npz(after)
    start_s = time.perf_counter()
    delta = encode_delta(old, new)
    encoded_s = time.perf_counter()
    if apply_delta(delta, old, limit_bytes=len(new)) != new:
        raise RuntimeError(f"{name}: the delta is wrong")
    applied_s = time.perf_counter()
    recording.figures[f"{name}_percent"] = round(100 * len(delta) / len(new), 3)
    recording.raw[name] = {
        "whole_bytes": len(new),
        "delta_bytes": len(delta),
        "codec": read_head(delta).codec,
        "encode_s": round(encoded_s - start_s, 2),
        "apply_s": round(applied_s - encoded_s, 3),
    }


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], rms: float) -> np.ndarray:
    return rng.normal(0.0, rms, shape).astype(np.float32)


def _tuned(rng: np.random.Generator, old: Weights, rms: float) -> Weights:
    """Every weight has moved by a step of this size (root mean square)."""
    return {name: array + _drawn(rng, array.shape, rms) for name, array in old.items()}


def _int8(weights: Weights) -> Weights:
    """Symmetric, by one scale that stays."""
    scale = 4.5 * WEIGHT_RMS / 127
    return {
        name: np.clip(np.round(array / scale), -127, 127).astype(np.int8)
        for name, array in weights.items()
    }


if __name__ == "__main__":
    main()
