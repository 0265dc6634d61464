from pathlib import Path

import msgspec
import pytest

from edgewright.errors import InputError
from edgewright.fleet.devices import TokenOrder
from edgewright.fleet.lineage import dated, ran_at
from edgewright.fleet.office import Office
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import UpdateRecord
from edgewright.testing import FakeClock
from edgewright.testing.fleet import SIGNER, release_file


def step(sequence: int, state: str, bundle: str, *, model: str = "tiny") -> UpdateRecord:
    return UpdateRecord(
        device="d1",
        sequence=sequence,
        at_s=float(sequence),
        bundle=bundle,
        model=model,
        state=state,
    )


@pytest.fixture
def bundles(office: Office, tmp_path: Path) -> tuple[str, ...]:
    ids = []
    for version in ("1", "2"):
        ids.append(release_file(tmp_path / f"{version}.ewb", version=version))
        office.registry.publish(tmp_path / f"{version}.ewb", by="ada")
    token = office.devices.create_token(TokenOrder(), by="ada").token
    office.devices.enrol(token, "d1", {})
    return tuple(ids)


def test_a_device_leads_back_to_data_run_variant_and_key(
    office: Office, clock: FakeClock, bundles: tuple[str, ...]
) -> None:
    order = RolloutOrder(release="tiny@1", waves="100%", limits=Limits(soak_s=0))
    office.rollouts.start(order, by="grace")
    office.rollouts.tick(here=["d1"])
    keep(office.state, "d1", 1, [step(1, "check", bundles[0]), step(2, "commit", bundles[0])],
         now_s=2.0)  # fmt: skip
    clock.advance(10)
    found = office.lineages.of_device("d1")
    assert (found.model, found.version, found.bundle_id) == ("tiny", "1", bundles[0])
    made_from = found.provenance
    assert (made_from.dataset, made_from.run, made_from.variant) == ("d" * 64, "r" * 64, "v" * 64)
    assert found.signers == (SIGNER.public.key_id,)
    assert found.running is not None
    assert (found.running.since_s, found.running.rollout) == (2.0, 1)
    assert found.running.ordered_by == "grace"


def test_an_answer_of_last_week_leads_to_what_ran_then(
    office: Office, clock: FakeClock, bundles: tuple[str, ...]
) -> None:
    steps = [step(5, "commit", bundles[0]), step(9, "commit", bundles[1])]
    keep(office.state, "d1", 1, steps, now_s=9.0)
    clock.advance(100)
    versions = [office.lineages.of_device("d1", at_s=at_s).version for at_s in (5.0, 8.9, 9.0)]
    assert versions == ["1", "1", "2"]
    with pytest.raises(InputError, match="no model that it ran"):
        office.lineages.of_device("d1", at_s=4.0)
    assert office.lineages.of_release(bundles[1][:12]).version == "2"


def test_what_runs_now_is_what_was_told_last_whatever_the_devices_clock_says(
    office: Office, clock: FakeClock, bundles: tuple[str, ...]
) -> None:
    steps = [step(5, "commit", bundles[0]), step(6, "commit", bundles[1])]
    steps[1] = msgspec.structs.replace(steps[1], at_s=4.1e9)
    now_s = clock.wall_s()
    keep(office.state, "d1", 1, steps, now_s=now_s)
    office.rollouts.tick()
    clock.advance(100)
    found = office.lineages.of_device("d1")
    assert found.version == office.devices.show("d1").models[0].running_version == "2"
    assert found.running is not None
    assert found.running.since_s == now_s


@pytest.mark.parametrize("at_s", [float("nan"), float("inf")])
def test_a_moment_is_a_number(office: Office, bundles: tuple[str, ...], at_s: float) -> None:
    with pytest.raises(InputError, match="expected seconds"):
        office.lineages.of_device("d1", at_s=at_s)


def test_moments_of_a_device_do_not_fall_and_are_not_after_the_fleet_heard() -> None:
    told = [(step(5, "commit", "a"), 7.0), (step(99, "commit", "b"), 8.0)]
    told += [(step(1, "commit", "c"), 9.0), (step(10, "commit", "e"), 12.0)]
    assert [record.at_s for record in dated(told)] == [5.0, 8.0, 8.0, 10.0]


def test_a_device_that_went_back_ran_the_bundle_before() -> None:
    told = [
        step(1, "commit", "a"),
        step(2, "rollback", "b"),  # it never came to run b
        step(3, "commit", "c"),
        step(4, "rollback", "c"),
        step(5, "commit", "z", model="other"),
    ]
    assert ran_at(told, 2.5) == {"tiny": ("a", 1.0)}
    assert ran_at(told, 3.5) == {"tiny": ("c", 3.0)}
    assert ran_at(told, 9.0) == {"tiny": ("a", 4.0), "other": ("z", 5.0)}
