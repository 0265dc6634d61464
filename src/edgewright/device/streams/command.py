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

from edgewright.device.streams.base import Result


class CommandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send for which state, or for the number in `output`; `stale_s` without a result is
    silence. Where one source has many sensors, only `sensor` decides.
    """

    safe: float
    low: float
    high: float
    values: dict[str, float] = {}
    output: str = ""
    sensor: str = ""
    stale_s: float = 5.0

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"low {self.low:g} and high {self.high:g} are no range")
        if bool(self.values) == bool(self.output):
            raise ValueError("either `values` for states or an `output` is needed")
        if not self.stale_s > 0:
            raise ValueError(f"stale_s is {self.stale_s:g}, expected above 0")
        for state, value in {"safe": self.safe, **self.values}.items():
            if not self.low <= value <= self.high:
                raise ValueError(
                    f"the value {value:g} of {state!r} is outside {self.low:g} to {self.high:g}"
                )


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
