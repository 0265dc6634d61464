"""A client that asks one question all the time, and knows the answer of every version."""

import contextlib
import http.client
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from edgewright.bundle import unpack
from edgewright.bundle.golden import decode_golden
from edgewright.chain.engines import open_model_of

PAUSE_S = 0.02
ANSWER_S = 10.0
TOLERANCE = 1e-5


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and what each version answers."""

    body: bytes
    answers: Mapping[str, Any]


def question_of(files: Sequence[Path]) -> Question:
    """The golden requests of the last bundle. Its own answer is the golden one."""
    bundles = [unpack(file, file.with_suffix(".unpacked")) for file in files]
    golden = decode_golden(bundles[-1].read(bundles[-1].blob("golden")))
    answers = {b.manifest.version: _flat(open_model_of(b).predict(golden.inputs)) for b in bundles}
    if not np.allclose(answers[bundles[-1].manifest.version], _flat(golden.outputs)):
        raise RuntimeError("the harness itself does not work: the golden answer is another")
    for bundle in bundles:
        shutil.rmtree(bundle.path)
    tensors = [
        {"name": name, "shape": array.shape, "datatype": "FP32", "data": array.ravel().tolist()}
        for name, array in golden.inputs.items()
    ]
    return Question(body=json.dumps({"inputs": tensors}).encode(), answers=answers)


def _flat(outputs: Mapping[str, Any]) -> Any:
    return np.concatenate([array.ravel() for array in outputs.values()])


def asked(port: int, model: str, question: Question) -> str:
    """Which version answered, "" when nobody did.

    Raises:
        WrongAnswerError: it is not what that version answers.
    """
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    with contextlib.closing(line), contextlib.suppress(OSError, http.client.HTTPException):
        line.request("POST", f"/v2/models/{model}/infer", body=question.body)
        answer = line.getresponse()
        content = answer.read()
        return _version_of(json.loads(content), question) if answer.status == 200 else ""
    return ""


class WrongAnswerError(Exception):
    """An answer that no version gives."""


class Witness:
    """Asks until it is closed. From the first answer on each one that does not come is counted."""

    def __init__(self, port: int, model: str, question: Question) -> None:
        self._order = port, model, question
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.answered = Counter[str]()
        self.missed = 0
        self.last = ""
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(PAUSE_S):
            try:
                self.last = asked(*self._order)
            except WrongAnswerError as error:
                self.wrong.append(str(error))
                continue
            if self.last:
                self.answered[self.last] += 1
            elif self.answered:
                self.missed += 1


def _version_of(document: Any, question: Question) -> str:
    version = document["model_version"]
    found = np.concatenate([np.asarray(tensor["data"]) for tensor in document["outputs"]])
    if version not in question.answers or not np.allclose(
        found, question.answers[version], atol=TOLERANCE
    ):
        raise WrongAnswerError(f"version {version!r} answers {found.tolist()}")
    return str(version)
