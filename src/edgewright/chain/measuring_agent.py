"""A device of a fleet as the place where variants are measured, through its agent: files travel as
a signed kit by way of the fleet, so a device that nobody can reach from outside measures too.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from edgewright._fs import file_errors
from edgewright.chain.measuring_afar import PlaceAfar, Wish, decode_comparison
from edgewright.clock import SystemClock
from edgewright.errors import DeviceError, InputError, TransportError
from edgewright.fleet.client import Fleet
from edgewright.fleet.remote_commands import CommandFacts, CommandOrder
from edgewright.measure.comparison import Comparison
from edgewright.trust import Signer
from edgewright.wire.kits import KitFile, KitOrder, encode_head
from edgewright.wire.remote_commands import KIT_PART_BYTES

INPUTS = "inputs.npz"
LOOK_S = 0.3
GRACE_S = 30.0
"""So long after a command's time its report may still come."""
FETCH_S = 120.0
"""So long a device may take to ask its fleet and to fetch a kit."""


@contextmanager
def agent_place(
    fleet: Fleet, device: str, signer: Signer, *, threads: int, seed: int
) -> Iterator[PlaceAfar]:
    """The device as a `Place`.

    Raises:
        AbsentError: the fleet has no such device.
    """
    fleet.device(device)
    yield PlaceAfar(_ByAgent(fleet, device, signer), threads=threads, seed=seed)


class _ByAgent:
    """See `Afar`."""

    def __init__(self, fleet: Fleet, device: str, signer: Signer) -> None:
        self._fleet = fleet
        self._device = device
        self._signer = signer

    @property
    def name(self) -> str:
        """As people write it."""
        return f"agent:{self._device}"

    def compare(self, paths: Sequence[Path], feeds: bytes, wish: Wish) -> Comparison:
        """See `Afar.compare`."""
        limit_s = wish.limit_s + FETCH_S
        names = [_name(at, path) for at, path in enumerate(paths)]
        with tempfile.TemporaryFile() as kit:
            kit.write(encode_head(self._order(names, paths, feeds, wish, limit_s), self._signer))
            for path in paths:
                kit.write(_content(path))
            kit.write(feeds)
            number = self._sent(kit, limit_s)
        facts = self._ended(number, time.monotonic() + limit_s + GRACE_S)
        if facts.status != "done":
            raise _failed(facts, self.name)
        content = self._fleet.command_file(self._device, number)
        return decode_comparison(content, names, self.name)

    def _order(
        self, names: Sequence[str], paths: Sequence[Path], feeds: bytes, wish: Wish, limit_s: float
    ) -> KitOrder:
        files = [_listed(name, _content(path)) for name, path in zip(names, paths, strict=True)]
        try:
            return KitOrder(
                device=self._device,
                expires_at_s=SystemClock().wall_s() + limit_s,
                files=(*files, _listed(INPUTS, feeds)),
                threads=wish.threads,
                rounds=wish.rounds,
                seconds=wish.seconds,
                seed=wish.seed,
                with_energy=wish.with_energy,
                with_memory=wish.with_memory,
            )
        except ValueError as error:
            raise InputError(f"{self.name} takes no such kit: {error}") from error

    def _sent(self, kit: IO[bytes], limit_s: float) -> int:
        """The number of the command that a whole kit waits for."""
        size_bytes = kit.tell()
        kit.seek(0)
        command = CommandOrder(kind="measure", lifetime_s=limit_s)
        number = self._fleet.order_command(self._device, command).number
        for at in range(0, size_bytes, KIT_PART_BYTES):
            part = kit.read(KIT_PART_BYTES)
            is_last = at + len(part) == size_bytes
            self._fleet.add_to_kit(self._device, number, part, at=at, is_last=is_last)
        return number

    def _ended(self, number: int, until_s: float) -> CommandFacts:
        """What came of the command, once something did. A fleet that is away is asked again."""
        status = "ordered"
        while time.monotonic() < until_s:
            with contextlib.suppress(TransportError):
                facts = self._fleet.command(self._device, number)
                if facts.status not in ("ordered", "fetched"):
                    return facts
                status = facts.status
            time.sleep(LOOK_S)
        raise TransportError(
            f"{self.name}: no figures came in time (the command is {status})",
            hint=f"see: edgewright device commands {self._device}",
        )


def _name(at: int, path: Path) -> str:
    """In a kit, whatever the file's own name is."""
    return f"{at:02d}-{sha256(str(path).encode()).hexdigest()[:16]}{path.suffix}"


def _content(path: Path) -> bytes:
    with file_errors(path, doing="reading"):
        return path.read_bytes()


def _listed(name: str, content: bytes) -> KitFile:
    return KitFile(name=name, size_bytes=len(content), sha256=sha256(content).hexdigest())


def _failed(facts: CommandFacts, name: str) -> DeviceError | TransportError:
    if facts.status == "forbidden":
        return TransportError(
            f"{name}: {facts.text}",
            hint='its agent.toml needs remote_commands = [..., "measure"] and measure_keys',
        )
    if facts.status == "expired":
        return TransportError(
            f"{name}: the device did not fetch the kit in time",
            hint="is its agent running? see: edgewright device show",
        )
    return DeviceError(f"{name}: {facts.text}")
