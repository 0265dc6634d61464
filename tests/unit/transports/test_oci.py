"""What an OCI client does that no registry at hand can be made to: tokens, redirects, addresses."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgewright.clock import SystemClock
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.transports.http1 import Request, Response, start_server
from edgewright.transports.oci import (
    MANIFEST_TYPE,
    Address,
    Artifact,
    Descriptor,
    Login,
    Registry,
)

CONTENT = b"content" * 100
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
LAYER = Descriptor(media_type="text/plain", digest=DIGEST, size=len(CONTENT))
MANIFEST = msgspec.json.encode(
    Artifact(schema_version=2, artifact_type="kind", config=LAYER, layers=(LAYER,))
)

Handle = Callable[[Request], Response]


def fetched(handle: Handle, out: Path, *, login: Login | None = None, reference: str = "1") -> str:
    async def scene() -> str:
        async def answer(request: Request) -> Response:
            return handle(request)

        server = await start_server(answer, clock=SystemClock())
        host = server.address.removeprefix("http://")
        try:
            address = Address(host=host, repository="m", reference=reference)
            async with Registry(address, login=login) as registry:
                digest, layer = await registry.look(kind="kind")
                await registry.fetch(layer, out)
                return digest
        finally:
            await server.close()

    return asyncio.run(scene())


def plain(request: Request) -> Response:
    if request.path.startswith("/v2/m/manifests/"):
        return Response(status=200, body=MANIFEST, headers={"content-type": MANIFEST_TYPE})
    if request.path == f"/v2/m/blobs/{DIGEST}":
        return Response(status=200, body=b"" if request.method == "HEAD" else CONTENT)
    return Response(status=404)


def test_a_token_is_fetched_where_the_registry_says_and_shown_to_it_alone(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    def handle(request: Request) -> Response:
        shown = request.headers.get("authorization", "")
        seen.append((request.path, shown))
        if request.path == "/token":
            assert request.query == {"service": "s", "scope": "repository:m:pull"}
            return Response(status=200, body=b'{"token":"t0ken"}')
        if shown != "Bearer t0ken":
            where = f"http://{request.headers['host']}/token"
            challenge = f'Bearer realm="{where}",service="s",scope="repository:m:pull"'
            return Response(status=401, headers={"www-authenticate": challenge})
        return plain(request)

    login = Login(user="ann", password="s3cret")
    fetched(handle, tmp_path / "out", login=login)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert [shown for path, shown in seen if path == "/token"] == [login.header]
    assert "s3cret" not in repr(login)


def test_a_blob_that_lies_behind_a_redirect_is_followed(tmp_path: Path) -> None:
    def handle(request: Request) -> Response:
        if request.path == "/store/blob":
            return Response(status=200, body=b"" if request.method == "HEAD" else CONTENT)
        if "/blobs/" in request.path:
            return Response(status=307, headers={"location": "/store/blob"})
        return plain(request)

    fetched(handle, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_redirects_that_never_end_are_ended(tmp_path: Path) -> None:
    def handle(request: Request) -> Response:
        if "/blobs/" in request.path:
            return Response(status=307, headers={"location": request.path})
        return plain(request)

    with pytest.raises(TransportError, match="more than 5 times"):
        fetched(handle, tmp_path / "out")


def test_other_content_leaves_nothing(tmp_path: Path) -> None:
    def handle(request: Request) -> Response:
        if "/blobs/" in request.path and request.method == "GET":
            return Response(status=200, body=CONTENT[::-1])
        return plain(request)

    with pytest.raises(TrustError, match="promised was"):
        fetched(handle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_of_another_digest_is_refused(tmp_path: Path) -> None:
    right = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    assert fetched(plain, tmp_path / "out", reference=right) == right
    with pytest.raises(TrustError, match="the registry gives manifest"):
        fetched(plain, tmp_path / "other", reference=f"sha256:{'0' * 64}")


@pytest.mark.parametrize("body", [b"hello", b"{}", b"[]"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(TrustError, match="not an OCI manifest"):
        fetched(lambda _: Response(status=200, body=body), tmp_path / "out")


def test_a_login_is_sent_to_no_place_in_plain_text(tmp_path: Path) -> None:
    challenge = 'Bearer realm="http://elsewhere.example/token"'

    def handle(request: Request) -> Response:
        return Response(status=401, headers={"www-authenticate": challenge})

    with pytest.raises(TrustError, match="sends logins to 'http://elsewhere"):
        fetched(handle, tmp_path / "out", login=Login(user="ann", password="s3cret"))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("oci://localhost/a:1", "http://localhost"),
        ("oci://127.0.0.1:5000/a/b:1", "http://127.0.0.1:5000"),
        ("oci://[::1]:5000/a:1", "http://[::1]:5000"),
        ("oci://ghcr.io/you/har:v1.2", "https://ghcr.io"),
        ("oci://127.0.0.1.example.com/a:1", "https://127.0.0.1.example.com"),
    ],
)
def test_only_loopback_is_plain(text: str, origin: str) -> None:
    assert Address.parse(text).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghcr.io/a:1",
        "oci://",
        "oci://h/a",
        "oci://h/A:1",
        "oci://h/../a:1",
        "oci://h/a:",
        "oci://h/a@sha256:0",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="oci://HOST/REPOSITORY:TAG"):
        Address.parse(text)
