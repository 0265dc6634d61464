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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import func, select

from _fleet import (
    Place,
    Process,
    allow_open_files,
    cpu_s,
    open_files,
    prepare,
    resident_mb,
    say,
    serving,
)
from _results import Recording
from edgewright.chain.fleet import open_fleet
from edgewright.errors import ResourceError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.state import schema

WAVES = "1%,10%,40%,100%"
PER_PROCESS = 5000
LOOK_S = 0.5
FILES_EVERY_S = 2.0
OTHER_FILES = 1024
STEADY_S = 5.0
CALM_S = 15.0
LONGEST_S = 1800.0
"""Whatever is waited for: who waits longer has something to look into."""
TRIES = 20
HERD_DEVICES = 2000
HERD_POLL_S = 10.0
MEMORY = Path("/dev/shm")
EDGEWRIGHT = [sys.executable, "-c", "from edgewright.cli import main; main()"]

T = TypeVar("T")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A running fleet with its devices. `office` is a second way into its database, which stays
    open: asking again and again costs the fleet no more than a query.
    """

    place: Place
    process: Process
    office: Office
    sims: list["subprocess.Popen[bytes]"]
    devices: int
    most_open: dict[str, int] = msgspec.field(default_factory=dict)
    """The most files that the fleet, and one process of devices, were seen to hold open."""

    @property
    def sim_pids(self) -> list[int]:
        return [one.pid for one in self.sims]

    def until(self, what: str, is_so: Callable[[], bool]) -> None:
        """Wait for something, as long as all processes of the devices live."""
        until_s, files_s = time.monotonic() + LONGEST_S, 0.0
        while not is_so():
            if time.monotonic() >= files_s:
                files_s = time.monotonic() + FILES_EVERY_S
                self.count_open([self.process.pid])
            if dead := [one.pid for one in self.sims if one.poll() is not None]:
                raise SystemExit(f"{what}: the simulated devices of {dead} ended by themselves")
            if time.monotonic() > until_s:
                raise SystemExit(f"{what}: not after {LONGEST_S:g} s")
            time.sleep(LOOK_S)

    def count_open(self, servers: Sequence[int]) -> None:
        """Look how many files are open now."""
        for who, pids in (("server", servers), ("generator", self.sim_pids)):
            now = max(open_files(pid) for pid in pids)
            self.most_open[who] = max(now, self.most_open.get(who, 0))


def rollout(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """A good release in four waves, then a bad one that is aborted."""
    _require_room(options.devices)
    place = prepare(folder, versions=2, uses=options.devices)
    flags = ["--tls"] if options.tls else []
    with serving(place.home, *flags) as process, open_fleet(place.home) as office:
        place = _with_pin(place, office, options.devices)
        start_s = time.monotonic()
        with _devices(process, place, options.devices, options.poll_s, folder, fails=20) as sims:
            field = Field(
                place=place, process=process, office=office, sims=sims, devices=options.devices
            )
            _await_devices(field)
            recording.figures["devices"] = options.devices
            recording.figures["enrolled_in_s"] = round(time.monotonic() - start_s, 1)
            own_mb = sum(map(resident_mb, field.sim_pids))
            recording.figures["generator_memory_mb"] = round(own_mb)
            _good(field, recording)
            recording.write()
            _bad(field, recording)
            recording.figures["server_memory_mb"] = round(resident_mb(process.pid))
            recording.figures["open_files_allowed"] = allow_open_files()
            for who, most in field.most_open.items():
                recording.figures[f"{who}_most_open_files"] = most
            if options.then_herd:
                recording.write()
                _herd_of(field, options, flags)
        told = [json.loads(path.read_text()) for path in sorted(folder.glob("sim-*.json"))]
    recording.raw["simulations"] = told
    recording.figures["taken_twice"] = sum(one["twice"] for one in told)
    recording.figures["begun_again"] = sum(one["begun_again"] for one in told)
    recording.figures["commits"] = sum(one["commits"] for one in told)


def _with_pin(place: Place, office: Office, uses: int) -> Place:
    """With a token that was made while the fleet has an authority, and names it."""
    token = office.devices.create_token(TokenOrder(uses=uses), by="bench").token
    return msgspec.structs.replace(place, token=token)


def _require_room(devices: int) -> None:
    """The server holds each device's poll, and others of those that tell or download just now; when
    it has no place left, it lets go of the connection that was idle longest. A process of devices
    may need three of each of its own: a poll, a report, a download.
    """
    some = min(devices, PER_PROCESS)
    needed, allowed = max(devices + devices // 2, 3 * some) + OTHER_FILES, allow_open_files()
    if allowed < needed:
        raise SystemExit(
            f"{devices} devices on one machine need {needed} open files, {allowed} are allowed: "
            f"raise the hard limit (ulimit -Hn {needed}, as root)"
        )


def _herd_of(field: Field, options: argparse.Namespace, flags: list[str]) -> None:
    """The same devices, whose fleet is away and comes back; a result of its own."""
    with Recording("fleet-herd") as recording:
        say("waiting until the devices have returned to what they ran")
        field.until("calm after the rollouts", lambda: _is_calm(field))
        _outage(field, recording, options.outage_s, options.poll_s, flags)
        for key, value in recording.figures.items():
            print(f"herd: {key}: {value}", flush=True)


def herd(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """The fleet is killed and comes back after a while on the same address. Devices poll every
    10 s here instead of every 30 s, and the outage is shorter by as much or more: what a device
    does meanwhile (ask again after each interval, hold its records) is the same.
    """
    count = min(options.devices, HERD_DEVICES)
    _require_room(count)
    place = prepare(folder, versions=1, uses=count)
    with (
        serving(place.home) as process,
        open_fleet(place.home) as office,
        _devices(process, place, count, HERD_POLL_S, folder, fails=0) as sims,
    ):
        field = Field(place=place, process=process, office=office, sims=sims, devices=count)
        _await_devices(field)
        time.sleep(2 * HERD_POLL_S)
        _outage(field, recording, options.outage_s, HERD_POLL_S, [])


def _outage(
    field: Field, recording: Recording, outage_s: float, poll_s: float, flags: list[str]
) -> None:
    address = field.process.devices.split("://")[1]
    field.most_open.clear()
    before = cpu_s(field.process.pid)
    time.sleep(CALM_S)
    usual = (cpu_s(field.process.pid) - before) / CALM_S
    say(f"the fleet is killed, for {outage_s:g} s")
    os.kill(field.process.pid, signal.SIGKILL)
    time.sleep(outage_s)
    with serving(field.place.home, *flags, devices=address) as again:
        _return(field, again, recording, poll_s=poll_s)
    recording.figures["cores_before"] = round(usual, 2)
    recording.figures["devices"] = field.devices
    recording.figures["outage_s"] = outage_s
    recording.figures["poll_s"] = poll_s


def _return(field: Field, again: Process, recording: Recording, *, poll_s: float) -> None:
    """How the server fares from its first answer on."""
    start_s, cpu, back_at_s = time.monotonic(), cpu_s(again.pid), time.time()
    since_s, loads = start_s, []
    for _ in range(int(max(6 * poll_s, 60.0) / STEADY_S)):
        time.sleep(STEADY_S)
        used, now_s = cpu_s(again.pid), time.monotonic()
        field.count_open([again.pid])
        cores = round((used - cpu) / (now_s - since_s), 3)
        seen = _seen_since(field.office, back_at_s)
        loads.append({"after_s": round(now_s - start_s, 1), "cores": cores, "seen": seen})
        cpu, since_s = used, now_s
    whole = next((one["after_s"] for one in loads if one["seen"] >= field.devices), None)
    recording.raw["loads"] = loads
    recording.figures["all_back_after_s"] = whole if whole is not None else "not all"
    recording.figures["server_most_open_files"] = field.most_open["server"]
    recording.figures["most_cores"] = round(max(one["cores"] for one in loads), 2)
    recording.figures["cores_at_the_end"] = round(loads[-1]["cores"], 2)
    recording.figures["refusals_in_audit"] = _refused_since(field.office, back_at_s)


def _good(field: Field, recording: Recording) -> None:
    say("the good release goes out")
    pid, sims = field.process.pid, field.sim_pids
    server_s, own_s = cpu_s(pid), sum(map(cpu_s, sims))
    start_s = time.monotonic()
    limits = Limits(soak_s=1, min_reached_percent=99, deadline_s=600)
    number = _start(field.office, "tiny@1", limits)
    status = _ended(field, number)
    passed_s = time.monotonic() - start_s
    recording.figures["rollout_status"] = status
    recording.figures["rollout_s"] = round(passed_s, 1)
    recording.figures["server_cpu_cores"] = round((cpu_s(pid) - server_s) / passed_s, 2)
    own_s = sum(map(cpu_s, sims)) - own_s
    recording.figures["generator_cpu_cores"] = round(own_s / passed_s, 2)
    recording.figures["most_starts_per_min"] = _most_starts(field.office, "tiny@1")
    recording.raw["history"] = _history(field.office, number)


def _bad(field: Field, recording: Recording) -> None:
    """One in five devices refuses; the order goes to all of them at once. Twenty refusals at least
    make up the limit, fewer where devices are few: what cannot succeed any more is paused instead.
    """
    say("the bad release goes out")
    least = max(2, min(20, field.devices // 40))
    limits = Limits(soak_s=1, error_percent=10, error_min_count=least, deadline_s=600)
    office = field.office
    number = _start(office, "tiny@2", limits, waves="100%")
    status = _ended(field, number)
    recording.figures["bad_rollout_status"] = status
    if status != "aborted":
        raise SystemExit(f"the bad rollout was not aborted but is {status}")
    with office.state.read() as connection:
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
    crossed_s = _crossed_at(mine, percent=10, least=least)
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
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Simulated devices in as many processes as their open connections need."""
    homes = Path(tempfile.mkdtemp(prefix="fleet-sims-", dir=MEMORY if MEMORY.is_dir() else None))
    running: list[subprocess.Popen[bytes]] = []
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
        yield running
    finally:
        for one in running:
            one.send_signal(signal.SIGTERM)
        for one in running:
            one.wait()
        shutil.rmtree(homes)


