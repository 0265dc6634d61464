"""What people may have this device do from afar, wired to what does it."""

import sys
from functools import partial

import msgspec

from edgewright import _fs
from edgewright.chain.agent import support_bundle
from edgewright.clock import SystemClock
from edgewright.device.agent import Agent, Done, Home, RemoteHands, ServerProcess, Slots
from edgewright.device.agent.capture import Capture
from edgewright.device.agent.limited import ProcessLimits
from edgewright.device.agent.measuring import Measuring
from edgewright.device.agent.ports import Fleet
from edgewright.device.agent.remote import Deed
from edgewright.device.agent.telling import tell_validation
from edgewright.errors import DeviceError
from edgewright.keys.file import read_public_key
from edgewright.wire.remote_commands import RemoteCommand

MEASURE_COMMAND = (sys.executable, "-m", "edgewright.chain.measure_child")
MEASURE_FOLDER = ".tmp-measure"
CAPTURE_COMMAND = (sys.executable, "-m", "edgewright.chain.capture_child")
SUPPORT_FILE = ".tmp-support.tar.gz"
SUPPORT_LIMIT_BYTES = 1 << 20


def remote_hands(
    home: Home, agent: Agent, server: ServerProcess, fleet: Fleet | None
) -> RemoteHands | None:
    """As far as its settings allow; None for a device without a fleet."""
    if fleet is None:
        return None

    async def restart(_: RemoteCommand) -> Done:
        await server.restart()
        return Done(text=f"the server runs anew as process {server.pid}")

    async def probe(command: RemoteCommand) -> Done:
        model = agent.only_model(command.model)
        current = agent.tools.slots.current(model)
        if not current:
            raise DeviceError(f"model {model} has no active bundle")
        report = await agent.tools.probe.run(agent.tools.slots.folder(model, current))
        tell_validation(agent.tools, model, current, report)
        if not report.passed:
            raise DeviceError(f"{model} {current[:12]}: {report.reason}")
        return Done(text=msgspec.json.encode(report).decode())

    async def gather(_: RemoteCommand) -> Done:
        path = home.root / SUPPORT_FILE
        parts = await agent.tools.offload(lambda: support_bundle(home.root, path))
        try:
            content = _fs.read_limited(path, limit_bytes=SUPPORT_LIMIT_BYTES)
        finally:
            _fs.remove_tree(path)
        return Done(text=f"{len(parts)} parts: {', '.join(parts)}", upload=content)

    settings = home.settings()

    async def capture(command: RemoteCommand) -> Done:
        if not settings.capture:
            raise DeviceError(
                "this device's agent.toml names no sensor", hint='set capture = "capture.toml"'
            )
        child = (*CAPTURE_COMMAND, str(home.root / settings.capture))
        return await Capture(child, fleet, clock=SystemClock()).run(command)

    deeds: dict[str, Deed] = {
        "restart-server": restart,
        "probe": probe,
        "support-bundle": gather,
        "capture": capture,
        "measure": partial(_measure, home, agent.tools.slots, fleet),
    }
    allowed = settings.remote_commands
    return RemoteHands(fleet, deeds, allowed=allowed, clock=SystemClock())


async def _measure(home: Home, slots: Slots, fleet: Fleet, command: RemoteCommand) -> Done:
    settings = home.settings()
    if not settings.measure_keys:
        raise DeviceError(
            "this device's agent.toml names nobody whose models it measures",
            hint='set measure_keys = ["NAME.pub"]',
        )
    measuring = Measuring(
        MEASURE_COMMAND,
        fleet,
        device=home.identity().device,
        keys=[read_public_key(home.root / name) for name in settings.measure_keys],
        folder=home.root / MEASURE_FOLDER,
        limits=ProcessLimits(timeout_s=command.lasts_s, memory_mb=settings.probe_memory_mb),
        require_free=slots.require_free,
        clock=SystemClock(),
    )
    return await measuring.run(command)
