"""What the faults scenario sends, and what it makes of what comes back."""

from collections.abc import Callable

import numpy as np
import pytest

from edgewright.measure.load import LoadTarget, encode_request
from edgewright.measure.load_result import LoadResult
from edgewright.validate.faults import Phase, fault_gates
from edgewright.validate.nuisance import garbage
from edgewright.validate.swap import Swap, swap_figures

Recording = Callable[..., LoadResult]
TARGET = LoadTarget(port=1, path="/p")
REQUEST = encode_request(
    "POST",
    "/v2/models/m/infer",
    target=TARGET,
    body=b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}',
)


def test_every_kind_of_garbage_differs_and_goes_to_the_models_path() -> None:
    kinds = dict(garbage(TARGET, REQUEST))
    assert len(set(kinds.values())) == len(kinds) >= 16
    assert kinds["an unknown type"].startswith(b"POST /p/v2/models/m/infer HTTP/1.1\r\n")
    assert b"NaN" in kinds["a number that is not finite"]


def test_garbage_for_a_binary_body_is_still_garbage() -> None:
    kinds = dict(garbage(TARGET, encode_request("POST", "/i", target=TARGET, body=b"\0\1")))
    assert "not HTTP" in kinds
    assert "an unknown type" not in kinds


def phase(recording: Recording, name: str, latency_ms: float = 1.0, **changes: object) -> Phase:
    errors = changes.pop("errors", {})
    result = recording(np.full(500, latency_ms / 1e3), errors=errors)
    return Phase(name=name, result=result, **changes)  # type: ignore[arg-type]


def verdicts(phases: list[Phase]) -> dict[str, bool]:
    return {gate.name: gate.ok for gate in fault_gates(phases)}


def test_a_server_that_shrugs_passes_all_gates(recording: Recording) -> None:
    crowd = recording(np.full(500, 0.2), errors={"status 429": 90})
    found = verdicts(
        [
            phase(recording, "alone"),
            phase(recording, "slow clients"),
            phase(recording, "killed clients"),
            phase(recording, "garbage"),
            phase(recording, "overload", errors={"status 503": 3}, crowd=crowd),
            phase(recording, "alone again", 1.2),
        ]
    )
    assert len(found) == 7
    assert all(found.values())


def test_each_weakness_misses_its_own_gate(recording: Recording) -> None:
    crowd = recording(np.full(500, 0.2), errors={"connection closed before the answer": 1})
    found = verdicts(
        [
            phase(recording, "alone"),
            phase(recording, "slow clients", errors={"no answer within 5 s": 2}),
            phase(recording, "garbage", accepted={"no JSON": 4}, crashed={"deep nesting": 1}),
            phase(recording, "overload", crowd=crowd),
            phase(recording, "alone again", 5.0),
        ]
    )
    assert found == {
        "failed requests, slow clients": False,
        "failed requests, garbage": True,
        "garbage taken for a request": False,
        "server errors to garbage": False,
        "failed requests, overload": False,
        "latency p50 after / before": False,
    }


def test_requests_meant_for_a_swap_are_counted_apart(recording: Recording) -> None:
    latencies_s = np.full(1000, 0.001)
    latencies_s[500:520] = 0.3
    swaps = [Swap(start_s=4.95, end_s=5.15), Swap(start_s=8.0, end_s=8.1, fault="status 400")]
    figures = swap_figures(recording(latencies_s), swaps)
    assert figures["swaps"].value == 2
    assert figures["swap time"].value < 201
    assert figures["latency p95 while swapping"].value == pytest.approx(300)
    assert figures["longest gap between answers"].value > 200
