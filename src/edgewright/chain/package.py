"""The agent's own code: which one a start runs, and bundles of it."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

import edgewright
from edgewright.bundle import Bundle, Draft, build_bundle, open_bundle
from edgewright.contract import Contract, Tensor
from edgewright.device.agent import (
    PACKAGE,
    Home,
    PackageProbe,
    Packages,
    PackageServer,
    ProcessLimits,
    ProcessProbe,
    Slots,
    Tools,
)
from edgewright.device.agent.package import FORMAT, wheel_version
from edgewright.errors import ResourceError
from edgewright.trust import Signer

CODE = Path(edgewright.__file__).resolve().parent.parent
"""Where this process's code lies."""
MODULES = "PYTHONPATH"
CHECK_LIMITS = ProcessLimits(timeout_s=120.0, memory_mb=512.0)

logger = logging.getLogger(__name__)


def packages_of(home: Home, slots: Slots) -> Packages:
    """The packages of a device, as this process sees them."""
    return Packages(home, slots, CODE)


def hand_over(home: Home, slots: Slots) -> None:
    """Become the current package where that is another one than this; else come back."""
    packages = packages_of(home, slots)
    if packages.running or home.is_locked or (code := packages.next_code) is None:
        return
    try:
        packages.note_start(packages.current)
    except ResourceError as error:  # a full disk must not keep a device from answering
        logger.warning("a start of the current package is not counted: %s", error)
    _become(home, (str(code), *_module_folders(home)))


def start_anew(home: Home) -> NoReturn:
    """Begin again with the installed code, which hands over to what is current."""
    _become(home, _module_folders(home))


def package_tools(tools: Tools, packages: Packages, home: Home, *, is_on: bool) -> Tools:
    """What updates of the package work with: the models' tools, but for what tries and serves."""
    return msgspec.structs.replace(
        tools,
        probe=PackageProbe(packages, _check_of, home.root),
        server=PackageServer(packages, is_on=is_on),
        replay=None,
        step_hooks=None,
    )


def build_package(wheel: Path, out: Path, *, signers: Sequence[Signer] = ()) -> Bundle:
    """A bundle of a wheel of this software, to be released like any.

    Raises:
        TrustError: it is no such wheel.
        InputError: its version is no name for a bundle.
    """
    draft = Draft(
        name=PACKAGE, version=wheel_version(wheel), format=FORMAT, precision="code", contract=_CHECK
    )
    build_bundle(out, draft, [("model", wheel.name, wheel)], signers=signers)
    return open_bundle(out)


# What a package is asked: its health check takes a home and gives a report.
_CHECK = Contract(
    inputs=(Tensor(name="home", dtype="string", shape=(1,)),),
    outputs=(Tensor(name="report", dtype="string", shape=(1,)),),
)


def _check_of(code: Path) -> ProcessProbe:
    """The check of a package by its own code."""
    command = ("/usr/bin/env", f"{MODULES}={code}", sys.executable, "-m")
    return ProcessProbe((*command, "edgewright.chain.package_check"), CHECK_LIMITS)


def _module_folders(home: Home) -> tuple[str, ...]:
    """Where the environment says that modules are, without packages of this home."""
    named = os.environ.get(MODULES, "").split(os.pathsep)
    ours = str(home.packages)
    return tuple(name for name in named if name and not name.startswith(ours))


def _become(home: Home, modules: tuple[str, ...]) -> NoReturn:
    others = {name: value for name, value in os.environ.items() if name != MODULES}
    environment = others | ({MODULES: os.pathsep.join(modules)} if modules else {})
    flags = ["--verbose"] if logging.getLogger("edgewright").isEnabledFor(logging.INFO) else []
    command = [sys.executable, "-m", "edgewright", *flags, "agent", "run", "--home", str(home.root)]
    os.execve(sys.executable, command, environment)  # noqa: S606 - this program again
