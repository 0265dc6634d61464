"""A fleet with very many devices on its books: how long a person waits, and how it grows."""

import argparse
import json
import random
import time
import urllib.request
from pathlib import Path

from sqlalchemy import insert

from _fleet import prepare, resident_mb, serving
from _results import Recording
from edgewright.chain.fleet import open_fleet
from edgewright.fleet.state import schema
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import HealthRecord, ServingRecord

COUNT = 100_000
ASKED = 30
DAY_RECORDS = 24 * 60
GROWING = 10
SITES = ("berlin", "hamburg", "munich", "vienna")


def registered(folder: Path, recording: Recording, options: argparse.Namespace) -> None:
    """List and search by HTTP among 100,000 devices with three labels and a report each."""
    place = prepare(folder, versions=1, uses=1)
    database = place.home / "fleet.db"
    before = database.stat().st_size
    _fill(place.home)
    recording.figures["devices"] = COUNT
    recording.figures["bytes_per_device"] = round((_size(database) - before) / COUNT)
    with serving(place.home) as process:
        rng = random.Random(options.seed)
        somewhere = lambda: f"device-{rng.randrange(COUNT):06}"  # noqa: E731 - one word, used below
        questions = {
            "list_first": lambda: "limit=100",
            "list_somewhere": lambda: f"limit=100&after={somewhere()}",
            "search_name": lambda: f"limit=100&matching=device%3D{somewhere()}",
            "search_labels": lambda: (
                f"limit=100&matching=site%3Dberlin,rack%3D{rng.randrange(500)}"
            ),
            "search_rare": lambda: "limit=100&matching=special",
            "search_nothing": lambda: "limit=100&matching=site%3Dnowhere",
        }
        for name, ask in questions.items():
            times_ms = sorted(_asked_ms(process.people, ask()) for _ in range(ASKED))
            recording.raw[name] = [round(t, 1) for t in times_ms]
            recording.figures[f"{name}_p50_ms"] = round(times_ms[ASKED // 2], 1)
            recording.figures[f"{name}_max_ms"] = round(times_ms[-1], 1)
        recording.figures["server_memory_mb"] = round(resident_mb(process.pid))
    _grow(place.home, recording)


def _fill(home: Path) -> None:
    names = [f"device-{number:06}" for number in range(COUNT)]
    labels = [
        {"device": name, "key": key, "value": value}
        for number, name in enumerate(names)
        for key, value in (
            ("site", SITES[number % len(SITES)]),
            ("rack", str(number % 500)),
            *((("special", "yes"),) if number % 10_000 == 7 else ()),
        )
    ]
    with open_fleet(home) as office, office.state.write() as connection:
        connection.execute(
            insert(schema.devices),
            [
                {"name": name, "secret_hash": name, "enrolment": 1, "enrolled_at_s": 1.0,
                 "last_seen_s": 2.0, "is_revoked": False, "revision": number, "timezone": "UTC"}
                for number, name in enumerate(names)
            ],
        )  # fmt: skip
        connection.execute(insert(schema.labels), labels)
        connection.execute(
            insert(schema.reports),
            [
                {"device": name, "model": "tiny", "enrolment": 1, "sequence": 9, "at_s": 1.0,
                 "state": "commit", "reason": "done", "bundle_id": "b" * 64, "version": "1",
                 "running_bundle_id": "b" * 64, "running_version": "1"}
                for name in names
            ],
        )  # fmt: skip


def _asked_ms(people: str, query: str) -> float:
    start_s = time.perf_counter()
    with urllib.request.urlopen(f"{people}/api/v1/devices?{query}", timeout=60) as answer:
        json.loads(answer.read())
    return 1000 * (time.perf_counter() - start_s)


def _grow(home: Path, recording: Recording) -> None:
    """A day of a device with one model: health and serving numbers every minute."""
    database = home / "fleet.db"
    before = _size(database)
    with open_fleet(home) as office:
        for device in range(GROWING):
            name = f"device-{device:06}"
            records = [
                record
                for minute in range(DAY_RECORDS)
                for record in (
                    HealthRecord(device=name, sequence=2 * minute + 1, at_s=60.0 * minute,
                                 memory_free_mb=3412.5, disk_free_mb=25331.7, temperature_c=51.3),
                    ServingRecord(device=name, sequence=2 * minute + 2, at_s=60.0 * minute,
                                  model="tiny", bundle="b" * 64, requests=600, errors=0,
                                  latency_p50_ms=1.25, latency_p95_ms=2.5),
                )
            ]  # fmt: skip
            for start in range(0, len(records), 200):
                keep(office.state, name, 1, records[start : start + 200], now_s=1.0)
    grown = (_size(database) - before) / GROWING
    recording.figures["growth_kb_per_device_day"] = round(grown / 1000, 1)
    recording.raw["records_per_device_day"] = 2 * DAY_RECORDS


def _size(database: Path) -> int:
    wal = database.with_name(f"{database.name}-wal")
    return database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
