"""Hooks of a bundle, in real confined processes: what they may do, and what is kept from them."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.chain.hooks import HOOK_COMMAND
from edgewright.chain.probe_child import probe
from edgewright.chain.serving import open_servable
from edgewright.contract import Tensor
from edgewright.device.hooks import HookLimits, HookProcess, landlock
from edgewright.errors import DeviceError, EdgewrightError, InputError, TrustError
from edgewright.measure.procfs import descendants
from edgewright.testing.bundles import build_tiny

pytestmark = pytest.mark.timeout(120)

TENSORS = (Tensor(name="x", dtype="float32", shape=("batch",)),)

# The first number of a request chooses what is tried; it answers 1 where the system said no.
CAPTIVE = r"""
import ctypes, os, signal, socket, subprocess, threading
import numpy as np

def read(path):
    with open(path, "rb") as file:
        file.read(1)

def write(path):
    with open(path, "wb") as file:
        file.write(b"x")

def start_thread():
    threading.Thread(target=int).start()

def raise_limit():
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def catch_signal():
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)

def ring():
    if ctypes.CDLL(None, use_errno=True).syscall(425, 8, None) < 0:  # io_uring_setup
        raise OSError(ctypes.get_errno(), "io_uring")

def own_signals(set_owner):
    # The next request on the socket would then signal its owner, here the server.
    import fcntl, stat
    for number in range(32):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
        except OSError:
            continue
        if is_socket:
            set_owner(fcntl, number)

def by_fcntl(fcntl, number):
    fcntl.fcntl(number, fcntl.F_SETOWN, os.getppid())

def by_signal_number(fcntl, number):
    fcntl.fcntl(number, 10, signal.SIGKILL)  # F_SETSIG

def by_flags(fcntl, number):
    fcntl.fcntl(number, fcntl.F_SETFL, os.O_ASYNC)

def by_ioctl(fcntl, number):
    fcntl.ioctl(number, 0x8901, ctypes.c_int(os.getppid()))  # FIOSETOWN

def by_ioctl_flag(fcntl, number):
    fcntl.ioctl(number, 0x5452, ctypes.c_int(1))  # FIOASYNC

DEEDS = [
    lambda: socket.socket(),
    lambda: socket.socketpair(),
    lambda: read("/etc/shadow"),
    lambda: read("/etc/passwd"),
    lambda: read("/proc/self/environ"),
    lambda: read(f"/proc/{os.getppid()}/maps"),
    lambda: os.listdir("/"),
    lambda: os.listdir(".."),
    lambda: write("../hook.py"),
    lambda: write("/tmp/edgewright-escaped"),
    lambda: write("/dev/shm/edgewright-escaped"),
    lambda: os.symlink("/etc/passwd", "link"),
    lambda: os.mkfifo("pipe"),
    lambda: os.chmod(".", 0o777),
    lambda: os.fork(),
    lambda: subprocess.run(["/bin/true"]),
    lambda: os.execv("/bin/true", ["true"]),
    start_thread,
    lambda: os.kill(os.getppid(), 9),
    lambda: signal.setitimer(signal.ITIMER_REAL, 1),
    raise_limit,
    catch_signal,
    lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU]),
    lambda: own_signals(by_fcntl),
    lambda: own_signals(by_signal_number),
    lambda: own_signals(by_flags),
    lambda: own_signals(by_ioctl),
    lambda: own_signals(by_ioctl_flag),
    ring,
]

def preprocess(inputs):
    deed = int(inputs["x"][0])
    if deed < 0:
        return {"x": np.float32([len(DEEDS), len(os.environ)])}
    try:
        DEEDS[deed]()
    except (OSError, RuntimeError, ValueError) as error:
        return {"x": np.float32([1])}
    return {"x": np.float32([0])}
"""


@contextlib.contextmanager
def hook(source: str, **limits: Any) -> Iterator[HookProcess]:
    process = HookProcess(
        "preprocess",
        source.encode(),
        TENSORS,
        command=HOOK_COMMAND,
        timer=time.perf_counter,
        limits=HookLimits(**limits),
    )
    try:
        yield process
    finally:
        process.close()


def asked(process: HookProcess, *numbers: float) -> list[float]:
    return [float(n) for n in process.call({"x": np.float32(numbers)})["x"]]


def require_landlock() -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock (Linux 5.13)")


def test_what_a_hook_must_not_do_is_not_permitted() -> None:
    require_landlock()
    with hook(CAPTIVE, call_s=10.0) as process:
        count, variables = asked(process, -1)
        assert variables == 0
        escaped = [deed for deed in range(int(count)) if asked(process, deed) != [1.0]]
    assert escaped == []
    assert not Path("/tmp/edgewright-escaped").exists()


def test_a_hook_may_compute_import_and_use_its_scratch_folder() -> None:
    require_landlock()
    source = """
