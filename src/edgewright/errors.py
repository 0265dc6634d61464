"""The one tree of errors. A branch says who must act; the command line exits with the branch's
code.

    EdgewrightError           1
    |-- InputError            2   the caller: a file, flag, value or shape is wrong
    |-- UnavailableError      3   the installer: a package, tool or device is absent
    |-- TransportError        4   nobody yet: the other side did not answer, retry later
    |-- TrustError            5   the security admin: discard and report, never retry
    |-- DeviceError           6   the agent: the device cannot go on with this, roll back
    |-- GateError             7   the model's maker: a measured value missed its limit
    `-- ResourceError         8   the operator of this machine: disk, permission, port,
    memory

An `AbsentError` is the `InputError` of naming something that is not there, a `ConflictError` the
one of being second.
Exit code 9 belongs to no error: `validate` ends with it when its measurement is not sound.
A message says what, which one, expected and got, and the next thing to try. It never holds a
secret.

    >>> error = GateError("latency p95", measured=61.0, limit=50.0, unit="ms")
    >>> str(error)
    'latency p95 is 61 ms, the limit is 50 ms'
    >>> error.exit_code, error.retryable
    (7, False)
"""

from typing import ClassVar


class EdgewrightError(Exception):
    """Root of every error that edgewright raises on purpose."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


class InputError(EdgewrightError):
    """What the caller gave is wrong: a file, a flag, a value, a shape."""

    exit_code = 2


class AbsentError(InputError):
    """What the caller named is not there, or not for this caller; which of the two is not said."""


class ConflictError(InputError):
    """Somebody else was first: what the caller decided on is not so any more. Look again."""


class UnavailableError(EdgewrightError):
    """Something that can be installed or attached is absent; the hint names how to get it."""

    exit_code = 3


class TransportError(EdgewrightError):
    """The other side did not answer, or not in time; trying again later is right."""

    exit_code = 4
    retryable = True


class TrustError(EdgewrightError):
    """What arrived is not what was promised; discard and report, never retry."""

    exit_code = 5


class DeviceError(EdgewrightError):
    """The device cannot go on with this bundle; the agent rolls back."""

    exit_code = 6


class GateError(EdgewrightError):
    """A measured value missed its limit."""

    exit_code = 7

    def __init__(
        self, what: str, *, measured: float, limit: float, unit: str = "", hint: str = ""
    ) -> None:
        suffix = f" {unit}" if unit else ""
        super().__init__(
            f"{what} is {measured:g}{suffix}, the limit is {limit:g}{suffix}", hint=hint
        )
        self.measured = measured
        self.limit = limit


class ResourceError(EdgewrightError):
    """This machine lacks something the operator can give: disk, permission, a free port, memory."""

    exit_code = 8


INTERRUPTED_EXIT_CODE = 130
"""Exit code after Ctrl-C (128 + SIGINT), as shells report it."""
