"""Messages by HTTP POST, one a line."""

from collections.abc import Mapping, Sequence

from edgewright.device.streams.forward import Message
from edgewright.errors import InputError, TransportError
from edgewright.transports.http1 import Client

JSON_LINES = "application/x-ndjson"
# What is wrong with a body stays wrong. An expired token (401), a right that is missing (403) or a
# bucket or route that is not there yet (404, 405) is mended at the other side, and what waits for
# it is still wanted then.
_FINAL = (400, 413, 415, 422)


class HttpDelivery:
    """A status of 2xx is delivery; 400, 413, 415 and 422 say that it is the body's fault."""

    def __init__(
        self,
        client: Client,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._path = path
        self._headers = {"content-type": JSON_LINES, **(headers or {})}

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Returns when the server has taken all of them.

        Raises:
            TransportError: not now.
            InputError: never; the body is at fault.
        """
        body = b"".join(message.payload + b"\n" for message in messages)
        answer = await self._client.request("POST", self._path, headers=self._headers, body=body)
        if 200 <= answer.status < 300:
            return
        what = f"POST {self._path.partition('?')[0]}: status {answer.status}"
        if answer.status in _FINAL:
            raise InputError(what)
        raise TransportError(what)

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()
