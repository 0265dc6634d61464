"""Numbers of the command line: never `nan` nor `inf`, which no comparison with a limit stops."""

import math
from typing import Any

import click


class Number(click.types.FloatParamType):
    """A float."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(_refused(value), param, ctx)


class NumberRange(click.FloatRange):
    """A float between two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        number = super().convert(value, param, ctx)
        return number if math.isfinite(number) else self.fail(_refused(value), param, ctx)


ABOVE_ZERO = NumberRange(min=0, min_open=True)
"""Seconds, rates: what makes no sense at zero."""


def _refused(value: object) -> str:
    return f"{value!r} is not a finite number."
