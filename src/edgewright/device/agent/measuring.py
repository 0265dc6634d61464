"""The models of a signed kit measured on this device: a remote command that a device does only
where its `agent.toml` allows it and names the keys whose word counts for it.

The kit comes in parts. Its head is checked before a byte of a model is kept, each file's hash
before anything runs, and then a process with the probe's limits on memory measures them beside each
other. Nothing of it is served, nothing is kept.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.clock import Clock
from edgewright.device.agent.limited import MIB, ProcessLimits, run_limited
from edgewright.device.agent.process import ending
from edgewright.device.agent.remote import Done, Line
from edgewright.errors import DeviceError, InputError
from edgewright.trust import PublicKey
from edgewright.wire.kits import ORDER_FILE, PREFIX_BYTES, KitOrder, decode_head, head_bytes
from edgewright.wire.remote_commands import COMMANDS, RemoteCommand


class Measuring:
    """Runs `command FOLDER`, which prints what it found as JSON on its last line."""

    def __init__(
        self,
        command: Sequence[str],
        line: Line,
        *,
        device: str,
        keys: Collection[PublicKey],
        folder: Path,
        limits: ProcessLimits,
        require_free: Callable[[float], None],
        clock: Clock,
    ) -> None:
        self._command = command
        self._line = line
        self._device = device
        self._keys = keys
        self._folder = folder
        self._limits = limits
        self._require_free = require_free
        self._clock = clock

    async def run(self, command: RemoteCommand) -> Done:
        """Fetch the kit, measure, let go of it.

        Raises:
            TrustError: nobody of `keys` signed the kit, or it is for another device.
            InputError: it is damaged, or its time is over.
            ResourceError: it has no place on the disk, or would take of its reserve.
            DeviceError: the process that measures crashed, hung, or took too much memory.
        """
        _fs.remove_tree(self._folder)
        try:
            order = await self._fetched(_Source(self._line, command.number))
            return await self._measured(order)
        finally:
            _fs.remove_tree(self._folder)

    async def _fetched(self, source: "_Source") -> KitOrder:
        prefix = await source.take(PREFIX_BYTES)
        order = decode_head(
            await source.take(head_bytes(prefix)),
            keys=self._keys,
            device=self._device,
            now_s=self._clock.wall_s(),
        )
        self._require_free(order.total_bytes / MIB)
        _fs.make_dirs(self._folder)
        for file in order.files:
            digest, left = hashlib.sha256(), file.size_bytes
            with _fs.appended_file(self._folder / file.name, mode=0o600) as target:
                while left:
                    part = await source.some(left)
                    digest.update(part)
                    target.write(part)
                    left -= len(part)
            if digest.hexdigest() != file.sha256:
                raise InputError(f"{file.name} of the kit is not what was signed")
        (self._folder / ORDER_FILE).write_bytes(msgspec.json.encode(order))
        return order

    async def _measured(self, order: KitOrder) -> Done:
        with _fs.file_errors(self._folder, doing="measuring in"):
            ended = await run_limited((*self._command, str(self._folder)), self._limits)
        if ended.why_killed:
            raise DeviceError(f"measuring was ended: {ended.why_killed}")
        if ended.return_code or not ended.last_line:
            raise DeviceError(f"measuring {ending(ended.return_code)}: {ended.complaint}")
        return Done(text=f"{len(order.models)} models measured", upload=ended.last_line)


class _Source:
    """The bytes of a kit, in order."""

    def __init__(self, line: Line, number: int) -> None:
        self._line = line
        self._number = number
        self._at = 0
        self._waiting = b""

    async def take(self, size_bytes: int) -> bytes:
        """So many."""
        taken = bytearray()
        while len(taken) < size_bytes:
            taken += await self.some(size_bytes - len(taken))
        return bytes(taken)

    async def some(self, most_bytes: int) -> bytes:
        """At least one.

        Raises:
            InputError: the kit ends here.
        """
        if not self._waiting:
            path = f"{COMMANDS}/{self._number}/kit?at={self._at}"
            self._waiting = await self._line.ask("GET", path)
            self._at += len(self._waiting)
        if not self._waiting:
            raise InputError(f"the kit ends after {self._at} bytes")
        some, self._waiting = self._waiting[:most_bytes], self._waiting[most_bytes:]
        return some
