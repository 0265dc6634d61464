"""Runs in `.venv-convert-tensorflow`: `argv[1]` (a Keras file or a SavedModel folder) to
`model.onnx`, and TensorFlow's own answers to `samples.npz` in `answers.npz`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

OPSET = 18


def main() -> None:
    source = Path(sys.argv[1])
    function, specs = _saved(source) if source.is_dir() else _keras(source)
    samples = dict(np.load("samples.npz"))
    names = [spec.name for spec in specs]
    if list(samples) == ["_"] and len(names) == 1:
        samples = {names[0]: samples["_"]}
    missing = [name for name in names if name not in samples]
    if missing:
        sys.exit(f"Error: no array for input(s) {missing}, the samples hold {sorted(samples)}")
    fed = {
        spec.name: samples[spec.name].astype(spec.dtype.as_numpy_dtype, copy=False)
        for spec in specs
    }
    results = tf.nest.flatten(function(*(tf.constant(fed[name]) for name in names)))
    model, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)
    outputs = [f"output_{at}" for at in range(len(results))] if len(results) > 1 else ["output"]
    _rename(model, names, outputs)
    onnx.save_model(model, "model.onnx")
    answers = {f"in:{name}": array for name, array in fed.items()}
    answers |= {f"out:{n}": r.numpy() for n, r in zip(outputs, results, strict=True)}
    np.savez("answers.npz", **answers)


def _keras(path: Path) -> tuple[Any, list[Any]]:
    model = tf.keras.models.load_model(path, compile=False)
    specs = [
        tf.TensorSpec([None, *each.shape[1:]], each.dtype, name=each.name.split(":")[0])
        for each in model.inputs
    ]

    def answer(*inputs: Any) -> Any:
        return model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)

    return tf.function(answer), specs


def _saved(path: Path) -> tuple[Any, list[Any]]:
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    described = signature.structured_input_signature[1]
    specs = [tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in sorted(described.items())]

    def answer(*inputs: Any) -> Any:
        named = {spec.name: each for spec, each in zip(specs, inputs, strict=True)}
        return signature(**named)

    function = tf.function(answer)
    function.kept = loaded  # its variables live as long as it does
    return function, specs


def _rename(model: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> None:
    """tf2onnx adds ":0" and invents output names."""
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    new = dict(zip((v.name for v in fed), inputs, strict=True))
    new |= dict(zip((v.name for v in model.graph.output), outputs, strict=True))
    for value in (*fed, *model.graph.output):
        value.name = new[value.name]
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_param = "batch"
    for node in model.graph.node:
        for places in (node.input, node.output):
            for at, name in enumerate(places):
                places[at] = new.get(name, name)


main()
