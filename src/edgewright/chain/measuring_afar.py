"""Other machines as the place where variants are measured: files go there, that machine's own
edgewright runs them beside fp32, and figures come back. So latencies hold no network.

A variant that could not be measured there has a reason.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from edgewright._npz import encode_npz
from edgewright.chain.weighing import LIMIT_S as WEIGH_LIMIT_S
from edgewright.errors import DeviceError, EdgewrightError, InputError, TransportError
from edgewright.measure import Machine
from edgewright.measure.comparison import Comparison, FileMeasured
from edgewright.runtimes.base import Array
from edgewright.workbench.optimize.place import Measured, Subject
from edgewright.workbench.optimize.trial import engine_feeds

_START_S = 120.0
_EACH_S = 30.0
_LEAST_ROUNDS = 2


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How files are to be compared, and how long that may take."""

    limit_s: float
    rounds: int
    threads: int
    seed: int
    seconds: float = 8.0
    with_energy: bool = False
    with_memory: bool = False


class Afar(Protocol):
    """A machine that measures files of ours."""

    @property
    def name(self) -> str:
        """As people write it."""

    def compare(self, paths: Sequence[Path], feeds: bytes, wish: Wish) -> Comparison:
        """What its edgewright says of these files, in this order, fed with an npz.

        Raises:
            TransportError: it cannot be reached any more.
            EdgewrightError: that machine's own branch, with its own words.
        """


class PlaceAfar:
    """A machine elsewhere as a `Place`."""

    def __init__(self, afar: Afar, *, threads: int, seed: int) -> None:
        self._afar = afar
        self._threads = threads
        self._seed = seed
        self._machine: Machine | None = None
        self.notes: list[str] = []

    @property
    def name(self) -> str:
        """As people write it."""
        return self._afar.name

    @property
    def machine(self) -> Machine:
        """What it says of itself, once it has measured."""
        if self._machine is None:
            raise DeviceError(f"{self.name} has measured nothing")
        return self._machine

    def time(
        self,
        subjects: Sequence[Subject],
        inputs: Mapping[str, Array],
        *,
        rounds: int,
        seconds: float,
        with_energy: bool,
    ) -> list[Measured]:
        """See `Place.time`."""
        wish = self._wish(subjects, 2 * seconds, rounds=rounds)
        return self._measured(
            subjects,
            inputs,
            msgspec.structs.replace(wish, seconds=seconds, with_energy=with_energy),
        )

    def weigh(self, subjects: Sequence[Subject], inputs: Mapping[str, Array]) -> list[Measured]:
        """See `Place.weigh`."""
        wish = self._wish(subjects, WEIGH_LIMIT_S * len(subjects), rounds=_LEAST_ROUNDS)
        return self._measured(subjects, inputs, msgspec.structs.replace(wish, with_memory=True))

    def note(self, text: str) -> None:
        """Something that the report must tell, once."""
        if text and text not in self.notes:
            self.notes.append(text)

    def _wish(self, subjects: Sequence[Subject], patience_s: float, *, rounds: int) -> Wish:
        return Wish(
            limit_s=patience_s + _START_S + _EACH_S * len(subjects),
            rounds=rounds,
            threads=self._threads,
            seed=self._seed,
        )

    def _measured(
        self, subjects: Sequence[Subject], inputs: Mapping[str, Array], wish: Wish
    ) -> list[Measured]:
        """All together; one by one where their process fails, to find out on which."""
        try:
            return self._compared(subjects, inputs, wish)
        except TransportError as error:
            return _none(subjects, error.message)
        except EdgewrightError as error:
            if len(subjects) == 1:
                return _none(subjects, error.message)
        found = [self._measured(subjects[:1], inputs, wish)[0]]
        for one in subjects[1:]:
            try:
                found.append(self._compared([subjects[0], one], inputs, wish)[1])
            except EdgewrightError as error:
                found += _none([one], error.message)
        return found

    def _compared(
        self, subjects: Sequence[Subject], inputs: Mapping[str, Array], wish: Wish
    ) -> list[Measured]:
        paths = [one.path for one in subjects]
        answer = self._afar.compare(paths, _feeds(subjects, inputs), wish)
        self._machine = answer.machine
        self.note(f"latency: {answer.clock} on {self.name}")
        self.note(answer.energy)
        return [_told(one) for one in answer.files]


def decode_comparison(content: bytes, files: Sequence[str], name: str) -> Comparison:
    """What a machine said of these files.

    Raises:
        TransportError: it said something else.
    """
    try:
        answer = msgspec.json.decode(content, type=Comparison)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"{name}: its figures are not understood: {error}",
            hint="install the same edgewright on both machines",
        ) from error
    if [one.file for one in answer.files] != list(files):
        raise TransportError(f"{name}: it measured other files than it was asked to")
    return answer


def _none(subjects: Sequence[Subject], reason: str) -> list[Measured]:
    return [Measured(reason=reason) for _ in subjects]


def _feeds(subjects: Sequence[Subject], inputs: Mapping[str, Array]) -> bytes:
    """The arrays of one call, under the names that each file's engine has for them.

    Raises:
        InputError: two files call different arrays by one name.
    """
    feeds: dict[str, Array] = {}
    for one in subjects:
        for name, array in engine_feeds(one.session, inputs).items():
            if name in feeds and feeds[name] is not array and not _same(feeds[name], array):
                raise InputError(f"{one.path.name} calls another input {name!r}")
            if name not in feeds or len(array) > len(feeds[name]):
                feeds[name] = array
    return encode_npz(feeds)


def _same(one: Array, other: Array) -> bool:
    rows = min(len(one), len(other))
    return one.shape[1:] == other.shape[1:] and bool((one[:rows] == other[:rows]).all())


def _told(one: FileMeasured) -> Measured:
    return Measured(
        ratio=one.latency_ratio,
        latency_ms=one.latency_ms.value if one.latency_ms else None,
        rounds=one.rounds,
        energy_ratio=one.energy_ratio,
        memory_bytes=one.memory_bytes,
        reason=one.reason,
    )
