"""Rollouts to thousands of simulated devices, and what happens when they all come back at once.

The devices are the real agent's code (`edgewright.device.sim`) in processes of their own, their
homes in memory.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from _fleet import Place, Process, cpu_s, prepare, resident_mb, serving
from _results import Recording
from edgewright.chain.fleet import open_fleet
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.state import schema

WAVES = "1%,10%,40%,100%"
PER_PROCESS = 5000
LOOK_S = 0.5
STEADY_S = 5.0
HERD_DEVICES = 2000
HERD_POLL_S = 10.0
MEMORY = Path("/dev/shm")
EDGEWRIGHT = [sys.executable, "-c", "from edgewright.cli import main; main()"]


def rollout(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """A good release in four waves, then a bad one that is aborted."""
    place = prepare(folder, versions=2, uses=options.devices)
    flags = ["--tls"] if options.tls else []
    with serving(place.home, *flags) as process:
        start_s = time.monotonic()
        with _devices(process, place, options.devices, options.poll_s, folder, fails=20) as sims:
            _await_devices(place, options.devices)
            recording.figures["devices"] = options.devices
            recording.figures["enrolled_in_s"] = round(time.monotonic() - start_s, 1)
            _good(place, process, sims, recording)
            _bad(place, recording)
            recording.figures["server_memory_mb"] = round(resident_mb(process.pid))
            if options.then_herd:
                _herd_of(process, place, options)
        told = [json.loads(path.read_text()) for path in sorted(folder.glob("sim-*.json"))]
    recording.raw["simulations"] = told
    recording.figures["taken_twice"] = sum(one["twice"] for one in told)
    recording.figures["commits"] = sum(one["commits"] for one in told)


def _herd_of(process: Process, place: Place, options: argparse.Namespace) -> None:
    """The same devices, whose fleet is away and comes back; a result of its own."""
    with Recording("fleet-herd") as recording:
        address = process.devices.removeprefix("http://")
        os.kill(process.pid, signal.SIGKILL)
        time.sleep(options.outage_s)
        _return(place, address, options.devices, recording, poll_s=options.poll_s)
        recording.figures["devices"] = options.devices
        recording.figures["outage_s"] = options.outage_s
        recording.figures["poll_s"] = options.poll_s
        for key, value in recording.figures.items():
            print(f"herd: {key}: {value}", flush=True)


def herd(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """The fleet is killed and comes back after a while on the same address. Devices poll every
    10 s here instead of every 30 s, and the outage is shorter by as much or more: what a device
    does meanwhile (ask again after each interval, hold its records) is the same.
    """
    count = min(options.devices, HERD_DEVICES)
    place = prepare(folder, versions=1, uses=count)
    with serving(place.home) as first:
        address = first.devices.removeprefix("http://")
        with _devices(first, place, count, HERD_POLL_S, folder, fails=0):
            _await_devices(place, count)
            time.sleep(2 * HERD_POLL_S)
            os.kill(first.pid, signal.SIGKILL)
            time.sleep(options.outage_s)
            _return(place, address, count, recording, poll_s=HERD_POLL_S)
    recording.figures["devices"] = count
    recording.figures["outage_s"] = options.outage_s
    recording.figures["poll_s"] = HERD_POLL_S


def _return(place: Place, address: str, count: int, recording: Recording, *, poll_s: float) -> None:
    with serving(place.home, devices=address) as again:
        start_s, cpu = time.monotonic(), cpu_s(again.pid)
        back_at_s = time.time()
        loads = []
        for _ in range(int(6 * poll_s / STEADY_S)):
            time.sleep(STEADY_S)
            used = cpu_s(again.pid)
            seen = _seen_since(place, back_at_s)
            after_s = round(time.monotonic() - start_s, 1)
            loads.append({"after_s": after_s, "cores": (used - cpu) / STEADY_S, "seen": seen})
            cpu = used
        whole = next((one["after_s"] for one in loads if one["seen"] >= count), None)
        recording.raw["loads"] = loads
        recording.figures["all_back_after_s"] = whole if whole is not None else "not all"
        recording.figures["most_cores"] = round(max(one["cores"] for one in loads), 2)
        recording.figures["cores_at_the_end"] = round(loads[-1]["cores"], 2)


def _good(place: Place, process: Process, sims: list[int], recording: Recording) -> None:
    server_s, own_s = cpu_s(process.pid), sum(map(cpu_s, sims))
    start_s = time.monotonic()
    limits = Limits(soak_s=1, min_reached_percent=99, deadline_s=600)
    number = _start(place, "tiny@1", limits)
    status = _ended(place, number)
    passed_s = time.monotonic() - start_s
    recording.figures["rollout_status"] = status
    recording.figures["rollout_s"] = round(passed_s, 1)
    recording.figures["server_cpu_cores"] = round((cpu_s(process.pid) - server_s) / passed_s, 2)
    own_s = sum(map(cpu_s, sims)) - own_s
    recording.figures["generator_cpu_cores"] = round(own_s / passed_s, 2)
    recording.figures["most_starts_per_min"] = _most_starts(place, "tiny@1")
    recording.raw["history"] = _history(place, number)


def _bad(place: Place, recording: Recording) -> None:
    """One in five devices refuses; the order goes to all of them at once."""
    limits = Limits(soak_s=1, error_percent=10, error_min_count=20, deadline_s=600)
    number = _start(place, "tiny@2", limits, waves="100%")
    recording.figures["bad_rollout_status"] = _ended(place, number)
    with open_fleet(place.home) as office, office.state.read() as connection:
        aborted_s = connection.scalar(
            select(schema.history.c.at_s).where(
                schema.history.c.rollout == number, schema.history.c.text.like("aborted%")
            )
        )
        failed = select(schema.records.c.received_at_s, schema.records.c.content).where(
            schema.records.c.kind == "update", schema.records.c.received_at_s <= (aborted_s or 0)
        )
        bundle = office.registry.release("tiny@2").bundle_id
        told = [
            json.loads(row.content) | {"got": row.received_at_s}
            for row in connection.execute(failed)
        ]
    mine = [one for one in told if one["bundle"] == bundle]
    crossed_s = _crossed_at(mine, percent=10, least=20)
    recording.figures["abort_latency_s"] = round((aborted_s or 0) - crossed_s, 2)


def _crossed_at(told: list[dict[str, Any]], *, percent: float, least: int) -> float:
    """When the record came with which the failures passed their limit."""
    failed = good = 0
    for one in told:
        failed += one["state"] == "idle" and one.get("reason", "").startswith("refused")
        good += one["state"] == "commit"
        if failed >= least and 100 * failed >= percent * (failed + good):
            return float(one["got"])
    raise SystemExit("the failures never passed the limit")


@contextlib.contextmanager
def _devices(
    process: Process, place: Place, count: int, poll_s: float, folder: Path, *, fails: float
) -> Iterator[list[int]]:
    """Simulated devices in as many processes as their open connections need; gives the pids."""
    homes = Path(tempfile.mkdtemp(prefix="fleet-sims-", dir=MEMORY if MEMORY.is_dir() else None))
    running = []
    try:
        for number, first in enumerate(range(0, count, PER_PROCESS)):
            some = min(PER_PROCESS, count - first)
            with (folder / f"sim-{number}.json").open("wb") as told:
                running.append(
                    subprocess.Popen(
                        [*EDGEWRIGHT, "agent", "simulate", process.devices, "--json",
                         "--token", place.token, "--count", str(some), "--prefix", f"sim{number}",
                         "--folder", str(homes / str(number)), "--poll", f"{poll_s:g}s",
                         "--fail-percent", str(fails)],
                        stdout=told,
                    )
                )  # fmt: skip
        yield [one.pid for one in running]
    finally:
        for one in running:
            one.send_signal(signal.SIGTERM)
        for one in running:
            one.wait()
        shutil.rmtree(homes)


def _await_devices(place: Place, count: int) -> None:
    """Until all of them are enrolled and were seen."""
    while _seen_since(place, 0) < count:
        time.sleep(LOOK_S)


def _seen_since(place: Place, at_s: float) -> int:
    devices = schema.devices
    query = select(func.count()).select_from(devices).where(devices.c.last_seen_s > at_s)
    with open_fleet(place.home) as office, office.state.read() as connection:
        return connection.scalar(query) or 0


def _start(place: Place, release: str, limits: Limits, *, waves: str = WAVES) -> int:
    with open_fleet(place.home) as office:
        order = RolloutOrder(release=release, waves=waves, limits=limits)
        return office.rollouts.start(order, by="bench").number


def _ended(place: Place, number: int) -> str:
    """Wait for the end by asking the cheapest question there is."""
    table = schema.rollouts
    query = select(table.c.status).where(table.c.id == number)
    with open_fleet(place.home) as office:
        while True:
            with office.state.read() as connection:
                status = connection.scalar(query)
            if status in ("done", "aborted", "paused"):
                return str(status)
            time.sleep(LOOK_S)


def _most_starts(place: Place, release: str) -> int:
    """Devices that told of their first step, in the best 10 s of the rollout, a minute."""
    with open_fleet(place.home) as office, office.state.read() as connection:
        bundle = office.registry.release(release).bundle_id
        query = select(schema.records.c.received_at_s, schema.records.c.content).where(
            schema.records.c.kind == "update"
        )
        firsts: dict[str, float] = {}
        for at_s, content in connection.execute(query):
            record = json.loads(content)
            if record["bundle"] == bundle:
                firsts.setdefault(record["device"], at_s)
    times = sorted(firsts.values())
    best = last = 0
    for first, start_s in enumerate(times):
        while last < len(times) and times[last] < start_s + 10:
            last += 1
        best = max(best, last - first)
    return 6 * best


def _history(place: Place, number: int) -> list[dict[str, Any]]:
    with open_fleet(place.home) as office:
        history = office.rollouts.status(number).history
    start_s = history[0].at_s
    return [{"after_s": round(one.at_s - start_s, 1), "text": one.text} for one in history]
