"""A second place for checkpoints: a folder on another drive, or a bucket.

Training never waits for it. A thread sends the newest checkpoint; while the place is away it tries
again, later and later, and only the newest one is worth sending. A checkpoint is sent under its own
name before `latest.json` names it, so whatever `latest.json` names is whole.
"""

import hashlib
import logging
import random
import threading
from typing import Self

import msgspec

from edgewright.errors import EdgewrightError, InputError, TransportError
from edgewright.stores import ObjectStore

logger = logging.getLogger(__name__)

_LATEST = "latest.json"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_LAST_TRY_S = 20.0


class Latest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which checkpoint is the newest one there."""

    name: str
    epochs: int
    sha256: str


class Mirror:
    """The checkpoints of one run in an object store, under the run's identity."""

    def __init__(
        self, objects: ObjectStore, identity: str, *, patience_s: float = _LAST_TRY_S
    ) -> None:
        self._objects = objects
        self._prefix = identity[:32]
        self._patience_s = patience_s
        self._waiting: tuple[int, bytes] | None = None
        self._lock = threading.Condition()
        self._is_closing = False
        self._problem = ""
        self._has_given_up = False
        self._chance = random.Random()  # noqa: S311 - spreads retries, no secret
        self._thread = threading.Thread(target=self._send_forever, name="mirror", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send what is waiting, for a while; then give up with a word to people."""
        with self._lock:
            self._is_closing = True
            self._lock.notify_all()
        self._thread.join(self._patience_s)
        with self._lock:
            self._has_given_up = True
        if self.problem:
            logger.warning("mirror: the newest checkpoint is not there: %s", self.problem)

    @property
    def problem(self) -> str:
        """Why the newest checkpoint is not there yet; "" when it is."""
        with self._lock:
            return self._problem or ("still sending" if self._waiting else "")

    def offer(self, epochs: int, content: bytes) -> None:
        """The newest checkpoint; one that still waits is not worth sending any more."""
        with self._lock:
            self._waiting = (epochs, content)
            self._lock.notify_all()

    def newest(self) -> tuple[int, bytes] | None:
        """The newest whole checkpoint there, with its number of epochs.

        Raises:
            TransportError: the place is away.
            InputError: what lies there is damaged.
        """
        raw = self._objects.get(f"{self._prefix}/{_LATEST}")
        if raw is None:
            return None
        try:
            latest = msgspec.json.decode(raw, type=Latest)
        except msgspec.DecodeError as error:
            raise InputError(f"mirror: {_LATEST} is damaged: {error}", hint="delete it") from error
        content = self._objects.get(f"{self._prefix}/{latest.name}")
        if content is None or hashlib.sha256(content).hexdigest() != latest.sha256:
            raise InputError(
                f"mirror: {latest.name} is not what {_LATEST} says", hint="delete both and go on"
            )
        return latest.epochs, content

    def _send_forever(self) -> None:
        wait_s = _FIRST_WAIT_S
        while (item := self._next()) is not None:
            try:
                self._send(*item)
            except EdgewrightError as error:
                self._note(str(error))
                wait_s = self._rest(wait_s, retry=isinstance(error, TransportError))
                continue
            wait_s = _FIRST_WAIT_S
            self._note("")
            with self._lock:
                if self._waiting is item:
                    self._waiting = None

    def _next(self) -> tuple[int, bytes] | None:
        with self._lock:
            while self._waiting is None and not self._is_closing:
                self._lock.wait()
            return None if self._has_given_up else self._waiting

    def _rest(self, wait_s: float, *, retry: bool) -> float:
        """Wait before another try; a refusal is not tried again before there is something new."""
        jitter = self._chance.uniform(0.5, 1.0)
        with self._lock:
            if not retry:
                self._waiting = None
            self._lock.wait(_FIRST_WAIT_S if self._is_closing else wait_s * jitter)
        return min(2 * wait_s, _LONGEST_WAIT_S)

    def _send(self, epochs: int, content: bytes) -> None:
        name = f"checkpoint-{epochs:05d}.pt"
        latest = Latest(name=name, epochs=epochs, sha256=hashlib.sha256(content).hexdigest())
        self._objects.put(f"{self._prefix}/{name}", content)
        self._objects.put(f"{self._prefix}/{_LATEST}", msgspec.json.encode(latest))
        for other in self._objects.names(f"{self._prefix}/checkpoint-"):
            if other != f"{self._prefix}/{name}":
                self._objects.remove(other)

    def _note(self, problem: str) -> None:
        with self._lock:
            before, self._problem = self._problem, problem
        if problem and not before:
            logger.warning("mirror: %s; training goes on", problem)
        elif before and not problem:
            logger.info("mirror: it is back")
