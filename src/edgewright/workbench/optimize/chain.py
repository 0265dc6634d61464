"""Chains of compression steps as values: what `--chain prune=0.5,distil,qat,cluster=32` says. Pure.

>>> chain = parse_chain("prune=0.5,distil=6,qat,cluster=32")
>>> chain.name
'prune 50% > distil > qat > cluster 32'
>>> [part.name for part in chain.products]
['prune 50% > distil', 'prune 50% > distil > qat', 'prune 50% > distil > qat > cluster 32']
>>> parse_chain("prune=0.5,qat")
Traceback (most recent call last):
...
edgewright.errors.InputError: chain 'prune=0.5,qat': after prune comes distil, which teaches what \
is left
"""

from typing import Literal

import msgspec

from edgewright.errors import InputError

Kind = Literal["prune", "dilate", "distil", "qat", "sparse", "cluster"]

ORDER: tuple[Kind, ...] = ("prune", "dilate", "distil", "qat", "sparse", "cluster")
"""Steps come in this order, each at most once."""

_CUTS = frozenset({"prune", "dilate"})
_ON_GRID = frozenset({"sparse", "cluster"})
_SHARES = {"prune": (0.05, 0.9), "sparse": (0.05, 0.95)}
_MIN_VALUES, _MAX_VALUES = 4, 128


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `amount` is a share (prune, sparse), a number of values (cluster) or of epochs
    (distil, qat); 0 leaves it to the run's own training.
    """

    kind: Kind
    amount: float = 0.0

    @property
    def name(self) -> str:
        """As a report says it; how long was taught stands elsewhere."""
        match self.kind:
            case "prune" | "sparse":
                return f"{self.kind} {self.amount:.0%}"
            case "cluster":
                return f"cluster {self.amount:.0f}"
            case _:
                return self.kind


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in order."""

    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        return " > ".join(step.name for step in self.steps)

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def is_on_grid(self) -> bool:
        """Whether its weights were trained for one integer grid."""
        return any(step.kind == "qat" for step in self.steps)

    @property
    def products(self) -> "tuple[Chain, ...]":
        """Every prefix that leaves something that answers well: what was cut is taught first."""
        parts = (Chain(steps=self.steps[: end + 1]) for end in range(len(self.steps)))
        return tuple(part for part in parts if part.last.kind not in _CUTS)


DEFAULT_CHAINS = ("prune=0.5,distil,qat,cluster=32",)


def parse_chain(text: str) -> Chain:
    """A chain from its text.

    Raises:
        InputError: an unknown step, an amount out of range, or an order that makes no sense.
    """
    chain = Chain(steps=tuple(_step(part.strip(), text) for part in text.split(",")))
    kinds = [step.kind for step in chain.steps]
    if kinds != sorted(set(kinds), key=ORDER.index):
        raise InputError(
            f"chain {text!r}: steps come in the order {', '.join(ORDER)}, each at most once"
        )
    if _CUTS.intersection(kinds) and "distil" not in kinds:
        cut = next(kind for kind in kinds if kind in _CUTS)
        raise InputError(f"chain {text!r}: after {cut} comes distil, which teaches what is left")
    if _ON_GRID.intersection(kinds) and "qat" not in kinds:
        late = next(kind for kind in kinds if kind in _ON_GRID)
        raise InputError(f"chain {text!r}: {late} works on integers, put qat before it")
    return chain


def _step(part: str, text: str) -> Step:
    word, equals, value = part.partition("=")
    kind = next((kind for kind in ORDER if kind == word), None)
    if kind is None:
        raise InputError(
            f"chain {text!r}: unknown step {word!r}", hint=f"known: {', '.join(ORDER)}"
        )
    try:
        amount = float(value) if equals else 0.0
    except ValueError as error:
        raise InputError(
            f"chain {text!r}: {value!r} is no number", hint="like prune=0.5"
        ) from error
    _check(kind, amount, text)
    return Step(kind=kind, amount=amount)


def _check(kind: Kind, amount: float, text: str) -> None:
    if kind in _SHARES:
        low, high = _SHARES[kind]
        if not low <= amount <= high:
            raise InputError(
                f"chain {text!r}: {kind} is {amount:g}, expected a share of {low} to {high}"
            )
    elif kind == "cluster":
        if not _MIN_VALUES <= amount <= _MAX_VALUES or amount % 1:
            raise InputError(
                f"chain {text!r}: cluster is {amount:g}, expected {_MIN_VALUES} to {_MAX_VALUES} "
                "values"
            )
    elif kind == "dilate":
        if amount:
            raise InputError(f"chain {text!r}: dilate takes no amount")
    elif amount < 0 or amount % 1:
        raise InputError(f"chain {text!r}: {kind} is {amount:g}, expected whole epochs")
