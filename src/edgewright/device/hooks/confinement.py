"""Hold this process down, for good, before it reads a line that came with a bundle.

In this order: output to nowhere, an empty environment, limits of memory and files, no new
privileges, Landlock, the list of system calls. Where the kernel has no Landlock, no file can be
opened at all: a hook then imports only what is loaded already, and has no scratch folder. Without
system call filters nothing is run.
"""

import ctypes
import os
import platform
import resource
import sysconfig
from pathlib import Path

from edgewright.device.hooks import landlock, seccomp

OPEN_FILES_MOST = 32
MIB = 1 << 20
_PR_SET_NO_NEW_PRIVS = 38
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")


def confine(scratch: Path, *, memory_mb: float, scratch_mb: float) -> None:
    """Confine this process to itself and its scratch folder.

    Raises:
        UnavailableError: this machine cannot.
    """
    program = seccomp.filter_program(platform.machine(), files=landlock.version() > 0)
    _hush()
    os.environ.clear()
    os.chdir(scratch)
    _limit(memory_mb, scratch_mb)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not landlock.confine(readable=_python_folders(), scratch=scratch):
        program = seccomp.filter_program(platform.machine(), files=False)
    seccomp.install(program)


def _hush() -> None:
    """What a hook prints goes nowhere: logs are the server's."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _limit(memory_mb: float, scratch_mb: float) -> None:
    """Address space beyond what is mapped now, size of a file, open files, no core."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    mapped = pages * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, mapped + int(memory_mb * MIB)),
        (resource.RLIMIT_FSIZE, int(scratch_mb * MIB)),
        (resource.RLIMIT_NOFILE, OPEN_FILES_MOST),
        (resource.RLIMIT_CORE, 0),
    ):
        inherited = resource.getrlimit(what)[1]
        least = most if inherited == resource.RLIM_INFINITY else min(most, inherited)
        resource.setrlimit(what, (least, least))


def _python_folders() -> list[Path]:
    """Where modules and the libraries under them lie; no secrets do."""
    paths = sysconfig.get_paths()
    names = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return [Path(name) for name in (*sorted(names), *_LIBRARIES)]
