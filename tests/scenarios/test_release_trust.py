"""From offline keys to a device without a network, as people type it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgewright.cli._main import root
from edgewright.errors import ConflictError, TrustError
from edgewright.testing.bundles import build_tiny

pytestmark = pytest.mark.timeout(120)

SUFFIXES = (".pem", ".pub", ".ewb", ".ewx", ".json")


class Desk:
    """A folder in which commands are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> Any:
        """A command's JSON; its paths are relative to the folder."""
        result = CliRunner().invoke(root, [*map(self.path, words), "--json"])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    def keygen(self, name: str) -> None:
        path = str(self.folder / f"{name}.pem")
        done = CliRunner().invoke(root, ["trust", "keygen", path, "--no-password"])
        assert done.exit_code == 0

    def path(self, word: str) -> str:
        """Words that look like a file or one of the two homes are paths."""
        is_path = word in ("F", "D") or word.startswith("F/") or Path(word).suffix in SUFFIXES
        return str(self.folder / word) if is_path and not word.startswith("tiny/") else word


def test_two_keepers_release_and_a_device_takes_an_air_gap_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for name in ("root", "ann", "bob"):
        desk.keygen(name)
    desk.run(
        *("trust", "init", "F/image", "--fleet", "F", "--root", "root.pub"),
        *("--targets", "ann.pub", "--targets", "bob.pub", "--targets-threshold", "2"),
    )
    for name in ("root", "ann", "bob"):
        status = desk.run("trust", "sign", "F/image", "--key", f"{name}.pem")
    assert status["lacks"] == []

    build_tiny(tmp_path / "1.ewb")
    staged = desk.run("release", "publish", "1.ewb", "--home", "F", "--key", "ann.pem")
    assert [(lack["role"], lack["count"]) for lack in staged["lacks"]] == [("targets", 1)]
    assert desk.run("release", "list", "--home", "F")["releases"] == []
    desk.run("trust", "sign", "F/image", "--key", "bob.pem")
    assert desk.run("release", "publish", "1.ewb", "--home", "F")["version"] == "1"

    desk.run("release", "export", "tiny@1", "--home", "F", "--out", "1.ewx")
    image_root = "F/image/metadata/1.root.json"
    desk.run("agent", "enroll", "--image-root", image_root, "--home", "D", "--device", "d1")
    with pytest.raises(TrustError, match="nothing was trusted yet"):
        desk.run("agent", "apply", "1.ewb", "--home", "D")
    assert desk.run("agent", "apply", "1.ewx", "--home", "D")["model"] == "tiny"

    desk.run("trust", "revoke", "F/image", "tiny/1.ewb")
    for name in ("ann", "bob"):
        desk.run("trust", "sign", "F/image", "--key", f"{name}.pem")
    for refused in (
        ("release", "export", "tiny@1", "--home", "F", "--out", "3.ewx"),
        ("rollout", "plan", "tiny@1", "--home", "F"),
        ("rollout", "start", "tiny@1", "--home", "F"),
    ):
        with pytest.raises(ConflictError, match="tiny@1 was taken back"):
            desk.run(*refused)
    build_tiny(tmp_path / "2.ewb", version="2")
    keys = ("--key", "ann.pem", "--key", "bob.pem")
    desk.run("release", "publish", "2.ewb", "--home", "F", *keys)
    desk.run("release", "export", "tiny@2", "--home", "F", "--out", "2.ewx")
    desk.run("agent", "apply", "2.ewx", "--home", "D")
    slots = desk.run("agent", "status", "--home", "D")["models"][0]["slots"]
    damages = [slot.get("damage", "") for slot in slots]
    assert sorted("revoked" in damage for damage in damages) == [False, True]
