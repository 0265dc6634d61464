"""Objects and blobs in a bucket of any S3-compatible service (extra `s3`).

`s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-central-1`; without `endpoint` it is
Amazon's. Keys come from where boto3 looks for them (environment, shared file, instance role), never
from the address.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.config
import botocore.exceptions

from edgewright.errors import EdgewrightError, InputError, TransportError, TrustError
from edgewright.stores.blobs import CHUNK_BYTES
from edgewright.stores.objects import checked_name

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_REFUSED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_CONNECT_S, _READ_S = 5, 60
_SPOOL_BYTES = 16 << 20


class S3Objects:
    """An object store under a prefix of a bucket."""

    def __init__(self, url: str) -> None:
        self._bucket, self._prefix, self._client = _opened(url)
        self._url = url.partition("?")[0]

    def put(self, name: str, content: bytes) -> None:
        with self._errors():
            self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=content)

    def get(self, name: str) -> bytes | None:
        try:
            with self._errors():
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
                content: bytes = answer["Body"].read()
        except _AbsentError:
            return None
        return content

    def names(self, prefix: str = "") -> list[str]:
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return sorted(key.removeprefix(self._prefix) for key in keys)

    def remove(self, name: str) -> None:
        with self._errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """The content in parts.

        Raises:
            InputError: there is none of that name.
        """
        with self._errors():
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)

    def size_bytes(self, name: str) -> int:
        """How large the content is.

        Raises:
            InputError: there is none of that name.
        """
        with self._errors():
            answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        return int(answer["ContentLength"])

    def upload(self, name: str, file: Any) -> None:
        """Store what an open file holds, in parts where it is large."""
        with self._errors():
            self._client.upload_fileobj(file, self._bucket, self._key(name))

    def _key(self, name: str) -> str:
        return self._prefix + checked_name(name)

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return _translated(self._url)


class S3Blobs:
    """A blob store in a bucket: `<first two digits>/<sha256>`."""

    def __init__(self, url: str) -> None:
        self._objects = S3Objects(url)

    def add(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has(sha256):
            self._objects.put(_name(sha256), content)
        return sha256

    def add_stream(self, chunks: Iterable[bytes], *, sha256: str) -> None:
        digest = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
            _check(digest.hexdigest(), sha256, doing="storing")
            file.seek(0)
            self._objects.upload(_name(sha256), file)

    def has(self, sha256: str) -> bool:
        try:
            self._objects.size_bytes(_name(sha256))
        except _AbsentError:
            return False
        return True

    def read(self, sha256: str) -> bytes:
        return b"".join(self.chunks(sha256))

    def chunks(self, sha256: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in self._objects.stream(_name(sha256)):
            digest.update(chunk)
            yield chunk
        _check(digest.hexdigest(), sha256, doing="reading")

    def size_bytes(self, sha256: str) -> int:
        return self._objects.size_bytes(_name(sha256))

    def remove(self, sha256: str) -> None:
        self._objects.remove(_name(sha256))

    def ids(self) -> Iterator[str]:
        found = (name.rpartition("/")[2] for name in self._objects.names())
        yield from sorted(name for name in found if len(name) == 64)


class _AbsentError(InputError):
    """There is no object of that name."""


def _name(sha256: str) -> str:
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise InputError(
            f"blob id {sha256[:80]!r}: expected 64 hexadecimal digits",
            hint="use the id that adding returned",
        )
    return f"{sha256[:2]}/{sha256}"


def _check(actual: str, expected: str, *, doing: str) -> None:
    if actual != expected:
        raise TrustError(
            f"{doing} blob {expected}: its content hashes to {actual}",
            hint="discard it and fetch it again",
        )


def _opened(url: str) -> tuple[str, str, Any]:
    parts = urlsplit(url)
    unknown = set(query := parse_qs(parts.query)) - {"endpoint", "region"}
    if parts.scheme != "s3" or not parts.hostname or parts.username or unknown:
        raise InputError(
            f"{url.partition('?')[0].rpartition('@')[2]!r} is no address of a bucket",
            hint="write s3://bucket/prefix?endpoint=https://host&region=name; keys go into the "
            "environment",
        )
    prefix = parts.path.strip("/")
    client = boto3.client(
        "s3",
        endpoint_url=query.get("endpoint", [None])[0],
        region_name=query.get("region", [None])[0],
        config=botocore.config.Config(
            connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries={"total_max_attempts": 1}
        ),
    )
    return parts.netloc, f"{prefix}/" if prefix else "", client


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _meaning(url, error) from error
    except botocore.exceptions.NoCredentialsError as error:
        raise InputError(
            f"{url}: no keys for it were found",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials",
        ) from error
    except botocore.exceptions.BotoCoreError as error:
        raise TransportError(f"{url} did not answer: {error}", hint="try again later") from error


def _meaning(url: str, error: botocore.exceptions.ClientError) -> EdgewrightError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _ABSENT:
        return _AbsentError(f"{url}: no object of that name")
    if code == "NoSuchBucket":
        return InputError(f"{url}: there is no such bucket", hint="create it, or mend the address")
    if code in _REFUSED:
        return InputError(f"{url} refuses these keys ({code})", hint="check keys and bucket policy")
    return TransportError(f"{url} answered {code or error}", hint="try again later")
