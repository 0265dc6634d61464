"""Results by HTTP POST as JSON lines. What cannot be delivered now waits in a bounded queue."""

from collections import deque
from collections.abc import Sequence

from edgewright.device.streams.base import Result
from edgewright.device.streams.json_sink import encode_results
from edgewright.errors import TransportError
from edgewright.transports.http1 import Client

QUEUE_LIMIT = 10_000
_BATCH = 500


class HttpSink:
    """Posts batches in order. A status of 2xx is delivery; a 4xx other than 408 and 429 will not
    get better and drops the batch; all else is tried again with the next results and at the end.
    When the queue is full the oldest results are dropped and counted.
    """

    def __init__(self, client: Client, path: str, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self._client = client
        self._path = path
        self._waiting: deque[Result] = deque(maxlen=queue_limit)
        self.delivered = 0
        self.dropped = 0
        self._last_error = ""

    async def write(self, results: Sequence[Result]) -> None:
        for result in results:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(result)
        await self._deliver()

    async def close(self) -> None:
        """Try once more.

        Raises:
            TransportError: results were dropped or are still waiting.
        """
        await self._deliver()
        await self._client.close()
        lost = self.dropped + len(self._waiting)
        if lost:
            raise TransportError(
                f"{lost} of {lost + self.delivered} results were not delivered: "
                f"{self._last_error or 'the queue was full'}",
                hint="check the address; add a file sink to keep results",
            )

    async def _deliver(self) -> None:
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
            try:
                answer = await self._client.request(
                    "POST",
                    self._path,
                    headers={"content-type": "application/x-ndjson"},
                    body=encode_results(batch),
                )
            except TransportError as error:
                self._last_error = error.message
                return
            if not 200 <= answer.status < 300:
                self._last_error = f"POST {self._path}: status {answer.status}"
                if not 400 <= answer.status < 500 or answer.status in (408, 429):
                    return
                self.dropped += len(batch)
            else:
                self.delivered += len(batch)
            for _ in batch:
                self._waiting.popleft()
