"""How much of a fleet's memory strangers may hold over CoAP: anybody can send UDP, from anywhere.

`Uploads` puts together requests that come in blocks (RFC 7959), in the place of the library's own
store, which holds any number of any length. `Observers` are those who wait for hints; one that does
not ask anew is forgotten, because UDP tells nobody that the other side is gone.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Generic, TypeVar

import aiocoap
import aiocoap.error
from aiocoap.blockwise import ContinueException, IncompleteException
from aiocoap.numbers.optionnumbers import OptionNumber

from edgewright.clock import Clock

UPLOADS = 1024
UPLOADS_OF_ONE = 64
"""Of one address, behind which a site's devices may be."""
UPLOADS_BYTES = 16 << 20
UPLOAD_IDLE_S = 30.0
OBSERVERS = 20_000
OBSERVERS_OF_ONE = 4
OBSERVED_S = 150.0
"""A device of ours asks anew each minute."""

T = TypeVar("T", bound=Hashable)

_ALL_BLOCKS = [OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OBSERVE]


class _Upload:
    """One request as far as it has come."""

    def __init__(self, address: str, content: bytes, at_s: float) -> None:
        self.address = address
        self.content = bytearray(content)
        self.at_s = at_s


class Uploads:
    """Requests that are not whole yet. When there are too many, the one gives way that has not
    grown for longest; its sender is told to begin anew, and a device of ours goes over HTTP then.
    """

    def __init__(self, clock: Clock, *, limit_bytes: int) -> None:
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._open: OrderedDict[Hashable, _Upload] = OrderedDict()
        self._bytes = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._open)

    @property
    def held_bytes(self) -> int:
        """What they hold together."""
        return self._bytes

    def feed_and_take(self, request: aiocoap.Message) -> aiocoap.Message:
        """The whole request with its last block, and without blocks the request itself; see the
        library's `Block1Spool`, whose place this takes.

        Raises:
            ContinueException: more blocks are to come.
            IncompleteException: one before this is not here.
            RequestEntityTooLarge: it is longer than any request may be.
        """
        block = request.opt.block1
        if block is None:
            return request
        now_s = self._clock.monotonic_s()
        self._expire(now_s)
        key = (request.remote.blockwise_key, request.code, request.get_cache_key(_ALL_BLOCKS))
        before = self._taken(key)
        if block.block_number == 0:
            before = _Upload(_address_of(request), b"", now_s)
        if before is None or block.start != len(before.content):
            raise IncompleteException
        if len(before.content) + len(request.payload) > self._limit_bytes:
            raise aiocoap.error.RequestEntityTooLarge
        before.content += request.payload
        if not block.more:
            request.payload = bytes(before.content)
            return request
        before.at_s = now_s
        self._keep(key, before)
        raise ContinueException(block)

    def _keep(self, key: Hashable, upload: _Upload) -> None:
        self._open[key] = upload
        self._bytes += len(upload.content)
        mine = [other for other, one in self._open.items() if one.address == upload.address]
        if len(mine) > UPLOADS_OF_ONE:
            self._taken(mine[0])
        while len(self._open) > UPLOADS or self._bytes > UPLOADS_BYTES:
            self._taken(next(iter(self._open)))

    def _taken(self, key: Hashable) -> _Upload | None:
        upload = self._open.pop(key, None)
        if upload is not None:
            self._bytes -= len(upload.content)
        return upload

    def _expire(self, now_s: float) -> None:
        while self._open:
            key, upload = next(iter(self._open.items()))
            if now_s - upload.at_s < UPLOAD_IDLE_S:
                return
            self._taken(key)


class WholeAnswers:
    """Answers are short, so none is kept for a client that would fetch it in pieces; see the
    library's `Block2Cache`, whose place this takes.
    """

    @staticmethod
    async def extract_or_insert(
        request: aiocoap.Message, build: Callable[[], Awaitable[aiocoap.Message]]
    ) -> aiocoap.Message:
        """The answer as it is.

        Raises:
            IncompleteException: a later piece is asked for.
            BadOption: it is longer than the pieces that are asked for.
        """
        wanted = request.opt.block2
        if wanted is not None and wanted.block_number:
            raise IncompleteException
        answer = await build()
        if wanted is not None and len(answer.payload) > wanted.size:
            raise aiocoap.error.BadOption
        return answer


class Observers(Generic[T]):
    """Who waits for hints to which device, the longest one first. Whoever is given back is to be
    told so, and has been forgotten.
    """

    def __init__(self) -> None:
        self._of: dict[str, OrderedDict[T, None]] = {}
        self._since: OrderedDict[T, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def of(self, device: str) -> tuple[T, ...]:
        """Those who wait for this device's hints."""
        return tuple(self._of.get(device, ()))

    def add(self, device: str, observer: T, *, now_s: float) -> Iterator[T]:
        """Note one more; those who must give way."""
        mine = self._of.setdefault(device, OrderedDict())
        mine[observer] = None
        self._since[observer] = (device, now_s)
        if len(mine) > OBSERVERS_OF_ONE:
            yield self._dropped(next(iter(mine)))
        if len(self._since) > OBSERVERS:
            yield self._dropped(next(iter(self._since)))

    def remove(self, observer: T) -> None:
        """One has gone, or was given back before."""
        if observer in self._since:
            self._dropped(observer)

    def expired(self, now_s: float) -> Iterator[T]:
        """Those who have not asked anew in time."""
        while self._since:
            observer, (_, since_s) = next(iter(self._since.items()))
            if now_s - since_s < OBSERVED_S:
                return
            yield self._dropped(observer)

    def _dropped(self, observer: T) -> T:
        device, _ = self._since.pop(observer)
        mine = self._of[device]
        del mine[observer]
        if not mine:
            del self._of[device]
        return observer


def _address_of(request: aiocoap.Message) -> str:
    """Where a request came from, without its port."""
    text = str(request.remote.hostinfo)
    name, _, port = text.rpartition(":")
    return name if name and port.isdecimal() else text
