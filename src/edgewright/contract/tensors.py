"""Tensors as the model's clients see them: name, type, shape with named dimensions, unit, range."""

from typing import Literal

import msgspec

DType = Literal[
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "string"
]


class Channel(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One position of a tensor's last axis: what it is, its unit, and what it may hold."""

    name: str
    unit: str = ""
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(
                f"channel {self.name!r}: low {self.low:g} is not below high {self.high:g}"
            )


class Tensor(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A named array. A dimension is a number or a name ("batch") that any size fits.

    `low` and `high` hold for every element; `channels` say more about each position of the last
    axis.
    """

    name: str
    dtype: DType
    shape: tuple[int | str, ...]
    unit: str = ""
    low: float | None = None
    high: float | None = None
    channels: tuple[Channel, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a tensor needs a name")
        if any(isinstance(size, int) and size < 1 for size in self.shape):
            raise ValueError(
                f"tensor {self.name!r}: every size in shape {list(self.shape)} must be 1 or more"
            )
        if self.channels and (not self.shape or self.shape[-1] != len(self.channels)):
            raise ValueError(
                f"tensor {self.name!r}: {len(self.channels)} channels do not fit "
                f"the last axis of {list(self.shape)}"
            )

    @property
    def has_batch(self) -> bool:
        """Whether the first dimension is named, so that rows can be joined and split."""
        return bool(self.shape) and isinstance(self.shape[0], str)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is in contract (a named dimension holds one row or
        more).
        """
        return len(shape) == len(self.shape) and all(
            actual >= 1 if isinstance(declared, str) else actual == declared
            for actual, declared in zip(shape, self.shape, strict=True)
        )
