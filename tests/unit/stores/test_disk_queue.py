import bisect
import itertools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgewright.errors import InputError, ResourceError
from edgewright.stores import DiskQueue

KEY = bytes(range(32))
LIMIT = 32 << 10


def opened(folder: Path, *, key: bytes = KEY, limit_bytes: int = LIMIT) -> DiskQueue:
    return DiskQueue(folder, key=key, limit_bytes=limit_bytes)


def payloads(queue: DiskQueue) -> list[bytes]:
    return [each.payload for each in queue.oldest(10_000)]


def test_what_was_pushed_and_not_confirmed_is_there_after_a_restart(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.push([b"a", b"b", b"c"])
    queue.confirm(queue.oldest(1)[0].sequence)
    queue.close()
    again = opened(tmp_path)
    assert payloads(again) == [b"b", b"c"]
    again.push([b"d"])
    assert [each.sequence for each in again.oldest(9)] == [2, 3, 4]
    again.close()


def test_nothing_readable_lies_on_disk(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.push([b"the patient fell"] * 3)
    queue.close()
    for path in tmp_path.iterdir():
        assert b"patient" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_the_bound_holds_on_disk_and_what_went_is_counted_over_restarts(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    for number in range(0, 3000, 10):
        queue.push([b"%06d" % each * 5 for each in range(number, number + 10)])
        assert queue.size_bytes <= LIMIT
    kept, dropped = payloads(queue), queue.dropped
    assert sum(path.stat().st_size for path in tmp_path.glob("*.seg")) == queue.size_bytes
    assert len(kept) + dropped == 3000
    assert kept[-1] == b"%06d" % 2999 * 5
    queue.close()
    again = opened(tmp_path)
    assert (payloads(again), again.dropped) == (kept, dropped)
    again.close()


def test_a_wrong_key_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.push([b"a"])
    queue.close()
    with pytest.raises(InputError, match="written with another key"):
        opened(tmp_path, key=bytes(32))
    (tmp_path / "place.json").unlink()
    with pytest.raises(InputError, match="written with another key"):
        opened(tmp_path, key=bytes(32))
    again = opened(tmp_path)
    assert payloads(again) == [b"a"]
    again.close()


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    with pytest.raises(ResourceError, match="is used already"):
        opened(tmp_path)
    queue.close()
    opened(tmp_path).close()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_an_end_torn_at_any_byte_costs_the_torn_message_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("queue")
    queue = opened(folder)
    queue.push([b"first", b"second", b"third"])
    queue.close()
    (segment,) = folder.glob("*.seg")
    content = segment.read_bytes()
    record_bytes = 4 + 12 + 16
    third_starts = 2 * record_bytes + len("firstsecond")
    cut = data.draw(st.integers(third_starts, len(content) - 1))
    segment.write_bytes(content[:cut])
    again = opened(folder)
    again.push([b"fourth"])
    assert payloads(again) == [b"first", b"second", b"fourth"]
    again.close()


def test_a_damaged_message_is_left_out_and_counted(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.push([b"first", b"second", b"third"])
    queue.close()
    (segment,) = tmp_path.glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[4 + 12 + 16 + len("first") + 4 + 12] ^= 1
    segment.write_bytes(content)
    again = opened(tmp_path)
    assert payloads(again) == [b"first", b"third"]
    assert again.damaged == 1
    again.confirm(again.oldest(2)[-1].sequence)
    assert (len(again), again.oldest(1)) == (0, [])
    again.close()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_damage_costs_the_messages_that_it_hit_and_is_told(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path_factory.mktemp("queue")
    pushed = [b"%03d" % number * (1 + number % 5) for number in range(60)]
    queue = opened(folder, limit_bytes=1 << 20)
    queue.push(pushed)
    queue.close()
    (segment,) = folder.glob("*.seg")
    content = bytearray(segment.read_bytes())
    ends = list(itertools.accumulate(4 + 12 + 16 + len(each) for each in pushed))
    start = data.draw(st.integers(0, ends[-3] - 1))
    stop = data.draw(st.integers(start + 1, min(start + 500, ends[-3])))
    content[start:stop] = bytes(byte ^ 0xFF for byte in content[start:stop])
    segment.write_bytes(content)
    caplog.clear()
    again = opened(folder, limit_bytes=1 << 20)
    hit = {bisect.bisect_right(ends, at) for at in range(start, stop)}
    assert payloads(again) == [each for at, each in enumerate(pushed) if at not in hit]
    assert again.damaged == len(hit)
    assert f"{len(hit)} messages are lost" in caplog.text
    again.close()


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.seg").write_bytes(b"not ours")
    queue = opened(tmp_path)
    queue.push([b"a"])
    queue.close()
    again = opened(tmp_path)
    assert payloads(again) == [b"a"]
    assert (tmp_path / "notes.seg").read_bytes() == b"not ours"
    again.close()


FULL = """
import sys
from pathlib import Path
from edgewright.errors import ResourceError
from edgewright.stores.disk_queue import DiskQueue
def opened():
    return DiskQueue(Path(sys.argv[1]) / "queue", key=bytes(32), limit_bytes=1 << 20)
queue, pushed, given = opened(), 0, []
try:
    while True:
        queue.push([b"%0200d" % pushed])
        pushed += 1
except ResourceError as error:
    assert "full" in str(error), error
while batch := queue.oldest(7):
    given += [int(each.payload) for each in batch]
    queue.confirm(batch[-1].sequence)
    queue.close()
    queue = opened()
queue.push([b"%0200d" % pushed])
print(pushed, given == [*range(pushed)], (Path(sys.argv[1]) / "queue" / "reserve").stat().st_size)
"""


def test_a_queue_that_filled_its_disk_can_be_emptied(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    mounted = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -c "$3" "$1"'
    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mounted, "sh", tmp_path / "disk", sys.executable, FULL],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"absent: a disk of one's own ({ran.stderr.strip()})")
    assert ran.returncode == 0, ran.stderr
    pushed, are_all_given, reserve_bytes = ran.stdout.split()
    assert (are_all_given, reserve_bytes) == ("True", "8192")
    assert int(pushed) > 100


def test_records_cannot_be_swapped(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.push([b"open ", b"close"])
    queue.close()
    (segment,) = tmp_path.glob("*.seg")
    content = segment.read_bytes()
    half = len(content) // 2
    segment.write_bytes(content[half:] + content[:half])
    again = opened(tmp_path)
    assert payloads(again) == []
    again.close()


def test_a_message_larger_than_a_segment_is_refused(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    with pytest.raises(InputError, match="does not fit"):
        queue.push([bytes(LIMIT)])
    assert len(queue) == 0
    queue.close()


@pytest.mark.parametrize("before", [[], [b"kept"]])
def test_a_push_that_fails_half_way_leaves_the_queue_as_it_was(
    tmp_path: Path, before: list[bytes]
) -> None:
    queue = opened(tmp_path)
    queue.push(before)
    size_bytes = queue.size_bytes
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes + 40, hard))
    try:
        with pytest.raises(ResourceError, match="too large"):
            queue.push([b"longer than eight bytes"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (payloads(queue), queue.size_bytes) == (before, size_bytes)
    queue.push([b"next"])
    queue.close()
    again = opened(tmp_path)
    assert payloads(again) == [*before, b"next"]
    again.close()


CHILD = """
import sys
from pathlib import Path
from edgewright.stores.disk_queue import DiskQueue
queue = DiskQueue(Path(sys.argv[1]), key=bytes(range(32)), limit_bytes=1 << 20)
for number in range(100_000):
    queue.push([b"%d" % number])
    print(number, flush=True)
"""


def test_what_push_returned_for_is_there_after_sigkill(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, folder], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(50):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        promised = 50 + len(child.stdout.read().splitlines())
    again = opened(folder, limit_bytes=1 << 20)
    found = payloads(again)
    assert found == [b"%d" % number for number in range(len(found))]
    assert promised <= len(found) <= promised + 1
    again.close()


def reopened_smaller(folder: Path, *, pushed: list[bytes], old: int, new: int) -> DiskQueue:
    queue = opened(folder, limit_bytes=old)
    for payload in pushed:
        queue.push([payload])
    queue.close()
    return opened(folder, limit_bytes=new)


def test_a_queue_opens_under_a_limit_far_below_the_one_it_was_written_with(tmp_path: Path) -> None:
    pushed = [b"%020000d" % number for number in range(30)]
    queue = reopened_smaller(tmp_path, pushed=pushed, old=4 << 20, new=64 << 10)
    assert payloads(queue) == pushed
    queue.push([b"new"])
    kept = payloads(queue)
    assert kept[-1] == b"new"
    assert len(kept) + queue.dropped == 31
    assert queue.size_bytes <= 64 << 10
    queue.close()


def test_the_message_that_pushes_out_all_older_ones_is_not_lost(tmp_path: Path) -> None:
    # One segment of nearly the whole new limit, so that room for the new one is made of all of it.
    pushed = [b"%06990d" % number for number in range(9)]
    queue = reopened_smaller(tmp_path, pushed=pushed, old=1 << 20, new=64 << 10)
    for number in range(4):
        queue.push([b"new%03000d" % number])
    kept, dropped = payloads(queue), queue.dropped
    queue.close()
    again = opened(tmp_path, limit_bytes=64 << 10)
    assert [payload[:3] for payload in kept] == [b"new"] * 4
    assert (payloads(again), again.dropped, again.damaged) == (kept, 9, 0) == (kept, dropped, 0)
    again.close()


def test_nothing_is_confirmed_when_the_place_could_not_be_written(tmp_path: Path) -> None:
    queue = opened(tmp_path)
    queue.push([b"a", b"b"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        with pytest.raises(ResourceError, match=r"place\.json"):
            queue.confirm(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (len(queue), payloads(queue)) == (2, [b"a", b"b"])
    queue.confirm(1)
    assert (len(queue), payloads(queue)) == (1, [b"b"])
    queue.close()
