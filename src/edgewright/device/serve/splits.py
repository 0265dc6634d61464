"""Versions of one model that share its requests: weights, and keys that stick to their version;
pure but for the draw that is handed in.

A request with a key goes to the same version on every server and after every restart: each version
draws a score from (model, version, key), raised by its weight, and the highest takes the key
(weighted rendezvous hashing). When weights change, only those keys move that must: towards
versions whose share grew. Requests without a key are drawn by weight.

>>> shares = Shares("har", {"1": 9.0, "2": 1.0}, SplitOrder(), draw=lambda: 0.95)
>>> shares.version({}, dict)
'2'
>>> {shares.version({"x-sticky-key": "device-7"}, dict) for _ in range(9)}
{'1'}
"""

import hashlib
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import accumulate

import msgspec

from edgewright.errors import InputError
from edgewright.wire.admin import SplitOrder
from edgewright.wire.v2 import Parameters, Scalar

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HASH_BYTES = 8
_HASHES = float(1 << 8 * _HASH_BYTES)

ReadParameters = Callable[[], Mapping[str, Scalar]]
"""A request's own parameters; asked only where no header brought a key."""


class _Parametrised(msgspec.Struct):
    parameters: Parameters | None = None


_decode_parameters = msgspec.json.Decoder(_Parametrised).decode


class Shares:
    """Chooses the version that answers a request."""

    def __init__(
        self,
        name: str,
        weights: Mapping[str, float],
        order: SplitOrder,
        *,
        draw: Callable[[], float],
    ) -> None:
        self._header = order.header.lower()
        self._parameter = order.parameter
        self._draw = draw
        self._versions = tuple(weights)
        self._bounds = tuple(accumulate(weights.values()))
        self._seeds = [
            (version, weight, hashlib.blake2b(_seed(name, version), digest_size=_HASH_BYTES))
            for version, weight in weights.items()
        ]

    def version(self, headers: Mapping[str, str], parameters: ReadParameters) -> str:
        """The version of a request.

        Raises:
            InputError: its key is neither text nor a whole number.
        """
        header = headers.get(self._header)
        if header:  # text of any language comes as UTF-8's bytes
            return self._of_key(header.encode("latin-1", "backslashreplace"))
        key = self._key(parameters())
        return self._drawn() if key is None else self._of_key(key)

    def _key(self, parameters: Mapping[str, Scalar]) -> bytes | None:
        value = parameters.get(self._parameter)
        if value is None or (isinstance(value, str) and not value):
            return None
        if isinstance(value, bool | float):
            raise InputError(
                f"parameter {self._parameter} is {value!r}, expected text or a whole number"
            )
        return str(value).encode("utf-8", "surrogatepass")

    def _drawn(self) -> str:
        place = bisect_right(self._bounds, self._draw() * self._bounds[-1])
        return self._versions[min(place, len(self._versions) - 1)]

    def _of_key(self, key: bytes) -> str:
        best, chosen = -1.0, ""
        for version, weight, seed in self._seeds:
            hashed = seed.copy()
            hashed.update(key)
            drawn = (int.from_bytes(hashed.digest(), "big") + 1) / (_HASHES + 2)
            score = -weight / math.log(drawn)
            if score > best:
                best, chosen = score, version
        return chosen


def parameters_of(body: bytes, header_bytes: int | None) -> Parameters:
    """The parameters of a V2 request in JSON; none where it is no such request, which whoever
    reads it will say.
    """
    try:
        return _decode_parameters(memoryview(body)[:header_bytes]).parameters or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def check_order(name: str, order: SplitOrder, versions: Collection[str]) -> None:
    """Whether these versions of a model can share its requests as ordered.

    Raises:
        InputError: a weight is no share, or a version is not there, or is both shared and shadow,
            or no header or parameter can be called like that.
    """
    if not _HEADER.fullmatch(order.header) or not order.parameter:
        raise InputError(
            f"keys come in header {order.header!r} or parameter {order.parameter!r}",
            hint="name both; a header's name is made of letters, digits and '-'",
        )
    for version, weight in order.weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise InputError(
                f"model {name!r} version {version!r}: weight {weight} is not 0 or more"
            )
    if order.weights and not any(order.weights.values()):
        raise InputError(
            f"model {name!r}: every weight is 0, nobody would answer",
            hint="unload the model to end it",
        )
    absent = [v for v in (*order.weights, *order.shadows) if v not in versions]
    if absent:
        raise InputError(
            f"model {name!r} has no version {absent[0]!r}; loaded are {sorted(versions)}",
            hint='load it beside the others first ("keep": true)',
        )
    both = [version for version in order.shadows if order.weights.get(version)]
    if both or not set(versions) - set(order.shadows):
        which = both[0] if both else order.shadows[0]
        raise InputError(
            f"model {name!r} version {which!r} cannot be a shadow: it is the one that answers",
            hint="a shadow is compared with what other versions answer",
        )


def answering(order: SplitOrder | None, versions: Sequence[str]) -> dict[str, float]:
    """The versions that answer and their weights: those of the order that are loaded by now, or
    without weights the one that was loaded last and is no shadow.

    >>> answering(SplitOrder(weights={"1": 2, "2": 0}), ["1", "2"])
    {'1': 2}
    >>> answering(SplitOrder(shadows=("2",)), ["1", "2"])
    {'1': 1.0}
    """
    if order is not None and order.weights:
        return {v: weight for v, weight in order.weights.items() if weight > 0 and v in versions}
    others = [v for v in versions if order is None or v not in order.shadows]
    return dict.fromkeys(others[-1:], 1.0)


def _seed(name: str, version: str) -> bytes:
    return b"\0".join((name.encode(), version.encode(), b""))
