"""Bundles to and from a real OCI registry on loopback, and read by another client."""

import asyncio
import base64
import contextlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.brokers import wait_until_it_listens

from edgewright.bundle import open_bundle, seal_bundle
from edgewright.chain import carrying
from edgewright.chain.carrying import Access, pull, push
from edgewright.chain.processes import free_port
from edgewright.errors import InputError, TransportError, TrustError
from edgewright.keys import FileOpener
from edgewright.testing.bundles import build_tiny
from edgewright.transports.oci import Address, Registry

NOBODY = Access()
FILLER_BYTES = 20 << 20
"""Three chunks of an upload."""


class RealRegistry:
    """docker-registry over a folder."""

    def __init__(self, folder: Path, *, auth: str = "") -> None:
        program = shutil.which("docker-registry")
        if program is None:
            pytest.skip("absent: docker-registry (Debian package docker-registry)")
        self.port, self.data = free_port(), folder / "data"
        config = folder / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.data}}}}}\n"
            f"http: {{addr: '127.0.0.1:{self.port}'}}\n{auth}"
        )
        self.process = subprocess.Popen(
            [program, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until_it_listens(self.port)

    def address(self, name: str, *, port: int | None = None) -> str:
        return f"oci://127.0.0.1:{port or self.port}/models/{name}"

    def blob(self, sha256: str) -> Path:
        """Where it keeps content."""
        root = self.data / "docker/registry/v2/blobs/sha256"
        return root / sha256[:2] / sha256 / "data"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    made = RealRegistry(tmp_path_factory.mktemp("registry"))
    yield made
    made.stop()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build_tiny(tmp_path / "tiny.ewb", filler_bytes=5000)
    return tmp_path / "tiny.ewb"


class CuttingLine:
    """A way to a server that ends each connection once that many bytes passed, `cuts` times; with
    `ends` it is gone after the last one.
    """

    def __init__(self, port: int, *, after_bytes: int, cuts: int, ends: bool) -> None:
        self._target, self._after, self.cuts, self._ends = port, after_bytes, cuts, ends
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._socket.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                passed = [0]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(
                        target=self._copy, args=(source, sink, passed), daemon=True
                    ).start()

    def _copy(self, source: socket.socket, sink: socket.socket, passed: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                may_pass = max(0, self._after - passed[0])
                passed[0] += len(data)
                if self.cuts and passed[0] > self._after:
                    self.cuts -= 1
                    if self._ends and not self.cuts:
                        self.close()
                    sink.sendall(data[:may_pass])
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextlib.contextmanager
def cutting(
    registry: RealRegistry, *, after_bytes: int, cuts: int, ends: bool = False
) -> Iterator[CuttingLine]:
    line = CuttingLine(registry.port, after_bytes=after_bytes, cuts=cuts, ends=ends)
    try:
        yield line
    finally:
        line.close()


def test_a_bundle_comes_back_as_it_went(
    registry: RealRegistry, bundle: Path, tmp_path: Path
) -> None:
    address = registry.address("round:1")
    made = push(bundle, address, NOBODY)
    assert made == push(bundle, address, NOBODY), "what is there is not changed"
    got = pull(address, tmp_path / "back.ewb", NOBODY)
    assert (tmp_path / "back.ewb").read_bytes() == bundle.read_bytes()
    assert got == made
    assert got.bundle_id == open_bundle(bundle).id
    by_digest = f"{address.rpartition(':')[0]}@{made.digest}"
    assert pull(by_digest, tmp_path / "pinned.ewb", NOBODY).digest == made.digest


def test_an_encrypted_bundle_is_carried_as_it_is(
    registry: RealRegistry, bundle: Path, tmp_path: Path
) -> None:
    opener = FileOpener.create(tmp_path / "k.key")
    seal_bundle(bundle, tmp_path / "sealed.ewb", [opener.recipient])
    made = push(tmp_path / "sealed.ewb", registry.address("sealed:1"), NOBODY)
    assert made.is_encrypted
    assert made.bundle_id == open_bundle(bundle).id
    pull(registry.address("sealed:1"), tmp_path / "back.ewb", NOBODY)
    assert (tmp_path / "back.ewb").read_bytes() == (tmp_path / "sealed.ewb").read_bytes()


def test_a_download_goes_on_where_a_cut_left_it(registry: RealRegistry, tmp_path: Path) -> None:
    build_tiny(tmp_path / "large.ewb", filler_bytes=FILLER_BYTES)
    push(tmp_path / "large.ewb", registry.address("down:1"), NOBODY)
    with cutting(registry, after_bytes=FILLER_BYTES // 3, cuts=2) as line:
        pull(registry.address("down:1", port=line.port), tmp_path / "back.ewb", NOBODY)
        assert line.cuts == 0
    assert (tmp_path / "back.ewb").read_bytes() == (tmp_path / "large.ewb").read_bytes()


def test_a_later_run_uses_what_an_earlier_one_brought(
    registry: RealRegistry, bundle: Path, tmp_path: Path
) -> None:
    push(bundle, registry.address("later:1"), NOBODY)
    with cutting(registry, after_bytes=9000, cuts=1, ends=True) as line:
        address = registry.address("later:1", port=line.port)
        with pytest.raises(TransportError):
            pull(address, tmp_path / "back.ewb", NOBODY)
    (part,) = tmp_path.glob(".back.ewb.*.part")
    have = part.stat().st_size
    assert 0 < have < bundle.stat().st_size
    assert not (tmp_path / "back.ewb").exists()
    pull(registry.address("later:1"), tmp_path / "back.ewb", NOBODY)
    assert (tmp_path / "back.ewb").read_bytes() == bundle.read_bytes()
    assert list(tmp_path.glob(".*")) == []


def test_an_upload_goes_on_where_a_cut_left_it(registry: RealRegistry, tmp_path: Path) -> None:
    build_tiny(tmp_path / "large.ewb", filler_bytes=FILLER_BYTES)
    with cutting(registry, after_bytes=FILLER_BYTES // 2, cuts=2) as line:
        push(tmp_path / "large.ewb", registry.address("up:1", port=line.port), NOBODY)
        assert line.cuts == 0
    pull(registry.address("up:1"), tmp_path / "back.ewb", NOBODY)
    assert (tmp_path / "back.ewb").read_bytes() == (tmp_path / "large.ewb").read_bytes()


def test_a_part_that_is_another_files_is_not_believed(
    registry: RealRegistry, bundle: Path, tmp_path: Path
) -> None:
    push(bundle, registry.address("part:1"), NOBODY)
    sha256 = _layer_of(registry, "part:1")
    part = tmp_path / f".back.ewb.{sha256[:16]}.part"
    part.write_bytes(b"x" * 4000)
    with pytest.raises(TrustError, match="promised was"):
        pull(registry.address("part:1"), tmp_path / "back.ewb", NOBODY)
    assert not part.exists()
    pull(registry.address("part:1"), tmp_path / "back.ewb", NOBODY)


def _layer_of(registry: RealRegistry, name: str) -> str:
    async def look() -> str:
        async with Registry(Address.parse(registry.address(name))) as there:
            _, layer = await there.look(kind=carrying.KIND)
            return layer.digest.removeprefix("sha256:")

    return asyncio.run(look())


def test_content_that_was_changed_in_the_registry_is_refused(
    registry: RealRegistry, tmp_path: Path
) -> None:
    build_tiny(tmp_path / "tiny.ewb", seed=77)
    push(tmp_path / "tiny.ewb", registry.address("flipped:1"), NOBODY)
    stored = registry.blob(_layer_of(registry, "flipped:1"))
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    with pytest.raises(TrustError, match="promised was"):
        pull(registry.address("flipped:1"), tmp_path / "back.ewb", NOBODY)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.ewb"]


def test_what_is_not_there_or_no_bundle_is_named(
    registry: RealRegistry, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "back.ewb"
    with pytest.raises(InputError, match="404"):
        pull(registry.address("nothing:1"), out, NOBODY)

    async def put_other() -> None:
        async with Registry(Address.parse(registry.address("other:1"))) as there:
            await there.push(bundle, kind="text/plain", layer_type="text/plain", annotations={})

    asyncio.run(put_other())
    with pytest.raises(InputError, match="is of type 'text/plain'"):
        pull(registry.address("other:1"), out, NOBODY)
    with pytest.raises(TransportError, match="refused"):
        pull(f"oci://127.0.0.1:{free_port()}/models/x:1", out, NOBODY)
    with pytest.raises(InputError, match="needs a tag"):
        push(bundle, f"oci://127.0.0.1:{registry.port}/m@sha256:{'0' * 64}", NOBODY)
    bundle.write_bytes(bundle.read_bytes()[:-600])
    with pytest.raises(TrustError):
        push(bundle, registry.address("cut:1"), NOBODY)
    assert not out.exists()


def test_a_registry_that_asks_who_you_are(
    tmp_path: Path, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = tmp_path / "htpasswd"
    users.write_text("ann:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n")
    closed = RealRegistry(tmp_path, auth=f"auth: {{htpasswd: {{realm: r, path: {users}}}}}\n")
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("guess\n")
    ann = Access(user="ann", password_file=password)
    try:
        with pytest.raises(InputError, match=r"asks who you are.*--user"):
            push(bundle, closed.address("a:1"), NOBODY)
        with pytest.raises(InputError, match="401") as refused:
            push(bundle, closed.address("a:1"), Access(user="ann", password_file=wrong))
        push(bundle, closed.address("a:1"), ann)
        pull(closed.address("a:1"), tmp_path / "back.ewb", ann)
    finally:
        closed.stop()
    assert "guess" not in str(refused.value)
    assert "s3cret" not in caplog.text
    assert base64.b64encode(b"ann:s3cret").decode() not in caplog.text


def test_another_client_reads_and_writes_the_same_artifact(
    registry: RealRegistry, bundle: Path, tmp_path: Path
) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("absent: skopeo (Debian package skopeo)")
    made = push(bundle, registry.address("skopeo:1"), NOBODY)
    source = f"docker://127.0.0.1:{registry.port}/models/skopeo"
    raw = subprocess.run(
        [skopeo, "inspect", "--raw", "--tls-verify=false", f"{source}:1"],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    manifest = json.loads(raw)
    assert manifest["artifactType"] == carrying.KIND
    assert manifest["annotations"]["dev.edgewright.bundle-id"] == made.bundle_id
    copy = [
        skopeo,
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ]
    folder = tmp_path / "copied"
    subprocess.run([*copy, f"{source}:1", f"dir:{folder}"], check=True, timeout=60)
    sha256 = manifest["layers"][0]["digest"].removeprefix("sha256:")
    assert (folder / sha256).read_bytes() == bundle.read_bytes()
    subprocess.run([*copy, f"dir:{folder}", f"{source}:2"], check=True, timeout=60)
    assert pull(registry.address("skopeo:2"), tmp_path / "back.ewb", NOBODY).digest == made.digest
