"""The batch size when nobody chose one.

>>> largest_that_fits(lambda rows: rows <= 600, most=5000)
512
"""

from collections.abc import Callable

import torch

from edgewright.errors import ResourceError

ON_CPU = 64
_SMALLEST = 8
_MOST_ON_CUDA = 4096
_STEPS_AN_EPOCH = 16


def automatic_batch_size(rows: int, device: torch.device, try_step: Callable[[int], None]) -> int:
    """64 on a CPU, where more gains nothing; on CUDA the largest power of two whose training step
    fits into half of the memory, and of which an epoch still has some steps.
    """
    if device.type != "cuda":
        return ON_CPU
    _, total = torch.cuda.mem_get_info(device)

    def fits(size: int) -> bool:
        torch.cuda.reset_peak_memory_stats(device)
        try:
            try_step(size)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return False
        return torch.cuda.max_memory_reserved(device) < total / 2

    return largest_that_fits(fits, most=min(_MOST_ON_CUDA, max(rows // _STEPS_AN_EPOCH, _SMALLEST)))


def largest_that_fits(fits: Callable[[int], bool], *, most: int) -> int:
    """The largest power of two up to `most` that fits, from 8 on.

    Raises:
        ResourceError: not even 8 rows fit.
    """
    best, size = 0, _SMALLEST
    while size <= most and fits(size):
        best, size = size, 2 * size
    if not best:
        raise ResourceError(
            f"a training step of {_SMALLEST} rows does not fit into the device's memory",
            hint="choose a smaller network or shorter rows, or set train.batch_size",
        )
    return best
