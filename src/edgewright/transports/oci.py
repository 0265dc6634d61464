"""An OCI registry as a place where files lie: one artifact of one layer under a repository's tag.

The distribution API, version 1.1. Every digest is checked, a layer that is there already is not
sent again, and both directions go on where a cut left them: a download in its `.part` file, also in
a later run; an upload by asking the registry how much arrived. Loopback is plain HTTP, every other
registry HTTPS. The password goes into a header and nowhere else.

    >>> Address.parse("oci://127.0.0.1:5000/models/har:1.2").origin
    'http://127.0.0.1:5000'
"""

import base64
import contextlib
import hashlib
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Self, cast
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from edgewright import _fs
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.transports.base import Response
from edgewright.transports.http1 import Client

SCHEME = "oci://"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
MANIFEST_LIMIT_BYTES = 4 << 20
LAYER_LIMIT_BYTES = 8 << 30
CHUNK_BYTES = 8 << 20
TRIES = 4
REDIRECTS = 5

_EMPTY = b"{}"
_READ_BYTES = 1 << 20
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?)/"
    r"(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where an artifact lies; `reference` is a tag, or the digest of its manifest."""

    host: str
    repository: str
    reference: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """An address as people write it.

        Raises:
            InputError: not one.
        """
        found = _REFERENCE.fullmatch(text.removeprefix(SCHEME))
        if not text.startswith(SCHEME) or found is None:
            raise InputError(
                f"{text[:200]!r} is not the address of an artifact",
                hint="write it as oci://HOST/REPOSITORY:TAG, names in lower case",
            )
        reference = found["tag"] or found["digest"]
        return cls(host=found["host"], repository=found["repository"], reference=reference)

    @property
    def origin(self) -> str:
        """The registry's URL."""
        name = urlsplit(f"//{self.host}").hostname
        return f"{'http' if name in _LOOPBACK else 'https'}://{self.host}"

    def path(self, kind: str, name: str) -> str:
        """A path of the registry's API below this repository."""
        return f"/v2/{self.repository}/{kind}/{name}"


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Some content by its digest."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = {}


