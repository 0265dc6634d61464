"""Make .venv and install the project with its everyday extras; `make setup` runs this.

Needs nothing but Python >= 3.11 with its venv part. Wheels come from where this user's pip and uv
are configured to take them. Running it again repairs what was interrupted and is quick when nothing
changed. The rules are in `setup_plan.py` and `pip_settings.py`.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - said before older versions stumble over the rest
    sys.exit(
        "setup: Python 3.11 or newer is needed, this is "
        + sys.version.split()[0]
        + "; name one with `make setup PYTHON=python3.11`"
    )

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pip_settings
import setup_plan

ROOT = Path(__file__).resolve().parents[1]
STAMP = "setup-stamp.json"
_PROGRESS = ("Downloading", "Building", "Prepared", "Installed")
_NOISE = ("is ignored: it is neither a file nor a directory", "WARNING: Retrying")
_SHOWN_LINES = 20


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Installer:
    """`uv pip` or `pip` of the new environment, with the user's settings."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    ways: tuple[setup_plan.Way, ...]
    afresh: str
    """The flag for a dry run that does not look at what is installed."""

    def run(self, *arguments: str) -> None:
        run([*self.command, "install", *arguments], self.environment)

    def trial(self, way: setup_plan.Way) -> setup_plan.Torch | None:
        """What a way would install; nothing is."""
        command = [*self.command, "install", "--dry-run", self.afresh, *_constraints(), *way.trial]
        defaults = {name: way.environment[name] for name in way.environment.keys() - os.environ}
        code, output = capture(command, {**defaults, **self.environment})
        return setup_plan.resolved_torch(output) if code == 0 else None


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv and install the project into it.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="default: .venv")
    parser.add_argument("--extras", default="", help="more extras, by comma")
    parser.add_argument("--pip", action="store_true", help="use pip even where uv can be had")
    arguments = parser.parse_args()
    start_s = time.monotonic()
    try:
        with alone():
            done = set_up(
                arguments.venv.absolute(),
                setup_plan.extras_of(arguments.extras),
                with_uv=not arguments.pip,
            )
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run the command again to continue", file=sys.stderr)
        return 130
    say(f"{'ready in' if done else 'up to date,'} {time.monotonic() - start_s:.1f} s")
    return 0


