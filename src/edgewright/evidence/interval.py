"""A number with the interval that the data allow for it."""

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A value and its bounds at `confidence`. A bound of None: the samples do not reach that far,
    or the bound was not asked for (one-sided).
    """

    value: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95

    @property
    def is_bounded(self) -> bool:
        """Whether both ends are known."""
        return self.low is not None and self.high is not None

    def text(self, unit: str = "") -> str:
        """As people read it.

        >>> Interval(12.0, 11.5, 13.25).text("ms")
        '12 ms (11.5 to 13.2)'
        >>> Interval(12.0, 11.5, None).text()
        '12 (11.5 to unknown)'
        """
        suffix = f" {unit}" if unit else ""
        if self.low is None and self.high is None:
            return f"{self.value:.3g}{suffix} (no interval)"
        low, high = (
            "unknown" if bound is None else f"{bound:.3g}" for bound in (self.low, self.high)
        )
        return f"{self.value:.3g}{suffix} ({low} to {high})"
