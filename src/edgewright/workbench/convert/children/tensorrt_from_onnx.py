"""Runs where TensorRT is: `model.onnx` to `model.engine`, float16 where the GPU is quick at it."""

from pathlib import Path

import tensorrt as trt


def main() -> None:
    """Parse, build, serialise."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path("model.onnx").read_bytes()):
        raise RuntimeError(str(parser.get_error(0)))
    config = builder.create_builder_config()
    if builder.platform_has_fast_fp16:
        config.set_flag(trt.BuilderFlag.FP16)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeError("TensorRT built no engine")
    Path("model.engine").write_bytes(bytes(engine))


main()
