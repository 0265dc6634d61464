import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgewright.clock import SystemClock
from edgewright.device.agent import FleetClient, Release
from edgewright.device.agent.ports import OutOfStepError
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.telemetry import HealthRecord, UpdateRecord, decode_batch
from edgewright.testing import FakeClock
from edgewright.transports.http1 import Request, Response, start_server
from edgewright.wire.device_api import (
    Accepted,
    Desired,
    DesiredModel,
    EnrollReply,
    EnrollRequest,
    OutdatedProblem,
)

CONTENT = bytes(range(256)) * 400
RELEASE = Release(
    model="m",
    bundle_id="a" * 64,
    version="2",
    file_sha256=hashlib.sha256(CONTENT).hexdigest(),
    file_size_bytes=len(CONTENT),
)

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


def play(answer: Answer, scene: Callable[[FleetClient], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        server = await start_server(answer, clock=SystemClock())
        client = FleetClient(server.address, secret="hush", clock=FakeClock())
        try:
            async with asyncio.timeout(20):
                return await scene(client)
        finally:
            await client.close()
            await server.close()

    return asyncio.run(run())


def json(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(status=status, body=msgspec.json.encode(value), headers=headers)


def test_enrolling_swaps_a_token_for_a_secret() -> None:
    async def fleet(request: Request) -> Response:
        asked = msgspec.json.decode(request.body, type=EnrollRequest)
        assert (request.method, request.path) == ("POST", "/device/v1/enroll")
        return json(EnrollReply(device=asked.device, secret="s", keys=(), threshold=1))

    reply = play(fleet, lambda client: client.enroll(EnrollRequest(token="t", device="d1")))
    assert (reply.device, reply.secret) == ("d1", "s")


def test_what_is_told_between_two_polls_goes_over_the_same_connection() -> None:
    peers: list[str] = []

    async def fleet(request: Request) -> Response:
        peers.append(request.peer)
        if request.method == "GET":
            return json(Desired(), etag='"e"')
        return json(Accepted(stored=1, known=0))

    async def scene(client: FleetClient) -> None:
        for _ in range(2):
            await client.desired(etag="", wait_s=30)
            await client.send((health(1),))

    play(fleet, scene)
    assert (len(peers), len(set(peers))) == (4, 1)


def test_telemetry_that_is_refused_as_old_says_what_the_fleet_has() -> None:
    async def fleet(request: Request) -> Response:
        return json(OutdatedProblem(error="an old report", newest=7, same=2), status=409)

    with pytest.raises(OutOfStepError, match="an old report") as caught:
        play(fleet, lambda client: client.send((health(1),)))
    assert (caught.value.newest, caught.value.same) == (7, 2)


def health(sequence: int) -> HealthRecord:
    return HealthRecord(
        device="d1", sequence=sequence, at_s=0.0, memory_free_mb=1.0, disk_free_mb=1.0
    )


def test_a_refusal_is_told_in_the_fleets_own_words() -> None:
    async def fleet(request: Request) -> Response:
        return json({"error": "the token was used", "hint": "make a new one"}, status=403)

    with pytest.raises(InputError, match=r"the token was used; make a new one"):
        play(fleet, lambda client: client.enroll(EnrollRequest(token="t", device="d1")))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_fleet_is_asked_again_later(status: int) -> None:
    async def fleet(request: Request) -> Response:
        return Response(status=status)

    with pytest.raises(TransportError):
        play(fleet, lambda client: client.desired(etag="", wait_s=0))


def test_an_answer_that_is_not_understood_is_told() -> None:
    async def fleet(request: Request) -> Response:
        return Response(status=200, body=b"<html>")

    with pytest.raises(TransportError, match="not understood"):
        play(fleet, lambda client: client.desired(etag="", wait_s=0))


def test_what_to_run_comes_with_an_etag_and_only_when_it_is_new() -> None:
    model = DesiredModel(
        model="m", version="2", bundle_id="a" * 64, file_sha256="b" * 64, file_size_bytes=1
    )

    async def fleet(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer hush"
        assert request.query["wait"] == "0.5"
        if request.headers.get("if-none-match") == '"1"':
            return Response(status=304)
        return json(Desired(models=(model,)), etag='"1"')

    async def scene(client: FleetClient) -> tuple[Any, Any]:
        first = await client.desired(etag="", wait_s=0.5)
        assert first is not None
        return first, await client.desired(etag=first[0], wait_s=0.5)

    first, second = play(fleet, scene)
    assert first[1].models == (model,)
    assert second is None


def test_telemetry_is_sent_as_a_batch() -> None:
    record = UpdateRecord(device="d1", sequence=1, at_s=0, bundle="b", state="probe")
    seen: list[Any] = []

    async def fleet(request: Request) -> Response:
        seen.extend(decode_batch(request.body).records)
        return json(Accepted(stored=1, known=0))

    play(fleet, lambda client: client.send((record,)))
    assert seen == [record]


class Files:
    """Serves CONTENT by range; cuts the first answers short."""

    def __init__(
        self, *, cuts: int = 0, content: bytes = CONTENT, honours_range: bool = True
    ) -> None:
        self.cuts = cuts
        self.content = content
        self.honours_range = honours_range
        self.offsets: list[int] = []

    async def __call__(self, request: Request) -> Response:
        assert request.path == f"/device/v1/bundles/{'a' * 64}"
        text = request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        offset = int(text) if self.honours_range else 0
        self.offsets.append(offset)
        rest = self.content[offset:]
        headers = {"content-range": f"bytes {offset}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        status = 206 if offset else 200
        self.cuts -= 1
        stream = self._cut(rest) if self.cuts >= 0 else self._whole(rest)
        return Response(status=status, headers=headers, stream=stream, length=len(rest))

    async def _whole(self, content: bytes) -> AsyncIterator[bytes]:
        yield content

    async def _cut(self, content: bytes) -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        raise TransportError("cut")


def test_a_download_arrives_whole(tmp_path: Path) -> None:
    part = tmp_path / "downloads" / "x.part"
    play(Files(), lambda client: client.download(RELEASE, part))
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("honours_range", [True, False])
def test_a_cut_download_is_resumed(tmp_path: Path, honours_range: bool) -> None:
    part, files = tmp_path / "x.part", Files(cuts=3, honours_range=honours_range)

    async def scene(client: FleetClient) -> None:
        for _ in range(3):
            with pytest.raises(TransportError):
                await client.download(RELEASE, part)
        await client.download(RELEASE, part)

    play(files, scene)
    assert part.read_bytes() == CONTENT
    if honours_range:
        assert files.offsets[0] == 0
        assert files.offsets[-1] > 0.8 * len(CONTENT)


def test_a_whole_part_is_verified_without_asking(tmp_path: Path) -> None:
    part, files = tmp_path / "x.part", Files()
    part.write_bytes(CONTENT)
    play(files, lambda client: client.download(RELEASE, part))
    assert files.offsets == []


@pytest.mark.parametrize("start", [b"", b"wrong beginning"])
def test_a_wrong_file_is_refused_and_gone(tmp_path: Path, start: bytes) -> None:
    part = tmp_path / "x.part"
    if start:
        part.write_bytes(start)
    content = CONTENT if start else CONTENT[:-1] + b"!"
    with pytest.raises(TrustError, match="promised was"):
        play(Files(content=content), lambda client: client.download(RELEASE, part))
    assert not part.exists()


def test_more_bytes_than_promised_are_not_taken(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    with pytest.raises(TransportError, match="larger than"):
        play(Files(content=CONTENT + b"more"), lambda client: client.download(RELEASE, part))
    assert not part.exists() or part.stat().st_size <= len(CONTENT)


def test_fewer_bytes_than_promised_are_told(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="ended after"):
        play(
            Files(content=CONTENT[:1000]),
            lambda client: client.download(RELEASE, tmp_path / "x.part"),
        )


def test_a_part_that_is_too_long_starts_anew(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(CONTENT + b"!")
    play(Files(), lambda client: client.download(RELEASE, part))
    assert part.read_bytes() == CONTENT


def test_the_bandwidth_limit_is_kept(tmp_path: Path) -> None:
    clock = FakeClock()

    async def run() -> None:
        server = await start_server(Files(), clock=SystemClock())
        client = FleetClient(server.address, secret="", clock=clock, limit_kbit_s=64)
        await client.download(RELEASE, tmp_path / "x.part")
        await client.close()
        await server.close()

    asyncio.run(run())
    assert sum(clock.slept_s) == pytest.approx(len(CONTENT) / 8000, rel=0.05)
