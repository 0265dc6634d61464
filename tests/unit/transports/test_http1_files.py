from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError
from edgewright.transports._http1_files import byte_range
from edgewright.transports.http1 import Request, Response, file_response


@given(st.text(max_size=20) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True), st.integers(0, 99))
def test_range_is_inside_the_file_empty_or_ignored(header: str, size: int) -> None:
    wanted = byte_range(header, size)
    if wanted is not None:
        first, last = wanted
        assert (0 <= first <= last < size) or (first, last) == (size, size - 1)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=5-100", (5, 9)),
        ("bytes=-100", (0, 9)),
        ("bytes=-0", (10, 9)),
        ("bytes=3-2", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=-", None),
    ],
)
def test_range_follows_the_rfc(header: str, wanted: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == wanted


def answer(path: Path, method: str = "GET", **headers: str) -> Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return file_response(path, Request(method=method, path="/", headers=fields), etag="v2")


def test_range_is_ignored_for_head_and_for_another_version(payload: Path) -> None:
    assert answer(payload, "HEAD", range="bytes=1-2").status == 200
    assert answer(payload, range="bytes=1-2", if_range='"v1"').status == 200
    assert answer(payload, range="bytes=1-2", if_range='"v2"').status == 206


def test_known_version_is_not_sent_again(payload: Path) -> None:
    assert answer(payload, if_none_match='"v2"').status == 304
    assert answer(payload, if_none_match='"v1"').length == 1 << 20


def test_absent_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        answer(tmp_path / "absent")
