"""CPU time of processes: what a request really costs, whatever else the machine is doing."""

import os
import time
from pathlib import Path

from edgewright.measure.procfs import PROC, read_tree


class CpuClock:
    """CPU seconds used since `start`, by this process and by trees of other processes.

    >>> clock = CpuClock()
    >>> clock.own_s() >= 0.0
    True
    """

    def __init__(self, *pids: int, root: Path = PROC) -> None:
        self._pids = pids
        self._root = root
        self._own_start_s = time.process_time()
        self._others_start_s = self._read_s()

    def own_s(self) -> float:
        """Of this process alone."""
        return time.process_time() - self._own_start_s

    def others_s(self) -> float:
        """Of the trees given, as coarse as the kernel's tick (10 ms)."""
        return self._read_s() - self._others_start_s

    def _read_s(self) -> float:
        return sum(read_tree(pid, root=self._root).cpu_s for pid in self._pids)


def usable_cores() -> int:
    """Cores that this process may run on (affinity, not the box's total)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
