"""A client that never stops asking while the fleet plays tricks on the device."""

import http.client
import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

import msgspec

from edgewright.runtimes.base import Array

PAUSE_S = 0.01
TIMEOUT_S = 5.0


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """What the client saw."""

    asked: int
    answered: int
    failures: dict[str, int]
    versions: dict[str, int]
    wrong_labels: int


class Traffic:
    """Asks for the golden requests' labels, one after the other, for as long as the block lasts."""

    def __init__(self, address: str, model: str, golden: tuple[Array, Array]) -> None:
        self._address = address
        self._path = f"/v2/models/{model}/infer"
        self._requests = [_body(window) for window in golden[0]]
        self._labels = [str(label) for label in golden[1]]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="demo-traffic")
        self._failures: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._asked = self._answered = self._wrong = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def witness(self) -> Witness:
        """What was seen; whole once the block has ended, while it lasts a request may be under
        way.
        """
        return Witness(
            asked=self._asked,
            answered=self._answered,
            failures=dict(self._failures),
            versions=dict(self._versions),
            wrong_labels=self._wrong,
        )

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        while not self._stop.is_set():
            row = self._asked % len(self._requests)
            self._asked += 1
            try:
                self._ask(connection, row)
            except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
                self._failures[type(error).__name__] += 1
                connection.close()
            time.sleep(PAUSE_S)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, row: int) -> None:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", self._path, self._requests[row], headers)
        reply = connection.getresponse()
        content = reply.read()
        if reply.status != http.HTTPStatus.OK:
            self._failures[f"HTTP {reply.status}"] += 1
            return
        answer: dict[str, Any] = json.loads(content)
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        self._answered += 1
        self._versions[str(answer["model_version"])] += 1
        self._wrong += outputs["label"][0] != self._labels[row]


def _body(window: Array) -> bytes:
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, *window.shape],
        "data": window.ravel().tolist(),
    }
    return json.dumps({"inputs": [tensor]}).encode()
