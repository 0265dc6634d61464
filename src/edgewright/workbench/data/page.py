"""The health of a dataset as one HTML file: no script, nothing from elsewhere, dark and light.

Every figure is drawn from the samples themselves: who did what for how long, how values are
spread, and the seconds around what is wrong.
"""

from collections.abc import Callable
from importlib import resources
from itertools import groupby

import jinja2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewright.workbench.data._axes import resting_levels, triads
from edgewright.workbench.data.recordings import UNLABELLED, Dataset, Recording
from edgewright.workbench.data.report import DataReport, Finding

_WIDTH, _HEIGHT = 720.0, 150.0
_LEFT, _BOTTOM, _TOP = 64.0, 22.0, 8.0
_BINS = 60
_SAMPLED = 500_000
_MOST_SNIPPETS = 12
_SNIPPETS_PER_CODE = 2
_AROUND_S = 4.0
_MOST_POINTS = 700
_MOST_LISTED = 20
_ORDER = {"error": 0, "warning": 1, "info": 2}

_Floats = NDArray[np.float64]


class Tick(msgspec.Struct, frozen=True):
    """A mark on an axis, in the picture's own units."""

    at: float
    text: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A diagram as shapes: bars (x, y, width, height) and lines (name, points of a polyline)."""

    title: str
    description: str
    bars: tuple[tuple[float, float, float, float], ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    marks: tuple[tuple[float, float], ...] = ()
    x_ticks: tuple[Tick, ...] = ()
    y_ticks: tuple[Tick, ...] = ()


class _Cell(msgspec.Struct, frozen=True):
    seconds: float
    share: float


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one kind: the worst of them, and how many more there are."""

    code: str
    severity: str
    shown: tuple[Finding, ...]
    more: int


def data_page(dataset: Dataset, report: DataReport) -> str:
    """The whole page of what `check_dataset` said about a dataset."""
    template = resources.files("edgewright.workbench.data").joinpath("report.html.jinja")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    return environment.from_string(template.read_text()).render(
        report=report,
        groups=grouped(report.findings),
        classes=[*dataset.label_names, "unlabelled"],
        people=_people(dataset),
        gravity=gravity_picture(dataset),
        histograms=[histogram(dataset, at) for at in range(len(dataset.channels))],
        snippets=snippets(dataset, report.findings),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        bottom=_HEIGHT - _BOTTOM,
        top=_TOP,
    )


def grouped(findings: tuple[Finding, ...], *, most: int = _MOST_LISTED) -> tuple[_Group, ...]:
    """Findings by kind, the gravest kind first, the largest of each kind first."""
    ordered = sorted(findings, key=lambda f: (_ORDER[f.severity], f.code, -f.count))
    groups = []
    for (_, code), found in groupby(ordered, key=lambda f: (_ORDER[f.severity], f.code)):
        each = tuple(found)
        groups.append(
            _Group(
                code=code,
                severity=each[0].severity,
                shown=each[:most],
                more=max(len(each) - most, 0),
            )
        )
    return tuple(groups)


def histogram(dataset: Dataset, channel: int) -> Picture:
    """How the values of a channel are spread, over its middle 99.8 percent."""
    step = max(dataset.sample_count // _SAMPLED, 1)
    values = np.concatenate([r.samples[::step, channel] for r in dataset.recordings])
    values = values[np.isfinite(values)].astype(np.float64)
    facts = dataset.channels[channel]
    title = f"{facts.name} [{facts.unit}]"
    if not len(values):
        return Picture(title=title, description=f"{title}: no finite sample")
    low, high = np.quantile(values, [0.001, 0.999]).tolist()
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high))
    tallest = max(int(counts.max()), 1)
    height = _HEIGHT - _BOTTOM - _TOP
    width = (_WIDTH - _LEFT) / _BINS
    bars = tuple(
        (
            round(_LEFT + at * width, 1),
            round(_HEIGHT - _BOTTOM - count / tallest * height, 1),
            round(width - 1, 1),
            round(count / tallest * height, 1),
        )
        for at, count in enumerate(counts.tolist())
        if count
    )
    return Picture(
        title=title,
        description=f"Histogram of {title} from {low:.3g} to {high:.3g}",
        bars=bars,
        x_ticks=_x_ticks(low, high, lambda value: f"{value:.3g}"),
        y_ticks=(Tick(_TOP + 8, f"{tallest / max(len(values), 1):.0%}"),),
    )


