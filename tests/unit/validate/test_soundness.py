"""What makes a measurement unsound, and what does not."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from edgewright.measure import Noise
from edgewright.measure.load_result import LoadResult
from edgewright.validate.soundness import (
    load_doubts,
    never_settled,
    noise_doubts,
    settled_at,
)

Make = Callable[..., LoadResult]


def test_a_quiet_machine_raises_no_doubt(quiet: Noise) -> None:
    assert noise_doubts(quiet, knows_server=True) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"steal_share": 0.2}, "steal"),
        ({"others_share": 0.5, "wait_share": 0.4}, "other processes used 50%"),
        ({"others_share": 0.5, "wait_share": None}, "not known"),
        ({"frequency_ratio": 0.5}, "frequency"),
    ],
)
def test_each_disturbance_is_a_doubt(quiet: Noise, changes: dict[str, float], word: str) -> None:
    (doubt,) = noise_doubts(msgspec.structs.replace(quiet, **changes), knows_server=True)
    assert word in doubt


def test_strangers_who_took_no_core_from_us_are_no_doubt(quiet: Noise) -> None:
    beside = msgspec.structs.replace(quiet, others_share=0.5, wait_share=0.01)
    assert noise_doubts(beside, knows_server=True) == ()


def test_our_own_crowding_is_no_noise(quiet: Noise) -> None:
    crowded = msgspec.structs.replace(quiet, others_share=0.0, wait_share=0.6)
    assert noise_doubts(crowded, knows_server=True) == ()


def test_a_server_of_unknown_process_is_not_taken_for_a_stranger(quiet: Noise) -> None:
    busy = msgspec.structs.replace(quiet, others_share=0.5, wait_share=0.4)
    assert noise_doubts(busy, knows_server=False) == ()


def test_a_clock_step_is_no_doubt(quiet: Noise) -> None:
    stepped = msgspec.structs.replace(quiet, clock_step_s=3600.0)
    assert noise_doubts(stepped, knows_server=True) == ()


def test_no_answers_are_a_doubt_that_says_why(recording: Make) -> None:
    result = recording(np.zeros(0), errors={"status 503": 7})
    (doubt,) = load_doubts(result, is_open=False)
    assert doubt == "no request was answered (7 times status 503)"
    (doubt,) = load_doubts(recording(np.zeros(0)), is_open=False)
    assert "none was sent" in doubt


def test_a_saturated_or_late_generator_is_a_doubt_of_open_loops(recording: Make) -> None:
    busy = recording(np.full(100, 0.01), client_cpu_s=9.9)
    assert "measured itself" in load_doubts(busy, is_open=True)[0]
    assert load_doubts(busy, is_open=False) == ()
    late = recording(np.full(100, 0.01), lag_s=np.full(100, 0.01))
    assert "10.0 ms late" in load_doubts(late, is_open=True)[0]


@pytest.mark.parametrize(
    ("latency_s", "lag_s", "limit_ms", "is_doubted"),
    [
        (0.02, 0.0025, 50.0, False),
        (0.02, 0.0025, None, True),
        (0.02, 0.0025, 20.5, True),
        (0.02, 0.006, 50.0, True),
        (0.051, 0.0025, 50.0, True),
        (0.06, 0.0025, 50.0, False),
        (0.02, 0.001, None, False),
    ],
    ids=[
        "far-below-the-limit",
        "no-limit-to-compare-with",
        "more-than-a-tenth-of-the-limit",
        "late-by-more-than-a-tenth",
        "the-lateness-decides",
        "missed-by-far",
        "in-time",
    ],
)
def test_a_little_lateness_is_borne_where_it_decides_nothing(
    recording: Make, latency_s: float, lag_s: float, limit_ms: float | None, is_doubted: bool
) -> None:
    late = recording(np.full(100, latency_s), lag_s=np.full(100, lag_s))
    assert bool(load_doubts(late, is_open=True, limit_ms=limit_ms)) is is_doubted


def test_warm_up_is_found_and_steadiness_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    steady = rng.lognormal(0, 0.3, 20_000) * 1e-3
    warming = steady.copy()
    warming[:2000] *= 5
    assert settled_at(steady) < 5000
    assert 1800 <= settled_at(warming) <= 3000
    assert never_settled(warming, settled_at(warming)) == ""


def test_latency_that_never_settles_is_a_doubt() -> None:
    growing = np.linspace(1e-3, 50e-3, 10_000)
    assert "still changing" in never_settled(growing, settled_at(growing))


@pytest.mark.parametrize(
    ("grows", "limit_ms", "is_doubted"),
    [
        (True, 100, True),
        (True, 40, True),
        (True, 0.5, False),
        (False, 100, False),
        (False, 25, True),
    ],
)
def test_latency_that_moves_away_from_its_limit_is_no_doubt(
    grows: bool, limit_ms: float, is_doubted: bool
) -> None:
    latencies_s = np.linspace(1e-3, 50e-3, 10_000)
    latencies_s = latencies_s if grows else latencies_s[::-1]
    found = never_settled(latencies_s, 7000, limit_ms=limit_ms)
    assert bool(found) is is_doubted
