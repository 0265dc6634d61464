"""What one fleet process bears, a protocol at a time; without a name all of them.

    python bench/fleet.py polls --goosebit VENV      authenticated polls with nothing to do
    python bench/fleet.py rollout --devices 10000    four waves to real agents that run no model
        --tls with certificates, --then-herd and the fleet is away for --outage-s afterwards
    python bench/fleet.py registered                 100,000 devices: list, search, growth
    python bench/fleet.py herd                       the fleet was away, everybody comes back
    python bench/fleet.py kills --times 200          SIGKILL at random moments of rollouts
    python bench/fleet.py schema --schemathesis VENV every role over the whole OpenAPI

Everything is on one machine, so the generator takes its share of the same cores; both are given.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from _fleet import Ask, Load, cpu_s, poll, prepare, resident_mb, serving
from _fleet_goosebit import goosebit, version
from _fleet_kills import kills
from _fleet_registered import registered
from _fleet_rollout import herd, rollout
from _fleet_schema import schema
from _results import Recording
from edgewright.chain.enrolment import Wish, enroll_with
from edgewright.chain.fleet import open_fleet
from edgewright.device.agent import DeviceCertificate, Home
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.wire import device_api as wire

ROUNDS = 3
NOT_MODIFIED = 304


def polls(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """Plain, with client certificates in process, and goosebit, in turn."""
    place = prepare(folder, versions=1, uses=options.registered)
    names = [f"device-{number:06}" for number in range(options.registered)]
    with open_fleet(place.home) as office:
        secrets = [office.devices.enrol(place.token, name, {"site": "x"}) for name in names]
        order = RolloutOrder(release="tiny@1", waves="100%", limits=Limits(soak_s=0))
        office.rollouts.start(order, by="bench")
        office.rollouts.tick(here=names)
        office.rollouts.abort(1, returns=False, reason="nothing left to do", by="bench")
    many = options.connections
    with serving(place.home) as process:
        address = process.devices.removeprefix("http://")
        asks = [Ask(_head(address, f"authorization: Bearer {s}\r\n")) for s in secrets[:many]]
        spot = Spot(name="plain", pid=process.pid, address=address, asks=asks)
        if options.goosebit:
            with goosebit(options.goosebit, folder / "goosebit", many) as (other, other_asks):
                pairs = [
                    (_measured(spot, options.seconds, recording),
                     poll(other, other_asks, seconds=options.seconds, expected=200))
                    for _ in range(ROUNDS)
                ]  # fmt: skip
            recording.raw["goosebit"] = version(options.goosebit)
            _tell_pairs(pairs, recording)
        else:
            for _ in range(ROUNDS):
                _measured(spot, options.seconds, recording)
        recording.figures["server_memory_mb"] = round(resident_mb(process.pid))
    _summarise(recording, "plain")
    _certificates(place.home, folder, recording, options)


def _certificates(
    home: Path, folder: Path, recording: Recording, options: argparse.Namespace
) -> None:
    """Each connection shows a certificate of its own; handshakes are not part of a poll."""
    many = min(options.connections, 32)
    with serving(home, "--tls") as process:
        address = process.devices.removeprefix("https://")
        with open_fleet(home) as office:
            token = office.devices.create_token(TokenOrder(uses=many), by="bench").token
        homes = [Home(folder / f"tls-{number}") for number in range(many)]

        async def enrol() -> None:
            for one in homes:
                wish = Wish(token=token, device=one.root.name)
                await enroll_with(process.devices, wish, one)

        asyncio.run(enrol())
        asks = [Ask(_head(address, ""), DeviceCertificate(h.root).context()) for h in homes]
        spot = Spot(name="mtls", pid=process.pid, address=address, asks=asks)
        for _ in range(ROUNDS):
            _measured(spot, options.seconds, recording)
    _summarise(recording, "mtls")


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Which process answers which polls, and under which name its figures go."""

    name: str
    pid: int
    address: str
    asks: list[Ask]


