"""Messages by HTTP POST, one a line."""

from collections.abc import Mapping, Sequence

from edgewright.device.streams.forward import Message
from edgewright.errors import InputError, TransportError
from edgewright.transports.http1 import Client

JSON_LINES = "application/x-ndjson"


class HttpDelivery:
    """A status of 2xx is delivery; a 4xx other than 408 and 429 will not get better."""

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
        """Returns when the server has taken all of them."""
        body = b"".join(message.payload + b"\n" for message in messages)
        answer = await self._client.request("POST", self._path, headers=self._headers, body=body)
        if 200 <= answer.status < 300:
            return
        what = f"POST {self._path.partition('?')[0]}: status {answer.status}"
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            raise InputError(what, hint="the server will not take this batch")
        raise TransportError(what)

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()