def set_up(venv: Path, extras: tuple[str, ...], *, with_uv: bool) -> bool:
    """Bring the environment up to date; false when it was already."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if unknown := setup_plan.unknown_extras(extras, project["optional-dependencies"]):
        known = ", ".join(sorted(project["optional-dependencies"]))
        raise SetupError(f"no such extras: {', '.join(unknown)}; there are: {known}")
    wanted = setup_plan.fingerprint(
        [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")],
        f"{sys.version} {venv}",
    )
    stamp = read_stamp(venv)
    if setup_plan.is_done(stamp, wanted=wanted, extras=extras) and works(venv):
        return False
    (venv / STAMP).unlink(missing_ok=True)
    make_venv(venv)
    install(
        installer(venv, with_uv=with_uv),
        [extra for extra in extras if extra not in setup_plan.CHILDREN],
    )
    for extra, name in setup_plan.CHILDREN.items():
        if extra in extras:
            packages = project["optional-dependencies"][extra]
            install_child(venv.parent / f".venv-convert-{name}", packages, with_uv=with_uv)
    write_stamp(venv, {"fingerprint": wanted, "extras": list(extras)})
    return True


def make_venv(venv: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    if works(venv) and _python_version(venv) == version:
        return
    say(f"making {venv.name} with Python {version}")
    run([sys.executable, "-m", "venv", "--clear", str(venv)])


def installer(venv: Path, *, with_uv: bool) -> Installer:
    """The quick installer where it can be had, else pip."""
    python = str(venv / "bin" / "python")
    pairs = pip_settings.parse(pip_config_list(python))
    for_pip = pip_settings.pip_environment(pairs, Path.exists)
    has_gpu = gpu_is_here()
    if with_uv and get_uv(venv, for_pip):
        for_uv = pip_settings.uv_environment(pairs, os.environ, uv_file_keys(), Path.exists)
        find_links = os.environ.get("UV_FIND_LINKS") or for_uv.get("UV_FIND_LINKS", "")
        return Installer(
            (str(venv / "bin" / "uv"), "pip"),
            {**for_uv, "VIRTUAL_ENV": str(venv), "UV_PYTHON": python},
            setup_plan.uv_ways(find_links=find_links, has_gpu=has_gpu),
            afresh="--reinstall",
        )
    find_links = for_pip.get("PIP_FIND_LINKS", "")
    return Installer(
        (python, "-m", "pip"),
        for_pip,
        setup_plan.pip_ways(find_links=find_links),
        "--force-reinstall",
    )


def get_uv(venv: Path, for_pip: Mapping[str, str]) -> bool:
    """Install uv into the environment; false, and a line, when it cannot be had."""
    if capture([str(venv / "bin" / "uv"), "--version"])[0] == 0:
        return True
    say(f"installing {setup_plan.UV_REQUIREMENT}")
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", setup_plan.UV_REQUIREMENT]
    code, output = capture(command, for_pip)
    if code != 0:
        say(f"uv cannot be had ({setup_plan.meaning(output)}); going on with pip, which is slower")
    return code == 0


def install(chosen: Installer, extras: Sequence[str]) -> None:
    choice = setup_plan.choose(chosen.ways, chosen.trial, has_gpu=gpu_is_here())
    say(choice.note or f"torch: {choice.requirement} by {choice.way}")
    say(f"installing edgewright[{','.join(extras)}]")
    project = f"{ROOT}[{','.join(extras)}]"
    chosen.run(*choice.install, *_constraints(), choice.requirement, "--editable", project)
    chosen.run("--no-deps", setup_plan.PUBLIC_DATA)


def install_child(venv: Path, packages: Sequence[str], *, with_uv: bool) -> None:
    """A converter in an environment of its own, beside the one that calls it."""
    make_venv(venv)
    chosen = installer(venv, with_uv=with_uv)
    choice = setup_plan.choose(chosen.ways, chosen.trial, has_gpu=gpu_is_here())
    say(f"installing {', '.join(packages)} into {venv.name}")
    chosen.run(*choice.install, choice.requirement, *packages)


def pip_config_list(venv_python: str) -> str:
    """Settings of pip as this interpreter's pip sees them, else as the new environment's does."""
    for python in (sys.executable, venv_python):
        code, output = capture([python, "-m", "pip", "config", "list"])
        if code == 0:
            return output
    return ""


def uv_file_keys() -> frozenset[str]:
    """Top-level keys of the uv.toml files that uv reads here, `[pip]`'s included."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    named = os.environ.get("UV_CONFIG_FILE")
    files = [Path(named)] if named else [home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    keys: set[str] = set()
    for file in files:
        with contextlib.suppress(OSError, tomllib.TOMLDecodeError):  # uv reports a broken one
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            keys.update(content, content.get("pip", {}))
    return frozenset(keys)


def gpu_is_here() -> bool:
    if shutil.which("nvidia-smi") is None:
        return False
    return capture(["nvidia-smi", "--list-gpus"])[0] == 0


def works(venv: Path) -> bool:
    """Whether the environment's interpreter starts and has its pip."""
    return capture([str(venv / "bin" / "python"), "-c", "import pip, encodings"])[0] == 0


def _python_version(venv: Path) -> str:
    command = [
        str(venv / "bin" / "python"),
        "-c",
        "import platform as p; print(p.python_version())",
    ]
    return capture(command)[1].strip()


def read_stamp(venv: Path) -> dict[str, object]:
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(venv: Path, stamp: Mapping[str, object]) -> None:
    temp = venv / f".tmp-{STAMP}"
    temp.write_text(json.dumps(stamp), encoding="utf-8")
    temp.replace(venv / STAMP)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One set-up at a time: two `make` commands may run side by side."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a step, pass its progress on, and say what a failure means."""
    lines = []
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        for line in child.stdout or ():
            lines.append(line)
            if line.strip().startswith(_PROGRESS):
                say(f"  {line.strip()}")
    if child.returncode != 0:
        telling = [line for line in lines if not any(noise in line for noise in _NOISE)]
        sys.stderr.write("".join(telling[-_SHOWN_LINES:]))
        raise SetupError(setup_plan.meaning("".join(lines)))


def capture(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit status and both outputs of a command that may fail; 127 if there is none."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def _constraints() -> tuple[str, str]:
    return "--constraint", str(ROOT / "constraints.txt")


if __name__ == "__main__":
    sys.exit(main())
