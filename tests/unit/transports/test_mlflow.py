"""What an MLflow server may answer, and what of it is refused; a real one is in tests/long."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright.errors import (
    AbsentError,
    EdgewrightError,
    InputError,
    TransportError,
    TrustError,
)
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Request, Response, start_server
from edgewright.transports.mlflow import Registry, connected

Work = Callable[[Registry], Any]


def asked(work: Work, *answers: Response, token: str = "") -> Any:
    """Do something with a server that gives these answers, one after the other."""
    left = list(answers)

    async def answer(_: Request) -> Response:
        return left.pop(0)

    async def case() -> Any:
        server = await start_server(answer, clock=FakeClock())
        try:
            async with connected(server.address, token=token) as registry:
                return await work(registry)
        finally:
            await server.close(drain_s=0)

    return asyncio.run(case())


def json(status: int, body: bytes) -> Response:
    return Response(status=status, body=body)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, TrustError), (403, TrustError), (404, AbsentError), (503, TransportError),
     (400, InputError)],
)  # fmt: skip
def test_a_refusal_says_who_must_act(status: int, kind: type[EdgewrightError]) -> None:
    refusal = json(status, b'{"error_code": "X", "message": "no such thing"}')
    with pytest.raises(kind, match="no such thing"):
        asked(lambda registry: registry.version("m", number="1"), refusal)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"model_version": 7}'])
def test_what_is_no_answer_of_mlflow_is_told(body: bytes) -> None:
    with pytest.raises(TransportError):
        asked(lambda registry: registry.version("m", alias="a"), json(200, body))


def test_all_pages_of_versions_are_read() -> None:
    first = b'{"model_versions": [{"name": "m", "version": "2"}], "next_page_token": "p"}'
    second = b'{"model_versions": [{"name": "m", "version": "1", "tags": [{"key": "k"}]}]}'
    found = asked(lambda registry: registry.versions("m"), json(200, first), json(200, second))
    assert [one.version for one in found] == ["2", "1"]
    assert found[1].tag("k") == ""


def test_a_model_that_is_there_is_no_error() -> None:
    there = json(400, b'{"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there"}')
    asked(lambda registry: registry.add_model("m"), there)


def test_files_that_the_server_does_not_serve_are_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not serve"):
        asked(lambda registry: registry.fetch("s3://bucket/x", "m.onnx", tmp_path / "m"))
    assert not (tmp_path / "m").exists()


PLACE = "mlflow-artifacts:/1/models"
FOLDER, FILE = b'{"path": "b", "is_dir": true}', b'{"path": "c"}'
NO_END = {
    "versions": (lambda r: r.versions("m"), "VERSIONS_MOST",
                 b'{"model_versions": [{"name": "m", "version": "1"}], "next_page_token": "p"}'),
    "empty pages": (lambda r: r.versions("m"), "VERSIONS_MOST", b'{"next_page_token": "p"}'),
    "depth": (lambda r: r.files(PLACE), "DEPTH_MOST", b'{"files": [%s]}' % FOLDER),
    "files": (lambda r: r.files(PLACE), "FILES_MOST", b'{"files": [%s, %s]}' % (FOLDER, FILE)),
    "folders": (lambda r: r.files(PLACE), "FOLDERS_MOST",
                b'{"files": [%s, %s]}' % (FOLDER, FOLDER)),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_END)
def test_a_server_that_finds_no_end_is_left(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work, name, body = NO_END[case]
    monkeypatch.setattr(f"edgewright.transports.mlflow.{name}", 3)
    with pytest.raises(TransportError, match="no end of"):
        asked(work, *[json(200, body)] * 10)


def test_an_answer_that_is_too_long_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.transports.mlflow.ANSWER_LIMIT_BYTES", 1000)
    with pytest.raises(TransportError, match="larger than 1000 bytes"):
        asked(lambda registry: registry.version("m", number="1"), json(200, b" " * 2000))


@pytest.mark.parametrize("path", ["x/..", "."])
def test_a_file_without_a_name_is_refused(path: str) -> None:
    body = f'{{"files": [{{"path": "{path}"}}]}}'.encode()
    with pytest.raises(TransportError, match="names a file"):
        asked(lambda registry: registry.files(PLACE), json(200, body))


def test_a_token_does_not_leave_this_machine_in_clear_text() -> None:
    async def case() -> None:
        async with connected("http://mlflow.example", token="x"):
            pass

    with pytest.raises(InputError, match="over TLS only"):
        asyncio.run(case())