def preprocess(inputs):
    import statistics, json, colorsys, csv
    with open("note.txt", "w") as file:
        file.write("7")
    with open("note.txt") as file:
        return {"x": inputs["x"] * float(file.read())}
"""
    with hook(source) as process:
        assert asked(process, 1, 2) == [7.0, 14.0]
        assert process._folder.exists()
    assert not process._folder.exists()


def test_without_landlock_no_file_can_be_opened() -> None:
    source = """
def preprocess(inputs):
    import math
    try:
        open("/etc/passwd")
    except PermissionError:
        return {"x": inputs["x"] * math.pi}
"""
    child = "import edgewright.device.hooks.landlock as l; l.version = lambda: 0; "
    child += "l.confine = lambda **_: False; import runpy, sys; "
    child += "runpy.run_module('edgewright.chain.hook_child', run_name='__main__', alter_sys=False)"
    process = HookProcess(
        "preprocess",
        source.encode(),
        TENSORS,
        command=(HOOK_COMMAND[0], "-P", "-c", child),
        timer=time.perf_counter,
    )
    try:
        assert asked(process, 1) == [pytest.approx(np.pi)]
    finally:
        process.close()


FAULTS: dict[str, tuple[str, str]] = {
    "hang": ("while True: pass", "no answer within 0.5 s"),
    "sleep": ("import time; time.sleep(60)", "no answer within 0.5 s"),
    "crash": ("import ctypes; ctypes.string_at(0)", "the child died by SIGSEGV"),
    "exit": ("import os; os._exit(3)", "the child ended with code 3"),
    "memory": ("a = bytearray(1 << 30)", "MemoryError"),
    "raise": ("raise KeyError('z')", "KeyError"),
    "nothing": ("return None", "TypeError"),
    "other name": ("return {'z': inputs['x']}", "output 'x' is not of contract"),
    "other type": ("return {'x': inputs['x'].astype('float64')}", "not of contract"),
    "nan": ("return {'x': inputs['x'] * float('nan')}", "NaN or infinity"),
    "scratch": (
        "[open(f'{n}', 'wb').write(bytes(1 << 20)) for n in range(3)]; return inputs",
        "its scratch folder holds 3.0 MB, the limit is 2 MB",
    ),
    "file": ("open('f', 'wb').write(bytes(3 << 20)); return inputs", "File too large"),
    "forged": (
        """
        import os
        for number in range(3, 32):
            try:
                os.write(number, b"\\xff" * 64)
            except OSError:
                pass""",
        "frame",
    ),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_a_reason_and_the_next_request_is_answered(fault: str) -> None:
    deed, reason = FAULTS[fault]
    if fault in {"scratch", "file"}:
        require_landlock()
    source = "def preprocess(inputs):\n    if inputs['x'][0] < 0:\n        " + deed
    source += "\n    return inputs\n"
    limit_s = 0.5 if fault in {"hang", "sleep"} else 20.0
    with hook(source, call_s=limit_s, memory_mb=64, scratch_mb=2) as process:
        assert asked(process, 1) == [1.0]
        with pytest.raises(DeviceError, match=reason) as caught:
            asked(process, -1)
        assert str(caught.value).startswith("preprocess.py: ")
        assert asked(process, 2) == [2.0]


def test_a_hook_cannot_compute_on_by_blocking_the_signal_of_its_limit() -> None:
    source = """
import signal
def preprocess(inputs):
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXCPU])
    except OSError:
        pass
    while True:
        pass
