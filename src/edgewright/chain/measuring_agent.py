"""A device of a fleet as the place where variants are measured, through its agent: files travel as
a signed kit by way of the fleet, so a device that nobody can reach from outside measures too.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

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
        command = CommandOrder(kind="measure", lifetime_s=limit_s)
        number = self._fleet.order_command(self._device, command).number
        names = [f"{at:02d}-{sha256(str(p).encode()).hexdigest()[:16]}{p.suffix}" for at, p in
                 enumerate(paths)]  # fmt: skip
        self._send(number, dict(zip(names, paths, strict=True)), feeds, wish, limit_s)
        facts = self._ended(number, time.monotonic() + limit_s + GRACE_S)
        if facts.status != "done":
            raise _failed(facts, self.name)
        content = self._fleet.command_file(self._device, number)
        return decode_comparison(content, names, self.name)

    def _send(
        self, number: int, files: dict[str, Path], feeds: bytes, wish: Wish, limit_s: float
    ) -> None:
        with tempfile.TemporaryFile() as kit:
            try:
                order = KitOrder(
                    device=self._device,
                    expires_at_s=SystemClock().wall_s() + limit_s,
                    files=(*(_listed(name, path) for name, path in files.items()),
                           KitFile(name="inputs.npz", size_bytes=len(feeds),
                                   sha256=sha256(feeds).hexdigest())),
                    threads=wish.threads,
                    rounds=wish.rounds,
                    seconds=wish.seconds,
                    seed=wish.seed,
                    with_energy=wish.with_energy,
                    with_memory=wish.with_memory,
                )  # fmt: skip
            except ValueError as error:
                raise InputError(f"{self.name} takes no such kit: {error}") from error
            kit.write(encode_head(order, self._signer))
            for path in files.values():
                with file_errors(path, doing="reading"):
                    kit.write(path.read_bytes())
            kit.write(feeds)
            size_bytes = kit.tell()
            kit.seek(0)
            for at in range(0, size_bytes, KIT_PART_BYTES):
                part = kit.read(KIT_PART_BYTES)
                is_last = at + len(part) == size_bytes
                self._fleet.add_to_kit(self._device, number, part, at=at, is_last=is_last)

    def _ended(self, number: int, until_s: float) -> CommandFacts:
        """What came of the command, once something did."""
        while True:
            facts = self._fleet.command(self._device, number)
            if facts.status not in ("ordered", "fetched"):
                return facts
            if time.monotonic() > until_s:
                raise TransportError(
                    f"{self.name}: no figures came in time (the command is {facts.status})",
                    hint=f"see: edgewright device commands {self._device}",
                )
            time.sleep(LOOK_S)


def _listed(name: str, path: Path) -> KitFile:
    with file_errors(path, doing="reading"):
        content = path.read_bytes()
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
