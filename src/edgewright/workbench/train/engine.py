"""Where the arithmetic runs: CUDA when it is there, else the CPU; and in which precision."""

import contextlib
import shutil

import torch
from torch import nn

from edgewright.errors import UnavailableError
from edgewright.workbench.train.options import TrainOptions

_COMPILERS = ("c++", "g++", "clang++")
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Engine:
    """A device and a precision, chosen once for a run."""

    def __init__(self, options: TrainOptions) -> None:
        self.device = _device(options.device)
        self.precision = _precision(options.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Forward passes inside it run in the chosen precision."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=_AUTOCAST[self.precision])

    @property
    def name(self) -> str:
        """The device as a record names it."""
        if self.device.type == "cuda":
            return f"cuda ({torch.cuda.get_device_name(self.device)})"
        return "cpu"


def compile_module(module: nn.Module, device: torch.device) -> None:
    """Let torch compile the module's forward pass when it is first used.

    Raises:
        UnavailableError: for a CPU that takes a C++ compiler, and there is none.
    """
    if device.type == "cpu" and not any(map(shutil.which, _COMPILERS)):
        raise UnavailableError(
            "train.compile needs a C++ compiler", hint="install g++, or set train.compile = false"
        )
    module.compile()


def _device(wanted: str) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise UnavailableError(
            "no CUDA device can be used here", hint="train with --device cpu, or install CUDA torch"
        )
    return torch.device("cuda" if has_cuda and wanted != "cpu" else "cpu")


def _precision(wanted: str, device: torch.device) -> str:
    if device.type != "cuda":
        return "fp32"
    if wanted == "auto":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return wanted
