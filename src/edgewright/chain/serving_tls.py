"""The files of TLS that a server shows itself with, read anew when they change: who renews a
certificate need not restart who shows it.

What cannot be taken (half written, a key that does not belong) changes nothing and is said once;
the next change is looked at again.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.errors import EdgewrightError, InputError

logger = logging.getLogger(__name__)

LOOK_S = 10.0
_LIMIT_BYTES = 1 << 20
_REASONS = {
    "KEY_VALUES_MISMATCH": "the key is another certificate's",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
}

Show = Callable[[ssl.SSLContext], None]


class PemTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What the files hold: whom the server shows itself as, and whose clients it demands."""

    cert: bytes
    key: bytes
    client_ca: bytes | None

    def __repr__(self) -> str:
        return "PemTexts()"  # a key belongs in no message


class TlsFiles:
    """The files, and what they held when they were last taken."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read them.

        Raises:
            InputError: they are not PEM, or do not belong together.
        """
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._known = self._stamps()
        self.context, self.texts = self._read()

    async def follow(self, show: Show) -> None:
        """Look at them now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(show)

    def look(self, show: Show) -> None:
        """Show what they hold if they changed since the last look."""
        found = self._stamps()
        if found == self._known:
            return
        self._known = found
        try:
            self.context, self.texts = self._read()
        except EdgewrightError as error:
            logger.warning("changed TLS files are not taken: %s", error)
            return
        show(self.context)
        logger.info("changed TLS files are taken: cert=%s", self._cert)

    def _read(self) -> tuple[ssl.SSLContext, PemTexts]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with _pem_errors(f"TLS files {self._cert} and {self._key}"):
            context.load_cert_chain(self._cert, self._key)
        if self._client_ca is not None:
            with _pem_errors(f"TLS authority {self._client_ca}"):
                context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context, self._texts()

    def _texts(self) -> PemTexts:
        ca = self._client_ca
        return PemTexts(
            cert=read_limited(self._cert, limit_bytes=_LIMIT_BYTES),
            key=read_limited(self._key, limit_bytes=_LIMIT_BYTES),
            client_ca=None if ca is None else read_limited(ca, limit_bytes=_LIMIT_BYTES),
        )

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self._cert, self._key, self._client_ca) if path]


@contextmanager
def _pem_errors(what: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        reason = _REASONS.get(error.reason or "", str(error))
        raise InputError(f"{what}: {reason}", hint="check that they are PEM") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"{what}: one cannot be read: {reason}", hint="check the paths") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
