"""Status lines and headers as bytes; pure."""

from http import HTTPStatus

from edgewright.errors import InputError


def preamble(status: int, content_type: str = "application/json", **headers: str) -> bytes:
    r"""A rendered status line and headers, for `Exchange.reply`; made once, used often.

    >>> preamble(429, retry_after="1")
    b'HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\n'
    """
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return status_and_headers(status, {"content-type": content_type, **fields})


def status_and_headers(status: int, headers: dict[str, str]) -> bytes:
    """The status line and header lines, without the empty line that ends them."""
    return f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode() + header_lines(headers)


def header_lines(headers: dict[str, str]) -> bytes:
    """Header lines with lower-case names.

    Raises:
        InputError: a name or value holds what would end the line early.
    """
    for name, value in headers.items():
        if not name or any(mark in name or mark in value for mark in "\r\n\0"):
            raise InputError(
                f"header {name!r}: a line break does not belong in a header",
                hint="encode the value",
            )
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    return lines.encode("latin-1", errors="replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
