"""The model registry of an MLflow server, by its REST API (2.0): models, versions and aliases, and
files by way of the server (`mlflow server` serves artifacts by default).

No package of MLflow is needed. What lies in a store that the server does not serve (`s3://...`) is
not fetched.
"""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from edgewright import _fs
from edgewright.errors import AbsentError, InputError, TransportError, TrustError
from edgewright.transports.http1 import Client, Limits, Response

T = TypeVar("T")

SERVED = "mlflow-artifacts:"
FILE_LIMIT_BYTES = 4 << 30
ANSWER_LIMIT_BYTES = 16 << 20
PAGE = 200
VERSIONS_MOST = 20_000
FILES_MOST = 10_000
FOLDERS_MOST = 1000
DEPTH_MOST = 20
"""How far into folders of folders: a server may say that a folder holds itself."""

_API = "/api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK_BYTES = 1 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Tag(msgspec.Struct, frozen=True):
    """A word on something, under a key."""

    key: str
    value: str = ""


class ModelVersion(msgspec.Struct, frozen=True):
    """A version of a registered model."""

    name: str
    version: str
    source: str = ""
    run_id: str = ""
    tags: tuple[Tag, ...] = ()
    aliases: tuple[str, ...] = ()

    def tag(self, key: str) -> str:
        """A tag's value; empty without one."""
        return next((tag.value for tag in self.tags if tag.key == key), "")


class _Run(msgspec.Struct, frozen=True):
    class Info(msgspec.Struct, frozen=True):
        run_id: str
        artifact_uri: str

    info: Info


class _File(msgspec.Struct, frozen=True):
    path: str
    is_dir: bool = False
    file_size: int = 0


class _Refusal(msgspec.Struct, frozen=True):
    error_code: str = ""
    message: str = ""


class Registry:
    """An MLflow server's registry; close it, or use it in an `async with` block."""

    def __init__(self, client: Client, token: str) -> None:
        self._client = client
        self._token = token

    async def version(self, name: str, *, alias: str = "", number: str = "") -> ModelVersion:
        """The version of a model that an alias or a number means.

        Raises:
            AbsentError: there is none.
        """
        if alias:
            asked = {"name": name, "alias": alias}
            return await self._one("GET", "registered-models/alias", asked, ModelVersion)
        asked = {"name": name, "version": number}
        return await self._one("GET", "model-versions/get", asked, ModelVersion)

    async def place(self, version: ModelVersion) -> str:
        """Where the files of a version are: its source may be a name that only MLflow resolves."""
        asked = {"name": version.name, "version": version.version}
        answer = await self._asked("GET", "model-versions/get-download-uri", asked)
        return _field(answer, "artifact_uri", str, default="")

    async def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Every version of a model, newest first; none when there is no such model.

        Raises:
            TransportError: there is no end of them.
        """
        found: list[ModelVersion] = []
        page = ""
        while True:
            asked = {
                "filter": f"name='{name}'",
                "max_results": str(PAGE),
                "order_by": "version_number DESC",
            }
            answer = await self._asked(
                "GET", "model-versions/search", asked | ({"page_token": page} if page else {})
            )
            some = _field(answer, "model_versions", list[ModelVersion], default=[])
            found += some
            page = _field(answer, "next_page_token", str, default="")
            if not page:
                return tuple(found)
            if not some or len(found) > VERSIONS_MOST:
                raise _endless(f"versions of {name}", len(found))

    async def add_model(self, name: str) -> None:
        """Register a model, unless it is."""
        with contextlib.suppress(_ThereError):
            await self._asked("POST", "registered-models/create", {"name": name})

    async def begin_run(
        self, experiment: str, name: str, tags: Mapping[str, str]
    ) -> tuple[str, str]:
        """A run in an experiment that is made when absent; its id and where its files belong."""
        experiment_id = await self._experiment(experiment)
        run = await self._one(
            "POST",
            "runs/create",
            {"experiment_id": experiment_id, "run_name": name, "tags": _tags(tags)},
            _Run,
            field="run",
        )
        return run.info.run_id, run.info.artifact_uri

    async def end_run(self, run_id: str) -> None:
        """Say that a run is finished."""
        await self._asked("POST", "runs/update", {"run_id": run_id, "status": "FINISHED"})

    async def add_version(
        self, name: str, *, source: str, run_id: str, tags: Mapping[str, str], text: str
    ) -> ModelVersion:
        """A new version of a model, whose files are at `source`."""
        order = {
            "name": name,
            "source": source,
            "run_id": run_id,
            "tags": _tags(tags),
            "description": text,
        }
        return await self._one("POST", "model-versions/create", order, ModelVersion)

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias mean a version."""
        order = {"name": name, "alias": alias, "version": version}
        await self._asked("POST", "registered-models/alias", order)

    async def put_file(self, file: Path, uri: str) -> None:
        """Send a file to where it belongs.

        Raises:
            InputError: the server does not serve that place.
        """
        path = f"{_FILES}/{quote(_served(uri))}"
        with _fs.file_errors(file, doing="reading"), file.open("rb") as source:
            answer = await self._client.upload(
                "PUT",
                path,
                _pieces(source),
                size_bytes=os.fstat(source.fileno()).st_size,
                headers=self._headers | {"content-type": "application/octet-stream"},
            )
        _accepted(answer, f"PUT {path}")

    async def files(self, uri: str) -> tuple[tuple[str, int], ...]:
        """The files at a place and below it, by their path in it, with their sizes.

        Raises:
            TransportError: there is no end of them.
        """
        found: list[tuple[str, int]] = []
        root, waiting, folders = _served(uri).rstrip("/"), [""], 0
        while waiting:
            folder, folders = waiting.pop(), folders + 1
            is_deep = folder.count("/") >= DEPTH_MOST
            if is_deep or folders > FOLDERS_MOST or len(found) > FILES_MOST:
                raise _endless(f"files below {root[:80]}", len(found))
            query = urlencode({"path": f"{root}/{folder}".rstrip("/")})
            answer = await self._client.request("GET", f"{_FILES}?{query}", headers=self._headers)
            body = _accepted(answer, "GET artifacts")
            for one in _field(body, "files", list[_File], default=[]):
                path = f"{folder}/{_name(one.path)}".lstrip("/")
                if one.is_dir:
                    waiting.append(path)
                else:
                    found.append((path, one.file_size))
        return tuple(sorted(found))

    async def fetch(self, uri: str, path: str, out: Path) -> None:
        """Write one file of a place.

        Raises:
            ResourceError: the disk is full.
        """
        served = f"{_FILES}/{quote(_served(uri).rstrip('/'))}/{quote(path)}"
        with _fs.atomic_file(out) as file:
            async for chunk in self._client.download(
                served, headers=self._headers, limit_bytes=FILE_LIMIT_BYTES
            ):
                file.write(chunk)

    async def _experiment(self, name: str) -> str:
        try:
            asked = {"experiment_name": name}
            found = await self._asked("GET", "experiments/get-by-name", asked)
        except AbsentError:
            made = await self._asked("POST", "experiments/create", {"name": name})
            return _field(made, "experiment_id", str, default="")
        experiment = _field(found, "experiment", dict[str, msgspec.Raw], default={})
        return msgspec.json.decode(experiment["experiment_id"], type=str)

    async def _one(
        self,
        method: str,
        what: str,
        order: Mapping[str, object],
        kind: type[T],
        *,
        field: str = "model_version",
    ) -> T:
        answer = await self._asked(method, what, order)
        found = _field(answer, field, kind, default=None)
        if found is None:
            raise TransportError(f"{what}: the answer has no {field}", hint="is that MLflow?")
        return found

    async def _asked(self, method: str, what: str, order: Mapping[str, object]) -> bytes:
        path, body, headers = f"{_API}/{what}", b"", self._headers
        if method == "GET":
            path = f"{path}?{urlencode({key: str(value) for key, value in order.items()})}"
        else:
            body = msgspec.json.encode(order)
            headers = headers | {"content-type": "application/json"}
        answer = await self._client.request(method, path, headers=headers, body=body)
        return _accepted(answer, f"{method} {what}")

    @property
    def _headers(self) -> dict[str, str]:
        known = {"authorization": f"Bearer {self._token}"} if self._token else {}
        return {"accept": "*/*", **known}


