"""A model in a process of its own: real processes, each as small as a Python with numpy."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.contract import Contract, Tensor
from edgewright.device.serve import isolated
from edgewright.device.serve.child_model import ChildModel, ChildOrder, resident_mb
from edgewright.device.serve.isolated import Isolated, RestartingError
from edgewright.device.serve.refusal import refusal_of
from edgewright.errors import DeviceError, InputError

pytestmark = pytest.mark.timeout(60)

CONTRACT = Contract(
    inputs=(Tensor(name="x", dtype="float32", shape=("batch", 2)),),
    outputs=(Tensor(name="y", dtype="float32", shape=("batch", 2)),),
)
# Doubles; 1 makes it keep 300 MB, 2 refuses the request, 3 fails.
CHILD = """
import socket, sys
import numpy as np
from edgewright.device.serve.child_model import pack, unpack
from edgewright.wire.candidate import *
channel = socket.socket(fileno=int(sys.argv[1]))
channel.sendall(encode_frame(Reply()))
kept = []
while head := channel.recv(4, socket.MSG_WAITALL):
    ask = decode_frame(head + channel.recv(frame_size(head), socket.MSG_WAITALL), Ask)
    x = unpack(ask.arrays)["x"]
    if x[0, 0] == 1:
        kept.append(bytes(bytearray(b"x") * (300 << 20)))
    reply = Reply(arrays=pack({"y": x * np.float32(2)}))
    if x[0, 0] == 2:
        reply = Reply(error="a step refuses it", is_refusal=True)
    if x[0, 0] == 3:
        reply = Reply(error="the engine failed")
    channel.sendall(encode_frame(reply))
"""


def start() -> ChildModel:
    order = ChildOrder(command=(sys.executable, "-c", CHILD), growth_mb=float("inf"))
    child = ChildModel(order, CONTRACT, Path(), time.perf_counter)
    child.greet()
    return child


def ask(model: Isolated, first: float) -> Any:
    return model.predict_checked({"x": np.array([[first, 4]], np.float32)})["y"].tolist()


def grow(model: Isolated) -> None:
    for _ in range(200):
        ask(model, 1)
        time.sleep(isolated.WATCH_S)


def until(done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_what_uses_too_much_is_ended_and_started_again() -> None:
    model = Isolated(start, limit_mb=250, timer=time.perf_counter)
    try:
        model.settle(0.001)
        assert ask(model, 9) == [[18, 8]]
        first = model._child
        with pytest.raises(RestartingError, match=r"it used \d+ MB, its limit is 250 MB") as caught:
            grow(model)
        refusal = refusal_of(caught.value)
        assert (refusal.status, refusal.reason, refusal.retry_after_s) == (503, "restarting", 1)
        until(lambda: model.restarts == 1)
        assert ask(model, 9) == [[18, 8]]
        assert 0 < model.used_mb < 250
        assert model._child.patience_s == first.patience_s
        os.kill(model._child.pid, signal.SIGKILL)
        until(lambda: model.restarts == 2)
        assert ask(model, 9) == [[18, 8]]
        pid = model._child.pid
    finally:
        model.close()
    assert resident_mb(pid) == 0


def test_pauses_grow_while_it_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(isolated, "PAUSES_S", (0.01, 0.02, 0.03, 0.04))
    now_s = [0.0]
    faults = [OSError(errno.ENOMEM, "no memory"), DeviceError("no engine"), OSError("no process")]

    def start_at_last() -> ChildModel:
        if now_s[0] and faults:
            raise faults.pop(0)
        return start()

    model = Isolated(start_at_last, limit_mb=400, timer=lambda: now_s[0])
    try:
        now_s[0] = 1000.0
        os.kill(model._child.pid, signal.SIGKILL)
        until(lambda: model.restarts == 1)
        assert ask(model, 9) == [[18, 8]]
    finally:
        model.close()
    pauses = [word for word in caplog.text.split() if word.startswith("pause_s=")]
    assert pauses == ["pause_s=0.01", "pause_s=0.02", "pause_s=0.03", "pause_s=0.04"]


def test_refusals_and_faults_keep_their_kind() -> None:
    model = Isolated(start, limit_mb=400, timer=time.perf_counter)
    try:
        with pytest.raises(InputError, match="a step refuses it"):
            ask(model, 2)
        with pytest.raises(DeviceError, match="the engine failed"):
            ask(model, 3)
        assert ask(model, 9) == [[18, 8]]
        assert model.restarts == 0
    finally:
        model.close()


def test_model_that_is_too_large_once_it_is_loaded_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"uses \d+ MB once it is loaded, its limit is 2 MB"):
        Isolated(start, limit_mb=2, timer=time.perf_counter)


def test_the_number_of_a_child_that_was_waited_for_is_not_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = start()
    os.kill(child.pid, signal.SIGKILL)
    until(child.has_ended)
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _: killed.append(group))
    child.end("again")
    child.close()
    assert killed == []
