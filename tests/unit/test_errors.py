import re

import pytest

from edgewright import errors
from edgewright.errors import EdgewrightError, GateError


def branches() -> list[type[EdgewrightError]]:
    return EdgewrightError.__subclasses__()


def test_every_branch_has_its_own_exit_code() -> None:
    codes = [EdgewrightError.exit_code, *(branch.exit_code for branch in branches())]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_drawn_tree_lists_every_branch_with_its_code() -> None:
    drawn = dict(re.findall(r"[|`]-- (\w+) +(\d+)", errors.__doc__ or ""))
    assert drawn == {branch.__name__: str(branch.exit_code) for branch in branches()}


def test_only_transport_errors_are_worth_a_retry() -> None:
    assert [branch.__name__ for branch in branches() if branch.retryable] == ["TransportError"]


@pytest.mark.parametrize("branch", [b for b in branches() if b is not GateError])
def test_message_ends_with_the_next_thing_to_try(branch: type[EdgewrightError]) -> None:
    assert str(branch("disk is full", hint="free some")) == "disk is full; free some"
    assert str(branch("disk is full")) == "disk is full"


def test_gate_error_carries_measured_and_limit() -> None:
    error = GateError("size", measured=12.5, limit=10, unit="MB", hint="quantise it")
    assert str(error) == "size is 12.5 MB, the limit is 10 MB; quantise it"
    assert (error.measured, error.limit) == (12.5, 10)
