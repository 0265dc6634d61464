"""An answer that is not a result, as a value and as an exception."""

from edgewright.errors import (
    DeviceError,
    EdgewrightError,
    InputError,
    ResourceError,
    TransportError,
    TrustError,
    UnavailableError,
)

_STATUS_BY_ERROR: tuple[tuple[type[EdgewrightError], int], ...] = (
    (InputError, 400),
    (TrustError, 403),
    (UnavailableError, 501),
    (DeviceError, 500),
    (ResourceError, 507),
    (TransportError, 503),
)

_LATER = 503


class RefusalError(Exception):
    """A request that is answered with a status and a sentence. `reason` is a metric's label."""

    def __init__(
        self, status: int, message: str, *, reason: str, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


def refusal_of(error: EdgewrightError) -> RefusalError:
    """The status that tells a client who must act.

    >>> refusal_of(InputError("input 'x' is missing")).status
    400
    """
    for kind, status in _STATUS_BY_ERROR:
        if isinstance(error, kind):
            told = type(error) if issubclass(kind, TransportError) else kind
            reason = told.__name__.removesuffix("Error").lower()
            retry_after_s = 1 if status == _LATER else None
            return RefusalError(status, str(error), reason=reason, retry_after_s=retry_after_s)
    return RefusalError(500, str(error), reason="internal")
