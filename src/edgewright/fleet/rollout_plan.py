"""What a rollout would do: which devices, in which waves, how many bytes, how soon at best."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Connection, select

from edgewright.fleet import rollout_store as store
from edgewright.fleet.devices import labels_of
from edgewright.fleet.labels import Query, matching, parse_query
from edgewright.fleet.registry import Release, find_release
from edgewright.fleet.release_report import check_report
from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_terms import ACTIVE, Limits
from edgewright.fleet.state import schema
from edgewright.fleet.waves import parse_waves, split
from edgewright.wire.windows import parse_window


class RolloutOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wants: which release, to which devices, in which waves, within which limits."""

    release: str
    query: str = ""
    waves: str = "1,10%,100%"
    limits: Limits = Limits()
    options: RolloutOptions = RolloutOptions()


class Offers(Protocol):
    """Who knows which releases devices can take."""

    def require_offered(self, release: Release) -> None:
        """Pass while it can be taken.

        Raises:
            ConflictError: it was taken back.
        """

    def has_taken_back(self, release: Release) -> bool:
        """Whether it can be taken no more."""


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would do now. `busy` devices are in another active rollout of the model.

    `least_s` is the shortest time it can take by its own start rate and soaks; what devices need to
    download and to prove themselves, and waiting for their windows, comes on top.
    """

    release: Release
    waves: tuple[tuple[str, ...], ...]
    running_it: tuple[str, ...]
    busy: tuple[str, ...]
    bytes_per_device: int
    bytes_total: int
    least_s: float = 0.0
    left_out: int = 0


def plan_of(
    connection: Connection, order: RolloutOrder, *, project: str, offers: Offers | None = None
) -> RolloutPlan:
    """What an order would do to a project's devices now.

    Raises:
        AbsentError: no such release.
        ConflictError: the release was taken back.
        InputError: not a query, not waves, not a window; a report about another bundle, or one
            that does not say VALID-PASS.
    """
    release = find_release(connection, order.release, project=project)
    if offers is not None:
        offers.require_offered(release)
    if order.options.report is not None:
        check_report(order.options.report, bundle_id=release.bundle_id, release=release.text)
    waves = parse_waves(order.waves)
    devices = _select(connection, parse_query(order.query), project)
    if order.options.window:
        parse_window(order.options.window)
    running = _running(connection, release)
    busy = store.busy(connection, release.model, ACTIVE)
    wanted = [device for device in devices if device not in running]
    chosen = wanted
    if order.options.share_percent is not None:
        chosen = _share(wanted, order.options.share_percent, release.bundle_id)
    labels = labels_of(connection, chosen) if any(wave.label for wave in waves) else {}
    parts = split(chosen, waves, labels)
    return RolloutPlan(
        release=release,
        waves=parts,
        running_it=tuple(device for device in devices if device in running),
        busy=tuple(device for device in chosen if device in busy),
        bytes_per_device=release.file_size_bytes,
        bytes_total=release.file_size_bytes * len(chosen),
        least_s=_least_s(parts, order.limits),
        left_out=len(wanted) - len(chosen),
    )


def _least_s(waves: Sequence[Sequence[str]], limits: Limits) -> float:
    rate = limits.starts_per_min
    count = sum(map(len, waves))
    starting_s = max(0.0, 60 * (count - 1) / rate) if rate else 0.0
    return starting_s + limits.soak_s * len(waves)


def _share(devices: Sequence[str], percent: float, salt: str) -> list[str]:
    """That share of the devices, drawn by a hash: the same ones whenever it is asked again."""

    def drawn(device: str) -> bytes:
        return hashlib.sha256(f"{salt}/{device}".encode()).digest()

    count = -int(-len(devices) * percent // 100)
    return sorted(sorted(devices, key=drawn)[:count])


def _select(connection: Connection, query: Query, project: str) -> list[str]:
    devices = schema.devices
    mine = (devices.c.project == project) & ~devices.c.is_revoked
    chosen = select(devices.c.name).where(mine, *matching(query))
    return list(connection.scalars(chosen.order_by(devices.c.name)))


def _running(connection: Connection, release: Release) -> set[str]:
    """Devices that run the release and are to run it."""
    reports, assigned = schema.reports, schema.assignments
    query = (
        select(reports.c.device)
        .join(
            assigned,
            (assigned.c.device == reports.c.device) & (assigned.c.model == reports.c.model),
        )
        .where(
            reports.c.running_bundle_id == release.bundle_id,
            assigned.c.bundle_id == release.bundle_id,
        )
    )
    return set(connection.scalars(query))
