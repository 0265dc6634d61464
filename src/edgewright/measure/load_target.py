"""Where load goes, how much of it, and when: values, made before a run begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.errors import InputError

SCHEMES = ("http", "grpc")


class LoadTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens: host and port, or the path of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 80
    path: str = ""
    uds: str = ""
    scheme: str = "http"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The target of `http://host:port[/prefix]`, `grpc://host:port` or `unix:/path/to.sock`.

        >>> LoadTarget.from_url("http://127.0.0.1:8080").port
        8080

        Raises:
            InputError: another scheme, or no host.
        """
        if url.startswith("unix:"):
            return cls(uds=str(Path(url.removeprefix("unix:").removeprefix("//"))))
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError as error:
            raise InputError(f"URL {url!r}: {error}", hint="write http://HOST:PORT") from error
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise InputError(
                f"URL {url!r} is not one that load can be sent to",
                hint="write http://HOST:PORT, grpc://HOST:PORT or unix:/path/to.sock",
            )
        path = parts.path.rstrip("/")
        return cls(host=parts.hostname, port=port, path=path, scheme=parts.scheme)

    @property
    def authority(self) -> str:
        """Host and port as URLs and `Host:` headers write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "localhost" if self.uds else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server must be on this machine."""
        is_local_name = self.host in {"localhost", "::1"} or self.host.startswith("127.")
        return bool(self.uds) or is_local_name

    @property
    def text(self) -> str:
        return f"unix:{self.uds}" if self.uds else f"{self.scheme}://{self.authority}{self.path}"


class LoadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run ends: nothing of it is unbounded.

    `timeout_s` is how long one request is waited for; after `seconds` (or `requests`) nothing new
    leaves, and what is under way is waited for `drain_s` at most.
    """

    seconds: float = 10.0
    requests: int = 2_000_000
    timeout_s: float = 10.0
    drain_s: float = 5.0
    keep_bytes: int = 64 << 20


def encode_request(
    method: str,
    path: str,
    *,
    target: LoadTarget,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A whole HTTP/1.1 request as bytes, made once and sent many times."""
    fields = {"host": target.authority, "content-length": str(len(body)), **(headers or {})}
    lines = [f"{method} {target.path}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def poisson_arrivals(
    rate_rps: float, seconds: float, *, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Moments of a Poisson process within `seconds`, given that it has its expected number of them,
    so that the offered rate is the one that was asked for.

    >>> moments = poisson_arrivals(1000, 2.0, rng=np.random.default_rng(0))
    >>> len(moments), bool(moments[-1] < 2.0)
    (2000, True)
    """
    return np.sort(rng.random(round(rate_rps * seconds)) * seconds)


def even_arrivals(rate_rps: float, seconds: float) -> NDArray[np.float64]:
    """Moments of a sensor that ticks evenly.

    >>> even_arrivals(4, 1.0)
    array([0.  , 0.25, 0.5 , 0.75])
    """
    return np.arange(int(rate_rps * seconds)) / rate_rps
