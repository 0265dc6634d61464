"""What pushing needs of others: a machine to command, and somebody who knows right answers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Ended(Protocol):
    """How a command ended."""

    @property
    def status(self) -> int:
        """Its exit status."""

    @property
    def stdout(self) -> bytes:
        """What it printed."""

    @property
    def stderr(self) -> bytes:
        """What it complained of."""


class Machine(Protocol):
    """Another machine that is connected; `transports.ssh` has one."""

    @property
    def name(self) -> str:
        """For messages and reports."""

    @property
    def key_fingerprint(self) -> str:
        """The host key that was checked."""

    async def run(
        self, command: Sequence[str], *, stdin: AsyncIterator[bytes] | None = None, timeout_s: float
    ) -> Ended:
        """Run a command to its end."""

    def forwarded(self, host: str, port: int) -> AbstractAsyncContextManager[str]:
        """A local address behind which that machine's address lies."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How many golden questions were asked and how many of the answers were wrong."""

    asked: int
    wrong: int
    reasons: tuple[str, ...] = ()


class Examiner(Protocol):
    """Asks a served model the golden questions of the pushed bundle."""

    async def __call__(self, address: str, model: str) -> Asked:
        """The result.

        Raises:
            TransportError: the server does not answer.
        """
