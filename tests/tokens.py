"""Tokens (SoftHSM) and TPMs (swtpm) in software, for tests."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.brokers import wait_until_it_listens

from edgewright.chain.processes import free_port

PIN = "48151623"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


class Tokens:
    """A SoftHSM of its own. Its library reads the folder once a process, so all tokens are made
    before the first is used.
    """

    def __init__(self, folder: Path, labels: tuple[str, ...]) -> None:
        if importlib.util.find_spec("pkcs11") is None:
            pytest.skip("absent: python-pkcs11 (extra pkcs11)")
        program = shutil.which("softhsm2-util")
        libraries = [path for path in LIBRARIES if Path(path).exists()]
        if program is None or not libraries:
            pytest.skip("absent: softhsm2-util (Debian package softhsm2)")
        self.library = libraries[0]
        self.config = folder / "softhsm2.conf"
        (folder / "tokens").mkdir()
        self.config.write_text(f"directories.tokendir = {folder / 'tokens'}\n")
        for label in labels:
            subprocess.run(
                [program, "--init-token", "--free", "--label", label, "--pin", PIN,
                 "--so-pin", "00000000"],
                check=True,
                capture_output=True,
                env={**os.environ, "SOFTHSM2_CONF": str(self.config)},
            )  # fmt: skip

    def uri(self, name: str, *, token: str = "KEEPERS") -> str:
        return f"pkcs11:token={token};object={name}?module-path={self.library}"


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    made = Tokens(tmp_path_factory.mktemp("softhsm"), ("KEEPERS", "TWIN", "TWIN"))
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(made.config)
    yield made
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


class SoftTpm:
    """A TPM 2.0 in software (swtpm), with a seed of its own; with a `maker`, the folder of an
    authority (made when it is new), it carries that one's certificate.
    """

    def __init__(self, folder: Path, *, maker: Path | None = None) -> None:
        program = shutil.which("swtpm")
        if program is None:
            pytest.skip("absent: swtpm (Debian package swtpm)")
        if shutil.which("tpm2_create") is None:
            pytest.skip("absent: tpm2_create (Debian package tpm2-tools)")
        folder.mkdir()
        if maker is not None:
            _certify(folder, maker)
        port = _two_free_ports()
        self.tcti = f"swtpm:host=127.0.0.1,port={port}"
        self._process = subprocess.Popen(
            [program, "socket", "--tpm2", "--tpmstate", f"dir={folder}",
             "--server", f"type=tcp,bindaddr=127.0.0.1,port={port}",
             "--ctrl", f"type=tcp,bindaddr=127.0.0.1,port={port + 1}",
             "--flags", "not-need-init,startup-clear"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until_it_listens(port + 1)

    def extend(self, pcr: int, text: str) -> None:
        """As if something else had been started."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._tool("tpm2_pcrextend", f"{pcr}:sha256={digest}")

    def reset(self, pcr: int) -> None:
        """What a restart does to every register; only 16 and 23 allow it without one."""
        self._tool("tpm2_pcrreset", str(pcr))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _tool(self, *words: str) -> None:
        env = {**os.environ, "TPM2TOOLS_TCTI": self.tcti}
        subprocess.run(words, check=True, capture_output=True, env=env)


def _certify(state: Path, maker: Path) -> None:
    """Let a maker write its certificate into a new TPM; its own lies in `issuercert.pem`."""
    program, tool = shutil.which("swtpm_setup"), shutil.which("swtpm_localca")
    if program is None or tool is None:
        pytest.skip("absent: swtpm_setup (Debian package swtpm-tools)")
    maker.mkdir(exist_ok=True)
    (maker / "options.conf").touch()
    (maker / "ca.conf").write_text(
        f"statedir = {maker}\nsigningkey = {maker}/signkey.pem\n"
        f"issuercert = {maker}/issuercert.pem\ncertserial = {maker}/certserial\n"
    )
    (maker / "setup.conf").write_text(
        f"create_certs_tool = {tool}\ncreate_certs_tool_config = {maker}/ca.conf\n"
        f"create_certs_tool_options = {maker}/options.conf\nactive_pcr_banks = sha256\n"
    )
    words = ["--tpm2", "--tpm-state", str(state), "--create-ek-cert", "--overwrite"]
    config = ["--config", str(maker / "setup.conf"), "--runas", str(os.geteuid())]
    done = subprocess.run([program, *words, *config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _two_free_ports() -> int:
    """A port with a free one after it: the second is the TPM's control channel, by convention."""
    for _ in range(50):
        port = free_port()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 1))
            return port
    pytest.fail("no two free ports side by side")


@pytest.fixture(scope="session")
def soft_tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftTpm]:
    made = SoftTpm(tmp_path_factory.mktemp("swtpm") / "state")
    yield made
    made.stop()
