import random

import pytest

from edgewright.errors import ConflictError
from edgewright.fleet.office import Office
from edgewright.fleet.quality import Quality, Served, breach, compare, with_probes
from edgewright.fleet.rollout_options import RolloutOptions
from edgewright.fleet.rollout_plan import RolloutOrder
from edgewright.fleet.rollout_terms import Limits
from edgewright.fleet.telemetry import keep
from edgewright.telemetry import ServingRecord, UpdateRecord
from edgewright.testing import FakeClock

NOT_LIMITS = [float("nan"), float("inf"), float("-inf"), -1.0]


@pytest.mark.parametrize("value", NOT_LIMITS)
@pytest.mark.parametrize(
    "field", ["worst_ratio", "worst_latency_ratio", "error_percent", "latency_p95_ms"]
)
def test_a_limit_is_a_number_that_can_be_passed(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Quality(**{field: value})


@pytest.mark.parametrize("value", NOT_LIMITS)
@pytest.mark.parametrize(
    "field",
    ["success_percent", "error_percent", "min_reached_percent", "deadline_s", "soak_s",
     "starts_per_min"],
)  # fmt: skip
def test_a_rollout_has_no_limits_that_are_never_reached(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})


GOOD = Served(requests=2000, errors=10, spans=40, slow_spans=1)
BAD = Served(requests=2000, errors=80, spans=40, slow_spans=20)


@pytest.mark.parametrize(
    ("quality", "word"),
    [
        (Quality(worst_ratio=1.5), "old one"),
        (Quality(error_percent=1.0), "the limit is 1 %"),
        (Quality(latency_p95_ms=50.0), "p95 was above 50 ms in 20 of 40"),
    ],
)
def test_a_worse_release_is_accused_and_a_good_one_is_not(quality: Quality, word: str) -> None:
    assert word in breach(quality, old=GOOD, new=BAD)
    assert breach(quality, old=GOOD, new=GOOD) == ""
    assert breach(Quality(), old=GOOD, new=BAD) == ""
    assert breach(quality, old=Served(), new=Served()) == ""


def test_a_difference_has_an_interval_and_says_what_to_do() -> None:
    worse = compare(GOOD, BAD)
    assert worse.effect_points == 3.5
    assert worse.low_points is not None
    assert worse.high_points is not None
    assert 0 < worse.low_points < 3.5 < worse.high_points
    assert worse.recommendation.startswith("keep the old")
    assert compare(GOOD, GOOD).recommendation.startswith("no difference")
    assert compare(GOOD, Served()).recommendation.startswith("wait")


def probes(count: int, slower: float) -> list[tuple[float, float]]:
    rng = random.Random(5)
    return [(ms, slower * ms * rng.uniform(0.95, 1.05)) for ms in rng.choices((2.0, 9.0), k=count)]


def test_a_release_that_devices_measured_as_slower_is_accused() -> None:
    quality = Quality(worst_latency_ratio=1.1)
    accused = breach(quality, old=GOOD, new=GOOD, pairs=probes(30, 1.4))
    assert "on 12 devices the p95 that they measured by themselves is 1.4" in accused
    for pairs in (probes(30, 1.05), probes(11, 1.4), []):
        assert breach(quality, old=GOOD, new=GOOD, pairs=pairs) == ""
    assert breach(Quality(worst_ratio=2), old=GOOD, new=GOOD, pairs=probes(30, 1.4)) == ""


def test_equal_releases_are_hardly_ever_accused_however_often_one_looks() -> None:
    rng, accused = random.Random(7), 0
    quality = Quality(worst_latency_ratio=1.0)
    for _ in range(200):
        pairs = [(rng.lognormvariate(1, 0.3), rng.lognormvariate(1, 0.3)) for _ in range(48)]
        accused += any(breach(quality, old=GOOD, new=GOOD, pairs=pairs[:n]) for n in (12, 24, 48))
    assert accused <= 7, "at most 1 % of 200 are expected; 8 or more have a chance below 0.2 %"


def test_a_comparison_shows_what_devices_measured() -> None:
    found = with_probes(compare(GOOD, GOOD), probes(20, 1.3))
    assert found.latency_ratio == pytest.approx(1.3, rel=0.03)
    assert found.latency_ratio_low is not None
    assert found.latency_ratio_low > 1.2
    few = with_probes(compare(GOOD, GOOD), probes(3, 1.3))
    assert (few.probes, few.latency_ratio) == (3, None)


