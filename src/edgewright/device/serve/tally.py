"""What a served model counts, and how it is told: statistics, quantiles, Prometheus text."""

from collections import Counter, deque
from collections.abc import Iterable

import numpy as np

from edgewright.device.serve.ports import Array

LATENCY_BOUNDS_S = (
    10e-6,
    25e-6,
    50e-6,
    100e-6,
    250e-6,
    500e-6,
    1e-3,
    2.5e-3,
    5e-3,
    10e-3,
    25e-3,
    50e-3,
    100e-3,
    250e-3,
    500e-3,
    1.0,
    2.5,
    5.0,
    10.0,
)
ROW_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STAGES = ("read", "queue", "run", "write")

_RECENT = 2048
_SETTLED_AT = 1024
"""So many requests are counted one by one before numpy sorts them into buckets, all at once."""

Stages = tuple[float, float, float, float]
"""What a request spent in each of `STAGES`, in seconds."""


class Histogram:
    """How many values fell between bounds, and their sum."""

    __slots__ = ("_places", "bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._places = np.array(bounds)
        self.counts = np.zeros(len(bounds) + 1, np.int64)
        self.total = 0.0

    def add(self, values: Array, weights: Array | None = None) -> None:
        """Count values, each as often as its weight says."""
        places = np.searchsorted(self._places, values)
        counts = np.bincount(places, weights=weights, minlength=len(self.counts))
        self.counts += counts.astype(np.int64)
        self.total += float(values.sum() if weights is None else values @ weights)


class Tally:
    """Counts of one model. A request's time runs from its last byte read to its answer written."""

    def __init__(self) -> None:
        self.answered = 0
        self.rows = 0
        self.passes = 0
        self.failed = Counter[str]()
        self.last_wall_s = 0.0
        self._requests = Histogram(LATENCY_BOUNDS_S)
        self._stages = {stage: Histogram(LATENCY_BOUNDS_S) for stage in STAGES}
        self._pass_rows = Histogram(ROW_BOUNDS)
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self._new_stages_s: list[Stages] = []
        self._new_arrived_s: list[float] = []
        self._new_passes_s: list[float] = []
        self._new_rows: list[int] = []

    def add_stages(self, stages_s: list[Stages], rows: int, wall_s: float) -> None:
        """A pass over so many rows answered requests that spent this in each stage."""
        self.answered += len(stages_s)
        self.rows += rows
        self.passes += 1
        self._new_rows.append(rows)
        self._new_stages_s += stages_s
        self.last_wall_s = wall_s
        if len(self._new_stages_s) >= _SETTLED_AT:
            self._settle()

    def add_pass(
        self,
        arrived_s: list[float],
        moments_s: tuple[float, float, float, float],
        wall_s: float,
    ) -> None:
        """A pass answered requests of one row each. It began, had read them, had run, had written
        at these moments.
        """
        count = len(arrived_s)
        self.answered += count
        self.rows += count
        self.passes += 1
        self._new_passes_s += (count, *moments_s)
        self._new_arrived_s += arrived_s
        self.last_wall_s = wall_s
        if len(self._new_arrived_s) >= _SETTLED_AT:
            self._settle()

    @property
    def requests(self) -> Histogram:
        """Seconds of whole requests."""
        self._settle()
        return self._requests

    @property
    def stages(self) -> dict[str, Histogram]:
        """Seconds of requests by stage."""
        self._settle()
        return self._stages

    @property
    def pass_rows(self) -> Histogram:
        """Rows of passes."""
        self._settle()
        return self._pass_rows

    def _settle(self) -> None:
        """Sort what is new into buckets, all at once."""
        if self._new_stages_s:
            spent_s = np.array(self._new_stages_s).T
            self._count_requests(spent_s.sum(axis=0))
            for histogram, column_s in zip(self._stages.values(), spent_s, strict=True):
                histogram.add(column_s)
            self._pass_rows.add(np.array(self._new_rows))
            self._new_stages_s, self._new_rows = [], []
        if self._new_passes_s:
            passes_s = np.array(self._new_passes_s).reshape(-1, 5).T
            self._settle_passes(passes_s, np.array(self._new_arrived_s))
            self._new_passes_s, self._new_arrived_s = [], []

    def _settle_passes(self, passes_s: Array, arrived_s: Array) -> None:
        counts, begun_s, read_s, ended_s, written_s = passes_s
        repeats = counts.astype(np.int64)
        stages = self._stages
        stages["read"].add(read_s - begun_s, counts)
        stages["queue"].add(np.repeat(begun_s, repeats) - arrived_s)
        stages["run"].add(ended_s - read_s, counts)
        stages["write"].add(written_s - ended_s, counts)
        self._pass_rows.add(counts)
        self._count_requests(np.repeat(written_s, repeats) - arrived_s)

    def _count_requests(self, latencies_s: Array) -> None:
        self._requests.add(latencies_s)
        self._recent_s.extend(latencies_s[-_RECENT:].tolist())

    def quantiles_ms(self, qs: Iterable[float] = (0.5, 0.95, 0.99)) -> dict[str, float]:
        """Quantiles of the latest requests, by name ("p95"); empty before the first one.

        >>> tally = Tally()
        >>> tally.add_stages([(0.0, 0.0, ms / 1000, 0.0) for ms in range(1, 101)], 100, 0.0)
        >>> tally.quantiles_ms([0.95])
        {'p95': 95.0}
        """
        self._settle()
        ordered = sorted(self._recent_s)
        if not ordered:
            return {}
        return {
            f"p{q * 100:g}": round(ordered[max(0, _rank(q, len(ordered)))] * 1e3, 4) for q in qs
        }

    @property
    def failures(self) -> int:
        """Requests that got no result, for any reason."""
        return sum(self.failed.values())


def _rank(q: float, count: int) -> int:
    """Position of the smallest value that at least a share q of all does not exceed."""
    exact = q * count
    whole = int(exact)
    return whole - 1 if exact == whole else whole


class Exposition:
    """Prometheus text, metric by metric."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def head(self, name: str, kind: str, text: str) -> None:
        """A metric begins."""
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]

    def sample(self, name: str, value: float, **labels: str) -> None:
        r"""One value.

        >>> exposition = Exposition()
        >>> exposition.sample("x_total", 3, model='a"b')
        >>> exposition.text()
        b'x_total{model="a\\"b"} 3\n'
        """
        self._lines.append(f"{name}{_labels(labels)} {value + 0}")

    def histogram(
        self,
        name: str,
        found: Histogram,
        **labels: str,
    ) -> None:
        """Cumulative buckets, sum and count."""
        running, counts = 0, found.counts.tolist()
        for bound, count in zip([*map("{:g}".format, found.bounds), "+Inf"], counts, strict=True):
            running += count
            self.sample(f"{name}_bucket", running, **labels, le=bound)
        self.sample(f"{name}_sum", found.total, **labels)
        self.sample(f"{name}_count", running, **labels)

    def text(self) -> bytes:
        """All of it."""
        return ("\n".join(self._lines) + "\n").encode()


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
