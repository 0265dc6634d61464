"""The journal: one fsynced line per step of an update, newest line per model = where it stands."""

import msgspec

from edgewright.device.agent.progress import Progress
from edgewright.errors import InputError
from edgewright.stores import Entry, Log, LogContents

TRIM_AT = 600
KEEP = 300

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Progress)


class Line(msgspec.Struct, frozen=True):
    """One step and its number."""

    sequence: int
    progress: Progress


def lines_of(contents: LogContents | Log) -> tuple[Line, ...]:
    """The steps of a log, oldest first.

    Raises:
        InputError: a line was written by a newer agent.
    """
    return tuple(_line(entry) for entry in contents.entries)


def newest(lines: tuple[Line, ...]) -> dict[str, Progress]:
    """Where each model stands; lines without a model (a file that was no bundle) are left out."""
    return {line.progress.model: line.progress for line in lines if line.progress.model}


class Journal:
    """The journal of the agent that holds the home's lock."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lines = list(lines_of(log))

    @property
    def lines(self) -> tuple[Line, ...]:
        """All steps that are kept, oldest first."""
        return tuple(self._lines)

    def models(self) -> dict[str, Progress]:
        """Where each model stands."""
        return newest(self.lines)

    def progress(self, model: str) -> Progress:
        """Where a model stands; a new one is idle."""
        return self.models().get(model, Progress(model=model))

    def write(self, progress: Progress) -> Line:
        """Keep one step for good.

        Raises:
            ResourceError: the disk is full or failed; the step did not happen.
        """
        line = Line(self._log.append(_encoder.encode(progress)), progress)
        self._lines.append(line)
        if len(self._lines) > TRIM_AT:
            self._trim()
        return line

    def _trim(self) -> None:
        cutoff = self._lines[-KEEP].sequence
        last = {line.progress.model: line for line in self._lines}
        for line in last.values():
            if line.sequence < cutoff and line.progress.model:
                moved = Line(self._log.append(_encoder.encode(line.progress)), line.progress)
                self._lines.append(moved)
        self._log.trim(before=cutoff)
        self._lines = [line for line in self._lines if line.sequence >= cutoff]


def _line(entry: Entry) -> Line:
    try:
        return Line(entry.sequence, _decoder.decode(entry.payload))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"journal line {entry.sequence}: {error}",
            hint="a newer agent wrote it; install that version again",
        ) from error
