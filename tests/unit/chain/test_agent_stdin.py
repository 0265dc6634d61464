"""A bundle from stdin: what is none is not read on, the disk's reserve stays, nothing is left."""

import io
import os
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from edgewright.chain import agent
from edgewright.chain.agent_stdin import HEAD_BYTES, spooled
from edgewright.device.agent import Home, Identity, PinnedKeys, Slots
from edgewright.errors import EdgewrightError, ResourceError
from edgewright.testing import MemorySigner
from edgewright.testing.bundles import build_tiny
from edgewright.trust import TrustedKeys

KEYS = TrustedKeys(threshold=1, keys=(MemorySigner.from_seed(1).public,))
MIB = 1 << 20


class Endless(io.RawIOBase):
    """What `yes` writes; counts what was taken of it."""

    def __init__(self, beginning: bytes = b"") -> None:
        self.taken = 0
        self._beginning = beginning

    def read(self, size: int = -1) -> bytes:
        beginning, self._beginning = self._beginning, b""
        self.taken += size
        return (beginning + b"y\n" * (size // 2))[:size]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.save_enrolment(Identity(device="d"), KEYS)
    return home


def files_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*stdin*"))


def slots_with(tmp_path: Path, *, budget_mb: float = 2048, reserve_mb: float = 0) -> Slots:
    return Slots(tmp_path / "slots", PinnedKeys(KEYS), budget_mb=budget_mb, reserve_mb=reserve_mb)


def test_what_is_no_bundle_is_refused_by_its_first_bytes(home: Home) -> None:
    stream = Endless()
    with pytest.raises(EdgewrightError, match="not a bundle"):
        agent.apply_stream(stream, home=home.root)
    assert stream.taken == HEAD_BYTES
    assert files_of(home.root) == []


def test_a_bundle_arrives_whole(tmp_path: Path) -> None:
    source = tmp_path / "a.ewb"
    build_tiny(source)
    content = source.read_bytes() + bytes(3 * MIB)
    path = tmp_path / "stdin.ewb"
    with spooled(io.BytesIO(content), path, slots_with(tmp_path)):
        assert path.read_bytes() == content
    assert not path.exists()


def test_a_stream_past_the_budget_is_cut(tmp_path: Path) -> None:
    stream = Endless(b"manifest.json\0")
    path = tmp_path / "stdin.ewb"
    slots = slots_with(tmp_path, budget_mb=2)
    with pytest.raises(ResourceError, match="budget"), spooled(stream, path, slots):
        pass
    assert stream.taken <= 4 * MIB
    assert list(tmp_path.iterdir()) == []


def test_the_reserve_of_the_disk_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")  # noqa: PYI024 - of what the system tells
    free = iter([9 * MIB, 8 * MIB, 7 * MIB])
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(next(free)))
    path = tmp_path / "stdin.ewb"
    slots = slots_with(tmp_path, reserve_mb=6.5)
    stream = Endless(b"manifest.json\0")
    with pytest.raises(ResourceError, match="stay reserved"), spooled(stream, path, slots):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_stale_socket", [False, True])
def test_a_second_command_is_told_of_the_first(
    home: Home, has_stale_socket: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_stale_socket:
        monkeypatch.chdir(home.root)
        with socket.socket(socket.AF_UNIX) as line:
            line.bind(home.control_socket.name)
    stream = Endless(b"manifest.json\0")
    with home.locked():
        for act in (
            lambda: agent.apply_stream(stream, home=home.root),
            lambda: agent.apply(Path(os.devnull), home=home.root),
            lambda: agent.rollback(home.root, model="m", reason="r"),
        ):
            with pytest.raises(ResourceError, match="another command works on"):
                act()
    assert stream.taken == 0
