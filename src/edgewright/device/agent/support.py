"""One file for whoever helps from afar: status, settings, logs' ends, the machine. No secrets.

Made from the disk alone and part by part: what cannot be read is named in it and hinders nothing
else. The device's secret is taken out of every part, wherever it may have got to.
"""

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgewright import _fs
from edgewright.device.agent.facts import read_facts
from edgewright.device.agent.home import Home
from edgewright.device.agent.status import AgentStatus
from edgewright.errors import EdgewrightError, InputError

TAIL_BYTES = 512 * 1024
FOLDER = "edgewright-support"
HIDDEN = b"[secret]"
SECRET_LEAST = 4
_LOGIN = re.compile(rb"(://[^\s\"'/@:]*):[^\s\"']*@")
"""A password in an address, which settings refuse: a file that was refused is gathered too."""


def write_support_bundle(
    path: Path, home: Home, *, status: Callable[[], AgentStatus], at_s: float
) -> tuple[str, ...]:
    """Write the file, for its owner's eyes only; returns the names of what is in it.

    Raises:
        InputError: there is no such home.
        ResourceError: the disk is full or failed.
    """
    if not home.root.is_dir():
        raise InputError(f"{home.root} is not there", hint="name the agent's own folder")
    makers: dict[str, Callable[[], bytes]] = {
        "status.json": lambda: _json(status()),
        "facts.json": lambda: _json(read_facts(home.root)),
        "files.txt": lambda: _listing(home.root),
        "agent.toml": lambda: _LOGIN.sub(rb"\1:[secret]@", _tail(home.settings_path)),
        "trust.json": lambda: _anchor(home),
        "journal.log": lambda: _tail(home.journal_path),
        "outbox.log": lambda: _tail(home.outbox_path),
        "server.log": lambda: _tail(home.server_log),
    }
    parts, missing = _made(makers)
    parts["missing.txt"] = "".join(f"{line}\n" for line in missing).encode()
    secret = _secret(home)
    clean = {name: _without(content, secret) for name, content in parts.items()}
    _fs.write_atomic(path, _packed(clean, at_s), mode=0o600)
    return tuple(clean)


def _made(makers: dict[str, Callable[[], bytes]]) -> tuple[dict[str, bytes], list[str]]:
    parts: dict[str, bytes] = {}
    missing: list[str] = []
    for name, make in makers.items():
        try:
            parts[name] = make()
        except (EdgewrightError, OSError) as error:
            missing.append(f"{name}: {error}")
    return parts, missing


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _tail(path: Path) -> bytes:
    """The end of a file, from a whole line on."""
    with _fs.file_errors(path, doing="reading"), path.open("rb") as file:
        size_bytes = file.seek(0, io.SEEK_END)
        file.seek(max(0, size_bytes - TAIL_BYTES))
        content = file.read(TAIL_BYTES)
    return content if size_bytes <= TAIL_BYTES else content.partition(b"\n")[2]


def _anchor(home: Home) -> bytes:
    """The pinned keys, or the roots that were planted; both are public."""
    if home.trust_path.exists():
        return _tail(home.trust_path)
    roots = sorted(home.repositories.glob("*/root.json"))
    return b"".join(map(_tail, roots))


def _listing(root: Path) -> bytes:
    """What lies in the home: sizes and names, no contents."""
    lines = []
    for path in sorted(root.rglob("*")):
        target = f" -> {path.readlink()}" if path.is_symlink() else ""
        lines.append(f"{path.lstat().st_size:>12} {path.relative_to(root)}{target}\n")
    return "".join(lines).encode()


def _secret(home: Home) -> str:
    """What must not leave; an identity that cannot be read is not in the file either."""
    try:
        return home.identity().secret
    except EdgewrightError:
        return ""


def _without(content: bytes, secret: str) -> bytes:
    if len(secret) < SECRET_LEAST:
        return content
    for form in (secret, json.dumps(secret)[1:-1]):
        content = content.replace(form.encode(), HIDDEN)
    return content


def _packed(parts: dict[str, bytes], at_s: float) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size, member.mtime, member.mode = len(content), int(at_s), 0o600
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
