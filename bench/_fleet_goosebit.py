"""goosebit beside us, from a virtual environment of its own: an authenticated DDI poll with nothing
to do, read from its database.
"""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from _fleet import Ask

_TABLES = """
import asyncio
from tortoise import Tortoise
from goosebit.db.config import TORTOISE_CONF
async def main():
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    await Tortoise.close_connections()
asyncio.run(main())
"""
_STATE = b"""{"id": "", "status": {"execution": "closed", "result": {"finished": "success"},
"details": []}, "data": {"hw_boardname": "x", "hw_revision": "1", "sw_version": "1"}}"""
_START_S = 60


def version(venv: Path) -> str:
    """Which goosebit it is."""
    code = "from importlib.metadata import version; print(version('goosebit'))"
    done = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, check=True)
    return done.stdout.decode().strip()


@contextlib.contextmanager
def goosebit(venv: Path, folder: Path, devices: int) -> Iterator[tuple[str, list[Ask]]]:
    """Its address and the polls of devices that it knows; it checks the token of every one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with _running(venv, folder, port, mode="setup"):
        for number in range(devices):
            for path, body in ((f"d{number}", None), (f"d{number}/configData", _STATE)):
                _ask(address, path, body)
    with _running(venv, folder, port, mode="strict"):
        yield address, [Ask(_head(address, f"d{number}")) for number in range(devices)]


@contextlib.contextmanager
def _running(venv: Path, folder: Path, port: int, *, mode: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    (folder / "goosebit.yaml").write_text(
        f"port: {port}\ndb_uri: sqlite://{folder}/db.sqlite3\n"
        f"device_auth:\n  enable: true\n  mode: {mode}\n"
    )
    python = str(venv / "bin/python")
    if not (folder / "db.sqlite3").exists():
        subprocess.run([python, "-c", _TABLES], cwd=folder, check=True, capture_output=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [python, "-m", "uvicorn", "goosebit:app", "--host", "127.0.0.1", "--port", str(port),
             "--no-access-log", "--log-level", "error"],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _await(port, process)
            yield
        finally:
            process.terminate()
            process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise SystemExit("goosebit did not start; see its log")


def _ask(address: str, path: str, body: bytes | None) -> None:
    request = urllib.request.Request(
        f"http://{address}/DEFAULT/controller/v1/{path}",
        data=body,
        method="PUT" if body else "GET",
        headers={"authorization": "TargetToken secret", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def _head(address: str, device: str) -> str:
    return (
        f"GET /DEFAULT/controller/v1/{device} HTTP/1.1\r\nhost: {address}\r\n"
        "authorization: TargetToken secret\r\n"
    )
