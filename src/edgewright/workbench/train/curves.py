"""Curves as inline SVG: no script, no other file, dark and light. Pure.

>>> svg = curve_svg("loss", {"train": [(1, 0.9), (2, 0.5)]})
>>> svg.startswith("<svg"), "polyline" in svg
(True, True)
"""

import html
import math
from collections.abc import Mapping, Sequence

Point = tuple[float, float]

_WIDTH, _HEIGHT = 420, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 10, 24, 24
_MOST_POINTS = 300
_DASHES = ("", "5 3", "2 2")


def curve_svg(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    """One chart with a line for each series; series without a point are left out."""
    drawn = {name: thinned(points) for name, points in series.items() if points}
    if not drawn:
        return ""
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points if math.isfinite(y)]
    if not ys:
        return ""
    box = (min(xs), max(xs), *_widened(min(ys), max(ys)))
    lines = [_line(points, box, at) for at, points in enumerate(drawn.values())]
    legend = ", ".join(drawn) if len(drawn) > 1 else ""
    said = html.escape(f"{title}: {legend}" if legend else title)
    last = "; ".join(f"{name} {points[-1][1]:.4g}" for name, points in drawn.items())
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{said}, last '
        f'{html.escape(last)}"><title>{said}, last {html.escape(last)}</title>'
        f'<text x="{_LEFT}" y="15" class="title">{said}</text>'
        f"{_axes(box)}{''.join(lines)}</svg>"
    )


def scatter_svg(title: str, points: Sequence[Point]) -> str:
    """One chart with a dot for each point and the line on which both coordinates are equal."""
    drawn = [point for point in thinned(points) if all(map(math.isfinite, point))]
    if not drawn:
        return ""
    values = [value for point in drawn for value in point]
    low, high = _widened(min(values), max(values))
    box = (low, high, low, high)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>' for x, y in (_place(p, box) for p in drawn)
    )
    said = html.escape(title)
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{said}, {len(drawn)} dots">'
        f'<title>{said}, {len(drawn)} dots</title><text x="{_LEFT}" y="15" class="title">{said}'
        f"</text>{_axes(box)}{_line([(low, low), (high, high)], box, 1)}"
        f'<g class="dots">{dots}</g></svg>'
    )


def thinned(points: Sequence[Point], most: int = _MOST_POINTS) -> list[Point]:
    """At most so many points, evenly, with the last one."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(at * step)] for at in range(most)]


def _widened(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    pad = abs(high) * 0.05 or 1.0
    return low - pad, high + pad


def _line(points: Sequence[Point], box: tuple[float, float, float, float], at: int) -> str:
    placed = (_place(p, box) for p in points if math.isfinite(p[1]))
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dash = f' stroke-dasharray="{_DASHES[at % 3]}"' if at % 3 else ""
    return f'<polyline class="line{at % 3}" fill="none"{dash} points="{text}"/>'


def _axes(box: tuple[float, float, float, float]) -> str:
    left, right, low, high = box
    bottom = _HEIGHT - _BOTTOM
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}"/>']
    for value in (low, (low + high) / 2, high):
        _, y = _place((left, value), box)
        parts.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" class="end">{value:.3g}</text>')
    for value, anchor in ((left, "start"), (right, "end")):
        x, _ = _place((value, low), box)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" class="{anchor}">{value:.4g}</text>')
    return "".join(parts)


def _place(point: Point, box: tuple[float, float, float, float]) -> Point:
    left, right, low, high = box
    x = _LEFT + (point[0] - left) / ((right - left) or 1.0) * (_WIDTH - _LEFT - _RIGHT)
    y = _HEIGHT - _BOTTOM - (point[1] - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
    return x, y
