"""Make build/arm64: an arm64 Debian's Python with the device package, run by qemu's user emulation;
`make test-arm64` and the tests marked `arm64` run this.

    build/arm64/venv/bin/python       this project on an emulated Cortex-A76
    build/arm64/venv/bin/edgewright   its command

Needs no root, no binfmt_misc and no change to the host's apt: Debian's packages come through an
apt with a state of its own, and are only unpacked. apt verifies Debian's signatures, each package
is held to the hash in the signed list before it is unpacked, and pip verifies the hashes of the
package index. What was fetched stays, so an interrupted run goes on where it was. The rules are in
`arm64_plan.py`.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

import arm64_plan
import setup_venv
from arm64_plan import Package
from setup_venv import ROOT, SetupError

FOLDER = ROOT / "build" / "arm64"
QEMU = "qemu-aarch64-static"
TOOLS = {
    QEMU: "Debian package qemu-user-static",
    "apt-get": "runs on Debian and its descendants",
    "dpkg-deb": "runs on Debian and its descendants",
}
_SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Make build/arm64 (see this file's first lines).")
    parser.add_argument("--fresh", action="store_true", help="ask Debian and the index once more")
    start_s = time.monotonic()
    try:
        with alone(FOLDER):
            done = make(FOLDER, fresh=parser.parse_args().fresh)
    except SetupError as error:
        print(f"arm64: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\narm64: interrupted; run the command again to continue", file=sys.stderr)
        return 130
    say(f"{'ready in' if done else 'up to date,'} {time.monotonic() - start_s:.1f} s")
    return 0


def absent() -> str:
    """The first tool that is not here, and what brings it; empty when all are."""
    lacking = (f"{tool} ({where})" for tool, where in TOOLS.items() if shutil.which(tool) is None)
    return next(lacking, "")


def make(folder: Path, *, fresh: bool = False) -> bool:
    """Bring it up to date; false when it was already."""
    if lacking := absent():
        raise SetupError(f"there is no {lacking}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *arm64_plan.test_requirements(project["optional-dependencies"]["dev"]),
    ]
    wanted = arm64_plan.fingerprint(
        {
            "requirements": json.dumps(requirements).encode(),
            "constraints": (ROOT / "constraints.txt").read_bytes(),
            "rules": Path(arm64_plan.__file__).read_bytes(),
            "tool": Path(__file__).read_bytes(),
            "place": f"{folder} {os.cpu_count()}".encode(),
        }
    )
    if not fresh and setup_venv.read_stamp(folder).get("fingerprint") == wanted:
        describe_project(folder / "venv")
        return False
    (folder / setup_venv.STAMP).unlink(missing_ok=True)
    packages = fetch_packages(folder / "apt")
    root = unpack_root(folder, packages)
    install_wheels(folder, requirements, root, packages)
    setup_venv.write_stamp(folder, {"fingerprint": wanted})
    return True


def fetch_packages(folder: Path) -> tuple[Package, ...]:
    """Debian's packages in `folder/cache/archives`, each with the hash that Debian signed."""
    settings = write_apt(folder)
    say("asking Debian for its lists of arm64 packages")
    told = {"APT_CONFIG": str(settings), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    setup_venv.run(["apt-get", "update", "-qq"], told)
    install = ["apt-get", "install", "--yes", "-qq", *arm64_plan.DEBIAN_PACKAGES]
    packages = arm64_plan.planned(output_of([*install, "--simulate"], told))
    say(f"fetching {len(packages)} Debian packages")
    setup_venv.run([*install, "--download-only"], told)
    names = [f"{one.name}={one.version}" for one in packages]
    verify(folder, packages, arm64_plan.hashes(output_of(["apt-cache", "show", *names], told)))
    return packages


def write_apt(folder: Path) -> Path:
    """The configuration of an apt that leaves the host's alone, with the host's mirrors."""
    for part in ("state/lists/partial", "cache/archives/partial", "sources"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    sources = [path for path in _SOURCES if path.is_file() and path.read_text().strip()]
    if not sources:
        raise SetupError(f"no Debian mirror is named in {' or '.join(map(str, _SOURCES))}")
    for path in sources:
        shutil.copyfile(path, folder / "sources" / path.with_stem("debian").name)
    settings = folder / "apt.conf"
    settings.write_text(arm64_plan.apt_settings(folder), encoding="utf-8")
    return settings


def verify(folder: Path, packages: Sequence[Package], known: Mapping[tuple[str, str], str]) -> None:
    """Hold what lies in the cache to Debian's list: apt looks only at the size of a file that it
    finds there.
    """
    for package in packages:
        path = folder / "cache" / "archives" / package.file_name
        expected = known.get((package.name, package.version))
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            path.unlink()
            raise SetupError(
                f"{package.file_name}: SHA-256 {found}, Debian's list says {expected}; "
                "run the command again to fetch it afresh"
            )


def unpack_root(folder: Path, packages: Sequence[Package]) -> Path:
    """The root: the packages' files, and a /proc/cpuinfo of the emulated machine."""
    new, root = folder / "rootfs.new", folder / "rootfs"
    say(f"unpacking them into {root.relative_to(ROOT)}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for package in packages:
        deb = folder / "apt" / "cache" / "archives" / package.file_name
        setup_venv.run(["dpkg-deb", "--extract", str(deb), str(new)])
    (new / "proc").mkdir(exist_ok=True)
    cores = os.cpu_count() or 1
    (new / "proc" / "cpuinfo").write_text(arm64_plan.cpuinfo(cores), encoding="utf-8")
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    return root


def python_of(root: Path) -> str:
    """`python3.11`: what Debian's python3 is."""
    return (root / "usr" / "bin" / "python3").readlink().name


def install_wheels(
    folder: Path, requirements: Sequence[str], root: Path, packages: Sequence[Package]
) -> None:
    """A virtual environment whose interpreter is qemu, with wheels for aarch64 of the versions in
    constraints.txt.
    """
    new, venv, python = folder / "venv.new", folder / "venv", python_of(root)
    say(f"installing wheels for aarch64 into {venv.relative_to(ROOT)}")
    shutil.rmtree(new, ignore_errors=True)
    version = python.removeprefix("python")
    is_alike = version == f"3.{sys.version_info.minor}"  # then what it compiles here fits there
    setup_venv.installer(ROOT / ".venv", with_uv=False).run(
        *("--quiet", "--compile" if is_alike else "--no-compile"),
        *("--target", str(new / "lib" / python / "site-packages")),
        *("--constraint", str(ROOT / "constraints.txt")),
        *arm64_plan.wheel_options(arm64_plan.glibc_minor(packages), version),
        *requirements,
    )
    (new / "bin").mkdir()
    script = venv / "bin" / "python"
    command = arm64_plan.python_script(QEMU, root=root, python=python, script=script)
    write_script(new / "bin" / "python", command)
    write_script(new / "bin" / "edgewright", f"#!/bin/sh\nexec '{script}' -m edgewright \"$@\"\n")
    (new / "pyvenv.cfg").write_text(
        f"home = {root}/usr/bin\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    describe_project(new)
    shutil.rmtree(venv, ignore_errors=True)
    new.rename(venv)


def describe_project(venv: Path) -> None:
    """This clone's code, as it is now, and what its installation here says of it."""
    (site,) = venv.glob("lib/python3*/site-packages")
    found = distribution("edgewright")
    info = f"edgewright-{found.version}.dist-info"
    files = {"edgewright.pth": f"{ROOT / 'src'}\n"}
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = found.read_text(name) or ""
    for stale in site.glob("edgewright-*.dist-info"):
        if stale.name != info:
            shutil.rmtree(stale)
    (site / info).mkdir(exist_ok=True)
    for name, text in files.items():
        # Another test may be reading it: an unchanged file is left alone.
        if not (site / name).exists() or (site / name).read_text(encoding="utf-8") != text:
            (site / name).write_text(text, encoding="utf-8")


def write_script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def output_of(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints that has to work."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command[:2])}: {done.stderr.strip()[-500:]}")
    return done.stdout


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One at a time: tests on several workers ask side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    print(f"arm64: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
