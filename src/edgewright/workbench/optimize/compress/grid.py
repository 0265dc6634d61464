"""A float graph that computes as its integer variant will: weights and activations are rounded to
the very grid that ONNX Runtime's quantiser chose, and gradients pass through the rounding.

What is trained here needs no other quantiser afterwards: the same ranges give the same grid, and a
test holds both to the same integers.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from edgewright.runtimes.base import Array
from edgewright.workbench.convert.onnx_torch import OnnxModule
from edgewright.workbench.convert.torch_ops import Value

_INPUT_OF_ROUNDING = "_QuantizeLinear_Input"
_QUANTISED = "_quantized"
_TINY = 1e-12
_LLOYD_ROUNDS = 30


class Rounding(msgspec.Struct, frozen=True):
    """One activation's grid."""

    scale: float
    zero_point: int
    low: int
    high: int


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """What is rounded: activations by tensor, weights with the axis of their channels (None: one
    scale for all). `limit` is the largest integer a weight may be.
    """

    activations: dict[str, Rounding]
    weights: dict[str, int | None]
    limit: int


def grid_of(quantised: onnx.ModelProto, *, limit: int) -> Grid:
    """The grid of a graph with QuantizeLinear and DequantizeLinear pairs."""
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    activations: dict[str, Rounding] = {}
    weights: dict[str, int | None] = {}
    for node in quantised.graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = (numpy_helper.to_array(stored[name]) for name in node.input[1:3])
            kind = np.iinfo(zero.dtype)
            name = node.input[0].removesuffix(_INPUT_OF_ROUNDING)
            activations[name] = Rounding(float(scale), int(zero), int(kind.min), int(kind.max))
        elif node.op_type == "DequantizeLinear" and node.input[0] in stored:
            tensor = stored[node.input[0]]
            if tensor.data_type in {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
                axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
                is_per_channel = len(stored[node.input[1]].dims) > 0
                name = node.input[0].removesuffix(_QUANTISED)
                weights[name] = axis if is_per_channel else None
    return Grid(activations=activations, weights=weights, limit=limit)


class GridGraph(OnnxModule):
    """The graph with its weights and biases to train, on a grid.

    `share` weights makes few distinct integers of each layer's; `thin` keeps the heavy ones only.
    """

    def __init__(self, model: onnx.ModelProto, grid: Grid) -> None:
        super().__init__(model)
        self._grid = grid
        self._codebooks: dict[str, torch.Tensor] = {}
        self._masks: dict[str, torch.Tensor] = {}
        biases = {
            node.input[2]
            for node in model.graph.node
            if len(node.input) > 2 and node.input[1] in grid.weights
        }
        for name in (*grid.weights, *sorted(biases)):
            place = self._weights[name]
            value = self._buffers.pop(place)
            assert value is not None  # noqa: S101  # OnnxModule registered it
            self.register_parameter(place, nn.Parameter(value))

    def passed(self, name: str, value: Value) -> Value:
        """Rounded where the integer variant rounds."""
        rounding = self._grid.activations.get(name)
        if rounding is not None:
            return torch.fake_quantize_per_tensor_affine(
                value, rounding.scale, rounding.zero_point, rounding.low, rounding.high
            )
        return self._on_grid(name, value) if name in self._grid.weights else value

    def thin(self, share: float) -> None:
        """From now on the lightest `share` of each layer's weights are zero."""
        for name, weight in self._trained():
            count = round(share * weight.numel())
            if count:
                limit = weight.detach().abs().flatten().kthvalue(count).values
                self._masks[name] = (weight.detach().abs() > limit).float()

    def share(self, values: int) -> None:
        """From now on each layer's integers are among `values` of them: those that lie best."""
        for name, weight in self._trained():
            scale = self._scale(name, weight)
            integers = (weight * self._masks.get(name, 1.0) / scale).detach().round()
            self._codebooks[name] = codebook(integers, values=values, limit=self._grid.limit)

    def weights(self) -> dict[str, Array]:
        """The trained tensors as they must be stored: masked and shared, for the quantiser to
        round.
        """
        found: dict[str, Array] = {}
        with torch.no_grad():
            for name, place in self._weights.items():
                value = getattr(self, place)
                if isinstance(value, nn.Parameter):
                    is_settled = name in self._masks or name in self._codebooks
                    stored = self._on_grid(name, value) if is_settled else value
                    found[name] = stored.detach().numpy().astype(np.float32)
        return found

    def _trained(self) -> list[tuple[str, torch.Tensor]]:
        return [(name, getattr(self, self._weights[name])) for name in self._grid.weights]

    def _on_grid(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        scale = self._scale(name, weight)
        if name in self._masks:
            weight = weight * self._masks[name]
        limit = self._grid.limit
        integers = (weight / scale).round().clamp(-limit, limit)
        if name in self._codebooks:
            integers = _nearest(integers, self._codebooks[name])
        return weight + (integers * scale - weight).detach()

    def _scale(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        axis = self._grid.weights[name]
        others = [at for at in range(weight.ndim) if at != axis]
        reach = weight.detach().abs()
        reach = reach.max() if axis is None else reach.amax(dim=others, keepdim=True)
        return reach.clamp_min(_TINY) / self._grid.limit


def codebook(integers: torch.Tensor, *, values: int, limit: int) -> torch.Tensor:
    """At most `values` integers, sorted: both ends (so that no channel's scale moves), zero, and
    the others where k-means puts them.
    """
    every, counts = np.unique(integers.numpy().astype(np.int64), return_counts=True)
    pinned = {-limit, 0, limit}
    centres = np.quantile(np.repeat(every, counts), np.linspace(0, 1, max(values - 3, 1)))
    for _ in range(_LLOYD_ROUNDS):
        middle = (centres[1:] + centres[:-1]) / 2
        owner = np.searchsorted(middle, every)
        weight = np.bincount(owner, counts, len(centres))
        total = np.bincount(owner, counts * every, len(centres))
        centres = np.where(weight > 0, total / np.maximum(weight, 1), centres)
    chosen = sorted(pinned | {round(float(centre)) for centre in centres})
    return torch.tensor(chosen, dtype=torch.float32)


def with_weights(model: onnx.ModelProto, weights: Mapping[str, Array]) -> onnx.ModelProto:
    """A copy of a graph with other values in it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return copy


def _nearest(integers: torch.Tensor, book: torch.Tensor) -> torch.Tensor:
    middle = (book[1:] + book[:-1]) / 2
    return book[torch.bucketize(integers, middle)]
