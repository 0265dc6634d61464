"""GRU and LSTM of ONNX in torch, step by step: torch's own keep their gates in another order and
cannot reset after the product.
"""

from collections.abc import Callable
from typing import Any

import torch

from edgewright.errors import UnavailableError
from edgewright.workbench.convert.torch_ops.values import Operator

Cell = Callable[[torch.Tensor, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]


def gru(inputs: list[Any], attributes: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Every state [time, directions, rows, hidden] and the last one."""
    _plain(attributes, 2, "GRU")
    hidden, after = attributes["hidden_size"], attributes.get("linear_before_reset", 0)

    def cell_of(w: torch.Tensor, r: torch.Tensor, bias: torch.Tensor) -> Cell:
        wz, wr, wh = torch.split(w.T, hidden, dim=1)
        rz, rr, rh = torch.split(r.T, hidden, dim=1)
        bz, br, bh, cz, cr, ch = torch.split(bias, hidden)

        def step(x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            (h,) = state
            z = torch.sigmoid(x @ wz + h @ rz + (bz + cz))
            reset = torch.sigmoid(x @ wr + h @ rr + (br + cr))
            inner = reset * (h @ rh + ch) if after else (reset * h) @ rh + ch
            new = torch.tanh(x @ wh + inner + bh)
            return ((1 - z) * new + z * h,)

        return step

    states, lasts = _run(inputs, attributes, cell_of, gates=3, carried=1)
    return states, lasts[0]


def lstm(inputs: list[Any], attributes: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Every state, the last one, and the last cell."""
    _plain(attributes, 3, "LSTM")
    if len(inputs) > 7 and inputs[7] is not None:
        raise UnavailableError("LSTM with peepholes has no torch counterpart here")
    hidden = attributes["hidden_size"]

    def cell_of(w: torch.Tensor, r: torch.Tensor, bias: torch.Tensor) -> Cell:
        wb, rb = torch.split(bias, 4 * hidden)

        def step(x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            h, c = state
            i, o, f, g = torch.split(x @ w.T + h @ r.T + (wb + rb), hidden, dim=1)
            kept = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(kept), kept

        return step

    states, lasts = _run(inputs, attributes, cell_of, gates=4, carried=2)
    return states, *lasts


def _run(
    inputs: list[Any],
    attributes: dict[str, Any],
    cell_of: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Cell],
    *,
    gates: int,
    carried: int,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    x, w, r = inputs[:3]
    given = [*inputs[3:], *[None] * 5]
    hidden, rows = attributes["hidden_size"], x.shape[1]
    starts = given[2 : 2 + carried]
    outputs, lasts = [], []
    for direction in range(w.shape[0]):
        bias = given[0][direction] if given[0] is not None else x.new_zeros(2 * gates * hidden)
        step = cell_of(w[direction], r[direction], bias)
        state = tuple(
            x.new_zeros(rows, hidden) if start is None else start[direction] for start in starts
        )
        backwards = direction == 1 or attributes.get("direction") == "reverse"
        order = range(x.shape[0] - 1, -1, -1) if backwards else range(x.shape[0])
        by_time: dict[int, torch.Tensor] = {}
        for time in order:
            state = step(x[time], state)
            by_time[time] = state[0]
        outputs.append(torch.stack([by_time[time] for time in range(x.shape[0])]))
        lasts.append(state)
    return torch.stack(outputs, dim=1), tuple(
        torch.stack([last[place] for last in lasts]) for place in range(carried)
    )


def _plain(attributes: dict[str, Any], functions: int, kind: str) -> None:
    """Only the activations that the format has as defaults."""
    default = ["Sigmoid", "Tanh", "Tanh"][:functions]
    named = attributes.get("activations", [])
    unusual = [one for index, one in enumerate(named) if one != default[index % functions]]
    if unusual or attributes.get("clip") or attributes.get("layout"):
        raise UnavailableError(
            f"{kind} with clip, layout or {unusual} has no torch counterpart here"
        )


OPERATORS: dict[str, Operator] = {"GRU": gru, "LSTM": lstm}
