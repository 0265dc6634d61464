"""Hailo-8, 8L and 10H through pyHailoRT (`hailo_platform`, part of HailoRT).

Written against HailoRT 4's documented interface: `HEF`, `VDevice`, `InferVStreams`. Not verified on
hardware. Arrays are rows first and channels last, as HailoRT takes them; the device quantises and
de-quantises by itself.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hailo_platform as hailo
import numpy as np

from edgewright._fs import read_limited
from edgewright.errors import DeviceError, InputError, UnavailableError
from edgewright.runtimes.base import (
    Array,
    Availability,
    EngineTensor,
    Placement,
    compile_feeds,
    first_line,
)

MODEL_LIMIT_BYTES = 1 << 30
_MAGIC = (0x01484546).to_bytes(4, "big")
_INSTALL = "attach the device and install HailoRT with its driver, from Hailo's developer zone"


class HailoRuntime:
    """The engine itself."""

    name = "hailo"
    formats = ("hailo",)

    def availability(self) -> Availability:
        """Whether a device answers."""
        try:
            devices = hailo.Device.scan()
        except Exception as error:  # noqa: BLE001  # the driver's own errors: it cannot be used
            return Availability(available=False, reason=first_line(error), install=_INSTALL)
        if not devices:
            return Availability(available=False, reason="no Hailo device found", install=_INSTALL)
        return Availability(available=True, version=getattr(hailo, "__version__", ""))

    def open(self, path: Path, *, threads: int = 1) -> "HailoSession":
        """Load a `.hef`; see `Runtime.open`. The device has no threads to count."""
        content = read_limited(path, limit_bytes=MODEL_LIMIT_BYTES)
        if not content.startswith(_MAGIC):
            raise InputError(f"{path}: no Hailo executable (its first bytes are wrong)")
        state = self.availability()
        if not state.available:
            raise UnavailableError(state.reason, hint=state.install)
        with _load_errors(path):
            return HailoSession(hailo.HEF(str(path)))


class HailoSession:
    """A network on the device, activated until it is closed. Passes take turns."""

    def __init__(self, hef: Any) -> None:
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            device = opening.enter_context(hailo.VDevice())
            settings = hailo.ConfigureParams.create_from_hef(
                hef, interface=hailo.HailoStreamInterface.PCIe
            )
            group = device.configure(hef, settings)[0]
            float32 = hailo.FormatType.FLOAT32
            ins = hailo.InputVStreamParams.make(group, format_type=float32)
            outs = hailo.OutputVStreamParams.make(group, format_type=float32)
            self._pipe = opening.enter_context(hailo.InferVStreams(group, ins, outs))
            opening.enter_context(group.activate(group.create_params()))
            self._stack = opening.pop_all()
        self.inputs = tuple(_tensor(info) for info in hef.get_input_vstream_infos())
        self.outputs = tuple(_tensor(info) for info in hef.get_output_vstream_infos())
        self.placement = Placement(engine="hailo", device="Hailo", precision="int8", threads=1)
        self._lock = threading.Lock()
        self._checked = compile_feeds(self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        checked = self._checked(feeds)
        try:
            with self._lock:
                answers = self._pipe.infer(dict(checked))
        except Exception as error:
            raise DeviceError(
                f"hailo failed: {first_line(error)}", hint="see `hailortcli fw-control identify`"
            ) from error
        return {tensor.name: np.asarray(answers[tensor.name]) for tensor in self.outputs}

    def close(self) -> None:
        """Deactivate the network and let go of the device."""
        self._stack.close()


def _tensor(info: Any) -> EngineTensor:
    return EngineTensor(name=info.name, dtype="float32", shape=(None, *map(int, info.shape)))


@contextlib.contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{path}: hailo cannot load it: {first_line(error)}",
            hint="check that it is whole and was compiled for this device's architecture",
        ) from error
