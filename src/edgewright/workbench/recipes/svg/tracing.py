"""The truth that the network learns: trace a picture, draw the trace, compare the two.

Deterministic: the same picture, settings and versions give the same bytes and the same SSIM.
"""

from collections.abc import Sequence
from importlib.metadata import version

import msgspec
import numpy as np
import vtracer
from skimage.metrics import structural_similarity

from edgewright._pictures import Picture, encode_png
from edgewright.workbench.recipes.svg.drawings import draw_traced
from edgewright.workbench.recipes.svg.settings import Settings

TOOLS = {name: version(name) for name in ("vtracer", "resvg-py", "scikit-image")}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: what one choice of settings gives for one picture."""

    settings: Settings
    ssim: float
    svg_bytes: int


def trace(picture: Picture, settings: Settings) -> str:
    """The picture as an SVG."""
    chosen = msgspec.structs.asdict(settings)
    text: str = vtracer.convert_raw_image_to_svg(
        encode_png(picture), img_format="png", colormode="color", hierarchical="stacked", **chosen
    )
    return text


def measure(picture: Picture, settings: Settings) -> Row:
    """Trace, draw and compare."""
    svg = trace(picture, settings)
    drawn = draw_traced(svg, size=picture.shape[0])
    return Row(settings=settings, ssim=ssim(picture, drawn), svg_bytes=len(svg.encode()))


def measure_logo(picture: Picture, settings: Sequence[Settings]) -> tuple[Row, ...]:
    """One picture with some settings."""
    return tuple(measure(picture, each) for each in settings)


def ssim(one: Picture, other: Picture) -> float:
    """Structural similarity over the three colours, 1 where they are equal."""
    value = structural_similarity(one, other, channel_axis=2, data_range=255)
    return float(np.round(value, 6))
