"""What the administrator's socket of a server is told and tells, beside the V2 protocol's own
messages: loading, sharing requests between versions, trying a candidate.
"""

import msgspec


class LoadOrder(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What to load, for the administrator's socket: a bundle or a bare engine file. It replaces the
    versions of its name, unless told to keep those beside it.
    """

    path: str
    keep: bool = False


class SplitOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How versions of a model share its requests. Without weights the latest version that is no
    shadow answers all. A request's key, from a header or else from
    its parameters, sticks to its version.
    """

    weights: dict[str, float] = {}
    shadows: tuple[str, ...] = ()
    header: str = "x-sticky-key"
    parameter: str = "sticky_key"


class SplitChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `SplitOrder` in part: what is not named stays as it is."""

    weights: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    shadows: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    header: str | msgspec.UnsetType = msgspec.UNSET
    parameter: str | msgspec.UnsetType = msgspec.UNSET


class VersionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is loaded, and what it did since. A shadow was asked what others had answered:
    rows that were compared, those on which both agreed, passes that failed by reason, and passes
    that it had no time for.
    """

    version: str
    weight: float = 0.0
    is_shadow: bool = False
    answered: int = 0
    failed: dict[str, int] = {}
    latency_ms: dict[str, float] = {}
    compared: int = 0
    agreed: int = 0
    shadow_failed: dict[str, int] = {}
    skipped: int = 0


class SplitFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How the versions of a model share its requests now."""

    name: str
    header: str
    parameter: str
    versions: tuple[VersionFigures, ...]


class TryOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate to run beside a model: mirrored ("shadow") or asked first ("lead"), in a child
    process that may use this much memory (0 is no limit but that of growth).
    """

    path: str
    mode: str = "shadow"
    memory_mb: float = 0.0
