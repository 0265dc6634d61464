"""A fake of the agent's fleet port: files to offer, a line that can be cut."""

import hashlib
from pathlib import Path

from edgewright import _fs
from edgewright.bundle import is_sealed, open_bundle, read_head
from edgewright.device.agent.ports import Fetcher, Repository
from edgewright.device.agent.progress import Release
from edgewright.errors import EdgewrightError, TransportError
from edgewright.telemetry import Record
from edgewright.wire.device_api import Desired, DesiredModel, EnrollReply, EnrollRequest

FILE_LIMIT_BYTES = 64 << 20


class FakeFleet:
    """Offers bundle files; `cut_after_bytes` breaks each download once that much arrived."""

    def __init__(self) -> None:
        self.wanted: dict[str, DesiredModel] = {}
        self.files: dict[str, Path] = {}
        self.records: list[Record] = []
        self.cut_after_bytes: int | None = None
        self.error: EdgewrightError | None = None
        self.sent_bytes = 0
        self.patches: dict[str, bytes] = {}
        self.patches_asked: list[tuple[str, str]] = []
        self.repositories: dict[Repository, Fetcher] = {}
        self.asked: list[tuple[str, str, bytes]] = []

    def offer(self, path: Path) -> DesiredModel:
        """Want this file's bundle on the device."""
        if is_sealed(path):
            head = read_head(path)
            name, version, bundle_id = head.name, head.version, head.bundle_id
        else:
            bundle = open_bundle(path)
            name, version, bundle_id = bundle.manifest.name, bundle.manifest.version, bundle.id
        content = _fs.read_limited(path, limit_bytes=FILE_LIMIT_BYTES)
        model = DesiredModel(
            model=name,
            version=version,
            bundle_id=bundle_id,
            file_sha256=hashlib.sha256(content).hexdigest(),
            file_size_bytes=len(content),
        )
        self.wanted[model.model] = model
        self.files[model.bundle_id] = path
        return model

    async def enroll(self, request: EnrollRequest) -> EnrollReply:
        return EnrollReply(device=request.device, secret="s3cret", keys=(), threshold=1)  # noqa: S106 - a fake's

    async def desired(self, *, etag: str, wait_s: float) -> tuple[str, Desired] | None:
        self._fail()
        now = str(sorted((wanted.model, wanted.bundle_id) for wanted in self.wanted.values()))
        return None if etag == now else (now, Desired(models=tuple(self.wanted.values())))

    async def download(self, release: Release, part: Path) -> None:
        self._fail()
        content = _fs.read_limited(self.files[release.bundle_id], limit_bytes=FILE_LIMIT_BYTES)
        have, arrived = _append(part, content, self.cut_after_bytes)
        self.sent_bytes += arrived
        if have + arrived < len(content):
            raise TransportError(f"cut after {have + arrived} bytes")

    async def patch(self, release: Release, base: str, part: Path) -> bool:
        self._fail()
        self.patches_asked.append((base, release.bundle_id))
        if (content := self.patches.get(release.bundle_id)) is None:
            return False
        have, arrived = _append(part, content, self.cut_after_bytes)
        self.sent_bytes += arrived
        if have + arrived < len(content):
            raise TransportError(f"cut after {have + arrived} bytes")
        return True

    def repository(self, name: Repository) -> Fetcher:
        return self.repositories[name]

    async def send(self, records: tuple[Record, ...]) -> None:
        self._fail()
        self.records.extend(records)

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        self._fail()
        self.asked.append((method, path, body))
        return b""

    def _fail(self) -> None:
        if self.error:
            raise self.error


def _append(part: Path, content: bytes, most_bytes: int | None) -> tuple[int, int]:
    """Add what is missing; how much was there, and how much came."""
    have = part.stat().st_size if part.exists() else 0
    chunk = content[have : len(content) if most_bytes is None else have + most_bytes]
    with _fs.appended_file(part) as file:
        file.write(chunk)
    return have, len(chunk)
