"""Wheels made of what is installed here, so that a machine can be given real packages offline."""

import re
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import edgewright

SOURCE = Path(edgewright.__file__).parent


def fill(folder: Path, *, version: str = "", appended: str = "") -> Path:
    """A folder with a wheel of this code, under another version if told, and of all that it needs;
    `appended` joins the file that every command begins with.
    """
    folder.mkdir(exist_ok=True)
    for name in _needed("edgewright"):
        found = distribution(name)
        if name != "edgewright":
            files = {str(path): Path(str(found.locate_file(path))) for path in found.files or ()}
            _pack(folder, found, {k: v.read_bytes() for k, v in files.items() if _is_kept(k, v)})
    _pack(folder, distribution("edgewright"), _own_files(version, appended), version=version)
    return folder


def _needed(name: str) -> set[str]:
    """A package and all that it needs here, without extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [
            canonicalize_name(one.name)
            for one in map(Requirement, distribution(name).requires or ())
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return found


def _is_kept(name: str, path: Path) -> bool:
    """Not programs of this venv, compiled code, or what the installer noted."""
    skipped = ("../", "/__pycache__/", "INSTALLER", "REQUESTED", "direct_url.json", "/RECORD")
    return path.is_file() and not any(part in f"/{name}" for part in skipped)


def _own_files(version: str, appended: str) -> dict[str, bytes]:
    files = {
        f"edgewright/{path.relative_to(SOURCE)}": path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["edgewright/cli/__init__.py"] += appended.encode()
    found = distribution("edgewright")
    if version:
        named = f'__version__ = "{version}"'.encode()
        begin = files["edgewright/__init__.py"]
        files["edgewright/__init__.py"] = re.sub(rb'__version__ = "[^"]*"', named, begin, count=1)
    info = f"edgewright-{version or found.version}.dist-info"
    for name in ("METADATA", "WHEEL", "entry_points.txt"):
        text = found.read_text(name) or ""
        if name == "METADATA" and version:
            text = re.sub(r"(?m)^Version: .*$", f"Version: {version}", text, count=1)
        files[f"{info}/{name}"] = text.encode()
    return files


def _pack(folder: Path, found: Distribution, files: dict[str, bytes], *, version: str = "") -> None:
    tags = re.findall(r"(?m)^Tag: (\S+)$", found.read_text("WHEEL") or "")
    python = ".".join(sorted({tag.split("-")[0] for tag in tags}))
    abi = ".".join(sorted({tag.split("-")[1] for tag in tags}))
    platform = ".".join(sorted({tag.split("-")[2] for tag in tags}))
    name = re.sub(r"[-.]+", "_", found.metadata["Name"])
    version = version or found.version
    (info,) = {key.split("/")[0] for key in files if ".dist-info/" in key}
    path = folder / f"{name}-{version}-{python}-{abi}-{platform}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for key, content in files.items():
            archive.writestr(key, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{key},,\n" for key in files))
