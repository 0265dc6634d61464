"""A queue on disk: encrypted, bounded in bytes, and whole after SIGKILL or a power cut.

    FOLDER/00000000000000000001.seg    records: length, nonce, AES-256-GCM text
    FOLDER/place.json                  what is delivered, and how many were dropped
    FOLDER/lock                        held by the one process that uses the queue
    FOLDER/reserve                     room to note deliveries in, when the disk is full

`push` returns after an fsync; a cut can tear the last record only, which is dropped when the queue
is opened. What the disk damaged is left out, counted and told. A message that was delivered but not
yet confirmed when the power went is delivered again: at least once, never not at all. When the
bound is reached the oldest segment goes (a sixteenth of the bound), and what was in it is counted.
"""

import contextlib
import fcntl
import hashlib
import itertools
import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.errors import InputError, ResourceError
from edgewright.stores._sealed import OVERHEAD_BYTES, Seal
from edgewright.stores.queue import Queued

logger = logging.getLogger(__name__)

KEY_BYTES = 32
_RESERVE_BYTES = 8 << 10
_SEGMENTS = 16
# Of any queue, whatever its limit: a segment may have been written under a larger one.
_LARGEST_SEGMENT_BYTES = 1 << 20
_KEPT_AHEAD = 256
SMALLEST_LIMIT_BYTES = 16 << 10


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """What outlives the process beside the messages. `key_check` tells a wrong key from damage."""

    key_check: str
    next: int = 1
    dropped: int = 0
    damaged: int = 0
    schema_version: int = 1


class _Segment(msgspec.Struct):
    first: int
    count: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.first + self.count


