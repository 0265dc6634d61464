"""The space that is searched: every way to make a variant, as values with names.

>>> StaticInt8(activations="u8", weights="s8", reduce_range=True).name
'int8 static u8s8 per-tensor 7-bit-weights minmax'
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from edgewright.workbench.optimize.ranges import Calibrator

Eight = Literal["u8", "s8"]

ONNX, OPENVINO, LITERT, EXECUTORCH = "onnx", "openvino", "litert", "executorch"
FORMATS = (ONNX, OPENVINO, LITERT, EXECUTORCH)
"""What is searched, in this order."""

CORE_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Where the arithmetic is."""

WIDE_OPERATORS = (
    *CORE_OPERATORS,
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Flatten",
    "GlobalAveragePool",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""What may stay in integers between two of them, so that nothing is converted back and forth."""


class Plain(msgspec.Struct, frozen=True, kw_only=True, tag="plain"):
    """Float arithmetic: as it came, in another layout, or with weights stored smaller."""

    kind: Literal["fp32", "fp32 tidied", "fp32 conv1d-as-conv2d", "fp16 weights", "int8 weights"]
    format: ClassVar[str] = ONNX

    @property
    def name(self) -> str:
        return self.kind


class DynamicInt8(msgspec.Struct, frozen=True, kw_only=True, tag="dynamic"):
    """Integer MatMul and Gemm, activations measured at every call. Never convolutions: they become
    several times slower than fp32.
    """

    weights: Eight
    per_channel: bool = False
    reduce_range: bool = False
    format: ClassVar[str] = ONNX

    @property
    def name(self) -> str:
        parts = [f"int8 dynamic matmul {self.weights}", _granularity(per_channel=self.per_channel)]
        return " ".join(parts + ["7-bit-weights"] * self.reduce_range)


class StaticInt8(msgspec.Struct, frozen=True, kw_only=True, tag="static"):
    """Integer arithmetic with fixed activation ranges, as QuantizeLinear/DequantizeLinear pairs.

    `reduce_range` keeps weights within 7 bits: without VNNI instructions the products of u8 and s8
    overflow their 16-bit sums otherwise, silently. `floats` are nodes that stay in float.
    """

    activations: Eight
    weights: Eight
    per_channel: bool = False
    reduce_range: bool = False
    calibrator: Calibrator = "minmax"
    wide: bool = True
    floats: tuple[str, ...] = ()
    format: ClassVar[str] = ONNX

    @property
    def name(self) -> str:
        parts = [
            f"int8 static {self.activations}{self.weights}",
            _granularity(per_channel=self.per_channel),
        ]
        parts += ["7-bit-weights"] * self.reduce_range
        parts += [self.calibrator]
        parts += [] if self.wide else ["core-operators"]
        parts += [f"{len(self.floats)}-nodes-in-float"] if self.floats else []
        return " ".join(parts)

    @property
    def operators(self) -> tuple[str, ...]:
        return WIDE_OPERATORS if self.wide else CORE_OPERATORS

    @property
    def structure(self) -> "StaticInt8":
        """The same without what does not change speed."""
        return msgspec.structs.replace(self, calibrator="minmax")


class OpenVinoRecipe(msgspec.Struct, frozen=True, kw_only=True, tag="openvino"):
    """OpenVINO's own arithmetic. `kind` "int8 accuracy-control" is NNCF's loop that gives the most
    harmful operations back their floats until its own budget holds.
    """

    kind: Literal[
        "fp32",
        "bf16",
        "int8 nncf symmetric",
        "int8 nncf mixed",
        "int8 accuracy-control",
        "int8 weights",
    ]
    format: ClassVar[str] = OPENVINO

    @property
    def name(self) -> str:
        return self.kind


class LiteRtRecipe(msgspec.Struct, frozen=True, kw_only=True, tag="litert"):
    """Made by LiteRT's own quantiser from the converted float file."""

    kind: Literal[
        "fp32", "int8 static", "int8 dynamic", "int8 weights int16 activations", "int8 weights"
    ]
    format: ClassVar[str] = LITERT

    @property
    def name(self) -> str:
        return self.kind


class ExecuTorchRecipe(msgspec.Struct, frozen=True, kw_only=True, tag="executorch"):
    """ExecuTorch programs for XNNPACK; integers by torchao's PT2E quantiser."""

    kind: Literal["fp32", "int8 static", "int8 dynamic"]
    format: ClassVar[str] = EXECUTORCH

    @property
    def name(self) -> str:
        return self.kind


class ProviderFp32(msgspec.Struct, frozen=True, kw_only=True, tag="provider"):
    """The float file on another execution provider of ONNX Runtime."""

    provider: Literal["cuda", "tensorrt"]
    format: ClassVar[str] = ONNX

    @property
    def name(self) -> str:
        return f"fp32 on {self.provider}"


Direct = (
    ProviderFp32
    | Plain
    | DynamicInt8
    | StaticInt8
    | OpenVinoRecipe
    | LiteRtRecipe
    | ExecuTorchRecipe
)
"""Made from the model as it is."""


class Chained(msgspec.Struct, frozen=True, kw_only=True, tag="chained"):
    """Made from what a chain of compression steps left of the model."""

    chain: str
    then: Direct

    @property
    def format(self) -> str:
        return self.then.format

    @property
    def name(self) -> str:
        return f"{self.chain} > {self.then.name}"


VariantRecipe = Direct | Chained

BASELINE = Plain(kind="fp32")

BASELINES: dict[str, VariantRecipe] = {
    ONNX: BASELINE,
    OPENVINO: OpenVinoRecipe(kind="fp32"),
    LITERT: LiteRtRecipe(kind="fp32"),
    EXECUTORCH: ExecuTorchRecipe(kind="fp32"),
}
"""What the others are compared to, by the first format that is searched."""


def engine_of(recipe: VariantRecipe) -> str:
    """Which engine runs a variant: its format's, unless it is about another one."""
    if isinstance(recipe, Chained):
        return engine_of(recipe.then)
    if isinstance(recipe, ProviderFp32):
        return f"onnxruntime-{recipe.provider}"
    return recipe.format


CALIBRATORS: tuple[Calibrator, ...] = ("minmax", "percentile", "entropy", "mse")


def structures() -> Iterator[VariantRecipe]:
    """Every recipe that differs in speed or size, with the simplest calibrator."""
    yield Plain(kind="fp32 tidied")
    yield Plain(kind="fp32 conv1d-as-conv2d")
    yield Plain(kind="fp16 weights")
    yield Plain(kind="int8 weights")
    for per_channel in (False, True):
        yield DynamicInt8(weights="s8", per_channel=per_channel, reduce_range=True)
        yield DynamicInt8(weights="s8", per_channel=per_channel)
    yield DynamicInt8(weights="u8")
    for wide in (True, False):
        for per_channel in (True, False):
            for activations, weights, reduce_range in (
                ("u8", "s8", False),
                ("u8", "s8", True),
                ("u8", "u8", False),
                ("s8", "s8", False),
                ("s8", "s8", True),
            ):
                yield StaticInt8(
                    activations="u8" if activations == "u8" else "s8",
                    weights="u8" if weights == "u8" else "s8",
                    per_channel=per_channel,
                    reduce_range=reduce_range,
                    wide=wide,
                )


def everything() -> Iterator[VariantRecipe]:
    """The whole space without mixed precision, for an exhaustive search."""
    for recipe in structures():
        if isinstance(recipe, StaticInt8):
            for calibrator in CALIBRATORS:
                yield msgspec.structs.replace(recipe, calibrator=calibrator)
        else:
            yield recipe


def _granularity(*, per_channel: bool) -> str:
    return "per-channel" if per_channel else "per-tensor"
