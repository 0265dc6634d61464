"""From gates to a verdict: doubt never becomes a pass, noise never hides a wrong answer."""

import subprocess
import sys

from edgewright.errors import GateError
from edgewright.evidence import INVALID_EXIT_CODE, Gate, Interval, decide

KEPT = Gate.at_most("p95", Interval(10.0, 9.0, 11.0), 50.0, unit="ms")
MISSED = Gate.at_most("p95", Interval(60.0, 58.0, 63.0), 50.0, unit="ms")
UNDECIDED = Gate.at_most("p95", Interval(49.0, 45.0, 53.0), 50.0, unit="ms")
WRONG = Gate.at_most("wrong answers", 3, 0, timed=False)


def test_outcomes_follow_the_gates() -> None:
    assert decide([KEPT]).outcome == "VALID-PASS"
    assert decide([KEPT, MISSED]).outcome == "VALID-FAIL"
    assert decide([KEPT, UNDECIDED]).outcome == "INVALID"
    assert decide([UNDECIDED, MISSED]).outcome == "VALID-FAIL"


def test_nothing_asked_decides_nothing() -> None:
    assert decide([]).outcome == "INVALID"


def test_noise_turns_pass_and_fail_of_timed_gates_into_invalid() -> None:
    for gate in (KEPT, MISSED):
        verdict = decide([gate], unsound=["steal time"])
        assert (verdict.outcome, verdict.reasons) == ("INVALID", ("steal time",))


def test_wrong_answers_fail_whatever_the_noise() -> None:
    verdict = decide([KEPT, WRONG], unsound=["steal time"])
    assert verdict.outcome == "VALID-FAIL"
    assert "wrong answers: 3" in verdict.reasons[0]


def test_exit_codes_tell_the_three_outcomes_apart() -> None:
    assert decide([KEPT]).exit_code == 0
    assert decide([MISSED]).exit_code == GateError.exit_code
    assert decide([UNDECIDED]).exit_code == INVALID_EXIT_CODE
    assert len({0, GateError.exit_code, INVALID_EXIT_CODE}) == 3


def test_an_unbounded_side_can_fail_but_not_pass() -> None:
    assert not Gate.at_most("p99", Interval(10.0, 9.0, None), 50.0).ok
    assert Gate.at_most("p99", Interval(60.0, 55.0, None), 50.0).has_failed
    assert Gate.at_least("rps", Interval(300.0, 280.0, None), 250.0).ok
    assert not Gate.at_least("rps", Interval(300.0, None, None), 250.0).ok


def test_gate_becomes_an_error_with_its_numbers() -> None:
    error = MISSED.error()
    assert (error.measured, error.limit, str(error)) == (
        60.0,
        50.0,
        "p95 is 60 ms, the limit is 50 ms",
    )


def test_evidence_and_measure_load_no_numpy() -> None:
    code = "import sys, edgewright.evidence, edgewright.measure; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