@contextlib.asynccontextmanager
async def connected(
    url: str, *, token: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Registry]:
    """The registry at an address, for as long as the block lasts.

    Raises:
        InputError: a token would leave this machine in clear text.
    """
    parts = urlsplit(url)
    if parts.scheme == "http" and token and parts.hostname not in _LOOPBACK:
        raise InputError(
            f"http://{parts.hostname}: a token is sent over TLS only", hint="give https://"
        )
    if parts.scheme == "https" and tls is None:
        tls = ssl.create_default_context()
    limits = Limits(body_bytes=ANSWER_LIMIT_BYTES)
    async with Client(url, tls=tls, timeout_s=60.0, limits=limits) as client:
        yield Registry(client, token)


class _ThereError(InputError):
    """It exists already."""


def _endless(what: str, count: int) -> TransportError:
    return TransportError(
        f"MLflow names no end of {what}: {count} so far", hint="is that the address of MLflow?"
    )


def _name(path: str) -> str:
    """The last part of a path, which is asked for and never written under."""
    name = path.rpartition("/")[2]
    if name in ("", ".", ".."):
        raise TransportError(f"MLflow names a file {path[:80]!r}", hint="look at its store")
    return name


def _served(uri: str) -> str:
    """The path by which the server serves what lies at a URI."""
    parts = urlsplit(uri)
    if f"{parts.scheme}:" != SERVED:
        raise InputError(
            f"{uri[:120]}: the files are in a store that the MLflow server does not serve",
            hint="start it with --serve-artifacts (its default), or fetch them from there",
        )
    return parts.path.lstrip("/")


def _accepted(answer: Response, where: str) -> bytes:
    if 200 <= answer.status < 300:
        return answer.body
    try:
        told = msgspec.json.decode(answer.body, type=_Refusal)
    except msgspec.DecodeError:
        told = _Refusal()
    message = f"MLflow, {where}: {told.message or answer.status}"[:400]
    if told.error_code == "RESOURCE_ALREADY_EXISTS":
        raise _ThereError(message)
    match answer.status:
        case 401 | 403:
            raise TrustError(message, hint="give a token with --mlflow-token-file")
        case 404:
            raise AbsentError(message, hint="check the name, and the address of the server")
        case 429 | 500 | 502 | 503 | 504:
            raise TransportError(message, hint="try again later")
        case _:
            raise InputError(message)


def _field(body: bytes, name: str, kind: type[T], *, default: T | None) -> T:
    try:
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if name not in found:
            return default  # type: ignore[return-value]  # the caller's own
        return msgspec.json.decode(found[name], type=kind)
    except msgspec.DecodeError as error:
        raise TransportError(
            f"MLflow's answer is not understood: {error}", hint="is that the address of MLflow?"
        ) from error


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    yield from iter(lambda: source.read(_CHUNK_BYTES), b"")
