"""A page that shows training while it goes on: open it in a browser, it asks again by itself."""

from pathlib import Path

from edgewright._fs import write_atomic
from edgewright.clock import Clock, SystemClock, iso
from edgewright.workbench.train.curves import Point, curve_svg, scatter_svg, thinned
from edgewright.workbench.train.pages import PAGES
from edgewright.workbench.train.record import EpochRecord, Progress

_EVERY_S = 1.0
_MOST_POINTS = 2000


class LivePage:
    """Call it with every progress; it replaces the page at most once a second."""

    def __init__(
        self, path: Path, *, name: str, unit: str = "row", clock: Clock | None = None
    ) -> None:
        self._path, self._name, self._unit = path, name, unit
        self._clock = clock or SystemClock()
        self._written_s = float("-inf")
        self._steps: dict[str, list[Point]] = {"loss": [], "lr": [], "speed": [], "memory": []}
        self._epochs: dict[str, list[Point]] = {}
        self._scores: dict[str, float] = {}
        self._pairs: tuple[Point, ...] = ()
        self._last: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        self._last = progress
        if progress.epoch_done is None:
            self._take(progress)
        else:
            self._take_epoch(progress.epoch_done)
            self._pairs = progress.pairs
        now_s = self._clock.monotonic_s()
        if progress.epoch_done is not None or now_s - self._written_s >= _EVERY_S:
            self._written_s = now_s
            self._write("")

    def _take(self, progress: Progress) -> None:
        values = (progress.loss, progress.lr, progress.rows_per_s, float(progress.memory_mb))
        for points, value in zip(self._steps.values(), values, strict=True):
            points.append((float(progress.step), value))
            if len(points) > _MOST_POINTS:
                points[:] = thinned(points, _MOST_POINTS // 2)

    def _take_epoch(self, done: EpochRecord) -> None:
        self._scores = done.val
        for name, value in {"loss": done.val_loss, **done.val}.items():
            self._epochs.setdefault(name, []).append((float(done.epoch), value))

    def end(self, text: str) -> None:
        """The last state, with a sentence; the page stops asking."""
        if self._last is not None:
            self._write(text)

    def _write(self, ended: str) -> None:
        now = self._last
        assert now is not None  # noqa: S101 - called after a progress
        charts = [
            curve_svg("training loss, by step", {"train": self._steps["loss"]}),
            curve_svg("watched loss, by epoch", {"watched": self._epochs.get("loss", [])}),
            *(
                curve_svg(f"{name.replace('_', ' ')}, by epoch", {name: points})
                for name, points in self._epochs.items()
                if name != "loss"
            ),
            scatter_svg("predicted (up) against true (across), watched rows", self._pairs),
            curve_svg("learning rate, by step", {"lr": self._steps["lr"]}),
            curve_svg(f"{self._unit}s a second, by step", {"speed": self._steps["speed"]}),
            curve_svg("memory in MiB, by step", {"memory": self._steps["memory"]}),
        ]
        page = PAGES.get_template("live.html.jinja").render(
            name=self._name,
            unit=self._unit,
            now=now,
            share=now.step / max(now.steps, 1),
            left=duration(now.eta_s),
            scores=self._scores,
            charts=charts,
            ended=ended,
            written=iso(self._clock.wall_s()),
        )
        write_atomic(self._path, page.encode())


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(42.4), duration(754), duration(8100)
    ('42 s', '13 min', '2 h 15 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
