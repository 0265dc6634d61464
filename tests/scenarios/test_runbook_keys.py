"""The runbook for keys, walked: each command as docs/runbooks/keys.md prints it, in its order, with
passwords typed; and a device that follows through all of it.
"""

import asyncio
import functools
import http.server
import re
import shlex
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgewright.cli._main import root
from edgewright.device.agent.metadata import MetadataStore
from edgewright.errors import InputError
from edgewright.keys.file import read_public_key
from edgewright.testing.folder_fetcher import FolderFetcher

PASSWORD = "correct horse"
SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^\s*```\n(.*?)^\s*```", re.DOTALL | re.MULTILINE)


class Walk:
    """Somebody at a terminal with the page beside it."""

    def __init__(self, page: str, folder: Path) -> None:
        self._sections = dict(SECTION.findall(page))
        self._folder = folder
        self._runner = CliRunner()

    def printed(self, section: str) -> list[str]:
        """The commands of a section's blocks, one a line."""
        blocks = BLOCK.findall(self._sections[section])
        lines = "".join(blocks).replace("\\\n", " ").splitlines()
        return [" ".join(line.split()) for line in lines if line.strip()]

    def run(self, line: str) -> str:
        words = shlex.split(line)[1:]
        made = words[:2] == ["trust", "keygen"]
        typed = f"{PASSWORD}\n" * (2 if made else 1)
        result = self._runner.invoke(root, words, input=typed)
        if result.exception is not None:
            raise result.exception
        assert PASSWORD not in result.output
        return result.output

    def follow(self, section: str, changes: dict[str, str] | None = None) -> None:
        """All of a section, with placeholders filled in."""
        for line in self.printed(section):
            for placeholder, text in (changes or {}).items():
                line = line.replace(placeholder, text)  # noqa: PLW2901 - filled in
            self.run(line)

    def sign(self, *names: str) -> str:
        sign = self.printed("The ceremony, once")[2]
        assert "trust sign" in sign
        return [self.run(sign.replace("alice.key", f"{name}.key")) for name in names][-1]

    def id_of(self, name: str) -> str:
        return read_public_key(self._folder / f"{name}.pub").key_id

    def device(self, public: str) -> dict[str, int]:
        """What a device has after it was given an export; it began with the first."""
        store = MetadataStore(
            self._folder / "dev", FolderFetcher(self._folder / public / "metadata")
        )
        if not store.is_planted:
            store.plant((self._folder / public / "root.json").read_bytes())
        return asyncio.run(store.refresh(wall_s=time.time())).versions()


@pytest.fixture
def walk(tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    monkeypatch.chdir(tmp_path)
    page = (project_root / "docs/runbooks/keys.md").read_text(encoding="utf-8")
    return Walk(page, tmp_path)


@pytest.fixture
def founded(walk: Walk, tmp_path: Path) -> Walk:
    """After the ceremony and the first release, with a device that follows."""
    keygen, init, _, export = walk.printed("The ceremony, once")
    for name in ("alice", "bob", "carol", "online"):
        walk.run(keygen.replace("alice", name))
    walk.run(init)
    assert "missing" not in walk.sign("alice", "bob", "online")
    walk.run(export)
    assert walk.device("public") == {"root": 1, "timestamp": 1, "snapshot": 1, "targets": 1}
    (tmp_path / "har-1.2.ewb").write_bytes(b"a bundle")
    walk.follow("Each release")
    assert walk.device("public-2")["targets"] == 2
    return walk


def test_a_role_is_renewed_before_it_expires(founded: Walk) -> None:
    founded.follow("Before something expires")
    founded.run("edgewright trust export repository --out public-3")
    assert founded.device("public-3")["timestamp"] == 3


def test_a_lost_key_is_replaced(founded: Walk) -> None:
    founded.follow("A key was lost", {"BOBS_KEY_ID": founded.id_of("bob")})
    founded.run("edgewright trust export repository --out public-3")
    assert founded.device("public-3")["root"] == 2
    assert founded.id_of("bob")[:12] not in founded.run("edgewright trust status repository")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_stolen_online_key_is_taken_out_and_devices_follow(founded: Walk, served: str) -> None:
    founded.run("edgewright trust keygen new.key")
    stolen = founded.id_of("online")
    founded.follow("A key was stolen", {"STOLEN_KEY_ID": stolen})
    founded.sign("alice", "carol", "new")
    with pytest.raises(InputError, match="has nothing to sign here"):
        founded.sign("online")
    founded.run("edgewright trust export repository --out public-3")
    assert founded.device("public-3")["root"] == 2
    client = "edgewright trust client --metadata-dir CHECK"
    founded.run(f"{client} init public/root.json")
    said = founded.run(f"{client} --metadata-url {served}/public-3/metadata refresh")
    assert "root v2" in said
