"""What a device asks of a bundle beyond being the right one: figures that were measured on a board
of its own class, and who says so. Pure: the same policy and bundle, the same verdict.

    >>> rule = Rule(figure="latency p95", below=50.0, on_this_board=True)
    >>> rule.why_missed([], board="Raspberry Pi 5")
    "no measured 'latency p95' on board 'Raspberry Pi 5'"
"""

from collections.abc import Sequence

import msgspec

from edgewright.bundle.openssf import MEMBER as MODEL_SIGNATURE
from edgewright.bundle.openssf import load_public, verify_files
from edgewright.bundle.provenance import Measurement, measurements_of
from edgewright.bundle.read import Bundle
from edgewright.errors import InputError, TrustError
from edgewright.trust import PublicKey, TrustedKeys

SCHEMA_VERSION = 1


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit for one figure. The worse end of its interval counts, where it has one; what was
    estimated does not count as measured.
    """

    figure: str
    below: float | None = None
    at_most: float | None = None
    above: float | None = None
    at_least: float | None = None
    on_this_board: bool = False

    def __post_init__(self) -> None:
        given = (self.below, self.at_most, self.above, self.at_least)
        if sum(limit is not None for limit in given) != 1:
            raise ValueError(
                f"rule for {self.figure!r}: expected exactly one of below, at_most, above, at_least"
            )

    def why_missed(self, measurements: Sequence[Measurement], *, board: str) -> str:
        """The reason why a bundle does not keep it, "" when it does: every measurement that counts
        must.
        """
        counting = [
            one.figure
            for one in measurements
            if one.figure.name == self.figure
            and one.figure.method == "measured"
            and (not self.on_this_board or (board and one.board.startswith(board)))
        ]
        if not counting:
            where = f" on board {board or 'of an unknown class'!r}" if self.on_this_board else ""
            return f"no measured {self.figure!r}{where}"
        for figure in counting:
            is_upper = self.below is not None or self.at_most is not None
            worse = figure.high if is_upper else figure.low
            value = figure.value if worse is None else worse
            if not self._is_kept(value):
                return (
                    f"{self.figure} is {value:g} {figure.unit}, expected {self._text()} "
                    f"(measured {figure.when} on {figure.where})"
                )
        return ""

    def _is_kept(self, value: float) -> bool:
        return (
            (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
        )

    def _text(self) -> str:
        limits = {
            "below": self.below,
            "at most": self.at_most,
            "above": self.above,
            "at least": self.at_least,
        }
        return next(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)


class InstallPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`policy.toml`. `board` is what this device's class is called, as measurements name it or
    begin; the device's own word when empty. `keys` say whose statement counts, `openssf_keys` (PEM)
    who must have signed the model files.
    """

    schema_version: int
    board: str = ""
    keys: tuple[str, ...] = ()
    threshold: int = 1
    openssf_keys: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {self.schema_version}, expected {SCHEMA_VERSION}")
        self.trusted()
        for number, pem in enumerate(self.openssf_keys, 1):
            try:
                load_public(pem.encode(), source=f"openssf key {number}")
            except InputError as error:
                raise ValueError(error.message) from error

    def trusted(self) -> TrustedKeys | None:
        """Whose statement counts; None when the bundle's own makers vouch for it."""
        if not self.keys:
            return None
        keys = tuple(PublicKey(public_hex=key) for key in self.keys)
        return TrustedKeys(threshold=self.threshold, keys=keys)

    def require(self, bundle: Bundle, *, board: str) -> None:
        """Pass when a bundle may be installed on a device of this board.

        Raises:
            TrustError: a statement or signature is missing or does not count, or a figure misses
            its limit; every missed one is named.
        """
        if self.openssf_keys:
            self._require_signed_files(bundle)
        if not self.rules and not self.keys:
            return
        measurements = measurements_of(bundle, self.trusted())
        missed = [
            why
            for rule in self.rules
            if (why := rule.why_missed(measurements, board=self.board or board))
        ]
        if missed:
            raise TrustError(
                f"this device's policy: {'; '.join(missed)}",
                hint="take a release that keeps it, or change policy.toml",
            )

    def _require_signed_files(self, bundle: Bundle) -> None:
        carried = [blob for blob in bundle.manifest.blobs if blob.name == MODEL_SIGNATURE]
        if not carried:
            raise TrustError(
                f"this device's policy: {bundle.manifest.name} {bundle.manifest.version} carries "
                "no OpenSSF signature",
                hint="have its maker add it: edgewright bundle sign --openssf",
            )
        content, refusals = bundle.read(carried[0]), []
        for number, pem in enumerate(self.openssf_keys, 1):
            key = load_public(pem.encode(), source=f"openssf key {number}")
            try:
                verify_files(content, bundle.manifest.blobs, key)
            except TrustError as error:
                refusals.append(error.message)
            else:
                return
        raise TrustError(f"this device's policy: {'; '.join(refusals)}")
