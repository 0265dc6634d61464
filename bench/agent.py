"""What an agent costs while nothing happens, and how long an update takes on loopback.

    make prove SUITE=agent

A real fleet, a real agent and its server, about two minutes. The times of an update are those of
the journal: `ready_s` from the first step to the last before the shadow, download, checks and probe
included; shadow and probation last as long as they are set to. CPU is what the kernel counted for
the agent's own process; its memory is taken after the last update, when nothing is being done.
Needs a quiet machine for the times only. From the second update on the fleet looks for a patch
first, which for bundles of noise there is none of. UPDATES=3 takes fewer.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _results import Recording
from edgewright.chain.demo.places import Device, Fleet, running_device, running_fleet
from edgewright.chain.processes import Child
from edgewright.device.agent import Home
from edgewright.device.agent.journal import lines_of
from edgewright.keys import FileSigner
from edgewright.measure.procfs import read_process
from edgewright.stores import read_log
from edgewright.testing.bundles import MODEL, build_tiny

FILLER_BYTES = 5_000_000
UPDATES = int(os.environ.get("UPDATES", "7"))
IDLE_S = 30.0
SAMPLES = 10
PATIENCE_S = 90.0


def main() -> None:
    with tempfile.TemporaryDirectory() as name, Recording("agent") as recording:
        folder = Path(name)
        signer, public = _keeper(folder)
        with (
            running_fleet(_made(folder / "fleet"), signer, public) as fleet,
            running_device(_made(folder / "device"), fleet) as (device, child),
        ):
            ready_s = [_update(folder, fleet, device, str(n + 1)) for n in range(UPDATES)]
            cpu_share, rss_mb, pss_mb = _idle(child)
        recording.raw.update(ready_s=ready_s, rss_mb=rss_mb, pss_mb=pss_mb, idle_s=IDLE_S)
        recording.figures.update(
            bundle_mb=round(FILLER_BYTES / 1e6, 1),
            updates=len(ready_s),
            update_ready_median_s=round(statistics.median(ready_s), 2),
            update_ready_max_s=round(max(ready_s), 2),
            idle_cpu_percent=round(100 * cpu_share, 2),
            rss_max_mb=round(max(rss_mb), 1),
            pss_max_mb=round(max(pss_mb), 1),
        )
        print(recording.figures)


def _keeper(folder: Path) -> tuple[FileSigner, Path]:
    key = folder / "keeper.pem"
    return FileSigner.create(key), key.with_suffix(".pub")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _update(folder: Path, fleet: Fleet, device: Device, version: str) -> float:
    """Roll a bundle out that shares next to nothing with the one before; seconds until its shadow
    (of the first bundle, which has nothing to shadow: until it is activated).
    """
    bundle = folder / f"{version}.ewb"
    build_tiny(bundle, version=version, signer=fleet.keeper, filler_bytes=FILLER_BYTES)
    rollout = fleet.roll_out(fleet.publish(bundle))
    deadline_s = time.monotonic() + PATIENCE_S
    while not (fleet.is_over(rollout) and device.committed(MODEL) == (version, "idle")):
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{device.last_word(MODEL, version)}: {device.committed(MODEL)}")
        time.sleep(0.2)
    steps = [line.progress for line in lines_of(read_log(Home(device.home).journal_path))]
    mine = [step for step in steps if step.release and step.release.version == version]
    ready = next(step for step in mine if step.state in ("shadow", "activate"))
    return round(ready.at_s - mine[0].at_s, 3)


def _idle(child: Child) -> tuple[float, Sequence[float], Sequence[float]]:
    """The agent's share of one core while it waits for news, and its memory now and then: all that
    is resident, and its share of it where pages are shared with others.
    """
    pid = child.process.pid
    time.sleep(5.0)
    start, start_s = read_process(pid), time.monotonic()
    rss_mb, pss_mb = [], []
    for _ in range(SAMPLES):
        time.sleep(IDLE_S / SAMPLES)
        reading = read_process(pid)
        rss_mb.append(round(reading.rss_bytes / 1e6, 1))
        pss_mb.append(round(reading.memory_bytes / 1e6, 1))
    spent_s = read_process(pid).cpu_s - start.cpu_s
    return spent_s / (time.monotonic() - start_s), rss_mb, pss_mb


if __name__ == "__main__":
    main()
