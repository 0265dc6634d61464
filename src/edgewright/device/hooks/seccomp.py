"""The system calls that a hook may make: a short list, everything else answers "not permitted".

No socket, no process or thread, no signal to others, no change of a limit, a signal handler or what
signals are blocked, no io_uring, no ptrace. `fcntl` and `ioctl` only with the requests that Python
itself makes: others name a process to be signalled when a file is ready. With `files=False` also
none that opens or changes a file.

    >>> program = filter_program("x86_64", files=True)
    >>> len(program) % 8
    0
"""

import ctypes
import struct

from edgewright.errors import UnavailableError

_FILES = frozenset(
    (
        *("open", "openat", "stat", "lstat", "newfstatat", "statx", "statfs", "fstatfs"),
        *("access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "getdents64"),
        *("unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2"),
        *("truncate", "ftruncate", "fsync", "fdatasync", "umask"),
    )
)

# name -> number on x86_64 and aarch64; None where an architecture has no such call.
_NUMBERS: dict[str, tuple[int, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "open": (2, None),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, None),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "ioctl": (16, 29),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "readv": (19, 65),
    "writev": (20, 66),
    "access": (21, None),
    "select": (23, None),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "dup": (32, 23),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "exit": (60, 93),
    "uname": (63, 160),
    "fcntl": (72, 25),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "rename": (82, None),
    "mkdir": (83, None),
    "rmdir": (84, None),
    "unlink": (87, None),
    "readlink": (89, None),
    "umask": (95, 166),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "getdents64": (217, 61),
    "restart_syscall": (219, 128),
    "fadvise64": (221, 223),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "readlinkat": (267, 78),
    "faccessat": (269, 48),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    "getcpu": (309, 168),
    "renameat2": (316, 276),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "statx": (332, 291),
    "rseq": (334, 293),
    "faccessat2": (439, 439),
}
# The only requests (second argument) of the calls that would else do far more. Both architectures
# number them alike, and the kernel looks at no more than their lower half.
_REQUESTS: dict[str, tuple[int, ...]] = {
    "fcntl": (1, 2, 3, 1030),  # F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
    "ioctl": (0x5401, 0x5451),  # TCGETS, FIOCLEX
}
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_AT_NUMBER, _AT_ARCHITECTURE, _AT_REQUEST = 0, 4, 24  # offsets in struct seccomp_data
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NOT_PERMITTED = 0x00050001  # SECCOMP_RET_ERRNO | EPERM

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def filter_program(machine: str, *, files: bool) -> bytes:
    """The filter as instructions of the kernel's machine.

    Raises:
        UnavailableError: the numbers of this architecture are not known here.
    """
    if machine not in _ARCHITECTURES:
        raise UnavailableError(
            f"hooks cannot be confined on {machine}: its system calls are not known here",
            hint=f"known: {', '.join(sorted(_ARCHITECTURES))}; build the bundle without hooks",
        )
    architecture, column = _ARCHITECTURES[machine]
    calls = [
        (number, _REQUESTS.get(name, ()))
        for name, row in _NUMBERS.items()
        if (number := row[column]) is not None and (files or name not in _FILES)
    ]
    rules: list[bytes] = []
    for number, requests in reversed(calls):
        rules = [*_rule(number, requests, before=len(rules) + 1), *rules]
    code = [
        _instruction(_LOAD_WORD, _AT_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, if_so=1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD_WORD, _AT_NUMBER),
        *rules,
        _instruction(_RETURN, _NOT_PERMITTED),
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(code)


def install(program: bytes) -> None:
    """Hold this thread and all that it becomes to the filter, for good.

    Raises:
        UnavailableError: this kernel has no filters.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    given = _Program(len(program) // 8, program)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(given), 0, 0
    ):
        raise UnavailableError(
            "hooks cannot be confined: this kernel has no seccomp filters "
            f"(error {ctypes.get_errno()})",
            hint="use a kernel with CONFIG_SECCOMP_FILTER, or a bundle without hooks",
        )


def _rule(number: int, requests: tuple[int, ...], *, before: int) -> list[bytes]:
    """Allow a call, which is so many instructions further on; with requests, these alone."""
    if not requests:
        return [_instruction(_JUMP_EQUAL, number, if_so=before)]
    return [
        _instruction(_JUMP_EQUAL, number, if_not=len(requests) + 2),
        _instruction(_LOAD_WORD, _AT_REQUEST),
        *(
            _instruction(_JUMP_EQUAL, request, if_so=len(requests) - place + before)
            for place, request in enumerate(requests)
        ),
        _instruction(_RETURN, _NOT_PERMITTED),
    ]


def _instruction(code: int, value: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)