class DiskQueue:
    """One process uses it at a time."""

    is_durable = True

    def __init__(self, folder: Path, *, key: bytes, limit_bytes: int) -> None:
        if len(key) != KEY_BYTES:
            raise InputError(f"queue {folder}: the key has {len(key)} bytes, expected {KEY_BYTES}")
        if limit_bytes < SMALLEST_LIMIT_BYTES:
            raise InputError(
                f"queue {folder}: {limit_bytes} bytes are too few",
                hint=f"give it {SMALLEST_LIMIT_BYTES} or more",
            )
        self._folder = _fs.make_dirs(folder)
        self._seal = Seal(key)
        self._limit_bytes = limit_bytes
        self._segment_bytes = min(limit_bytes // _SEGMENTS, _LARGEST_SEGMENT_BYTES)
        self._lock = self._locked()
        try:
            self._place = self._read_place(key)
            self._segments = self._recovered()
            self._hold_reserve()
        except BaseException:
            os.close(self._lock)
            raise
        self._ahead: deque[Queued] = deque()
        self._ahead_of = 0

    @property
    def dropped(self) -> int:
        """Messages that newer ones pushed out, since the queue was made."""
        return self._place.dropped

    @property
    def damaged(self) -> int:
        """Messages that the disk gave back otherwise than they were written."""
        return self._place.damaged

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments, never above the limit."""
        return sum(segment.size_bytes for segment in self._segments)

    def __len__(self) -> int:
        return self._end - self._place.next

    def takes(self, payload: bytes) -> bool:
        """Whether a message fits into a segment."""
        return len(payload) + OVERHEAD_BYTES <= self._segment_bytes

    def push(self, payloads: Sequence[bytes]) -> None:
        """Put messages at the end, for good.

        Raises:
            InputError: a message is larger than the queue takes.
            ResourceError: the disk is full or failed.
        """
        for payload in payloads:
            if not self.takes(payload):
                raise InputError(
                    f"queue {self._folder}: a message of {len(payload)} bytes does not fit",
                    hint="give the queue a larger limit",
                )
        waiting = list(payloads)
        while waiting:
            segment = self._open_segment(len(waiting[0]) + OVERHEAD_BYTES)
            fitting = self._fitting(waiting, self._segment_bytes - segment.size_bytes)
            self._make_room(sum(map(len, fitting)) + OVERHEAD_BYTES * len(fitting))
            self._append(segment, fitting)
            del waiting[: len(fitting)]

    def oldest(self, count: int) -> list[Queued]:
        """The next messages to deliver. What the disk damaged is counted and left out.

        Raises:
            InputError, ResourceError: the disk does not give a segment back.
        """
        while len(self._ahead) < count and (segment := self._segment_at(self._ahead_end)):
            self._ahead.extend(self._read(segment, self._ahead_end))
            self._ahead_of = segment.end
        if not self._ahead and len(self) and not self._segment_at(self._ahead_end):
            self._go_on(self._ahead_of)
        return list(itertools.islice(self._ahead, count))

    def confirm(self, sequence: int) -> None:
        """All messages up to this one are delivered.

        Raises:
            ResourceError: the disk is full or failed; nothing is confirmed then.
        """
        self._go_on(sequence + 1)

    def close(self) -> None:
        """Let another process use it."""
        os.close(self._lock)

    @property
    def _end(self) -> int:
        """The number that the next message gets."""
        return max(self._segments[-1].end if self._segments else 1, self._place.next)

    @property
    def _ahead_end(self) -> int:
        """The first message that was not read yet."""
        return max(self._ahead_of, self._place.next)

    def _go_on(self, sequence: int, *, dropped: int = 0) -> None:
        """Everything below is done with. An empty segment is one that is about to be written."""
        place = self._place
        place = msgspec.structs.replace(
            place, next=max(place.next, sequence), dropped=place.dropped + dropped
        )
        self._note(msgspec.json.encode(place))
        self._place = place
        while self._ahead and self._ahead[0].sequence < self._place.next:
            self._ahead.popleft()
        while (first := next(iter(self._segments), None)) and first.count:
            if first.end > self._place.next:
                return
            _fs.remove_tree(self._path(first))
            self._segments.pop(0)
            self._hold_reserve()

    def _note(self, content: bytes) -> None:
        """Write the place. On a disk that is full of our own messages there would be no room to
        note that they are delivered, and no room would ever come.
        """
        path = self._folder / "place.json"
        try:
            _fs.write_atomic(path, content, mode=0o600)
        except ResourceError:
            if not self._reserve.exists():
                raise
            _fs.remove_tree(self._reserve)
            _fs.write_atomic(path, content, mode=0o600)

    @property
    def _reserve(self) -> Path:
        return self._folder / "reserve"

    def _hold_reserve(self) -> None:
        """Take the room, or try it again when a segment has gone."""
        if self._reserve.exists():
            return
        with contextlib.suppress(ResourceError):
            _fs.write_atomic(self._reserve, os.urandom(_RESERVE_BYTES), mode=0o600)

    def _make_room(self, needed_bytes: int) -> None:
        while len(self._segments) > 1 and self.size_bytes + needed_bytes > self._limit_bytes:
            oldest = self._segments[0]
            # 0 for one that was delivered, but could not be removed then.
            lost = max(oldest.end - max(oldest.first, self._place.next), 0)
            self._go_on(oldest.end, dropped=lost)

    def _open_segment(self, needed_bytes: int) -> _Segment:
        last = self._segments[-1] if self._segments else None
        if last is None or last.size_bytes + needed_bytes > self._segment_bytes:
            last = _Segment(first=self._end, count=0, size_bytes=0)
            self._segments.append(last)
        return last

    @staticmethod
    def _fitting(payloads: list[bytes], room_bytes: int) -> list[bytes]:
        """The first of them that fit into a segment's room."""
        sizes = itertools.accumulate(len(each) + OVERHEAD_BYTES for each in payloads)
        return payloads[: sum(1 for _ in itertools.takewhile(lambda s: s <= room_bytes, sizes))]

    def _append(self, segment: _Segment, payloads: list[bytes]) -> None:
        numbered = [Queued(*each) for each in enumerate(payloads, start=segment.end)]
        path, content = self._path(segment), b"".join(map(self._seal.record, numbered))
        try:
            with _fs.appended_file(path, mode=0o600) as file:
                written = file.write(content)
                while written < len(content):
                    written += file.write(content[written:])
        except ResourceError:
            if segment.size_bytes:
                _fs.truncate(path, segment.size_bytes)
            else:
                _fs.remove_tree(path)
                self._segments.remove(segment)
            raise
        if self._ahead_end == segment.end and len(self._ahead) < _KEPT_AHEAD:
            self._ahead.extend(numbered)
            self._ahead_of = segment.end + len(numbered)
        segment.count += len(numbered)
        segment.size_bytes += len(content)

    def _read(self, segment: _Segment, start: int) -> list[Queued]:
        """The messages of a segment from `start` on."""
        content = _fs.read_limited(self._path(segment), limit_bytes=_LARGEST_SEGMENT_BYTES)
        messages = (message for message, _ in self._seal.messages(content, segment.first))
        found = [message for message in messages if start <= message.sequence < segment.end]
        damaged = segment.end - max(segment.first, start) - len(found)
        if damaged:
            logger.warning(
                "queue %s: %d messages are lost, the disk damaged them", self._folder, damaged
            )
        self._place.damaged += damaged
        return found

    def _segment_at(self, sequence: int) -> _Segment | None:
        for segment in self._segments:
            if segment.first <= sequence < segment.end:
                return segment
        return None

    def _path(self, segment: _Segment) -> Path:
        return self._folder / f"{segment.first:020d}.seg"

    def _recovered(self) -> list[_Segment]:
        """The segments on disk; a torn end of the last one is cut off, delivered ones go."""
        _fs.remove_leftovers(self._folder)
        segments, paths = [], self._segment_paths()
        for path, following in itertools.zip_longest(paths, paths[1:]):
            first = int(path.stem)
            if following is None:
                segment = self._whole(path, first)
            else:
                segment = _Segment(first, int(following.stem) - first, path.stat().st_size)
            if segment.count and segment.end > self._place.next:
                segments.append(segment)
            else:
                _fs.remove_tree(path)
        if segments:
            self._place.next = max(self._place.next, segments[0].first)
        return segments

    def _segment_paths(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.seg") if path.stem.isdecimal())

    def _whole(self, path: Path, first: int) -> _Segment:
        content = _fs.read_limited(path, limit_bytes=_LARGEST_SEGMENT_BYTES)
        segment = _Segment(first=first, count=0, size_bytes=0)
        for message, end_bytes in self._seal.messages(content, first):
            segment.count, segment.size_bytes = message.sequence + 1 - first, end_bytes
        if segment.size_bytes < len(content):
            logger.warning(
                "queue %s: its last %d bytes are no whole message, as after a power cut; left out",
                self._folder,
                len(content) - segment.size_bytes,
            )
            _fs.truncate(path, segment.size_bytes)
        return segment

    def _read_place(self, key: bytes) -> _Place:
        path = self._folder / "place.json"
        check = hashlib.sha256(b"edgewright queue" + key).hexdigest()[:16]
        if not path.exists():
            self._check_key()
            place = _Place(key_check=check)
            _fs.write_atomic(path, msgspec.json.encode(place), mode=0o600)
            return place
        try:
            place = msgspec.json.decode(_fs.read_limited(path, limit_bytes=4096), type=_Place)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}: {error}", hint="move the queue's folder away") from error
        if place.key_check != check:
            raise self._other_key()
        return place

    def _check_key(self) -> None:
        """Messages without a place: a key that opens none of them would have them thrown away."""
        paths = self._segment_paths()
        for path in paths:
            content = _fs.read_limited(path, limit_bytes=_LARGEST_SEGMENT_BYTES)
            if any(True for _ in self._seal.messages(content, int(path.stem))):
                return
        if any(path.stat().st_size for path in paths):
            raise self._other_key()

    def _other_key(self) -> InputError:
        return InputError(
            f"queue {self._folder} was written with another key",
            hint="give the key that belongs to it, or choose another folder",
        )

    def _locked(self) -> int:
        path = self._folder / "lock"
        with _fs.file_errors(path, doing="opening"):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise ResourceError(
                f"queue {self._folder} is used already, by another process or twice by this one",
                hint="end that process, or give each its own folder",
            ) from error
        return handle
