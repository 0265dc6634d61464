"""Is a candidate's answer the reference's answer? Every measure must agree, because each one alone
lies: a scalar has cosine 1 at any error, a vanishing output has none at no error, a small maximum
error hides a wrong scale.

    >>> import numpy as np
    >>> from edgewright.contract import Tolerances
    >>> same = compare({"y": np.ones(3)}, {"y": np.ones(3)}, Tolerances())
    >>> same.ok
    True
    >>> wrong = compare({"y": np.array([0.9])}, {"y": np.array([0.4])}, Tolerances())
    >>> wrong.outputs["y"].cosine, wrong.ok
    (1.0, False)
    >>> wrong.reasons[0]
    "output 'y': largest absolute difference is 0.5, tolerated 0.001"
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.contract import Tolerances

VANISHING = 1e-6
"""A reference that stays below this has no direction and no scale, only rounding."""


class OutputComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one output. `cosine` and `norm_ratio` are the worst over the whole output and
    each row larger than the tolerated error; `severity` is the worst number over its
    tolerance (above 1 is a miss). `mismatches` counts differing values of exact types.
    """

    name: str
    ok: bool
    max_abs: float = 0.0
    max_rel: float = 0.0
    cosine: float = 1.0
    norm_ratio: float = 1.0
    finite: bool = True
    mismatches: int = 0
    severity: float = 0.0
    reasons: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All outputs together; `worst` names the output that is farthest off."""

    ok: bool
    outputs: dict[str, OutputComparison]
    reasons: tuple[str, ...]
    worst: str = ""


def compare(
    reference: Mapping[str, NDArray[Any]],
    candidate: Mapping[str, NDArray[Any]],
    tolerances: Tolerances,
) -> Comparison:
    """Compare every output; a missing, superfluous, empty or misshapen one is a reason too."""
    names_off = _name_reasons(reference, candidate)
    outputs = {
        name: _compare_output(
            name, np.asarray(reference[name]), np.asarray(candidate[name]), tolerances
        )
        for name in reference
        if name in candidate
    }
    reasons = names_off + tuple(reason for one in outputs.values() for reason in one.reasons)
    worst = max(outputs.values(), key=lambda one: one.severity, default=None)
    return Comparison(
        ok=not reasons, outputs=outputs, reasons=reasons, worst=worst.name if worst else ""
    )


def _name_reasons(
    reference: Mapping[str, NDArray[Any]], candidate: Mapping[str, NDArray[Any]]
) -> tuple[str, ...]:
    missing = tuple(f"output {name!r} is missing" for name in reference if name not in candidate)
    extra = tuple(
        f"output {name!r} is not in the reference" for name in candidate if name not in reference
    )
    nothing = () if reference else ("the reference has no output, nothing was compared",)
    return nothing + missing + extra


def _compare_output(
    name: str, reference: NDArray[Any], candidate: NDArray[Any], tolerances: Tolerances
) -> OutputComparison:
    refusal = _refusal(reference, candidate)
    if refusal:
        return OutputComparison(
            name=name,
            ok=False,
            max_abs=math.inf,
            severity=math.inf,
            finite="finite" not in refusal,
            reasons=(f"output {name!r}: {refusal}",),
        )
    if reference.dtype.kind == "f" or candidate.dtype.kind == "f":
        return _compare_floats(
            name, reference.astype(np.float64), candidate.astype(np.float64), tolerances
        )
    return _compare_whole(name, reference, candidate, tolerances.mismatch_share)


def _refusal(reference: NDArray[Any], candidate: NDArray[Any]) -> str:
    if reference.shape != candidate.shape:
        return f"shape is {list(candidate.shape)}, expected {list(reference.shape)}"
    if reference.size == 0:
        return "it is empty, nothing was compared"
    kinds = {"f": "float", "i": "integer", "u": "integer", "b": "bool"}
    expected = kinds.get(reference.dtype.kind, "text")
    got = kinds.get(candidate.dtype.kind, "text")
    if expected != got:
        return f"values are of type {candidate.dtype}, expected {reference.dtype}"
    if expected != "float":
        return ""
    for whose, array in (("the reference", reference), ("the candidate", candidate)):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            return f"{bad} of {array.size} values of {whose} are not finite"
    return ""


def _compare_whole(
    name: str, reference: NDArray[Any], candidate: NDArray[Any], tolerated_share: float
) -> OutputComparison:
    differs = np.asarray(reference != candidate)
    mismatches = int(np.count_nonzero(differs))
    if mismatches <= tolerated_share * reference.size:
        return OutputComparison(name=name, ok=True, mismatches=mismatches)
    first = tuple(int(index) for index in np.argwhere(differs)[0])
    numeric = reference.dtype.kind in "iub"
    distance = np.abs(reference.astype(np.float64) - candidate.astype(np.float64)) if numeric else 1
    reason = (
        f"output {name!r}: {mismatches} of {reference.size} values differ, first at "
        f"{list(first)}: {reference[first]!s} expected, got {candidate[first]!s}"
    )
    return OutputComparison(
        name=name,
        ok=False,
        max_abs=float(np.max(distance)),
        mismatches=mismatches,
        severity=1.0 + mismatches / reference.size,
        reasons=(reason,),
    )


def _compare_floats(
    name: str,
    reference: NDArray[np.float64],
    candidate: NDArray[np.float64],
    tolerances: Tolerances,
) -> OutputComparison:
    max_abs = float(np.max(np.abs(reference - candidate)))
    scale = float(np.max(np.abs(reference)))
    vanishes = scale <= VANISHING
    max_rel = 0.0 if vanishes else max_abs / scale
    cosine, norm_ratio = (1.0, 1.0)
    if not vanishes:
        noise = max(VANISHING, min(tolerances.max_abs, tolerances.max_rel * scale))
        cosine, norm_ratio = _directions(reference, candidate, noise)
    checks = (
        ("largest absolute difference", max_abs, tolerances.max_abs, max_abs),
        ("largest difference relative to the output's scale", max_rel, tolerances.max_rel, max_rel),
        ("1 - cosine", 1 - cosine, 1 - tolerances.cosine, 1 - cosine),
        (
            "norm ratio to the reference",
            _fold(norm_ratio) - 1,
            tolerances.norm_ratio - 1,
            norm_ratio,
        ),
    )
    reasons = tuple(
        f"output {name!r}: {what} is {shown:.4g}, tolerated {_tolerated(what, tolerances, limit)}"
        for what, distance, limit, shown in checks
        if distance > limit + 1e-12
    )
    return OutputComparison(
        name=name,
        ok=not reasons,
        max_abs=max_abs,
        max_rel=max_rel,
        cosine=cosine,
        norm_ratio=norm_ratio,
        severity=max(distance / max(limit, 1e-12) for _, distance, limit, _ in checks),
        reasons=reasons,
    )


def _tolerated(what: str, tolerances: Tolerances, limit: float) -> str:
    if what.startswith("norm"):
        return f"{1 / tolerances.norm_ratio:.4g} to {tolerances.norm_ratio:.4g}"
    return f"{limit:.4g}"


def _directions(
    reference: NDArray[np.float64], candidate: NDArray[np.float64], noise: float
) -> tuple[float, float]:
    """The worst cosine and the worst norm ratio, of the whole and of each row that can have one."""
    wholes = [(reference.ravel(), candidate.ravel())]
    rows = []
    if reference.ndim > 1 and reference[0].size > 1:
        flat = reference.reshape(len(reference), -1)
        other = candidate.reshape(len(candidate), -1)
        kept = np.max(np.abs(flat), axis=1) > noise
        rows = list(zip(flat[kept], other[kept], strict=True))
    pairs = wholes + rows
    ratios = [_norm_ratio(left, right) for left, right in pairs]
    return min(_cosine(left, right) for left, right in pairs), max(ratios, key=_fold)


def _cosine(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    norms = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    if norms == 0.0:
        return 0.0
    return min(float(np.dot(left, right)) / norms, 1.0)


def _norm_ratio(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(right)) / float(np.linalg.norm(left))


def _fold(ratio: float) -> float:
    """How many times larger or smaller, never below 1."""
    return math.inf if ratio == 0 else max(ratio, 1 / ratio)
