"""A number with the interval that the data allow for it."""

import msgspec

_WHOLE_BELOW = 1e15
"""Beyond, digits before the point are no longer exact."""


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
        value = number_text(self.value, digits=3)
        if self.low is None and self.high is None:
            return f"{value}{suffix} (no interval)"
        low, high = (
            "unknown" if bound is None else number_text(bound, digits=3)
            for bound in (self.low, self.high)
        )
        return f"{value}{suffix} ({low} to {high})"


def number_text(value: float, *, digits: int = 4) -> str:
    """A figure for people: so many digits that say something, and no power of ten where the digits
    before the point can be written.

    >>> number_text(0.0123456), number_text(12.0), number_text(4083.4, digits=3), number_text(2e20)
    ('0.01235', '12', '4083', '2e+20')
    """
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < _WHOLE_BELOW else text
