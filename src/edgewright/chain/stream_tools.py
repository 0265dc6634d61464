"""What every part of a stream file is made with: its folder, secrets, queues, readers."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import msgspec

from edgewright._fs import read_limited
from edgewright.clock import Clock
from edgewright.device.streams import config
from edgewright.device.streams.base import Result
from edgewright.device.streams.forward import Delivery, Forwarder, ForwardingSink, check_topic
from edgewright.device.streams.live import Feed, LiveSource
from edgewright.device.streams.plan import PicturePlan, Plan
from edgewright.device.streams.reading import Reading, reader_of
from edgewright.errors import InputError
from edgewright.keys import read_or_make_secret
from edgewright.stores import DiskQueue, MemoryQueue, Queue

_SECRET_BYTES = 4096


class LoginFacts(TypedDict):
    """Who we are at a broker."""

    user: str | None
    password: str | None
    tls: ssl.SSLContext | None


class Tools:
    """Paths are relative to the file's `folder`."""

    def __init__(self, folder: Path, *, clock: Clock, patience_s: float) -> None:
        self._folder = folder
        self.clock = clock
        self.patience_s = patience_s

    def path(self, text: str) -> Path:
        """A path of the file."""
        return self._folder / text

    def secret(self, path: str) -> str:
        """The one line of a file.

        Raises:
            InputError: it is absent, or not one line of text.
        """
        where, wanted = self.path(path), "one line with a password or token"
        content = read_limited(where, limit_bytes=_SECRET_BYTES)
        try:
            text = content.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{where} is not UTF-8 text, expected {wanted}") from error
        if len(text.splitlines()) != 1:
            raise InputError(f"{where} has {len(text.splitlines())} lines, expected {wanted}")
        return text

    def login(self, login: config.Login, url: str) -> LoginFacts:
        """Who we are at this address, with what the files say.

        Raises:
            InputError: a file is wrong, or the address has no TLS for them.
        """
        scheme = url.partition("://")[0]
        if (login.ca or login.cert) and scheme in ("mqtt", "amqp"):
            raise InputError(
                f"`ca` and `cert` are for TLS, and {scheme}:// has none", hint=f"write {scheme}s://"
            )
        return {
            "user": login.user or None,
            "password": self.secret(login.password_file) if login.password_file else None,
            "tls": self._tls(login),
        }

    def live(
        self, feed: Feed, reading: Reading, plan: Plan | PicturePlan, *, key_part: int | None = None
    ) -> LiveSource:
        """Samples of a feed, for a model that takes them.

        Raises:
            InputError: the model takes something else, or other channels and units.
        """
        if isinstance(plan, PicturePlan):
            raise InputError("the model takes pictures", hint='use a source of kind "camera"')
        reader = reader_of(reading, dict(zip(plan.channels, plan.units, strict=True)))
        return LiveSource(feed, reader, clock=self.clock, key_part=key_part)

    def forwarding(
        self,
        delivery: Delivery,
        queue: config.QueueOrder | None,
        name: str,
        *,
        topic: str = "",
        encode: Callable[[Result], bytes] = msgspec.json.encode,
    ) -> ForwardingSink:
        """A sink that stores what it cannot deliver now."""
        check_topic(topic)
        forwarder = self.forwarder(delivery, queue, name)
        return ForwardingSink(forwarder, topic=topic, encode=encode, patience_s=self.patience_s)

    def forwarder(
        self, delivery: Delivery, queue: config.QueueOrder | None, name: str
    ) -> Forwarder:
        """A queue with a way out."""
        return Forwarder(self._queue(queue), delivery, clock=self.clock, name=name)

    def _queue(self, order: config.QueueOrder | None) -> Queue:
        if order is None:
            return MemoryQueue(limit=config.KEPT_IN_MEMORY)
        return DiskQueue(
            self.path(order.folder),
            key=read_or_make_secret(self.path(order.key_file)),
            limit_bytes=int(order.limit_mb * (1 << 20)),
        )

    def _tls(self, login: config.Login) -> ssl.SSLContext | None:
        if not (login.ca or login.cert or login.key):
            return None
        try:
            ca = str(self.path(login.ca)) if login.ca else None
            context = ssl.create_default_context(cafile=ca)
            if login.cert or login.key:
                context.load_cert_chain(self.path(login.cert), self.path(login.key or login.cert))
        except (OSError, ssl.SSLError) as error:
            files = [name for name in (login.ca, login.cert, login.key) if name]
            raise InputError(
                f"TLS files {files}: {error}", hint="check that they are PEM"
            ) from error
        return context
