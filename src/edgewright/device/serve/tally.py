"""What a served model counts, and how it is told: statistics, quantiles, Prometheus text."""

from collections import Counter, deque
from collections.abc import Iterable

import numpy as np

LATENCY_BOUNDS_S = (
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
_RECENT = 2048
STAGES = ("read", "queue", "run", "write")


class Tally:
    """Counts of one model. A request's time runs from its last byte read to its answer written."""

    def __init__(self) -> None:
        self.answered = 0
        self.rows = 0
        self.passes = 0
        self.stage_s = dict.fromkeys(STAGES, 0.0)
        self.failed = Counter[str]()
        self.last_wall_s = 0.0
        self._total_s = 0.0
        self._buckets = np.zeros(len(LATENCY_BOUNDS_S) + 1, np.int64)
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self._new_s: list[float] = []

    def add(self, latencies_s: list[float]) -> None:
        """Requests were answered."""
        self.answered += len(latencies_s)
        self._new_s += latencies_s
        if len(self._new_s) >= _RECENT:
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
        begun_s, read_s, ended_s, now_s = moments_s
        count = len(arrived_s)
        self.answered += count
        self.rows += count
        self.passes += 1
        if count == 1:
            waited_s = begun_s - arrived_s[0]
            self._new_s.append(now_s - arrived_s[0])
        else:
            waited_s = begun_s * count - sum(arrived_s)
            self._new_s += [now_s - moment_s for moment_s in arrived_s]
        stage_s = self.stage_s
        stage_s["queue"] += waited_s
        stage_s["read"] += (read_s - begun_s) * count
        stage_s["run"] += (ended_s - read_s) * count
        stage_s["write"] += (now_s - ended_s) * count
        self.last_wall_s = wall_s
        if len(self._new_s) >= _RECENT:
            self._settle()

    @property
    def total_s(self) -> float:
        """Time of all answered requests together."""
        self._settle()
        return self._total_s

    @property
    def buckets(self) -> list[int]:
        """How many latencies fell between two bounds."""
        self._settle()
        return [int(count) for count in self._buckets]

    def _settle(self) -> None:
        """Sort new latencies into buckets, many at once."""
        if self._new_s:
            places = np.searchsorted(LATENCY_BOUNDS_S, self._new_s)
            self._buckets += np.bincount(places, minlength=len(self._buckets))
            self._total_s += sum(self._new_s)
            self._recent_s.extend(self._new_s)
            self._new_s.clear()

    def quantiles_ms(self, qs: Iterable[float] = (0.5, 0.95, 0.99)) -> dict[str, float]:
        """Quantiles of the latest requests, by name ("p95"); empty before the first one.

        >>> tally = Tally()
        >>> tally.add([ms / 1000 for ms in range(1, 101)])
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
        bounds: Iterable[float],
        buckets: Iterable[int],
        *,
        total: float,
        **labels: str,
    ) -> None:
        """Cumulative buckets, sum and count."""
        running = 0
        for bound, count in zip([*map("{:g}".format, bounds), "+Inf"], buckets, strict=True):
            running += count
            self.sample(f"{name}_bucket", running, **labels, le=bound)
        self.sample(f"{name}_sum", total, **labels)
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