def _measured(spot: Spot, seconds: float, recording: Recording) -> Load:
    poll(spot.address, spot.asks, seconds=0.5, expected=NOT_MODIFIED)
    server_s, own_s = cpu_s(spot.pid), time.process_time()
    load = poll(spot.address, spot.asks, seconds=seconds, expected=NOT_MODIFIED)
    recording.raw.setdefault(spot.name, []).append(
        {
            "polls": len(load.latencies_s),
            "per_s": round(load.per_s, 1),
            "p50_ms": load.percentile_ms(50),
            "p99_ms": load.percentile_ms(99),
            "max_ms": load.percentile_ms(100),
            "server_cpu_cores": round((cpu_s(spot.pid) - server_s) / load.passed_s, 2),
            "generator_cpu_cores": round((time.process_time() - own_s) / load.passed_s, 2),
            "wrong": load.wrong,
        }
    )
    if load.wrong:
        raise SystemExit(f"{load.wrong} answers were not {NOT_MODIFIED}")
    return load


def _summarise(recording: Recording, name: str) -> None:
    rounds = recording.raw[name]
    for key in ("per_s", "p50_ms", "p99_ms", "server_cpu_cores", "generator_cpu_cores"):
        value = statistics.median(one[key] for one in rounds)
        recording.figures[f"{name}_{key}"] = round(value) if key == "per_s" else value
    cost = [1e6 * one["server_cpu_cores"] / one["per_s"] for one in rounds]
    recording.figures[f"{name}_server_cpu_us_per_poll"] = round(statistics.median(cost))


def _tell_pairs(pairs: list[tuple[Load, Load]], recording: Recording) -> None:
    ratios = [ours.per_s / theirs.per_s for ours, theirs in pairs]
    recording.raw["goosebit_per_s"] = [round(theirs.per_s, 1) for _, theirs in pairs]
    recording.raw["goosebit_p99_ms"] = [theirs.percentile_ms(99) for _, theirs in pairs]
    recording.raw["goosebit_wrong"] = [theirs.wrong for _, theirs in pairs]
    recording.raw["ratios"] = [round(ratio, 1) for ratio in ratios]
    recording.figures["goosebit_per_s"] = round(statistics.median(p.per_s for _, p in pairs))
    recording.figures["ratio_to_goosebit"] = round(statistics.median(ratios), 1)
    recording.figures["ratio_to_goosebit_least"] = round(min(ratios), 1)


def _head(address: str, fields: str) -> str:
    return f"GET {wire.DESIRED} HTTP/1.1\r\nhost: {address}\r\n{fields}"


PROTOCOLS = {
    "polls": polls,
    "rollout": rollout,
    "registered": registered,
    "herd": herd,
    "kills": kills,
    "schema": schema,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protocol", nargs="*", choices=[*PROTOCOLS, []])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--registered", type=int, default=1000)
    parser.add_argument("--goosebit", type=Path, help="A venv in which goosebit is installed.")
    parser.add_argument("--schemathesis", type=Path, help="A venv in which it is installed.")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument(
        "--tls", action="store_true", help="Devices of `rollout` have certificates."
    )
    parser.add_argument(
        "--then-herd", action="store_true", help="The devices of `rollout` lose their fleet then."
    )
    parser.add_argument("--outage-s", type=float, default=30.0)
    parser.add_argument("--poll-s", type=float, default=30.0)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in options.protocol or PROTOCOLS:
        suffix = "-tls" if options.tls and name == "rollout" else ""
        with (
            tempfile.TemporaryDirectory() as folder,
            Recording(f"fleet-{name}{suffix}") as recording,
        ):
            PROTOCOLS[name](Path(folder), recording, options)
            recording.raw["options"] = {
                k: str(v) for k, v in vars(options).items() if k not in ("goosebit", "schemathesis")
            }
            for key, value in recording.figures.items():
                print(f"{key}: {value}")


if __name__ == "__main__":
    main()
