"""From what is held to be true to what an actuator is told. Pure.

Nothing outside the limits is ever sent: the values of states are checked when the stream is set up,
a number that a model gave is sent only when it lies inside, and everything else (no state, a state
without a value, a refused window, silence, the end) is the safe value.

    >>> order = CommandOrder(values={"walk": 1.0}, safe=0.0, low=0.0, high=1.0)
    >>> command_for(Result(model="m", start_s=0, end_s=1, state="walk"), order)
    1.0
    >>> command_for(Result(model="m", start_s=0, end_s=1, state="fall"), order)
    0.0
"""

import math

import msgspec

from edgewright.contract import Contract
from edgewright.contract.decoding import suggestion
from edgewright.device.streams.base import Result
from edgewright.device.streams.plan import Answering
from edgewright.errors import InputError


class CommandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send for which state, or for the number in `output`; `stale_s` without a result is
    silence. Where one source has many sensors, only `sensor` decides. Samples whose time is true
    may be no older than `max_age_s`, as those are that waited at a broker for us.
    """

    safe: float
    low: float
    high: float
    values: dict[str, float] = {}
    output: str = ""
    sensor: str = ""
    stale_s: float = 5.0
    max_age_s: float | None = None

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"low {self.low:g} and high {self.high:g} are no range")
        if bool(self.values) == bool(self.output):
            raise ValueError("either `values` for states or an `output` is needed")
        if not 0 < self.stale_s < math.inf:
            raise ValueError(f"stale_s is {self.stale_s:g}, expected above 0, and an end")
        if self.max_age_s is not None and not 0 < self.max_age_s < math.inf:
            raise ValueError(f"max_age_s is {self.max_age_s:g}, expected above 0, and an end")
        for state, value in {"safe": self.safe, **self.values}.items():
            if not self.low <= value <= self.high:
                raise ValueError(
                    f"the value {value:g} of {state!r} is outside {self.low:g} to {self.high:g}"
                )


def check_command(order: CommandOrder, contract: Contract, plan: Answering) -> None:
    """Whether the model can ever say what the actuator waits for; else it would be told `safe` for
    ever.

    Raises:
        InputError: it cannot.
    """
    if order.values and not plan.scores:
        raise InputError(
            "the command has `values` for states, and the model has no output with a score per "
            "label",
            hint="name an `output` instead",
        )
    for state in order.values:
        if state not in plan.labels:
            raise InputError(
                f"the command has a value for {state!r}, which the model never says",
                hint=suggestion(state, list(plan.labels)),
            )
    if order.output and plan.scores:
        raise InputError(
            f"the command waits for the output {order.output!r}, and the model gives states",
            hint="say `values` for them instead",
        )
    sizes = {tensor.name: tensor.shape[1:] for tensor in contract.outputs}
    if order.output and order.output not in sizes:
        raise InputError(
            f"the model has no output {order.output!r}", hint=suggestion(order.output, list(sizes))
        )
    if order.output and any(size != 1 for size in sizes[order.output]):
        raise InputError(
            f"the output {order.output!r} has the shape {list(sizes[order.output])}, a command is "
            "one number"
        )


def is_of_now(result: Result, order: CommandOrder, *, now_s: float) -> bool:
    """Whether its samples are new enough at this wall time, neither old nor of the future."""
    return order.max_age_s is None or abs(now_s - result.end_s) <= order.max_age_s


def command_for(result: Result, order: CommandOrder) -> float:
    """What one result means for the actuator."""
    if result.refused:
        return order.safe
    if order.values:
        return order.values.get(result.state, order.safe)
    value = result.outputs.get(order.output)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return order.safe
    return float(value) if order.low <= value <= order.high else order.safe