"""
    with (
        hook(source, call_s=20.0) as process,
        pytest.raises(DeviceError, match="the child died by SIGXCPU"),
    ):
        asked(process, 1)


def test_a_hook_that_cannot_be_loaded_says_why() -> None:
    for source, reason in (
        ("def postprocess(x): pass", "defines no function 'preprocess'"),
        ("def preprocess(:", "SyntaxError"),
        ("import nowhere", "ModuleNotFoundError"),
    ):
        with hook(source) as process, pytest.raises(DeviceError, match=reason):
            process.start()


def test_a_hook_that_ends_again_and_again_is_not_started_for_every_request() -> None:
    with hook("import os\ndef preprocess(inputs): os._exit(1)") as process:
        for _ in range(3):
            with pytest.raises(DeviceError, match="ended with code 1"):
                asked(process, 1)
        children = set(descendants(os.getpid()))
        with pytest.raises(DeviceError, match="started 3 times within 60 s"):
            asked(process, 1)
        assert set(descendants(os.getpid())) <= children


def test_a_hook_may_refuse_a_request() -> None:
    with hook("def preprocess(inputs): raise ValueError('too short')") as process:
        with pytest.raises(InputError, match="too short"):
            asked(process, 1)
        assert process._child is not None
        assert not process._child.broken


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    from edgewright.device.hooks.process import PREFIX, _sweep

    old, mine = tmp_path / f"{PREFIX}4194305-a", tmp_path / f"{PREFIX}{os.getpid()}-b"
    old.mkdir()
    mine.mkdir()
    _sweep(tmp_path)
    assert (old.exists(), mine.exists()) == (False, True)


SCALE = {
    "preprocess.py": b"def preprocess(inputs):\n    return {'x': inputs['x'] * 1}\n",
    "postprocess.py": b"def postprocess(outputs):\n    return {'y': outputs['y'] + 0}\n",
}


def test_a_bundles_hooks_run_where_they_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "m.ewb"
    build_tiny(path, hooks=SCALE)
    with pytest.raises(TrustError, match=r"carries preprocess.py and postprocess.py"):
        open_servable(path)
    servable = open_servable(path, allow_hooks=True)
    try:
        assert servable.is_apart
        assert servable.golden is not None
        answer = servable.model.predict_checked(servable.golden.inputs)
        assert np.allclose(answer["y"], servable.golden.outputs["y"])
    finally:
        servable.model.close()


def test_an_answer_of_a_hook_out_of_contract_is_the_hooks_fault(tmp_path: Path) -> None:
    path = tmp_path / "m.ewb"
    build_tiny(path, hooks={"preprocess.py": SCALE["preprocess.py"].replace(b"* 1", b"* 1000")})
    servable = open_servable(path, allow_hooks=True)
    try:
        with pytest.raises(DeviceError, match=r"preprocess.py answers out of contract.*'x'"):
            servable.model.predict_checked({"x": np.full((1, 4), 5, np.float32)})
    finally:
        servable.model.close()


def test_the_probe_judges_hooks_too(tmp_path: Path) -> None:
    from edgewright.bundle import unpack

    build_tiny(tmp_path / "m.ewb", hooks=SCALE)
    folder = unpack(tmp_path / "m.ewb", tmp_path / "m").path
    assert "does not allow" in probe(folder).reason
    assert probe(folder, allow_hooks=True).passed
    wrong = {"postprocess.py": b"def postprocess(outputs):\n    return {'y': outputs['y'] * 2}\n"}
    build_tiny(tmp_path / "w.ewb", hooks=wrong)
    report = probe(unpack(tmp_path / "w.ewb", tmp_path / "w").path, allow_hooks=True)
    assert (report.passed, "golden vectors" in report.reason) == (False, True)


def test_a_bundle_is_built_with_hooks_and_its_golden_answers_are_theirs(tmp_path: Path) -> None:
    from edgewright.bundle import open_bundle
    from edgewright.bundle.golden import decode_golden
    from edgewright.chain.bundles import BuildOrder, build_from_file

    build_tiny(tmp_path / "plain.ewb")
    plain = open_bundle(tmp_path / "plain.ewb")
    model, script = tmp_path / "model.npz", tmp_path / "postprocess.py"
    model.write_bytes(plain.read(plain.blob("model")))
    script.write_bytes(b"def postprocess(outputs):\n    return {'y': outputs['y'] * 2}\n")
    golden = tmp_path / "golden.npz"
    golden.write_bytes(plain.read(plain.blob("golden")))
    order = BuildOrder(model=model, golden=golden, name="m", version="1", hooks=(script,))
    built = build_from_file(order, tmp_path / "m.ewb")
    before = decode_golden(plain.read(plain.blob("golden"))).outputs["y"]
    after = decode_golden(built.read(built.blob("golden"))).outputs["y"]
    assert np.allclose(after, 2 * before)
    odd = tmp_path / "boot.py"
    odd.write_bytes(b"")
    with pytest.raises(EdgewrightError, match="no such hook"):
        build_from_file(
            BuildOrder(model=model, name="m", version="1", hooks=(odd,)), tmp_path / "n.ewb"
        )
