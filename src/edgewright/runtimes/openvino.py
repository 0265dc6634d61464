"""OpenVINO: Intel and AMD CPUs, Arm CPUs, Intel GPUs and NPUs.

Arithmetic is 32-bit float unless the model file itself asks for less: OpenVINO's own default is
bfloat16 on CPUs that have it, which changes answers without being asked. A variant that was chosen
with a smaller precision carries it in its file (`runtime info edgewright/precision`), so that what
was measured is what runs. The device is the one that was asked for, or nothing.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import properties

from edgewright.errors import DeviceError, InputError, UnavailableError
from edgewright.runtimes.base import (
    Array,
    Availability,
    EngineTensor,
    Placement,
    compile_feeds,
    first_line,
)
from edgewright.runtimes.openvino_file import read_parts

PRECISION_INFO = ["edgewright", "precision"]
"""Where a model file says which arithmetic it was measured with."""

_PRECISIONS = {"f32": ov.Type.f32, "bf16": ov.Type.bf16, "f16": ov.Type.f16}
_CAPABILITIES = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}


class OpenVinoRuntime:
    """The engine on one of its devices."""

    name = "openvino"
    formats: tuple[str, ...] = ("openvino",)
    device = "CPU"

    def availability(self) -> Availability:
        """Whether the device is attached and its driver answers."""
        devices = ov.Core().available_devices
        if any(device.partition(".")[0] == self.device for device in devices):
            return Availability(available=True, version=ov.__version__)
        return Availability(
            available=False,
            version=ov.__version__,
            reason=f"OpenVINO sees no {self.device} here, only {', '.join(devices)}",
            install=f"attach the {self.device} and install Intel's driver for it",
        )

    def open(self, path: Path, *, threads: int = 1) -> "OpenVinoSession":
        """Load a model file; see `Runtime.open`."""
        graph, weights = read_parts(path)
        state = self.availability()
        if not state.available:
            raise UnavailableError(state.reason, hint=state.install)
        core = ov.Core()
        with _load_errors(path):
            model = core.read_model(graph, weights)
            precision = _precision(model)
        if _CAPABILITIES[precision] not in capabilities(core, self.device):
            raise UnavailableError(
                f"{path}: made for {precision} arithmetic, which this {self.device} does not have",
                hint="optimise the model on this kind of machine",
            )
        with _load_errors(path):
            compiled = core.compile_model(model, self.device, self._settings(precision, threads))
        return OpenVinoSession(compiled, _placement(compiled, self.device))

    def _settings(self, precision: str, threads: int) -> dict[str, object]:
        settings: dict[str, object] = {
            properties.hint.inference_precision(): _PRECISIONS[precision],
            properties.hint.performance_mode(): properties.hint.PerformanceMode.LATENCY,
            properties.hint.num_requests(): 1,
        }
        if self.device == "CPU":
            settings[properties.inference_num_threads()] = threads
            settings[properties.hint.enable_cpu_pinning()] = False
        return settings


class GpuOpenVinoRuntime(OpenVinoRuntime):
    """On an Intel GPU. It claims no format: who asks for a format gets the CPU unless told."""

    name = "openvino-gpu"
    formats = ()
    device = "GPU"


class NpuOpenVinoRuntime(OpenVinoRuntime):
    """On an Intel NPU."""

    name = "openvino-npu"
    formats = ()
    device = "NPU"


class OpenVinoSession:
    """A loaded OpenVINO model. Passes take turns."""

    def __init__(self, compiled: ov.CompiledModel, placement: Placement) -> None:
        self.placement = placement
        self.inputs = tuple(_tensor(port) for port in compiled.inputs)
        self.outputs = tuple(_tensor(port) for port in compiled.outputs)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        self._checked = compile_feeds(self.inputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One pass; see `Session.run`."""
        checked = self._checked(feeds)
        try:
            with self._lock:
                answers = self._request.infer(dict(checked), share_inputs=True)
                return {
                    tensor.name: np.asarray(answers[position])
                    for position, tensor in enumerate(self.outputs)
                }
        except Exception as error:
            raise DeviceError(
                f"openvino failed: {first_line(error)}", hint="verify the model on this device"
            ) from error

    def close(self) -> None:
        """Let go of the model's memory."""
        del self._request


def capabilities(core: ov.Core, device: str) -> tuple[str, ...]:
    """The arithmetic that a device has, in OpenVINO's words (FP32, BF16, INT8, ...)."""
    return tuple(core.get_property(device, properties.device.capabilities()))


def _precision(model: ov.Model) -> str:
    if not model.has_rt_info(PRECISION_INFO):
        return "f32"
    precision = str(model.get_rt_info(PRECISION_INFO).value)
    if precision not in _PRECISIONS:
        raise ValueError(f"unknown precision {precision!r} in its runtime info")
    return precision


def _placement(compiled: ov.CompiledModel, wanted: str) -> Placement:
    devices = compiled.get_property(properties.execution_devices())
    if [device.partition(".")[0] for device in devices] != [wanted]:
        raise UnavailableError(
            f"OpenVINO placed the model on {', '.join(devices)} instead of {wanted}",
            hint="check the device's driver",
        )
    threads = 1
    if wanted == "CPU":
        threads = int(compiled.get_property(properties.inference_num_threads()))
    hint = compiled.get_property(properties.hint.inference_precision())
    return Placement(
        engine="openvino", device=devices[0], precision=hint.get_type_name(), threads=threads
    )


def _tensor(port: ov.ConstOutput) -> EngineTensor:
    names = sorted(port.names)
    return EngineTensor(
        name=names[0] if names else port.node.friendly_name,
        dtype=port.element_type.to_dtype().name,
        shape=tuple(
            None if size.is_dynamic else int(size.get_length()) for size in port.partial_shape
        ),
    )


@contextlib.contextmanager
def _load_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{path}: openvino cannot load it: {_reason(error)}",
            hint="check that the .xml and its .bin are whole and belong together",
        ) from error


def _reason(error: Exception) -> str:
    """The last line says what, the first ones where in OpenVINO's source."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__
