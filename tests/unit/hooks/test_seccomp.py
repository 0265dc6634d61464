"""The filter as the kernel's machine reads it, for architectures that this machine is not."""

import struct

import pytest

from edgewright.device.hooks.seccomp import filter_program

ALLOW, NOT_PERMITTED, KILL = 0x7FFF0000, 0x00050001, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FCNTL, IOCTL = {"x86_64": 72, "aarch64": 25}, {"x86_64": 16, "aarch64": 29}
READ, PROCMASK = {"x86_64": 0, "aarch64": 63}, {"x86_64": 14, "aarch64": 135}
SIGRETURN, FACCESSAT2 = {"x86_64": 15, "aarch64": 139}, {"x86_64": 439, "aarch64": 439}


def verdict(machine: str, call: int, request: int = 0, *, files: bool = True) -> int:
    program = filter_program(machine, files=files)
    data = struct.pack("=iIQ6Q", call, ARCHITECTURES[machine], 0, 9, request, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", program))
    held, at = 0, 0
    while True:
        code, if_so, if_not, value = steps[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            at += if_so if held == value else if_not
        else:
            assert code == 0x06
            return int(value)


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_requests_that_python_makes_pass_and_no_others(machine: str, files: bool) -> None:
    passing = {FCNTL[machine]: (1, 2, 3, 1030), IOCTL[machine]: (0x5401, 0x5451)}
    for call, requests in passing.items():
        for request in (*range(2048), *range(0x5400, 0x5500), 0x8901, 0x8902):
            allowed = ALLOW if request in requests else NOT_PERMITTED
            assert verdict(machine, call, request, files=files) == allowed, (call, request)


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_the_list_is_what_passes(machine: str) -> None:
    assert verdict(machine, READ[machine]) == ALLOW
    assert verdict(machine, FACCESSAT2[machine]) == ALLOW
    assert verdict(machine, FACCESSAT2[machine], files=False) == NOT_PERMITTED
    for call in (PROCMASK[machine], SIGRETURN[machine], 425, 0x40000000):
        assert verdict(machine, call) == NOT_PERMITTED
