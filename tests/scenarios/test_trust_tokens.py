"""The ceremony with keys in tokens, by its commands: a PIN from a file, from the environment, from
the URI's pin-source, and from the person; and a device that follows.
"""

import asyncio
import logging
import time
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.tokens import PIN, Tokens, tokens

from edgewright.cli._main import root
from edgewright.device.agent.metadata import MetadataStore
from edgewright.errors import InputError
from edgewright.testing.folder_fetcher import FolderFetcher

__all__ = ["tokens"]


class Desk:
    """A keeper at a terminal, in a folder."""

    def __init__(self, folder: Path, tokens: Tokens) -> None:
        self.folder = folder
        self.said: list[str] = []
        self._tokens = tokens
        self._mark = uuid.uuid4().hex[:8]
        (folder / "pin").write_text(f"{PIN}\n")

    def key(self, name: str, extra: str = "") -> str:
        return self._tokens.uri(f"{name}-{self._mark}") + extra

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, *words: str, typed: str = "", env: dict[str, str] | None = None) -> Result:
        result = CliRunner().invoke(
            root, ["-v", "trust", *words], input=typed, env=env, catch_exceptions=True
        )
        self.said.append(result.output)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def desk(tmp_path: Path, tokens: Tokens) -> Desk:
    return Desk(tmp_path, tokens)


def test_keepers_found_sign_and_rotate_with_keys_in_tokens(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pin = ("--password-file", desk.path("pin"))
    for name, scheme in (("alice", "ed25519"), ("bob", "ecdsa-sha2-nistp256")):
        out = desk.path(f"{name}.pub")
        desk.run("keygen", desk.key(name), *pin, "--scheme", scheme, "--out", out)
    repo = desk.path("repository")
    desk.run(
        *("init", repo, "--root", desk.key("alice"), "--root", desk.path("bob.pub")),
        *("--root-threshold", "2", "--targets", desk.key("bob")),
        *("--snapshot", desk.key("alice"), "--timestamp", desk.key("alice")),
    )
    assert "missing: 1" in desk.run("sign", repo, "--key", desk.key("alice"), *pin).output
    signed = desk.run("sign", repo, "--key", desk.key("bob"), env={"EDGEWRIGHT_PIN": PIN})
    assert "missing" not in signed.output

    (tmp_path / "1.ewb").write_bytes(b"first")
    desk.run("add", repo, desk.path("1.ewb"), "--name", "har/1.ewb")
    desk.run("sign", repo, "--key", desk.key("bob"), typed=f"{PIN}\n")
    desk.run("sign", repo, "--key", desk.key("alice", f"&pin-source=file:{desk.path('pin')}"))
    desk.run("keygen", desk.key("carol"), *pin, "--out", desk.path("carol.pub"))
    desk.run("rotate", repo, "targets", "--add", desk.key("carol"))
    for name in ("alice", "carol", "bob"):
        desk.run("sign", repo, "--key", desk.key(name), *pin)

    desk.run("export", repo, "--out", desk.path("public"))
    assert followed(tmp_path) == {"root": 2, "timestamp": 3, "snapshot": 3, "targets": 3}
    assert not any(PIN in said for said in desk.said)
    assert PIN not in caplog.text


def followed(folder: Path) -> dict[str, int]:
    """What a device makes of it that was given the first root."""
    metadata = folder / "public/metadata"
    store = MetadataStore(folder / "device", FolderFetcher(metadata))
    store.plant((metadata / "1.root.json").read_bytes())
    return asyncio.run(store.refresh(wall_s=time.time())).versions()


def test_the_library_may_stand_in_the_environment(desk: Desk, tokens: Tokens) -> None:
    pin = ("--password-file", desk.path("pin"))
    key = desk.key("dora").partition("?")[0]
    env = {"EDGEWRIGHT_PKCS11_MODULE": tokens.library}
    desk.run("keygen", key, *pin, "--out", desk.path("dora.pub"), env=env)
    desk.run("public", key, "--out", desk.path("again.pub"), env=env)
    assert Path(desk.path("again.pub")).read_bytes() == Path(desk.path("dora.pub")).read_bytes()
    with pytest.raises(InputError, match="which library speaks to the token"):
        desk.run("public", key, "--out", desk.path("third.pub"))


def test_a_wrong_pin_signs_nothing(desk: Desk) -> None:
    pin = ("--password-file", desk.path("pin"))
    desk.run("keygen", desk.key("eve"), *pin, "--out", desk.path("eve.pub"))
    repo = desk.path("repository")
    roles = ("--root", "--targets", "--snapshot", "--timestamp")
    desk.run("init", repo, *(word for role in roles for word in (role, desk.key("eve"))))
    before = Path(repo, "staged.json").read_bytes()
    with pytest.raises(InputError, match="the PIN is wrong"):
        desk.run("sign", repo, "--key", desk.key("eve"), env={"EDGEWRIGHT_PIN": "00000000"})
    with pytest.raises(InputError, match="a PIN does not belong in a pkcs11: URI"):
        desk.run("sign", repo, "--key", desk.key("eve", f"&pin-value={PIN}"))
    assert Path(repo, "staged.json").read_bytes() == before


def test_options_that_belong_to_the_other_kind_of_key_are_refused(desk: Desk) -> None:
    assert desk.run("keygen", desk.key("x")).exit_code == 2
    assert desk.run("keygen", desk.path("x"), "--out", desk.path("y")).exit_code == 2
    assert not Path(desk.path("x")).exists()
