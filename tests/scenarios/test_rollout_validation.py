"""Verdicts from the agent's probe to the gate of a rollout: a real agent on disk, a real fleet."""

from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import DeviceError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.office import Office
from edgewright.fleet.quality import Quality
from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.telemetry import keep
from edgewright.fleet.ui import render_fleet
from edgewright.telemetry import Figure, ProbeReport, Record, UpdateRecord, ValidationRecord
from edgewright.testing import FakeClock
from edgewright.testing.bundles import MODEL
from edgewright.testing.fleet import fleet_office

P95 = Figure(name="latency p95", value=4.0, unit="ms", low=3.9, high=4.2)


@pytest.fixture
def office(tmp_path: Path) -> Any:
    with fleet_office(tmp_path / "fleet", FakeClock()) as made:
        yield made


def waiting(device: Any) -> list[Record]:
    return list(device.agent.recorder.outbox.waiting())


def verdicts(device: Any) -> list[ValidationRecord]:
    return [record for record in waiting(device) if isinstance(record, ValidationRecord)]


def test_what_the_probe_found_goes_up_before_the_step_that_it_led_to(
    device: Any, play: Any
) -> None:
    device.probe.report = ProbeReport(
        passed=True, reason="fine", outcome="VALID-PASS", how="80 requests", where="a board",
        figures=(P95,),
    )  # fmt: skip
    bundle = play(device.install("1"))
    told = waiting(device)
    (verdict,) = verdicts(device)
    assert (verdict.model, verdict.bundle, verdict.version) == (MODEL, bundle, "1")
    assert (verdict.outcome, verdict.how, verdict.where) == ("VALID-PASS", "80 requests", "a board")
    assert verdict.figure("latency p95") == P95
    after = told[told.index(verdict) + 1]
    assert isinstance(after, UpdateRecord)
    assert after.state == "shadow"


def test_a_probe_without_a_verdict_tells_none(device: Any, play: Any) -> None:
    play(device.install("1"))
    assert verdicts(device) == []


def test_a_refusal_by_the_probe_is_told_with_its_figures(device: Any, play: Any) -> None:
    device.probe.report = ProbeReport(
        passed=False, reason="p95 90 ms, at most 50", outcome="VALID-FAIL", figures=(P95,)
    )
    with pytest.raises(DeviceError, match="p95 90 ms"):
        play(device.install("1"))
    (verdict,) = verdicts(device)
    assert (verdict.outcome, verdict.reason) == ("VALID-FAIL", "p95 90 ms, at most 50")


def enrolled(office: Office, device: Any, *others: str) -> None:
    """The device of the scenario and others that are spoken for."""
    token = office.devices.create_token(TokenOrder(uses=99), by="ada").token
    for name in ("d1", *others):
        office.devices.enrol(token, name, {})
    for version in ("1", "2"):
        office.registry.publish(device.bundle(version), by="ada")


def take(office: Office, device: Any) -> None:
    """All that the device told arrives, and time passes."""
    keep(office.state, "d1", 1, waiting(device), now_s=office.clock.wall_s())
    office.rollouts.tick()


@pytest.mark.parametrize(
    ("outcome", "expected"), [("VALID-PASS", ("running", 2)), ("INVALID", ("paused", 1))]
)
def test_a_wave_waits_for_what_the_devices_agent_found(
    device: Any, play: Any, office: Office, outcome: Any, expected: tuple[str, int]
) -> None:
    enrolled(office, device, "d2")
    limits = Limits(soak_s=0, validated_min_count=1)
    office.rollouts.start(
        RolloutOrder(release=f"{MODEL}@1", waves="1,100%", limits=limits), by="ada"
    )
    office.rollouts.tick(here=["d1"])
    device.probe.report = ProbeReport(
        passed=True, reason="a busy machine", outcome=outcome, figures=(P95,)
    )
    play(device.install("1"))
    take(office, device)
    found = office.rollouts.status(1)
    assert (found.status, sum(wave.is_open for wave in found.waves)) == expected
    assert found.waves[0].validations == {outcome: 1}
    assert f"1 {outcome}" in render_fleet(office)


def test_a_slower_release_ends_a_rollout_by_what_devices_measured(
    device: Any, office: Office
) -> None:
    names = [f"x{number}" for number in range(12)]
    enrolled(office, device, *names)
    office.devices.revoke("d1", by="ada")
    bundles = {r.version: r.bundle_id for r in office.registry.releases()}
    quality = RolloutOptions(quality=Quality(worst_latency_ratio=1.1))
    for version, number in (("1", 1), ("2", 2)):
        order = RolloutOrder(
            release=f"{MODEL}@{version}", waves="100%", limits=Limits(soak_s=0), options=quality
        )
        office.rollouts.start(order, by="ada")
        office.rollouts.tick(here=names)
        for position, name in enumerate(names):
            told: list[Record] = [
                ValidationRecord(
                    device=name, sequence=2 * number, at_s=0, model=MODEL, bundle=bundles[version],
                    outcome="VALID-PASS",
                    figures=(Figure(name="latency p95", value=number + position / 50, unit="ms"),),
                ),
                UpdateRecord(
                    device=name, sequence=2 * number + 1, at_s=0, bundle=bundles[version],
                    model=MODEL, version=version, state="commit",
                ),
            ]  # fmt: skip
            keep(office.state, name, 1, told, now_s=office.clock.wall_s())
        office.clock.advance(6)  # type: ignore[attr-defined]
        office.rollouts.tick()
        office.clock.advance(6)  # type: ignore[attr-defined]
        office.rollouts.tick()
    first, second = office.rollouts.status(1), office.rollouts.status(2)
    assert first.status == "done"
    assert (second.status, "on 12 devices the p95" in second.reason) == ("aborted", True)
    found = office.rollouts.compare(2)
    assert found.probes == 12
    assert found.latency_ratio is not None
    assert found.latency_ratio > 1.5
