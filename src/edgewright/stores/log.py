"""An append-only log of lines, each with its number and a checksum over both.

    1 5f1c0d3a {"state":"probe"}
    2 9b02e77c {"state":"commit"}

`append` returns after an fsync. A cut can only tear the last line, and `Log` drops a torn tail when
it is opened. A line that was damaged later (a flipped bit) is counted and left out: its number is
missing, the lines around it stay good. Numbers never repeat, not even after `trim`: the line with
an empty payload that `trim` writes only keeps the place.
"""

import contextlib
import zlib
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.errors import EdgewrightError, InputError, ResourceError

LIMIT_BYTES = 64 << 20


class Entry(msgspec.Struct, frozen=True):
    """One line of a log."""

    sequence: int
    payload: bytes


class LogContents(msgspec.Struct, frozen=True, kw_only=True):
    """What a log file holds, and what was lost of it."""

    entries: tuple[Entry, ...] = ()
    last_sequence: int = 0
    good_bytes: int = 0
    torn_bytes: int = 0
    damaged_lines: int = 0


def parse_log(content: bytes) -> LogContents:
    """The good lines of a log's bytes. Whatever follows the last good line is its torn tail."""
    entries: list[Entry] = []
    last = position = good_end = damaged = damaged_before_good = 0
    while (end := content.find(b"\n", position)) >= 0:
        entry = _parse_line(content[position:end])
        position = end + 1
        if entry is None or entry.sequence <= last:
            damaged += 1
            continue
        last, good_end, damaged_before_good = entry.sequence, position, damaged
        if entry.payload:
            entries.append(entry)
    return LogContents(
        entries=tuple(entries),
        last_sequence=last,
        good_bytes=good_end,
        torn_bytes=len(content) - good_end,
        damaged_lines=damaged_before_good,
    )


def read_log(path: Path) -> LogContents:
    """What a log file holds, without changing it; an absent file holds nothing.

    Raises:
        InputError: the file is larger than any log of ours.
    """
    if not path.exists():
        return LogContents()
    return parse_log(_fs.read_limited(path, limit_bytes=LIMIT_BYTES))


class Log:
    """A log that is open for writing by this process alone."""

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        contents = read_log(path)
        self.torn_bytes = contents.torn_bytes
        self.damaged_lines = contents.damaged_lines
        self._entries = list(contents.entries)
        self._last_sequence = contents.last_sequence
        self._size_bytes = contents.good_bytes
        if contents.torn_bytes:
            _fs.truncate(path, self._size_bytes)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All good lines, oldest first."""
        return tuple(self._entries)

    @property
    def next_sequence(self) -> int:
        """The number that the next line will carry."""
        return self._last_sequence + 1

    @property
    def size_bytes(self) -> int:
        """How large the file is."""
        return self._size_bytes

    def append(self, payload: bytes) -> int:
        """Write one line for good; returns its number.

        Raises:
            InputError: the payload is empty or holds a line break.
            ResourceError: the disk is full or failed, or the folder was moved away; the log is as
                it was.
        """
        if not payload or b"\n" in payload:
            raise InputError(
                "a log line must hold something and no line break",
                hint="encode it, as JSON for example",
            )
        sequence = self._last_sequence + 1
        self._write(_line(sequence, payload))
        self._last_sequence = sequence
        self._entries.append(Entry(sequence, payload))
        return sequence

    def skip_to(self, sequence: int) -> None:
        """Leave numbers out: the next line carries at least this one."""
        self._last_sequence = max(self._last_sequence, sequence - 1)

    def trim(self, *, before: int) -> None:
        """Forget the lines whose number is below `before`, as one step."""
        kept = [entry for entry in self._entries if entry.sequence >= before]
        place = min((entry.sequence for entry in kept), default=self.next_sequence) - 1
        lines = [_line(place, b"")] if place else []
        self._require_folder()
        content = b"".join(lines + [_line(entry.sequence, entry.payload) for entry in kept])
        _fs.write_atomic(self._path, content, mode=self._mode)
        self._entries = kept
        self._size_bytes = len(content)

    def _write(self, line: bytes) -> None:
        self._require_folder()
        self._drop_unfinished()
        try:
            with _fs.appended_file(self._path, mode=self._mode) as file:
                written = file.write(line)
                while written < len(line):
                    written += file.write(line[written:])
        except EdgewrightError:
            with contextlib.suppress(EdgewrightError):
                self._drop_unfinished()
            raise
        self._size_bytes += len(line)

    def _require_folder(self) -> None:
        """A folder that was moved away under us is not made again: a second journal would begin in
        its place.
        """
        if self._size_bytes and not self._path.parent.is_dir():
            raise ResourceError(
                f"writing {self._path}: its folder was moved or removed meanwhile",
                hint="start the program again with the folder's new place",
            )

    def _drop_unfinished(self) -> None:
        """Cut off what an append left that failed, so that the next line starts on its own."""
        if self._path.exists() and self._path.stat().st_size != self._size_bytes:
            _fs.truncate(self._path, self._size_bytes)


def _line(sequence: int, payload: bytes) -> bytes:
    return b"%d %08x %s\n" % (sequence, _checksum(sequence, payload), payload)


def _checksum(sequence: int, payload: bytes) -> int:
    return zlib.crc32(b"%d %s" % (sequence, payload))


def _parse_line(line: bytes) -> Entry | None:
    head, _, rest = line.partition(b" ")
    checksum, space, payload = rest.partition(b" ")
    if not space or not head.isdigit() or len(head) > 18 or len(checksum) != 8:
        return None
    sequence = int(head)
    if checksum != b"%08x" % _checksum(sequence, payload) or head != b"%d" % sequence:
        return None
    return Entry(sequence, payload)