def _await_devices(field: Field) -> None:
    """Until all of them are enrolled and were seen."""
    said_s = time.monotonic()

    def are_all_here() -> bool:
        nonlocal said_s
        seen = _seen_since(field.office, 0)
        if time.monotonic() >= said_s + 30:
            said_s = time.monotonic()
            say(f"{seen} of {field.devices} devices were seen")
        return seen >= field.devices

    field.until("all devices were seen", are_all_here)


def _seen_since(office: Office, at_s: float) -> int:
    devices = schema.devices
    query = select(func.count()).select_from(devices).where(devices.c.last_seen_s > at_s)
    with office.state.read() as connection:
        return connection.scalar(query) or 0


def _is_calm(field: Field) -> bool:
    """Whether no device has told of a step for a while."""
    table = schema.records
    query = select(func.max(table.c.received_at_s)).where(table.c.kind == "update")
    with field.office.state.read() as connection:
        return time.time() - (connection.scalar(query) or 0.0) > CALM_S


def _refused_since(office: Office, at_s: float) -> int:
    """How many kinds of refused requests the audit log has got since then."""
    table = schema.audit
    query = select(func.count()).select_from(table)
    query = query.where(table.c.at_s > at_s, table.c.what.like("request refused%"))
    with office.state.read() as connection:
        return connection.scalar(query) or 0


