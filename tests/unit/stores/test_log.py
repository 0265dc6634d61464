import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.errors import InputError, ResourceError
from edgewright.stores import Log, read_log
from edgewright.stores.log import parse_log

PAYLOADS = [b"one", b'{"state":"probe"}', b" spaces  inside ", b"\x00\xff", b"last"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.log"


def written(path: Path, payloads: list[bytes] = PAYLOADS) -> bytes:
    log = Log(path)
    for payload in payloads:
        log.append(payload)
    return path.read_bytes()


def payloads(content: bytes) -> list[bytes]:
    return [entry.payload for entry in parse_log(content).entries]


def test_lines_come_back_in_order_with_rising_numbers(path: Path) -> None:
    written(path)
    contents = read_log(path)
    assert [entry.payload for entry in contents.entries] == PAYLOADS
    assert [entry.sequence for entry in contents.entries] == [1, 2, 3, 4, 5]
    assert (contents.torn_bytes, contents.damaged_lines) == (0, 0)


def test_an_absent_log_is_empty_and_reading_does_not_make_it(path: Path) -> None:
    assert read_log(path).entries == ()
    assert not path.exists()


def test_a_log_torn_at_any_byte_keeps_every_whole_line(path: Path) -> None:
    content = written(path)
    for size in range(len(content) + 1):
        contents = parse_log(content[:size])
        whole = content[:size].count(b"\n")
        assert [entry.payload for entry in contents.entries] == PAYLOADS[:whole]
        assert contents.damaged_lines == 0
        assert contents.good_bytes + contents.torn_bytes == size


def test_appending_goes_on_after_a_torn_tail(path: Path) -> None:
    path.write_bytes(written(path)[:-3])
    log = Log(path)
    assert log.torn_bytes > 0
    assert log.append(b"next") == 5
    assert payloads(path.read_bytes()) == [*PAYLOADS[:4], b"next"]


def test_a_tail_of_zeros_is_dropped(path: Path) -> None:
    content = written(path)
    path.write_bytes(content + bytes(512))
    assert Log(path).torn_bytes == 512
    assert path.read_bytes() == content


def test_every_flipped_bit_is_told(path: Path) -> None:
    content = written(path)
    for position in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        contents = parse_log(bytes(flipped))
        assert contents.damaged_lines + contents.torn_bytes > 0
        assert {entry.payload for entry in contents.entries} < set(PAYLOADS)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    contents = parse_log(content)
    assert contents.good_bytes + contents.torn_bytes == len(content)


@given(st.lists(st.binary(min_size=1).filter(lambda payload: b"\n" not in payload), max_size=8))
def test_any_payloads_survive(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("log") / "a.log"
    assert payloads(written(path, lines) if lines else b"") == lines


@pytest.mark.parametrize("payload", [b"", b"two\nlines"])
def test_a_payload_that_would_break_the_lines_is_refused(path: Path, payload: bytes) -> None:
    with pytest.raises(InputError, match="line"):
        Log(path).append(payload)
    assert not path.exists()


def test_a_repeated_line_is_damage(path: Path) -> None:
    content = written(path)
    first_line = content.split(b"\n")[0] + b"\n"
    contents = parse_log(first_line + content)
    assert contents.damaged_lines == 1
    assert [entry.payload for entry in contents.entries] == PAYLOADS


def test_trim_forgets_old_lines_and_keeps_the_count(path: Path) -> None:
    written(path)
    log = Log(path)
    log.trim(before=4)
    assert [entry.sequence for entry in log.entries] == [4, 5]
    assert Log(path).append(b"next") == 6


def test_numbers_do_not_repeat_after_everything_was_trimmed(path: Path) -> None:
    written(path)
    Log(path).trim(before=6)
    log = Log(path)
    assert log.entries == ()
    assert log.append(b"next") == 6


def test_trimming_an_empty_log_keeps_it_usable(path: Path) -> None:
    Log(path).trim(before=1)
    assert Log(path).append(b"first") == 1


def test_only_the_owner_may_read_a_log(path: Path) -> None:
    written(path)
    assert path.stat().st_mode & 0o777 == 0o600
    Log(path).trim(before=3)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_append_that_fails_half_way_leaves_the_log_as_it_was(path: Path) -> None:
    content = written(path)
    log = Log(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 10, hard))
    try:
        with pytest.raises(ResourceError, match="too large"):
            log.append(b"longer than ten bytes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == content
    assert log.append(b"next") == 6


def test_an_append_starts_on_a_line_of_its_own_after_one_that_failed_half_way(path: Path) -> None:
    log = Log(path)
    log.append(b"good")
    with path.open("ab") as file:
        file.write(b"2 0000")
        os.fsync(file.fileno())
    log.append(b"next")
    assert payloads(path.read_bytes()) == [b"good", b"next"]


def test_numbers_that_are_skipped_are_never_given_out(path: Path) -> None:
    log = Log(path)
    log.append(b"one")
    log.skip_to(50)
    log.skip_to(7)
    assert (log.next_sequence, log.append(b"two")) == (50, 50)
    assert [entry.sequence for entry in Log(path).entries] == [1, 50]


def test_a_folder_that_was_moved_away_is_not_made_again(path: Path) -> None:
    log = Log(path)
    log.append(b"one")
    path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(ResourceError, match="moved or removed"):
        log.append(b"two")
    with pytest.raises(ResourceError, match="moved or removed"):
        log.trim(before=1)
    assert not path.parent.exists()
    path.parent.with_name("elsewhere").rename(path.parent)
    log.append(b"two")
    assert [entry.payload for entry in read_log(path).entries] == [b"one", b"two"]