class Artifact(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A manifest: what kind of thing lies here, and its one layer."""

    schema_version: int
    media_type: str = MANIFEST_TYPE
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = {}


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r})"

    @property
    def header(self) -> str:
        """As HTTP's basic authentication writes it."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


class Registry:
    """One artifact's place in a registry. Use it as a context manager."""

    def __init__(
        self, address: Address, *, login: Login | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._login = login
        self._tls = tls
        self._clients: dict[str, Client] = {}
        self._authorization = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.close()

    async def push(
        self, file: Path, *, kind: str, layer_type: str, annotations: Mapping[str, str]
    ) -> str:
        """Put a file under the address; returns the digest of its manifest.

        Raises:
            InputError: no such file, the registry does not let this in, or the address is a digest.
            TransportError: it does not answer, or not to the end.
        """
        if _DIGEST.fullmatch(self._address.reference):
            raise InputError("a push needs a tag", hint="write it as oci://HOST/REPOSITORY:TAG")
        digest, size = _digest_of(file)
        config = f"sha256:{hashlib.sha256(_EMPTY).hexdigest()}"
        await self._upload(digest, size, file)
        await self._upload(config, len(_EMPTY), _EMPTY)
        artifact = Artifact(
            schema_version=2,
            artifact_type=kind,
            config=Descriptor(media_type=EMPTY_TYPE, digest=config, size=len(_EMPTY)),
            layers=(
                Descriptor(
                    media_type=layer_type,
                    digest=digest,
                    size=size,
                    annotations={TITLE: file.name},
                ),
            ),
            annotations=dict(annotations),
        )
        body = msgspec.json.encode(artifact)
        path = self._address.path("manifests", self._address.reference)
        answer = await self._ask("PUT", path, headers={"content-type": MANIFEST_TYPE}, body=body)
        _require(answer, 201, f"putting {self._address.repository}:{self._address.reference}")
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    async def look(self, *, kind: str) -> tuple[str, Descriptor]:
        """The digest of the manifest that lies here, and its one layer.

        Raises:
            InputError: there is nothing, or something of another kind.
            TrustError: it is not what the address's digest promises.
            TransportError: the registry does not answer.
        """
        address = self._address
        path = address.path("manifests", address.reference)
        answer = await self._ask("GET", path, headers={"accept": MANIFEST_TYPE})
        _require(answer, 200, f"looking for {address.repository}:{address.reference}")
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if _DIGEST.fullmatch(address.reference) and digest != address.reference:
            raise TrustError(
                f"the registry gives manifest {digest[:19]}, asked for {address.reference[:19]}",
                hint="it, or the way to it, changed the artifact",
            )
        try:
            artifact = msgspec.json.decode(answer.body, type=Artifact)
        except msgspec.DecodeError as error:
            raise TrustError(f"{address.repository}: not an OCI manifest: {error}") from error
        if artifact.artifact_type != kind or len(artifact.layers) != 1:
            raise InputError(
                f"{address.repository}:{address.reference} is of type "
                f"{artifact.artifact_type[:80] or 'image'!r} with {len(artifact.layers)} layers, "
                f"expected {kind!r} with one",
                hint="push one: edgewright bundle push",
            )
        layer = artifact.layers[0]
        if not _DIGEST.fullmatch(layer.digest) or not 0 < layer.size <= LAYER_LIMIT_BYTES:
            raise TrustError(f"{address.repository}: a layer {layer.digest[:80]!r} of {layer.size}")
        return digest, layer

    async def fetch(self, layer: Descriptor, out: Path) -> None:
        """Bring a layer to a file that appears whole or not at all. It goes on after cuts as long
        as each try brings some; what came is used again in a later run.

        Raises:
            TrustError: what arrived is not the promised content; nothing of it stays.
            TransportError: cut short; run it again.
        """
        part = out.with_name(f".{out.name}.{layer.digest.removeprefix('sha256:')[:16]}.part")
        _fs.make_dirs(out.parent)
        while (have := _size_of(part)) < layer.size:
            try:
                await self._continue(layer, part)
            except TransportError:
                if _size_of(part) == have:
                    raise
        if (found := _digest_of(part)) != (layer.digest, layer.size):
            _fs.remove_tree(part)
            raise TrustError(
                f"the registry gives {found[0][:19]} ({found[1]} bytes), promised was "
                f"{layer.digest[:19]} ({layer.size})",
                hint="it, or the way to it, changed the file",
            )
        _fs.move(part, out)

    async def _continue(self, layer: Descriptor, part: Path) -> None:
        have = _size_of(part)
        url = await self._final_url(self._address.path("blobs", layer.digest))
        client, path = self._client_of(url)
        chunks = client.download(
            path, headers=self._headers(url), offset=have, limit_bytes=layer.size - have
        )
        generator = cast("AsyncGenerator[bytes, None]", chunks)  # it is one; the port says less
        async with contextlib.aclosing(generator):
            with _fs.appended_file(part) as file:
                async for chunk in generator:
                    file.write(chunk)
        if _size_of(part) == have:
            raise TransportError(f"{url}: the registry sends nothing", hint="try again later")

    async def _final_url(self, path: str) -> str:
        """Where a blob really lies: registries send on to the store behind them."""
        url = f"{self._address.origin}{path}"
        for _ in range(REDIRECTS):
            answer = await self._ask("HEAD", url)
            if answer.status not in (301, 302, 303, 307, 308):
                _require(answer, 200, f"looking for {path}")
                return url
            url = urljoin(url, answer.headers.get("location", ""))
        raise TransportError(f"{path}: sent on more than {REDIRECTS} times")

    async def _upload(self, digest: str, size: int, content: Path | bytes) -> None:
        """Bring a blob there unless it is; goes on behind what arrived when the line is cut."""
        if (await self._ask("HEAD", self._address.path("blobs", digest))).status == 200:
            return
        url = await self._begin_upload()
        have, failures = 0, 0
        while have < size:
            chunk = _chunk_of(content, have)
            try:
                answer = await self._ask(
                    "PATCH",
                    url,
                    headers={
                        "content-type": "application/octet-stream",
                        "content-range": f"{have}-{have + len(chunk) - 1}",
                    },
                    body=chunk,
                )
                _require(answer, 202, f"sending {digest[:19]}")
            except TransportError:
                failures += 1
                if failures == TRIES:
                    raise
                url, have = await self._resume_upload(url)
                continue
            url, have = urljoin(url, answer.headers.get("location", url)), have + len(chunk)
        mark = "&" if "?" in url else "?"
        answer = await self._ask("PUT", f"{url}{mark}{urlencode({'digest': digest})}")
        _require(answer, 201, f"finishing {digest[:19]}")

    async def _begin_upload(self) -> str:
        path = self._address.path("blobs", "uploads/")
        answer = await self._ask("POST", path)
        _require(answer, 202, f"uploading to {self._address.repository}")
        return urljoin(f"{self._address.origin}{path}", answer.headers.get("location", ""))

    async def _resume_upload(self, url: str) -> tuple[str, int]:
        """Where to go on, and how much is there."""
        answer = await self._ask("GET", url)
        if answer.status != 204:
            return await self._begin_upload(), 0
        last = answer.headers.get("range", "").rpartition("-")[2]
        have = int(last) + 1 if last.isdigit() and int(last) else 0
        return urljoin(url, answer.headers.get("location", url)), have

    async def _ask(
        self,
        method: str,
        where: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        """One request, by path or URL; once more with authorization when the registry asks."""
        url = urljoin(self._address.origin, where)
        client, path = self._client_of(url)
        answer = await client.request(
            method, path, headers={**self._headers(url), **(headers or {})}, body=body
        )
        if answer.status == 401 and url.startswith(f"{self._address.origin}/"):
            self._authorization = await self._authorized(answer.headers.get("www-authenticate", ""))
            answer = await client.request(
                method, path, headers={**self._headers(url), **(headers or {})}, body=body
            )
        return answer

    async def _authorized(self, challenge: str) -> str:
        """What a registry wants to see: the login itself, or a token that its realm gives for it.

        Raises:
            InputError: a login is needed, or is not good.
        """
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "bearer":
            return await self._token(dict(_CHALLENGE.findall(rest)))
        if self._login is None or kind.lower() != "basic":
            raise InputError(
                f"{self._address.host} asks who you are",
                hint="give --user NAME --password-file FILE",
            )
        return self._login.header

    async def _token(self, asked: Mapping[str, str]) -> str:
        realm = asked.get("realm", "")
        if not realm.startswith("https://") and urlsplit(realm).hostname not in _LOOPBACK:
            raise TrustError(f"{self._address.host} sends logins to {realm[:80]!r}")
        query = {name: asked[name] for name in ("service", "scope") if name in asked}
        client, path = self._client_of(f"{realm}?{urlencode(query)}")
        headers = {"authorization": self._login.header} if self._login else {}
        answer = await client.request("GET", path, headers=headers)
        _require(answer, 200, f"asking {realm} for a token")
        try:
            given = msgspec.json.decode(answer.body, type=dict[str, object])
        except msgspec.DecodeError as error:
            raise TransportError(f"{realm}: not a token: {error}") from error
        token = given.get("token") or given.get("access_token")
        if not isinstance(token, str):
            raise TransportError(f"{realm} gives no token", hint="check the login")
        return f"Bearer {token}"

    def _client_of(self, url: str) -> tuple[Client, str]:
        """A client for a URL's server, and the path to ask it for."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if self._address.origin.startswith("https://") and parts.scheme != "https":
            raise TrustError(f"{self._address.host} sends on to {origin}, which is not encrypted")
        if origin not in self._clients:
            self._clients[origin] = Client(origin, tls=self._tls)
        return self._clients[origin], parts.path + (f"?{parts.query}" if parts.query else "")

    def _headers(self, url: str) -> dict[str, str]:
        """The login is for the registry, not for whom it sends on to."""
        is_registry = url.startswith(f"{self._address.origin}/")
        return {"authorization": self._authorization} if is_registry and self._authorization else {}


def _require(answer: Response, status: int, doing: str) -> None:
    """Pass when the registry did it.

    Raises:
        InputError: it refuses.
        TransportError: it cannot now.
    """
    if answer.status == status:
        return
    text = answer.body[:200].decode(errors="replace").strip()
    what = f"{doing}: the registry says {answer.status}{f' {text}' if text else ''}"
    if answer.status >= 500 or answer.status in (408, 416, 425, 429) or answer.status < 400:
        raise TransportError(what, hint="try again later")
    hints = {401: "check the login", 403: "check the login's rights", 404: "check the name and tag"}
    raise InputError(what, hint=hints.get(answer.status, "check the address"))


def _chunk_of(content: Path | bytes, offset: int) -> bytes:
    if isinstance(content, bytes):
        return content[offset : offset + CHUNK_BYTES]
    with _fs.file_errors(content, doing="reading"), content.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK_BYTES)


def _digest_of(file: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with _fs.file_errors(file, doing="reading"), file.open("rb") as content:
        while chunk := content.read(_READ_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return f"sha256:{digest.hexdigest()}", size


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
