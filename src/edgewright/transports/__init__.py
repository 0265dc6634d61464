"""Ways to move bytes between processes; one file per transport, no knowledge of what they carry.

Everything from outside has a limit (`Limits`): bytes, seconds, count. A transport that did not
answer raises `TransportError`; an address that cannot be taken raises `ResourceError`.

    >>> Limits(body_bytes=1 << 20).idle_timeout_s
    75.0
"""

from edgewright.transports.base import Handler, Limits, Request, Response

__all__ = ["Handler", "Limits", "Request", "Response"]
