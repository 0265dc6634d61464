"""Recorded traffic, from a file: JSON lines of our own, or an HTTP archive (`.har`) as proxies and
browsers write it.

A line is `{"at_s": 0.25, "body": {V2 request}, "answer": {V2 answer}}`, the answer being optional.
Of an archive the POSTs to `.../infer` are taken.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from edgewright._fs import read_limited
from edgewright.errors import InputError
from edgewright.validate.encoding import decode_answer, decode_request
from edgewright.validate.questions import Question, asked
from edgewright.wire import v2

RECORDING_LIMIT_BYTES = 512 << 20
REQUEST_LIMIT = 200_000

_SUCCESS = 200


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was made: when, and its V2 message; `answer` where it was recorded too."""

    at_s: float
    body: msgspec.Raw
    answer: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Text(msgspec.Struct):
    text: str = ""


class _Request(msgspec.Struct):
    method: str
    url: str
    post_data: _Text = msgspec.field(default_factory=_Text, name="postData")


class _Response(msgspec.Struct):
    status: int = 0
    content: _Text = msgspec.field(default_factory=_Text)


class _Entry(msgspec.Struct):
    started: datetime = msgspec.field(name="startedDateTime")
    request: _Request
    response: _Response = msgspec.field(default_factory=_Response)


class _Log(msgspec.Struct):
    entries: list[_Entry]


class _Archive(msgspec.Struct):
    log: _Log


def read_recording(path: Path) -> tuple[Recorded, ...]:
    """The recorded requests in order of time, the first at 0 s.

    Raises:
        InputError: no such file, not a recording, or nothing in it.
    """
    content = read_limited(path, limit_bytes=RECORDING_LIMIT_BYTES)
    try:
        found = _of_archive(content) if path.suffix == ".har" else _of_lines(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no recording: {error}",
            hint='give JSON lines {"at_s": 0.25, "body": {...}} or an HTTP archive (.har)',
        ) from error
    if not found or len(found) > REQUEST_LIMIT:
        raise InputError(f"{path} has {len(found)} requests, expected 1 to {REQUEST_LIMIT}")
    if not all(math.isfinite(one.at_s) for one in found):
        raise InputError(f"{path}: at_s must be finite")
    ordered = sorted(found, key=lambda one: one.at_s)
    start_s = ordered[0].at_s
    return tuple(msgspec.structs.replace(one, at_s=one.at_s - start_s) for one in ordered)


def replay_questions(
    recording: Sequence[Recorded], metadata: v2.ModelMetadata
) -> tuple[Question, ...]:
    """A question for every recorded request; its recorded answer is the right one.

    Raises:
        InputError: nothing was recorded, or a request or answer of another model.
    """
    if not recording:
        raise InputError(
            "scenario replay needs recorded traffic",
            hint="name it in a suite file: [load] recording",
        )
    names = {tensor.name for tensor in metadata.inputs}
    questions = []
    for place, one in enumerate(recording):
        try:
            inputs = decode_request(bytes(one.body))
            expected = None
            if not isinstance(one.answer, msgspec.UnsetType):
                expected = decode_answer(bytes(one.answer))
        except InputError as error:
            raise InputError(f"recorded request {place}: {error}") from error
        if set(inputs) != names:
            raise InputError(
                f"recorded request {place} has inputs {sorted(inputs)}, the served model has "
                f"{sorted(names)}",
                hint="replay traffic of this model",
            )
        questions.append(asked(inputs, metadata, expected=expected))
    return tuple(questions)


def _of_lines(content: bytes) -> list[Recorded]:
    decoder = msgspec.json.Decoder(Recorded)
    return [decoder.decode(line) for line in content.splitlines() if line.strip()]


def _of_archive(content: bytes) -> list[Recorded]:
    entries = msgspec.json.decode(content, type=_Archive).log.entries
    return [
        Recorded(
            at_s=entry.started.timestamp(),
            body=msgspec.Raw(entry.request.post_data.text.encode()),
            answer=_answer_of(entry),
        )
        for entry in entries
        if entry.request.method == "POST" and entry.request.url.split("?")[0].endswith("/infer")
    ]


def _answer_of(entry: _Entry) -> msgspec.Raw | msgspec.UnsetType:
    text = entry.response.content.text
    is_answer = entry.response.status == _SUCCESS and bool(text)
    return msgspec.Raw(text.encode()) if is_answer else msgspec.UNSET