def gravity_picture(dataset: Dataset) -> Picture | None:
    """What each person's first accelerometer reads at rest; one g is the line."""
    axes = next(
        (at for stem, at in triads(dataset.channels).items() if _unit(dataset, at) == "g"), None
    )
    if axes is None:
        return None
    people = dataset.subjects
    levels = [resting_levels(dataset.of_subjects([who]), axes) for who in people]
    known = [float(np.median(level)) if len(level) else np.nan for level in levels]
    if np.isnan(known).all():
        return None
    low, high = min(0.8, float(np.nanmin(known))), max(1.2, float(np.nanmax(known)))
    step = (_WIDTH - _LEFT) / max(len(people), 1)
    places = [_LEFT + step * (at + 0.5) for at in range(len(people))]
    every = max(len(people) // 15, 1)
    line = f"{_LEFT},{_y(1.0, low, high):.1f} {_WIDTH},{_y(1.0, low, high):.1f}"
    return Picture(
        title="Acceleration at rest [g], by person",
        description=f"Median acceleration of calm seconds of {len(people)} people; expected 1",
        lines=(("one g", line),),
        marks=tuple(
            (round(x, 1), round(_y(value, low, high), 1))
            for x, value in zip(places, known, strict=True)
            if np.isfinite(value)
        ),
        x_ticks=tuple(Tick(round(places[n], 1), people[n]) for n in range(0, len(people), every)),
        y_ticks=tuple(Tick(round(_y(v, low, high), 1), f"{v:.3g}") for v in (low, 1.0, high)),
    )


def snippets(dataset: Dataset, findings: tuple[Finding, ...]) -> list[Picture]:
    """The seconds around some findings that have a place, the gravest kinds first."""
    by_name = {each.name: each for each in dataset.recordings}
    columns = {channel.name: at for at, channel in enumerate(dataset.channels)}
    pictures: list[Picture] = []
    for group in grouped(findings, most=_SNIPPETS_PER_CODE):
        for finding in group.shown:
            known = finding.recording in by_name and finding.channel in columns
            if known and finding.start_s is not None and len(pictures) < _MOST_SNIPPETS:
                recording = by_name[finding.recording]
                pictures.append(_snippet(recording, columns[finding.channel], finding))
    return pictures


def _snippet(recording: Recording, column: int, finding: Finding) -> Picture:
    rate_hz = recording.rate_hz
    start_s = finding.start_s or 0.0
    first = max(int((start_s - _AROUND_S) * rate_hz), 0)
    last = min(int((start_s + _AROUND_S) * rate_hz) + 1, len(recording))
    values = recording.samples[first:last, column].astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    begin_s, end_s = first / rate_hz, max(last - 1, first + 1) / rate_hz
    mark = _x(start_s, begin_s, end_s)
    return Picture(
        title=finding.message,
        description=f"{finding.channel} of recording {finding.recording}, "
        f"{begin_s:.1f} to {end_s:.1f} s: {finding.message}",
        lines=(
            ("place", f"{mark:.1f},{_TOP} {mark:.1f},{_HEIGHT - _BOTTOM}"),
            *_polylines(values, (low, high), recording=(begin_s, end_s), rate_hz=rate_hz),
        ),
        x_ticks=_x_ticks(begin_s, end_s, lambda value: f"{value:.1f} s"),
        y_ticks=tuple(Tick(round(_y(v, low, high), 1), f"{v:.3g}") for v in (low, high)),
    )


def _polylines(
    values: _Floats, span: tuple[float, float], *, recording: tuple[float, float], rate_hz: float
) -> list[tuple[str, str]]:
    """The curve, broken where samples are missing."""
    step = max(len(values) // _MOST_POINTS, 1)
    begin_s, end_s = recording
    lines: list[tuple[str, str]] = []
    for is_there, rows in groupby(range(0, len(values), step), lambda n: np.isfinite(values[n])):
        if is_there:
            points = [
                f"{_x(begin_s + n / rate_hz, begin_s, end_s):.1f},{_y(values[n], *span):.1f}"
                for n in rows
            ]
            lines.append(("values", " ".join(points if len(points) > 1 else points * 2)))
    return lines


def _people(dataset: Dataset) -> list[tuple[str, list[_Cell]]]:
    """Seconds of each class for each person, and their share of the largest cell."""
    names = range(len(dataset.label_names))
    seconds = {
        who: [
            sum(
                int((each.label == label).sum())
                for each in dataset.recordings
                if each.subject == who
            )
            / dataset.rate_hz
            for label in [*names, UNLABELLED]
        ]
        for who in dataset.subjects
    }
    most = max((value for row in seconds.values() for value in row[:-1]), default=0.0) or 1.0
    return [
        (who, [*(_Cell(value, value / most) for value in row[:-1]), _Cell(row[-1], 0.0)])
        for who, row in seconds.items()
    ]


def _unit(dataset: Dataset, axes: list[int]) -> str:
    return dataset.channels[axes[0]].unit


def _x(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT)


def _y(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)


def _x_ticks(low: float, high: float, text: Callable[[float], str]) -> tuple[Tick, ...]:
    values = np.linspace(low, high, 5).tolist()
    return tuple(Tick(round(_x(value, low, high), 1), text(value)) for value in values)


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
