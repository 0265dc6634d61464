"""The report for people: one HTML file, no script, no foreign host; Pareto plots as inline SVG."""

from importlib.resources import files

import jinja2
import msgspec

from edgewright.workbench.optimize.report import Candidate, OptimizeReport

_WIDTH, _HEIGHT = 560, 300
_LEFT, _BOTTOM, _TOP, _RIGHT = 60, 44, 12, 14


class Dot(msgspec.Struct, frozen=True):
    """A candidate in a plot."""

    x: float
    y: float
    kind: str
    label: str
    on_front: bool


class Plot(msgspec.Struct, frozen=True):
    """A scatter plot in pixels, with its axes' ticks."""

    title: str
    x_label: str
    dots: tuple[Dot, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    budget_y: float | None
    front: str
    width: int = _WIDTH
    height: int = _HEIGHT


def report_page(report: OptimizeReport) -> str:
    """The whole page."""
    template = files("edgewright.workbench.optimize").joinpath("report.html.jinja").read_text()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    plots = [
        plot
        for plot in (
            _plot(report, "Accuracy and latency", "p50 over the p50 of fp32", "latency_ratio"),
            _plot(report, "Accuracy and size", "size in kB", "size_bytes"),
            _plot(report, "Accuracy and memory", "peak of a process, in MB", "memory_bytes"),
            _plot(report, "Accuracy and energy", "energy over that of fp32", "energy_ratio"),
        )
        if plot is not None
    ]
    return environment.from_string(template).render(
        report=report, plots=plots, has_energy=any(map(_energy, report.candidates))
    )


def _energy(row: Candidate) -> bool:
    return row.energy_ratio is not None


def _plot(report: OptimizeReport, title: str, x_label: str, field: str) -> Plot | None:
    rows = [
        row
        for row in report.candidates
        if row.metric_drop is not None and getattr(row, field) is not None
    ]
    if not rows:
        return None
    scale = {"size_bytes": 1e-3, "memory_bytes": 1e-6}.get(field, 1.0)
    points = [(getattr(row, field) * scale, row.metric_drop or 0.0) for row in rows]
    # Far outliers would squeeze everything else into a corner; they are drawn at the rim.
    top = max(2 * report.max_drop, 1.0)
    high_y = min(max([y for _, y in points] + [report.max_drop * 1.2, 0.1]), 4 * top)
    low_y = max(min([y for _, y in points] + [0.0]), -2 * top)
    high_x = max(x for x, _ in points) * 1.05

    def place(x: float, y: float) -> tuple[float, float]:
        share_y = (min(max(y, low_y), high_y) - low_y) / (high_y - low_y)
        return (
            round(_LEFT + x / high_x * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_TOP + share_y * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    front = _front(points)
    dots = tuple(
        Dot(*place(*point), _kind(row), f"{row.format} {row.recipe}: {row.reason}", point in front)
        for row, point in zip(rows, points, strict=True)
    )
    line = " ".join(f"{x},{y}" for x, y in (place(*point) for point in front))
    return Plot(
        title,
        x_label,
        dots,
        tuple((place(x, 0)[0], f"{x:.3g}") for x in _ticks(0.0, high_x)),
        tuple((place(0, y)[1], f"{y:.3g}") for y in _ticks(low_y, high_y)),
        place(0, report.max_drop)[1],
        line,
    )


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other point beats in both directions, left to right."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def _ticks(low: float, high: float) -> list[float]:
    return [low + (high - low) * step / 4 for step in range(5)]


def _kind(row: Candidate) -> str:
    return row.verdict
