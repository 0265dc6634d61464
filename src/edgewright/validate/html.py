"""A report as one HTML file: no script, no font, no picture from elsewhere, dark and light."""

import math
from collections.abc import Sequence
from importlib import resources

import jinja2
import msgspec

from edgewright.evidence.interval import number_text
from edgewright.validate.report import LeftOut, Report, outcome_of

_WIDTH = 720.0
_HEIGHT = 180.0
_LEFT = 56.0
_BOTTOM = 28.0


class Tick(msgspec.Struct, frozen=True):
    """A mark on an axis, in the picture's own units."""

    at: float
    text: str


class Bar(msgspec.Struct, frozen=True):
    """A bin of the histogram."""

    x: float
    y: float
    width: float
    height: float
    text: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A diagram as shapes: bars, and lines as the `points` of a polyline."""

    title: str
    description: str
    bars: tuple[Bar, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()
    x_label: str = ""
    y_label: str = ""


class Item(msgspec.Struct, frozen=True):
    """One report on the page."""

    report: Report
    pictures: tuple[Picture, ...]


def html_page(reports: Sequence[Report], *, left_out: Sequence[LeftOut] = ()) -> str:
    """The whole page, of one validation or of all that belong together."""
    template = resources.files("edgewright.validate").joinpath("report.html.jinja").read_text()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    return environment.from_string(template).render(
        items=[Item(report, _pictures(report)) for report in reports],
        left_out=left_out,
        outcome=outcome_of(reports),
        scenarios=", ".join(report.scenario for report in reports),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        bottom=_HEIGHT - _BOTTOM,
    )


def _pictures(report: Report) -> tuple[Picture, ...]:
    made = (latency_picture(report), timeline_picture(report), memory_picture(report))
    return tuple(picture for picture in made if picture is not None)


def latency_picture(report: Report) -> Picture | None:
    """How latencies are spread, on a logarithmic axis; None without latencies."""
    edges, counts = report.histogram.edges_ms, report.histogram.counts
    if not counts:
        return None
    low, high, most = math.log(edges[0]), math.log(edges[-1]), max(counts)

    def x_of(value_ms: float) -> float:
        return _LEFT + (math.log(value_ms) - low) / (high - low) * (_WIDTH - _LEFT)

    bars = []
    for place, count in enumerate(counts):
        left, right = x_of(edges[place]), x_of(edges[place + 1])
        height = count / most * (_HEIGHT - _BOTTOM)
        text = f"{edges[place]:.3g} to {edges[place + 1]:.3g} ms: {count}"
        bars.append(Bar(left, _HEIGHT - _BOTTOM - height, right - left, height, text))
    ticks = _decades(edges[0], edges[-1])
    return Picture(
        title="Latency",
        description=f"Histogram of {sum(counts)} latencies from {edges[0]:.3g} to "
        f"{edges[-1]:.3g} ms, logarithmic axis",
        bars=tuple(bars),
        x_ticks=tuple(Tick(x_of(value), f"{value:g}") for value in ticks),
        y_ticks=_y_ticks(most),
        x_label="ms",
        y_label="answers",
    )


def timeline_picture(report: Report) -> Picture | None:
    """p50 and p95 over the run; None without latencies."""
    slices = [one for one in report.timeline if one.p95_ms is not None]
    if len(slices) < 2:
        return None
    most = max(one.p95_ms or 0.0 for one in slices)
    end_s = report.timeline[-1].at_s or 1.0
    lines = tuple(
        (name, _points([(one.at_s, getattr(one, key) or 0.0) for one in slices], end_s, most))
        for name, key in (("p50", "p50_ms"), ("p95", "p95_ms"))
    )
    return Picture(
        title="Latency over time",
        description=f"p50 and p95 of {len(slices)} slices of the run, at most {most:.3g} ms",
        lines=lines,
        x_ticks=_x_ticks(end_s),
        y_ticks=_y_ticks(most),
        x_label="s",
        y_label="ms",
    )


def memory_picture(report: Report) -> Picture | None:
    """The server's memory over the run; None when its process could not be seen."""
    if len(report.memory) < 2:
        return None
    most = max(sample.mb for sample in report.memory)
    end_s = max(report.memory[-1].at_s, 1e-9)
    points = _points([(sample.at_s, sample.mb) for sample in report.memory], end_s, most)
    return Picture(
        title="Server memory over time",
        description=f"{len(report.memory)} samples, at most {most:.4g} MB",
        lines=(("memory", points),),
        x_ticks=_x_ticks(end_s),
        y_ticks=_y_ticks(most),
        x_label="s",
        y_label="MB",
    )


def _points(pairs: list[tuple[float, float]], end: float, most: float) -> str:
    top = _HEIGHT - _BOTTOM
    return " ".join(
        f"{_LEFT + x / end * (_WIDTH - _LEFT):.1f},{top - y / (most or 1.0) * (top - 8):.1f}"
        for x, y in pairs
    )


def _x_ticks(end: float) -> tuple[Tick, ...]:
    return tuple(
        Tick(_LEFT + share * (_WIDTH - _LEFT) * 0.999, number_text(end * share, digits=3))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _y_ticks(most: float) -> tuple[Tick, ...]:
    top = _HEIGHT - _BOTTOM
    return tuple(
        Tick(top - share * (top - 8), number_text(most * share, digits=3))
        for share in (0.0, 0.5, 1.0)
    )


def _decades(low: float, high: float) -> list[float]:
    steps = [
        mantissa * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for mantissa in (1, 2, 5)
    ]
    return [step for step in steps if low <= step <= high]


def _number(value: float | None) -> str:
    return "" if value is None else number_text(value)
