"""The files that a hook may reach: what Python reads, and its scratch folder (Linux 5.13 on)."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_FIRST_RIGHTS = 13
"""How many rights the first version of the interface knew; each of these versions added one."""
_RIGHTS_ADDED_BY = (2, 3, 5)
_NETWORK_SINCE, _NETWORK = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11

_READ = _READ_FILE | _READ_DIR
_SCRATCH = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _TRUNCATE


def version() -> int:
    """The version of the kernel's interface, 0 where there is none."""
    return max(0, _call(_CREATE, None, 0, _ASK_VERSION))


def confine(*, readable: Iterable[Path], scratch: Path) -> bool:
    """Let this thread reach these folders and no other file; False where the kernel cannot. The
    caller has given up new privileges before (`seccomp.install` needs the same).
    """
    known = version()
    if not known:
        return False
    rights = (1 << (_FIRST_RIGHTS + sum(known >= since for since in _RIGHTS_ADDED_BY))) - 1
    handled = struct.pack("=Q", rights)
    if known >= _NETWORK_SINCE:
        handled += struct.pack("=Q", _NETWORK)
    if known >= _SCOPES_SINCE:
        handled += struct.pack("=Q", _SCOPES)
    rules = _call(_CREATE, handled, len(handled), 0)
    if rules < 0:
        return False
    try:
        allowed = [(folder, _READ) for folder in readable if folder.is_dir()]
        for folder, wanted in (*allowed, (scratch, _SCRATCH)):
            _add(rules, folder, wanted & rights)
        return _call(_RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)


def _add(rules: int, folder: Path, rights: int) -> None:
    handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, handle)
        if _call(_ADD, rules, _PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), f"landlock refuses a rule for {folder}")
    finally:
        os.close(handle)


def _call(number: int, *arguments: bytes | int | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    given = [
        ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments
    ]
    return int(libc.syscall(ctypes.c_long(number), *given))