def _start(office: Office, release: str, limits: Limits, *, waves: str = WAVES) -> int:
    order = RolloutOrder(release=release, waves=waves, limits=limits)
    return _patiently(lambda: office.rollouts.start(order, by="bench").number)


def _patiently(work: Callable[[], T]) -> T:
    """The server is the one that writes; a busy one may not let us in at once."""
    for left in reversed(range(TRIES)):
        try:
            return work()
        except ResourceError:
            if not left:
                raise
    raise AssertionError("unreachable")


def _ended(field: Field, number: int) -> str:
    """Wait for the end by asking the cheapest question there is."""
    table = schema.rollouts
    query = select(table.c.status).where(table.c.id == number)
    found = ""

    def is_over() -> bool:
        nonlocal found
        with field.office.state.read() as connection:
            found = str(connection.scalar(query))
        return found in ("done", "aborted", "paused")

    field.until(f"the end of rollout {number}", is_over)
    return found


def _most_starts(office: Office, release: str) -> int:
    """Devices that told of their first step, in the best 10 s of the rollout, a minute."""
    with office.state.read() as connection:
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


def _history(office: Office, number: int) -> list[dict[str, Any]]:
    history = office.rollouts.status(number).history
    start_s = history[0].at_s
    return [{"after_s": round(one.at_s - start_s, 1), "text": one.text} for one in history]
