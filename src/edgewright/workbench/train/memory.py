"""How much memory training holds, read cheaply enough to look often."""

import resource
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")
_MIB = 1 << 20


def memory_mb(device: torch.device) -> int:
    """What this process holds in RAM, or on a CUDA device what its tensors hold there, in MiB."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device) / _MIB)
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[1])
        return pages * resource.getpagesize() // _MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
