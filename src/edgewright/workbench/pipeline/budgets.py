"""The time budgets of the first users, printed by every run and kept beside its reports."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgewright._fs import read_limited, write_atomic
from edgewright.contract import decode_json, encode_json

# Export < 5 min, compile < 30 min, deploy < 10 min, validate < 5 min.
TIME_LIMITS_S = {"export": 300.0, "compile": 1800.0, "deploy": 600.0, "validate": 300.0}

FILE = "time_budgets.json"
_LIMIT_BYTES = 1 << 20


class TimeBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measured duration against its limit."""

    name: str
    seconds: float
    limit_s: float

    @property
    def is_kept(self) -> bool:
        """Whether it was quick enough."""
        return self.seconds < self.limit_s


class TimeBudgets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that were measured."""

    budgets: tuple[TimeBudget, ...]
    schema_version: int = 1


def keep_budgets(reports: Path, seconds: Mapping[str, float]) -> tuple[TimeBudget, ...]:
    """Write newly measured durations into the project's report; others stay as last measured."""
    path = reports / FILE
    known: dict[str, TimeBudget] = {}
    if path.exists():
        content = read_limited(path, limit_bytes=_LIMIT_BYTES)
        known = {
            budget.name: budget
            for budget in decode_json(content, TimeBudgets, source=str(path)).budgets
        }
    for name, value in seconds.items():
        known[name] = TimeBudget(name=name, seconds=round(value, 3), limit_s=TIME_LIMITS_S[name])
    kept = tuple(known[name] for name in TIME_LIMITS_S if name in known)
    write_atomic(path, encode_json(TimeBudgets(budgets=kept)))
    return kept
