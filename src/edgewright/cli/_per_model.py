"""Options of `serve` that are about one model: MODEL=..., given as often as there are models."""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from edgewright.contract.decoding import suggestion
from edgewright.errors import InputError
from edgewright.wire.admin import SplitOrder

T = TypeVar("T")


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What one model may take up; None leaves it as it is for all."""

    concurrency: int | None = None
    queue: int | None = None
    timeout_ms: float | None = None
    memory_mb: float | None = None


def by_model(
    option: str, pairs: tuple[str, ...], read: Callable[[str], T], *, example: str
) -> dict[str, T]:
    """What each model is given.

    Raises:
        InputError: not MODEL=SOMETHING, or a model is named again.

    >>> by_model("--drift", ("har=reference.npz",), str.upper, example="har=reference.npz")
    {'har': 'REFERENCE.NPZ'}
    """
    found: dict[str, T] = {}
    for pair in pairs:
        model, equals, words = pair.partition("=")
        if not (model and equals and words) or model in found:
            raise InputError(
                f"{option} {pair!r} does not read MODEL=..., or names a model again",
                hint=f"for example {option} {example}",
            )
        try:
            found[model] = read(words)
        except ValueError as error:
            raise InputError(
                f"{option} {pair!r}: {error}", hint=f"for example {option} {example}"
            ) from error
    return found


def splits(
    weights: tuple[str, ...], shadows: tuple[str, ...], *, header: str | None
) -> Mapping[str, SplitOrder]:
    """How versions share their model's requests.

    Raises:
        InputError: not a list of versions and weights, or of versions.
    """
    shares = by_model("--split", weights, _weights, example="har=1:9,2:1")
    beside = by_model("--shadow", shadows, lambda words: tuple(words.split(",")), example="har=3")
    named = {} if header is None else {"header": header}
    return {
        model: SplitOrder(weights=shares.get(model, {}), shadows=beside.get(model, ()), **named)
        for model in (*shares, *(model for model in beside if model not in shares))
    }


def limits(words: tuple[str, ...]) -> dict[str, Limit]:
    """What models may take up.

    Raises:
        InputError: an unknown word, or not a positive number.
    """
    return by_model("--limit", words, _limit, example="har=concurrency:1,queue:64,timeout_ms:50")


def _limit(words: str) -> Limit:
    found: dict[str, float] = {}
    known = Limit.__struct_fields__
    for word in words.split(","):
        name, colon, value = word.partition(":")
        if name in found:
            raise ValueError(f"{name} is given twice")
        if name not in known or not colon:
            hint = suggestion(name, list(known))
            raise ValueError(f"{word!r} is no limit; {hint}")
        number = float(value)
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} is {value}, expected a positive number")
        if name in ("concurrency", "queue"):
            if number != int(number):
                raise ValueError(f"{name} is {value}, expected a whole number")
            number = int(number)
        found[name] = number
    return Limit(**found)  # type: ignore[arg-type]  # whole numbers where they must be


def _weights(words: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words.split(","):
        version, _, weight = word.rpartition(":")
        if not version or version in found:
            raise ValueError(f"{word!r} is not VERSION:WEIGHT, or names a version again")
        found[version] = float(weight)
    return found
