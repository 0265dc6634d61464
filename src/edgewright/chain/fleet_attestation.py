"""What a fleet's home says of attestation: HOME/attestation.json, the policy; where it is absent no
quote is asked for. HOME/attestation.key makes challenges its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.errors import InputError
from edgewright.fleet.attestation import Attestation
from edgewright.keys import read_or_make_secret
from edgewright.trust.endorsement import makers_in
from edgewright.trust.quote import QuotePolicy

POLICY = "attestation.json"
SECRET = "attestation.key"  # noqa: S105 - a file's name
LIMIT_BYTES = 1 << 20

T = TypeVar("T")


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """What `edgewright agent tpm show --json` tells of a device that is as it should be."""

    pcrs: dict[int, str]
    key_id: str = ""


class FleetAttestation:
    """The policy of one home."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def loaded(self, clock: Clock) -> Attestation | None:
        """The question and its check; None where no quote is asked for."""
        policy = self.policy()
        if policy is None:
            return None
        return Attestation(policy, read_or_make_secret(self._home / SECRET), clock=clock)

    def policy(self) -> QuotePolicy | None:
        """What is allowed; None where no quote is asked for.

        Raises:
            InputError: the file is damaged.
        """
        path = self._home / POLICY
        if not path.exists():
            return None
        return _decoded(path, QuotePolicy)

    def allow(
        self,
        golden: Path | None,
        *,
        pcrs: Sequence[int] = (),
        keys: Sequence[str] = (),
        makers: Sequence[Path] = (),
    ) -> QuotePolicy:
        """Allow what a golden device holds in these registers (all it tells, if none is named),
        beside what is allowed already; and these keys and the TPMs of these makers only, once one
        is named.

        Raises:
            InputError: the file is none, says nothing of a register, or nothing would be allowed.
            TrustError: a maker's file holds no certificate that may certify others.
        """
        known = self.policy()
        allowed = dict(known.pcrs) if known else {}
        values = _decoded(golden, Golden).pcrs if golden else {}
        for number in pcrs or sorted(values):
            if number not in values:
                raise InputError(
                    f"{golden}: it says nothing of register {number}",
                    hint=f"make it with: edgewright agent tpm show --pcr {number} --json",
                )
            allowed[number] = tuple(sorted({*allowed.get(number, ()), values[number]}))
        listed = tuple(sorted({*(known.keys if known else ()), *keys}))
        pems = sorted({*(known.makers if known else ()), *map(_maker, makers)})
        try:
            policy = QuotePolicy(pcrs=allowed, keys=listed, makers=tuple(pems))
        except ValueError as error:
            raise InputError(f"attestation: {error}", hint="give a golden device's file") from error
        _fs.write_atomic(self._home / POLICY, msgspec.json.format(msgspec.json.encode(policy)))
        return policy

    def off(self) -> None:
        """Ask for no quote any more."""
        _fs.remove_tree(self._home / POLICY)


def _maker(path: Path) -> str:
    content = _fs.read_limited(path, limit_bytes=LIMIT_BYTES)
    makers_in(content)
    return content.decode()


def _decoded(path: Path, kind: type[T]) -> T:
    content = _fs.read_limited(path, limit_bytes=LIMIT_BYTES)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{path}: {error}", hint="make it anew: edgewright fleet attest"
        ) from error
