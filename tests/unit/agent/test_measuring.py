"""The agent's side of a measurement: what it believes of a kit, and what is left of it."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from edgewright.device.agent.limited import ProcessLimits
from edgewright.device.agent.measuring import Measuring
from edgewright.device.agent.settings import Settings
from edgewright.errors import (
    DeviceError,
    EdgewrightError,
    InputError,
    ResourceError,
    TransportError,
    TrustError,
)
from edgewright.testing import FakeClock
from edgewright.testing.keys import MemorySigner
from edgewright.wire.kits import KitFile, KitOrder, encode_head
from edgewright.wire.remote_commands import COMMANDS, USUAL_KINDS, RemoteCommand

PATH = re.compile(rf"{COMMANDS}/7/kit\?at=(\d+)")
SIGNER = MemorySigner.from_seed(1)
FILES = {"00-a.onnx": b"first" * 200, "01-b.onnx": b"second" * 100, "inputs.npz": b"arrays"}
SAYS_FILES = ("/bin/sh", "-c", 'cd "$1" && sha256sum * | tr "\\n" " "', "sh")


class Line:
    """A fleet that gives a kit out in small parts."""

    def __init__(self, kit: bytes, *, part_bytes: int = 100) -> None:
        self.kit = kit
        self.asked = 0
        self._part_bytes = part_bytes

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        found = PATH.fullmatch(path)
        assert method == "GET"
        assert found is not None
        self.asked += 1
        at = int(found[1])
        return self.kit[at : at + self._part_bytes]


def kit(*, device: str = "d1", signer: MemorySigner = SIGNER) -> bytes:
    order = KitOrder(
        device=device,
        expires_at_s=FakeClock().wall_s() + 60,
        files=tuple(
            KitFile(name=name, size_bytes=len(c), sha256=hashlib.sha256(c).hexdigest())
            for name, c in FILES.items()
        ),
    )
    return encode_head(order, signer) + b"".join(FILES.values())


def run(
    line: Line,
    folder: Path,
    command: tuple[str, ...] = SAYS_FILES,
    *,
    timeout_s: float = 30.0,
    free_mb: float = 1.0,
) -> bytes:
    def require_free(size_mb: float) -> None:
        if size_mb > free_mb:
            raise ResourceError("the reserve would be reached")

    measuring = Measuring(
        command,
        line,
        device="d1",
        keys=[SIGNER.public],
        folder=folder,
        limits=ProcessLimits(timeout_s=timeout_s, memory_mb=200.0),
        require_free=require_free,
        clock=FakeClock(),
    )
    return asyncio.run(measuring.run(RemoteCommand(number=7, kind="measure", lasts_s=60.0))).upload


def test_the_files_of_a_kit_lie_before_the_process_and_go_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "left by a cut").write_text("old")
    said = run(Line(kit()), folder).decode().split()
    assert said[1::2] == ["00-a.onnx", "01-b.onnx", "inputs.npz", "order.json"]
    for digest, content in zip(said[::2], FILES.values(), strict=False):
        assert digest == hashlib.sha256(content).hexdigest()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("made", "kind", "why"),
    [
        (kit(signer=MemorySigner.from_seed(2)), TrustError, "nobody whom this device trusts"),
        (kit(device="d2"), TrustError, "is for d2"),
        (kit()[:-1], InputError, "the kit ends after"),
        (kit()[:-1] + b"!", InputError, "inputs.npz of the kit is not what was signed"),
        (b"PK\3\4" + bytes(500), InputError, "no kit"),
        (b"", InputError, "the kit ends after 0 bytes"),
    ],
)
def test_what_was_not_signed_so_is_not_run(
    made: bytes, kind: type[EdgewrightError], why: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(kind, match=why):
        run(Line(made), tmp_path / "kit", ("/bin/sh", "-c", f"touch {ran}"))
    assert not ran.exists()
    assert not (tmp_path / "kit").exists()


def test_of_a_strangers_kit_no_model_is_fetched(tmp_path: Path) -> None:
    line = Line(kit(signer=MemorySigner.from_seed(2)))
    with pytest.raises(TrustError):
        run(line, tmp_path / "kit")
    assert line.asked * 100 < len(line.kit) - sum(map(len, FILES.values())) + 200


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo the engine is absent >&2; exit 3", "the engine is absent"),
        ("exit 0", "ended with code 0: no message"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("sleep 60", "no verdict within 0.5 s"),
    ],
)
def test_a_process_that_fails_says_why_and_leaves_nothing(
    script: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match=why):
        run(Line(kit()), tmp_path / "kit", ("/bin/sh", "-c", script), timeout_s=0.5)
    assert not (tmp_path / "kit").exists()


def test_a_kit_takes_nothing_of_the_disks_reserve(tmp_path: Path) -> None:
    line = Line(kit())
    with pytest.raises(ResourceError):
        run(line, tmp_path / "kit", free_mb=0.001)
    assert not (tmp_path / "kit").exists()


def test_a_cut_line_leaves_nothing(tmp_path: Path) -> None:
    class Cut(Line):
        async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
            if self.asked > 12:
                raise TransportError("the line is cut")
            return await super().ask(method, path, body)

    with pytest.raises(TransportError):
        run(Cut(kit()), tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_a_device_measures_for_nobody_unless_it_is_told_to() -> None:
    assert "measure" not in USUAL_KINDS
    assert Settings().measure_keys == ()