@pytest.fixture
def fleet(office: Office, tmp_path: object) -> Office:
    from pathlib import Path

    from edgewright.fleet.devices import TokenOrder
    from edgewright.testing.fleet import release_file

    for version in ("1", "2"):
        path = Path(str(tmp_path)) / f"{version}.ewb"
        release_file(path, version=version)
        office.registry.publish(path, by="ada")
    token = office.devices.create_token(TokenOrder(uses=20), by="ada").token
    for number in range(10):
        office.devices.enrol(token, f"d{number}", {"ring": "canary" if number > 7 else "main"})
    return office


def serving(device: str, sequence: int, bundle: str, errors: int) -> ServingRecord:
    return ServingRecord(
        device=device, sequence=sequence, at_s=0.0, model="tiny", bundle=bundle, requests=500,
        errors=errors, latency_p50_ms=1.0, latency_p95_ms=2.0,
    )  # fmt: skip


def test_a_rollout_ends_when_its_release_fails_more_requests_than_the_other(
    fleet: Office, clock: FakeClock
) -> None:
    options = RolloutOptions(quality=Quality(worst_ratio=1.5))
    order = RolloutOrder(release="tiny@2", waves="2,100%", options=options)
    bundle_id = fleet.rollouts.start(order, by="ada").bundle_id
    fleet.rollouts.tick(here=["d0", "d1"])
    for device in ("d0", "d1"):
        record = UpdateRecord(
            device=device, sequence=1, at_s=0.0, bundle=bundle_id, model="tiny", state="commit"
        )
        keep(fleet.state, device, 1, [record], now_s=clock.wall_s())
        keep(fleet.state, device, 1, [serving(device, 2, bundle_id, 40)], now_s=clock.wall_s())
    keep(fleet.state, "d5", 1, [serving("d5", 1, "a" * 64, 2)], now_s=clock.wall_s())
    clock.advance(6)
    fleet.rollouts.tick()
    found = fleet.rollouts.status(1)
    assert (found.status, "80 of 1000 requests failed" in found.reason) == ("aborted", True)
    assert fleet.rollouts.compare(1).recommendation.startswith("keep the old")


def test_a_wave_is_a_label_and_a_share_is_drawn_the_same_again(fleet: Office) -> None:
    plan = fleet.rollouts.plan(RolloutOrder(release="tiny@1", waves="ring=canary,100%"))
    assert plan.waves == (("d8", "d9"), tuple(f"d{number}" for number in range(8)))
    order = RolloutOrder(
        release="tiny@1", waves="100%", options=RolloutOptions(share_percent=25),
        limits=Limits(starts_per_min=2, soak_s=10),
    )  # fmt: skip
    plan = fleet.rollouts.plan(order)
    assert (len(plan.waves[0]), plan.left_out) == (3, 7)
    assert plan.least_s == 60 + 10
    assert fleet.rollouts.plan(order).waves == plan.waves


def test_a_device_is_ordered_in_its_own_window_only(fleet: Office, clock: FakeClock) -> None:
    fleet.devices.set_timezone("d1", "Asia/Tokyo", by="ada")
    clock.advance(-clock.wall_s() % 86_400 + 18 * 3600.0)  # 18:00 in UTC, 03:00 in Tokyo
    options = RolloutOptions(window="02:00-04:00")
    fleet.rollouts.start(RolloutOrder(release="tiny@1", waves="100%", options=options), by="ada")
    fleet.rollouts.tick(here=[f"d{number}" for number in range(10)])
    assert fleet.rollouts.status(1).waves[0].standings == {"pending": 9, "ordered": 1}
    assert {m.device for m in fleet.rollouts.status(1).members if m.standing == "ordered"} == {"d1"}


def test_a_retry_is_commanded(fleet: Office) -> None:
    fleet.rollouts.start(RolloutOrder(release="tiny@1", waves="100%"), by="ada")
    with pytest.raises(ConflictError, match="no device of rollout 1 has failed"):
        fleet.rollouts.retry(1, reason="again", by="ada")
